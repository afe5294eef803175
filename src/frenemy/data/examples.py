"""Examples: a labelled data set in memory, in the units it is attacked in."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from frenemy.data.batch import Batch
from frenemy.data.rules import Rules
from frenemy.errors import DataError

__all__ = ["Examples"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """A labelled data set: rows of inputs, a class name for each label, and the box the inputs live in.

    Args:
        name: what people call it.
        x: `(n, *shape)` inputs; float32 in natural units, or uint8 which reads as x / 255 in [0, 1].
        y: `(n,)` int64 labels from 0.
        classes: the name of each class; its length is the number of classes.
        low, high: the box, a number or one number a feature (broadcast against `shape`).
        index: `(n,)` place in the data set; `0 .. n - 1` unless rows were taken out.
        notes: sentences that belong beside any number measured on these rows.
        rules: which features of a table may change, and how; None lets all change.

    Raises:
        DataError: rows, labels and places differ in number, a place stands twice, or a label names no class.
    """

    name: str
    x: Tensor
    y: Tensor
    classes: tuple[str, ...]
    low: float | Tensor = 0.0
    high: float | Tensor = 1.0
    index: Tensor = dataclasses.field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    notes: tuple[str, ...] = ()
    rules: Rules | None = None

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise DataError(
                f"expected one label for each of the {len(self.x)} inputs of {self.name}, got {len(self.y)} labels"
            )
        if len(self.index) == 0:
            object.__setattr__(self, "index", torch.arange(len(self.x)))
        if len(self.index) != len(self.x) or len(torch.unique(self.index)) != len(self.index):
            raise DataError(
                f"expected {len(self.x)} different places in {self.name}, got {len(self.index)} with "
                f"{len(torch.unique(self.index))} different ones; give each example its own index"
            )
        outside = ((self.y < 0) | (self.y >= len(self.classes))).nonzero().flatten()
        if len(outside):
            first = int(outside[0])
            raise DataError(
                f"expected labels from 0 to {len(self.classes) - 1} in {self.name}, got {int(self.y[first])} at "
                f"example {int(self.index[first])}; give the data more classes or mend the label"
            )

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Tensor | slice) -> Examples:
        """Keep some rows; each keeps its place in the data set."""
        return dataclasses.replace(self, x=self.x[rows], y=self.y[rows], index=self.index[rows])

    def batch(self, rows: Tensor | slice = slice(None), device: torch.device | str = "cpu") -> Batch:
        """Lift rows to a float32 batch in natural units on `device`."""
        x = self.x[rows].to(device)
        x = x.to(torch.float32) / 255 if x.dtype == torch.uint8 else x.to(torch.float32)
        return Batch(x, self.y[rows].to(device), self.index[rows].to(device))

    @property
    def checksum(self) -> str:
        """SHA-256 over the bytes of inputs, labels and places: two data sets agree if and only if this does."""
        digest = hashlib.sha256(repr((tuple(self.x.shape), str(self.x.dtype))).encode())
        for tensor in (self.x, self.y, self.index):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()
