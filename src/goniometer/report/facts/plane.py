"""The plane that holds most of the distances between updates scaled to norm 1."""

from dataclasses import dataclass
from typing import final

import numpy as np

from goniometer.report.facts.index import Index, cosine


@final
@dataclass(frozen=True)
class Plane:
    """Places of runs, and the share of their squared distances that the two axes hold."""

    names: tuple[str, ...]
    places: tuple[tuple[float, float], ...]
    share: float
    left_out: tuple[str, ...]  # without a cosine to all others

    @property
    def by_chance(self) -> float:
        """The share for as many mutually orthogonal updates: their n - 1 axes are alike."""
        return min(1.0, 2 / max(len(self.names) - 1, 1))


def plane(index: Index) -> Plane | None:
    """Classical scaling (Torgerson 1952) of the distances sqrt(2 - 2 cosine).

    These are the distances of updates scaled to norm 1, so the doubly centred matrix of cosines
    is their Gram matrix and its two largest eigenvalues are what the plane holds. None for fewer
    than three runs that have cosines.
    """
    names = list(index.shown)
    known = {
        frozenset((p.a, p.b)): value for p in index.shown_pairs if (value := cosine(p)) is not None
    }
    left_out: list[str] = []
    while True:
        missing = {a: sum(frozenset((a, b)) not in known for b in names if b != a) for a in names}
        worst = max(names, key=lambda name: missing[name], default=None)
        if worst is None or not missing[worst]:
            break
        names.remove(worst)
        left_out.append(worst)
    if len(names) < 3:
        return None
    gram = np.array([[known.get(frozenset((a, b)), 1.0) for b in names] for a in names])
    values, vectors = scaled(gram)
    whole = float(np.abs(values).sum())
    places = vectors[:, :2] * np.sqrt(np.clip(values[:2], 0, None))
    # An axis has no direction of its own: the first run lies to the left, and above.
    places *= np.where(places[0] > 0, np.array([-1.0, 1.0]), np.array([1.0, -1.0]))
    share = float(np.clip(values[:2], 0, None).sum()) / whole if whole > 0 else 1.0
    found = tuple((float(x), float(y)) for x, y in places)
    return Plane(tuple(names), found, share, tuple(left_out))


def scaled(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, falling, and eigenvectors of a Gram matrix (n, n) after double centring."""
    centred = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
    values, vectors = np.linalg.eigh(centred)
    return values[::-1], vectors[:, ::-1]
