"""Realistic synthetic results for the report's tests: numbers of a study that never ran.

Cosines follow a table of how alike objectives are; everything else is derived from the cosine
plus seeded noise, so that figures look like those of a real study.
"""

import hashlib
import math
import random
from typing import Any

from goniometer.results import (
    Band,
    Comparison,
    MeasureInfo,
    PairReadings,
    Reading,
    Results,
    RunReadings,
    Scope,
)
from goniometer.statistics import sameness, seed_floor
from tests.study_factory import moved_apart, one_run, study_of

ALIKE = {
    ("SFT", "RFT"): 0.958, ("SFT", "RIFT"): 0.957, ("RFT", "RIFT"): 0.962, ("SFT", "DFT"): 0.57,
    ("RFT", "DFT"): 0.55, ("RIFT", "DFT"): 0.54, ("SFT", "GRPO"): 0.74, ("RFT", "GRPO"): 0.72,
    ("RIFT", "GRPO"): 0.73, ("DFT", "GRPO"): 0.48, ("SFT", "DPO"): 0.06, ("RFT", "DPO"): 0.057,
    ("RIFT", "DPO"): 0.065, ("DFT", "DPO"): 0.04, ("GRPO", "DPO"): 0.11,
}  # fmt: skip
ARMS = ("SFT", "RFT", "RIFT", "DFT", "GRPO", "DPO")
ORDERS = ("SFT order 1", "SFT order 2", "SFT order 3")
INITS = ("SFT init 1", "SFT init 2")
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
K = 5
DETAILED_PAIRS = 200
SIDES = ("left", "right")
ANGLES = ("smallest", "median", "largest")


def objective(run: str) -> str:
    """The arm that a run repeats."""
    return run.split(maxsplit=1)[0]


def expected_cosine(a: str, b: str) -> float:
    """How alike two runs are, before noise: an other init rotates more than an other objective."""
    pair = (objective(a), objective(b))
    alike = 1.0 if pair[0] == pair[1] else ALIKE.get(pair, ALIKE.get(pair[::-1], 0.3))
    alike *= moved_apart(a, b)
    if (a in INITS or b in INITS) and a != b:
        return 0.34 * alike
    return alike * (0.953 if a in ORDERS or b in ORDERS else 1.0)


def measures_of(cosine: float) -> dict[str, float]:
    """Every measure of a pair with this cosine, roughly as they go together."""
    cosine = min(cosine, 0.99999)
    tilt = math.degrees(math.acos(max(cosine, 0.0)))
    off = 1 - cosine**2
    found = {"cosine": cosine, "cosine_mean": cosine * 0.98, "cosine_median": cosine * 0.985}
    found |= {"off_direction": math.sqrt(off), "off_direction_energy": off}
    for side, scale in (("left", 0.9), ("right", 0.55)):
        share = min(1.0, off * scale)
        for which, power in (("smallest", 0.45), ("median", 0.75), ("largest", 1.15)):
            found[f"angle_{side}_{which}"] = min(89.9, tilt * scale * power + 3 * power)
        found[f"overlap_{side}"] = 1 - share
        found[f"off_subspace_{side}"] = share * 0.9
        found[f"off_subspace_{side}_reverse"] = share
    found |= {"off_subspace_joint": min(1.0, off * 0.95), "off_subspace_joint_reverse": off}
    return found | {"u1": 1 - 0.9 * off, "v1": 1 - 0.3 * off}


def spectrum_of(found: dict[str, float]) -> dict[str, float]:
    """Each of the K angles of a side, evenly from the smallest to the largest."""
    return {
        f"angle_{side}_{rank}": found[f"angle_{side}_smallest"]
        + (rank - 1) / (K - 1)
        * (found[f"angle_{side}_largest"] - found[f"angle_{side}_smallest"])
        for side in SIDES
        for rank in range(1, K + 1)
    }  # fmt: skip


