"""Conditions that make a study worth reading; one that fails is shown, never hidden. No torch."""

from collections.abc import Sequence

from goniometer.results import Accuracy, Cell, Check, RolloutReport

CHANGED, ORDERED, DIVERGED = 0.05, 0.60, 1.0
WRONG_ROWS, BASE_ACCURACY = (0.40, 0.60), (0.20, 0.80)


def check_study(
    rollouts: RolloutReport, cells: Sequence[Cell], accuracies: Sequence[Accuracy]
) -> tuple[Check, ...]:
    """Try every condition on a study's parts; the base's accuracy comes first."""
    base, *others = accuracies
    arms = {cell.name: cell for cell in cells if cell.role == "arm"}
    low, high = WRONG_ROWS
    checks = [
        _check(
            "rollouts are a mixture",
            f"{low:.0%} to {high:.0%} wrong rows",
            f"{rollouts.wrong_kept:.1%}",
            low <= rollouts.wrong_kept <= high,
        ),
        _check(
            "the base is neither hopeless nor done",
            f"{BASE_ACCURACY[0]:.0%} to {BASE_ACCURACY[1]:.0%} right",
            f"{base.accuracy:.1%}",
            BASE_ACCURACY[0] <= base.accuracy <= BASE_ACCURACY[1],
        ),
    ]
    for accuracy in others:
        if accuracy.run in arms and accuracy.changed is not None:
            checks.append(
                _check(
                    f"{accuracy.run} changed the model",
                    f"at least {CHANGED:.0%} of greedy answers",
                    f"{accuracy.changed:.1%}",
                    accuracy.changed >= CHANGED,
                )
            )
    # A repeat or a run of the grid is named only where it fails: there may be dozens.
    for cell in cells:
        if cell.role == "arm" or cell.state != "trained":
            checks.append(
                _check(f"{cell.name} is stable", "trained, not diverged", cell.state,
                       cell.state == "trained")
            )  # fmt: skip
    return (*checks, *_preferences(list(arms.values())))


def _preferences(arms: Sequence[Cell]) -> list[Check]:
    """Held-out pairs are asked of the preference arms at the highest of their learning rates."""
    pairs = [arm for arm in arms if arm.unit == "pairs"]
    common = max((arm.learning_rate for arm in pairs), default=0.0)
    return [
        _check(
            f"{arm.name} learnt the preference",
            f"at least {ORDERED:.0%} of held-out pairs ordered rightly",
            "not measured" if arm.ordered_pairs is None else f"{arm.ordered_pairs:.1%}",
            arm.ordered_pairs is not None and arm.ordered_pairs >= ORDERED,
        )
        for arm in pairs
        if arm.learning_rate == common
    ]


def _check(name: str, required: str, found: str, passed: bool) -> Check:
    return Check(name=name, required=required, found=found, passed=passed)
