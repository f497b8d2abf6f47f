"""What charts, tables and sentences write of one value alike: a KL, a barrier, an interference."""

from goniometer.report import notation
from goniometer.report.facts.index import Index
from goniometer.results import Cell, Coefficients, Composed, Matched, Segment, Similarity


def cut(index: Index) -> str:
    """Where the base's completions end over which a KL is summed, as words to stand behind."""
    study = index.results.study
    asked = (study.config.get("divergence") or {}) if study else {}
    most = asked.get("max_new_tokens")
    return f" cut at {most} tokens" if isinstance(most, int) else ""


def kl_text(cell: Cell) -> str:
    """A run's KL with its standard error, or why there is none."""
    if cell.kl.value is None:
        return cell.kl.undefined or notation.NONE
    return notation.with_error(cell.kl.value, cell.kl_error)


def learning_rate(cell: Cell) -> str:
    """A run's peak learning rate."""
    return f"{cell.learning_rate:g}".replace("-", notation.MINUS)


def size_kept(one: Matched) -> str:
    """What a rescaled run has in common with the run that it is matched to."""
    return {"norm": "norm", "kl": "KL"}[one.by]


def note(segment: Segment) -> list[str]:
    """The midpoint contrast with its interval, and the barrier, in two lines."""
    return [f"midpoint contrast {contrast(segment)}", f"barrier {barrier(segment)}"]


def contrast(segment: Segment) -> str:
    """The midpoint contrast with its interval, signed."""
    if segment.midpoint.value is None:
        return segment.midpoint.undefined or notation.NONE
    text = _signed(segment.midpoint.value)
    if segment.midpoint_low is None or segment.midpoint_high is None:
        return text
    return f"{text} ({_signed(segment.midpoint_low)} to {_signed(segment.midpoint_high)})"


def barrier(segment: Segment) -> str:
    """The barrier and where it stands."""
    if segment.barrier.value is None:
        return segment.barrier.undefined or notation.NONE
    at = "" if segment.barrier_at is None else f" at {notation.fixed(segment.barrier_at, 2)}"
    return notation.nats(segment.barrier.value) + at


def _signed(value: float) -> str:
    return f"+{notation.nats(value)}" if value > 0 else notation.nats(value)


def interference(one: Composed) -> str:
    """Measured less expected, with its interval over the same items."""
    if one.interference.value is None:
        return one.interference.undefined or notation.NONE
    text = notation.nats(one.interference.value)
    low, high = one.interference_low, one.interference_high
    if low is None or high is None:
        return text
    return f"{text} ({notation.nats(low)} to {notation.nats(high)})"


def measured_on(found: Similarity) -> str:
    """What a CKA is of, how many tokens, how wide, and what random features of this size give."""
    null = notation.span(found.random_features.low, found.random_features.high)
    biased = notation.span(found.random_features_biased.low, found.random_features_biased.high)
    return (
        f"Debiased linear CKA on n = {found.tokens} {found.positions} of "
        f"{notation.count(found.prompts, 'prompt')}, d = {found.width}. Random features of this "
        f"size give {null}; by Kornblith's estimator {biased}."
    )


def weights_name(weights: tuple[float, float]) -> str:
    """How a pair of weights is called."""
    named = {(1.0, 1.0): "sum", (0.5, 0.5): "mean"}
    return named.get(weights, f"{weights[0]:g} and {weights[1]:g}")


def stretch(found: Coefficients) -> str:
    """The steps of a histogram, counted from 1 as in the other charts."""
    return f"{found.first_step + 1} to {found.last_step + 1}"
