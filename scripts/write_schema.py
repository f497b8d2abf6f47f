"""Write the JSON Schema of results.json from its values: src/goniometer/results.schema.json."""

from pathlib import Path

from goniometer.results import json_schema

SCHEMA = Path(__file__).parent.parent / "src" / "goniometer" / "results.schema.json"

if __name__ == "__main__":
    SCHEMA.write_text(json_schema(), encoding="utf-8")
    print(SCHEMA)
