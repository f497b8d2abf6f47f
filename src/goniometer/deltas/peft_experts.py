"""LoRA on parameters instead of modules (`target_parameters`): experts of a mixture, one by one.

PEFT keeps the factors of all E experts in one pair: A is (E r, in), expert after expert, and B is
(out, r E), rank after rank with the experts inside. The update of expert e is scale * B_e A_e, out
by in, as in PEFT's ParamWrapper.get_delta_weight, in whatever order the base stores its axes.
"""

from collections.abc import Sequence

from goniometer.deltas.delta import Outline
from goniometer.deltas.matrix import LowRank
from goniometer.deltas.peft_config import LoraConfig
from goniometer.deltas.peft_folder import Entries, Entry, Folder
from goniometer.deltas.peft_lora import Factors, rank_and_scale
from goniometer.errors import GoniometerError


def parameters_of(module: str, targets: Sequence[str]) -> list[str]:
    """Full names of the targeted parameters that belong to a module, wrappers left out."""
    inner = module.replace(".base_layer", "")
    names = {target.rpartition(".")[2]: target for target in targets}
    return sorted(
        f"{inner}.{last}"
        for last, target in names.items()
        if f".{inner}.{last}".endswith(f".{target}")
    )


def expert_entries(
    factors: Factors, folder: Folder, config: LoraConfig, parameters: Sequence[str]
) -> Entries:
    """Entries of one parameter, one for each expert: "<module>.<expert>.<parameter>".

    A parameter that is one matrix has one entry, by the parameter's name without `.weight`.

    Raises:
        GoniometerError: the factors do not fit, or nothing tells to which parameter they belong.
    """
    if factors.names.keys() != {"A", "B"}:
        raise _fault(folder, factors.module, f"tensors {sorted(factors.names)}", "A and B")
    A, B = (folder.weights.tensors[factors.names[side]].shape for side in ("A", "B"))
    if len(A) != 2 or len(B) != 2 or A[0] != B[1] or 0 in (*A, *B):
        raise _fault(folder, factors.module, f"lora_A {A}, lora_B {B}", "two matrices of one rank")
    name = _parameter(factors, folder, parameters, (B[0], A[1]))
    rank, scale = rank_and_scale(name, folder, config)
    if A[0] % rank:
        raise _fault(folder, factors.module, f"lora_A {A}", f"a multiple of rank {rank}")
    count = A[0] // rank
    found = {}
    for expert in range(count):

        def load(expert: int = expert) -> LowRank:
            rows = folder.weights.value(factors.names["A"], expert * rank, (expert + 1) * rank)
            return LowRank(folder.weights.value(factors.names["B"])[:, expert::count], rows, scale)

        module = name.removesuffix(".weight") if count == 1 else _numbered(name, expert)
        found[module] = Entry(Outline((B[0], A[1]), rank), load)
    return found


def _numbered(parameter: str, expert: int) -> str:
    """Name of one expert's matrix, as `BaseModel` names it."""
    module, _, leaf = parameter.rpartition(".")
    return f"{module}.{expert}.{leaf}"


def _parameter(
    factors: Factors, folder: Folder, parameters: Sequence[str], shape: tuple[int, int]
) -> str:
    """The parameter that these factors are of: nothing in the file names it."""
    if len(parameters) == 1:
        return parameters[0]
    why = "factors of several parameters are told apart by the base's shapes"
    fitting = [
        name
        for name in parameters
        if sorted(folder.require(_numbered(name, 0), why).shape) == sorted(shape)
    ]
    if len(fitting) != 1:
        raise GoniometerError(
            "LoRA on parameters: nothing tells of which parameter these factors are",
            file=folder.weights.file, key=factors.module,
            found=f"{len(fitting)} of {', '.join(parameters)} with the shape {shape}", expected=1,
        )  # fmt: skip
    return fitting[0]


def _fault(folder: Folder, module: str, found: str, expected: str) -> GoniometerError:
    return GoniometerError(
        "the factors do not fit", file=folder.weights.file, key=module, found=found,
        expected=expected,
    )  # fmt: skip