def null_band(measure: str, kind: str, width: int, draws: int = 200) -> Band:
    """What the measure reads between strangers, with a spread that shrinks with the width."""
    spread, shared = 0.9 / math.sqrt(width), kind == "shared_A0" and "right" in measure
    middle = {"smallest": 72.0, "median": 82.0, "largest": 88.6}
    middle |= {f"_{rank}": 72 + 4.1 * (rank - 1) for rank in range(1, K + 1)}
    for which, angle in middle.items():
        if measure.startswith("angle") and measure.endswith(which):
            centre = angle * (0.35 if shared else 1)
            return Band(low=centre - 2, median=centre, high=centre + 1.2, draws=draws)
    if measure.startswith("cosine"):
        wide = spread * (0.5 if kind == "independent" else 1)
        return Band(low=-wide, median=0.0, high=wide, draws=draws)
    centre = {"o": 0.9, "u": spread, "v": 0.7 if kind == "shared_A0" else spread}[measure[0]]
    if measure.startswith("overlap"):
        centre = 0.8 if shared else 0.1
    elif measure.startswith("off_direction"):
        centre = 0.999
    elif shared and measure.startswith("off"):
        centre = 0.2
    return Band(low=centre * 0.95, median=centre, high=min(1.0, centre * 1.05), draws=draws)


def measure_info() -> dict[str, MeasureInfo]:
    """The definitions, in the shape that geometry gives them."""
    infos = {}
    for key in measures_of(0.5):
        angle = key.startswith("angle")
        infos[key] = MeasureInfo(
            title=key.replace("_", " ").capitalize(),
            unit="degrees" if angle else "share" if key.startswith("off_sub") else "",
            range=(0, 90) if angle else (-1, 1) if key.startswith("cosine") else (0, 1),
            meaning=f"What {key} means, in one sentence.",
        )
    for key in ("norm", "effective_rank", "participation_ratio", "stable_rank"):
        title = key.replace("_", " ").capitalize()
        infos[key] = MeasureInfo(title=title, unit="", range=(0, None), meaning=f"Meaning: {key}.")
    return infos


def _scopes(layers: int, *, detailed: bool = True) -> dict[str, int]:
    whole = {"union": layers * 4, "intersection": layers * 4}
    if not detailed:
        return whole
    depth = {f"layer.{i}": 4 for i in range(layers)}
    return whole | depth | {f"projection.{name}": layers for name in PROJECTIONS}


def _readings(cosine: float, scope: str, layers: int, noise: random.Random) -> dict[str, Reading]:
    kind, _, name = scope.partition(".")
    if kind == "layer":
        cosine *= 1 - 0.22 * (1 - cosine) * int(name) / max(layers - 1, 1)
    if kind == "projection":
        cosine *= {"q_proj": 1.0, "k_proj": 0.96, "v_proj": 1.02, "o_proj": 0.99}[name]
    wobble = noise.gauss(0, 0.03 * (1 - cosine) + 0.002) if "." in scope else 0.0
    values = measures_of(min(0.9999, cosine + wobble))
    if scope == "union":
        values |= spectrum_of(values)
    return {measure: Reading(value=value) for measure, value in values.items()}


def _pair(
    a: str, b: str, layers: int, zero: str | None, seed: int, *, detailed: bool = True
) -> PairReadings:
    noise = random.Random(f"{seed}/{a}/{b}")
    state = "comparable"
    cosine = min(0.9999, expected_cosine(a, b) + noise.gauss(0, 0.003))
    scopes = {}
    for scope, modules in _scopes(layers, detailed=detailed).items():
        readings = _readings(cosine, scope, layers, noise)
        if zero in (a, b):
            state = "zero delta"
            readings = {m: Reading(undefined=f"{zero} has no update") for m in readings}
        elif scope == "layer.1":
            readings["angle_right_largest"] = Reading(undefined="numerical rank below k")
        scopes[scope] = Scope(modules=modules, energy_share=1.0, readings=readings)
    return PairReadings(
        a=a, b=b, state=state, null_group=None if zero in (a, b) else "ranks 16 and 16",
        scopes=scopes, verdict="not decided",
    )  # fmt: skip


def _identical(pair: PairReadings) -> PairReadings:
    exact = measures_of(1.0) | {"cosine": 1.0, "cosine_mean": 1.0, "cosine_median": 1.0}
    exact = {m: (1.0 if v > 0.9 else 0.0) for m, v in exact.items()}
    readings = {m: Reading(value=v) for m, v in exact.items()}
    single = {m: Reading(value=v) for m, v in spectrum_of(exact).items()}
    scopes = {
        name: scope.model_copy(update={"readings": readings | (single if name == "union" else {})})
        for name, scope in pair.scopes.items()
    }
    return pair.model_copy(update={"state": "identical", "scopes": scopes})


