"""Digits: the stored counts over 16, divided once and for all."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits

from frenemy.data.digits import Digits
from frenemy.errors import DataError


@pytest.mark.parametrize(("split", "count"), [("train", 1437), ("test", 360)])
def test_every_row_is_the_stored_one_at_its_place(split: str, count: int) -> None:
    examples = Digits(split)()
    stored = load_digits()
    assert examples.x.shape == (count, 1, 8, 8)
    assert examples.x.dtype == torch.float32
    assert torch.equal(examples.x * 16, torch.from_numpy(stored.images).float()[examples.index].unsqueeze(1))
    assert examples.y.tolist() == stored.target[examples.index.numpy()].tolist()
    assert 0 <= float(examples.x.min()) <= float(examples.x.max()) <= 1


def test_the_two_splits_share_no_row_and_leave_none_out() -> None:
    places = torch.cat([Digits("train")().index, Digits("test")().index])
    assert places.sort().values.tolist() == list(range(1797))


def test_the_division_is_fixed() -> None:
    assert Digits()().checksum == Digits("test")().checksum
    assert set(Digits()().y.tolist()) == set(range(10))


def test_another_split_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"expected the split to be train or test, got 'tets'; did you mean 'test'"
    ):
        Digits("tets")()
