"""Columns made of buffers are those that pyarrow makes of values."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from goniometer.geometry import arrow


def test_floats_are_pyarrow_s_with_nan_as_null() -> None:
    values = np.array([1.5, np.nan, -np.inf, 0.0, 5e-324, *range(9)])
    made = arrow.floats(values[::2])
    made.validate(full=True)
    assert made.equals(pa.array(values[::2], from_pandas=True))


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64()])
def test_integers_are_pyarrow_s(kind: pa.DataType) -> None:
    values = [0, None, -1, 2 ** (kind.bit_width - 1) - 1, None, *range(5)]
    made = arrow.integers(values, kind)
    made.validate(full=True)
    assert made.equals(pa.array(values, kind))


@pytest.mark.parametrize("values", [[], [None], ["", None, "ä\n", "x" * 70_000, "y"]])
def test_texts_are_pyarrow_s(values: list[str | None]) -> None:
    made = arrow.texts(values)
    made.validate(full=True)
    assert made.equals(pa.array(values, pa.string()))


def test_no_column_imports_pandas() -> None:
    code = (
        "import sys, numpy as np, pyarrow as pa\n"
        "from goniometer.geometry import arrow\n"
        "arrow.floats(np.ones(2)), arrow.integers([1], pa.int32()), arrow.texts(['a'])\n"
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
