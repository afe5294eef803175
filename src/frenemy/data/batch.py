"""Batch: inputs, labels, and where each row stands in its data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

__all__ = ["Batch"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows that travel together.

    Args:
        x: `(batch, *shape)` floating point inputs in natural units.
        y: `(batch,)` int64 labels.
        index: `(batch,)` int64 place of each row in its data set; randomness is drawn by it.
    """

    x: Tensor
    y: Tensor
    index: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, which: Tensor | slice) -> Batch:
        """Take some rows, by position or by mask."""
        return Batch(self.x[which], self.y[which], self.index[which])
