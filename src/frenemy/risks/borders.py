"""Borders: where the answers of a model change, next to some examples; numbers only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Borders"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Borders:
    """The nearest points of the decision boundary that were found for some examples.

    Args:
        model, data, norm, attacks, towards: what was asked, in words; `towards` is a class, or `another class`.
        classes: names of the classes.
        index: `(n,)` the examples, by their place in the data.
        x: `(n, *shape)` float32, the inputs.
        point: `(n, *shape)` float32, the nearest point just across the boundary; the input itself where none was found.
        distance: `(n,)` how far it is; inf where none was found.
        before, after: `(n,)` the answers at the input and at the point.
        apart: how many examples were left out, because their input or their answer is not finite.
        settings: all that decides the numbers.
    """

    model: str
    data: str
    norm: str
    attacks: str
    towards: str
    classes: tuple[str, ...]
    index: NDArray[np.int64]
    x: NDArray[np.float32]
    point: NDArray[np.float32]
    distance: NDArray[np.float64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    apart: int
    settings: dict[str, Any]

    @property
    def remover(self) -> NDArray[np.float32]:
        """What has to be taken from each input to bring it to the boundary: `x - point` (002, Definition 9)."""
        return self.x - self.point

    @property
    def found(self) -> NDArray[np.bool_]:
        """Where a point was found."""
        return np.isfinite(self.distance)
