"""Memory that ran out is one line with what needs less of it, not a traceback."""

import pytest
import torch

from goniometer import library
from goniometer.errors import out_of_memory
from goniometer.model.boundary import refused
from tests.conftest import Command

GPU = torch.OutOfMemoryError(
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB of which "
    "1.21 GiB is free. See documentation for Memory Management"
)
HERE = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes.")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            GPU,
            "the GPU's memory ran out; found CUDA out of memory. Tried to allocate 2.00 GiB. For "
            "compare --data --device cpu, --dtype bfloat16; for a study models.device: cpu, "
            "models.dtype: bfloat16",
        ),
        (HERE, f"memory ran out; found {HERE}. For compare --data --dtype bfloat16; for a study m"),
        (MemoryError(), "memory ran out. For compare --data --dtype bfloat16; for a study models."),
    ],
)
def test_memory_that_ran_out_is_one_line(tmp_path, monkeypatch, command: Command, error, said):
    def fail(*_):
        raise error

    monkeypatch.setattr(library, "compare_with", fail)
    code, _, lines = command("compare", "a", "b", "-o", tmp_path / "out")
    assert code == 2
    (line,) = lines
    assert line.startswith(f"goniometer: {said}")


def test_a_model_that_does_not_fit_memory_is_no_bad_model():
    with pytest.raises(torch.OutOfMemoryError), refused("model"):
        raise GPU
    assert not out_of_memory(RuntimeError("shapes cannot be multiplied"))
