"""The small digits that come with scikit-learn: the data set that is always there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from frenemy.card import Card
from frenemy.data.examples import Examples
from frenemy.data.places import check_split
from frenemy.rng import Key

__all__ = ["Digits"]

_TRAIN = 1437


@final
@dataclass(frozen=True, slots=True)
class Digits:
    """Read the 1,797 handwritten digits of 8x8 pixels that scikit-learn ships.

    Args:
        split: `train` (1,437 examples) or `test` (360); the two are a fixed random division, and each comes in
            random order, so that the first few are a fair sample.

    Returns:
        Inputs `(n, 1, 8, 8)` float32 in [0, 1], which is the stored count 0..16 over 16; places are those of
        `sklearn.datasets.load_digits`.

    Raises:
        DataError: the split is neither.

    Cost:
        No file outside the installed packages is read.
    """

    split: str = "test"

    card: ClassVar[Card] = Card(
        authors="Alpaydin, Kaynak",
        title="Optical Recognition of Handwritten Digits",
        year=1998,
        venue="UCI Machine Learning Repository",
        link="https://doi.org/10.24432/C50P49",
        deviations=(
            "the division is by frenemy's key, not by writer as at UCI: scikit-learn ships the UCI test part only",
        ),
    )

    def __call__(self) -> Examples:
        check_split(self.split)
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        order = Key(0).fold("digits").permutation(len(labels))
        rows = order[:_TRAIN] if self.split == "train" else order[_TRAIN:]
        x = torch.from_numpy(pixels).to(torch.float32).reshape(-1, 1, 8, 8) / 16
        y = torch.from_numpy(labels).to(torch.int64)
        return Examples("digits", x[rows], y[rows], tuple("0123456789"), index=rows)