def _run(name: str, layers: int, zero: str | None, seed: int) -> RunReadings:
    noise = random.Random(f"{seed}/{name}")
    small = objective(name) == "DPO"
    size = {"norm": 0.22 if small else 2.9, "effective_rank": 14.5 if small else 9.6}
    size |= {"participation_ratio": 9.1 if small else 4.8, "stable_rank": 5.2 if small else 2.4}
    scopes: dict[str, dict[str, Reading]] = {}
    for scope in ("all", *_scopes(layers)):
        if scope in ("union", "intersection"):
            continue
        part = (
            1.0 if scope == "all" else math.sqrt((1 if "layer" in scope else layers) / layers / 2)
        )
        values = {m: v * noise.uniform(0.92, 1.08) for m, v in size.items()}
        values["norm"] *= part
        scopes[scope] = {m: Reading(value=v) for m, v in values.items()}
        if name == zero:
            scopes[scope] = {m: Reading(undefined="a zero delta has no spectrum") for m in size}
            scopes[scope]["norm"] = Reading(value=0.0)
    return RunReadings(
        name=name, source=f"runs/{name.lower().replace(' ', '-')}",
        fingerprint=hashlib.sha256(name.encode()).hexdigest(), format="PEFT LoRA",
        base="embedded:base", ranks=(16, 16), modules=layers * 4,
        state="zero delta" if name == zero else "ok", scopes=scopes,
        not_read=("lm_head.weight",) if name == "DFT" else (),
        warnings=("sigma_5 is close to sigma_6 in 3 modules",) if name == "GRPO" else (),
    )  # fmt: skip


def comparison(
    runs: tuple[str, ...] = ARMS,
    layers: int = 4,
    *,
    zero: str | None = None,
    identical: tuple[str, str] | None = None,
    seed: int = 0,
) -> Comparison:
    """All of geometry over `runs`, with floors over those of ORDERS and INITS that are in it.

    As in the real one, many pairs have no readings by layer or by projection.
    """
    named = [(a, b) for i, a in enumerate(runs) for b in runs[i + 1 :]]
    few = len(named) <= DETAILED_PAIRS
    pairs = [_pair(a, b, layers, zero, seed, detailed=few) for a, b in named]
    pairs = [
        _identical(pair) if (pair.a, pair.b) == identical or one_run(pair.a, pair.b) else pair
        for pair in pairs
    ]
    keys = tuple(measures_of(0.5))
    single = tuple(spectrum_of(measures_of(0.5)))
    table = {
        scope: {
            m: {kind: null_band(m, kind, 64 * modules) for kind in ("independent", "shared_A0")}
            for m in (*keys, *(single if scope == "union" else ()))
        }
        for scope, modules in _scopes(layers).items()
    }
    known = {
        (pair.a, pair.b): value
        for pair in pairs
        if (value := pair.scopes["union"].readings["cosine"].value) is not None
    }
    floors = {}
    for kind, extra in (("same init, other order", ORDERS), ("other init, same order", INITS)):
        named = tuple(run for run in runs if run in ("SFT", *extra))
        if len(named) > 1:
            floors[kind] = seed_floor(kind, named, known)
    bands = table["union"]["cosine"]
    judged = []
    for pair in pairs:
        turned = any(run in INITS for run in (pair.a, pair.b))
        floor = floors.get("other init, same order" if turned else "same init, other order")
        verdict = sameness(pair.scopes["union"].readings["cosine"], pair.state, floor, bands)
        judged.append(pair.model_copy(update={"verdict": verdict}))
    return Comparison(
        k=K, origin=None, seed=seed, layers=tuple(range(layers)), projections=PROJECTIONS,
        measures=measure_info(), runs=tuple(_run(run, layers, zero, seed) for run in runs),
        pairs=tuple(judged), nulls={"ranks 16 and 16": table}, floors=tuple(floors.values()),
        warnings=("SFT names another base than DPO: both are compared as they are",),
    )  # fmt: skip


def results(*, study: bool = False, **of_comparison: Any) -> Results:
    """A whole document; with `study`, what a study adds over the same runs."""
    found = comparison(**of_comparison)
    return Results(
        title="Six objectives on arithmetic" if study else "Six adapters of one base",
        versions={"goniometer": "0.1.0", "numpy": "2.4.6", "torch": "2.13.0"},
        comparison=found,
        study=study_of(found) if study else None,
    )


def renamed(found: Results, names: dict[str, str]) -> Results:
    """The same results under other run names, wherever a whole string is a name."""

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return names.get(value, value)
        if isinstance(value, list):
            return [walk(part) for part in value]
        if isinstance(value, dict):
            return {key: walk(part) for key, part in value.items()}
        return value

    return Results.model_validate(walk(found.model_dump(mode="json")))
