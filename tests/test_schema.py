"""The shipped JSON Schema: up to date, and true of every results.json."""

import json
from importlib.resources import files

import jsonschema
import pytest

from goniometer.errors import GoniometerError
from goniometer.results import SCHEMA_VERSION, json_schema, read_results, to_json
from tests.report_cases import CASES

SHIPPED = files("goniometer").joinpath("results.schema.json").read_text(encoding="utf-8")
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SHIPPED))


def faults(tree) -> list[str]:
    return [error.json_path for error in VALIDATOR.iter_errors(tree)]


def test_the_shipped_schema_is_that_of_the_values():
    assert json_schema() == SHIPPED, "run scripts/write_schema.py"
    VALIDATOR.check_schema(json.loads(SHIPPED))
    assert json.loads(SHIPPED)["$id"].endswith(f":{SCHEMA_VERSION}")


@pytest.mark.parametrize("case", CASES)
def test_results_are_valid(case):
    assert faults(json.loads(to_json(CASES[case]()))) == []


def test_what_a_reader_would_refuse_is_not_valid(tmp_path):
    """The schema and the reader draw one line."""
    good = json.loads(to_json(CASES["two runs"]()))
    reading = good["comparison"]["pairs"][0]["scopes"]["union"]["readings"]["cosine"]

    def broken(change, tree):
        tree = json.loads(json.dumps(tree))
        change(tree)
        return tree

    def of_cosine(tree):
        return tree["comparison"]["pairs"][0]["scopes"]["union"]["readings"]["cosine"]

    assert set(reading) == {"value", "undefined"}
    changes = {
        "another version": lambda t: t.update(schema_version=1),
        "no version": lambda t: t.pop("schema_version"),
        "an unknown field": lambda t: t.update(extra=1),
        "a missing field": lambda t: t["comparison"].pop("k"),
        "a value and a reason": lambda t: of_cosine(t).update(undefined="no"),
        "neither": lambda t: of_cosine(t).update(value=None),
        "a number as text": lambda t: t["comparison"].update(k="five"),
    }
    for name, change in changes.items():
        tree = broken(change, good)
        assert faults(tree), name
        path = tmp_path / "results.json"
        path.write_text(json.dumps(tree))
        with pytest.raises(GoniometerError):
            read_results(path)


def test_another_version_is_refused_by_its_number(tmp_path):
    tree = json.loads(to_json(CASES["two runs"]()))
    path = tmp_path / "results.json"
    path.write_text(json.dumps(tree | {"schema_version": 99}))
    with pytest.raises(GoniometerError, match=f"found 99, expected {SCHEMA_VERSION}"):
        read_results(path)
