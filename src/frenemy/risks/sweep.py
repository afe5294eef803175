"""Sweep: one model under several masks, each judged: numbers only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from frenemy.risks.estimate import Estimate, proportion
from frenemy.risks.result import Audit

__all__ = ["Sweep"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """What became of every example under every mask.

    Args:
        shares: `(masks,)` the p of each mask, ascending.
        audits: one a mask, of an enemy.
        index: `(n,)` the examples that could be judged under all masks, by their place in the data.
        right: `(masks, n)` whether the untouched input is answered rightly.
        stands: `(masks, n)` whether no search found an input that is answered wrongly.
        settings: all that decides the numbers, beyond what stands in the audits.
    """

    shares: tuple[float, ...]
    audits: tuple[Audit, ...]
    index: NDArray[np.int64]
    right: NDArray[np.bool_]
    stands: NDArray[np.bool_]
    settings: dict[str, Any]

    def clean(self, place: int) -> Estimate:
        """Accuracy on untouched inputs under one mask."""
        return self._share(self.right[place])

    def robust(self, place: int) -> Estimate:
        """Accuracy under attack under one mask, which the attack looks through."""
        return self._share(self.stands[place])

    @property
    def worst(self) -> Estimate:
        """Accuracy under attack where the enemy chooses the mask too: the example stands under all of them."""
        return self._share(np.all(self.stands, axis=0))

    @property
    def apart(self) -> int:
        """Examples that could not be judged under some mask."""
        return len(self.audits[0].examples["index"]) - len(self.index)

    def _share(self, held: NDArray[np.bool_]) -> Estimate:
        return proportion(int(held.sum()), len(held))
