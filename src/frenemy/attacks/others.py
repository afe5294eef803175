"""Others: given examples from which a search by labels may start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from frenemy.errors import UsageError

__all__ = ["Others"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Others:
    """Given examples, with their labels: those of another class than the input's are likely successes.

    A search starts from the nearest whose label the objective wants; towards one class, random points hardly ever lie
    in
    it. Looking for the nearest asks the model nothing.

    Args:
        x: `(examples, *shape)`, in the units of the inputs.
        y: `(examples,)` labels.

    Raises:
        UsageError: there are not as many labels as examples.

    Cost: a distance for each example and search.
    """

    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        if self.y.shape != self.x.shape[:1]:
            raise UsageError(f"expected one label an example, got {len(self.x)} and {tuple(self.y.shape)}")

    def __repr__(self) -> str:
        """Say how many, and a number that changes with any of them."""
        total = float(self.x.double().sum()) + float((self.y * torch.arange(len(self.y))).sum())
        return f"Others({len(self.x)}, {total!r})"

    def nearest(self, x: Tensor, label: int, towards: bool, number: int) -> Tensor:
        """Take the nearest to `(features,)` x of those that have a label, or that have another.

        Returns:
            `(up to number, features)`, nearest first; x itself is none of them.
        """
        wanted = self.x[(self.y == label) == towards].flatten(1).to(x)
        far = torch.linalg.vector_norm(wanted - x, dim=1)
        order = far.argsort(stable=True)
        return wanted[order[far[order] > 0][:number]]
