"""Arrays: every accepted shape gives the same rows, every other one a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from frenemy.data.npz import Npz
from frenemy.errors import DataError

PIXELS = (np.arange(4 * 5 * 6 * 3) % 256).astype(np.uint8).reshape(4, 5, 6, 3)
LABELS = np.array([0, 2, 1, 1])


def saved(folder: Path, **stored: Any) -> str:
    np.savez(folder / "some.npz", **stored)
    return str(folder / "some.npz")


@pytest.mark.parametrize(
    "keys", [("x", "y"), ("x_test", "y_test"), ("test_images", "test_labels"), ("images", "labels")]
)
def test_names_of_arrays(tmp_path: Path, keys: tuple[str, str]) -> None:
    examples = Npz(saved(tmp_path, **{keys[0]: PIXELS, keys[1]: LABELS}))()
    assert np.array_equal(examples.x.numpy(), PIXELS.transpose(0, 3, 1, 2))
    assert examples.y.tolist() == [0, 2, 1, 1]
    assert examples.classes == ("0", "1", "2")
    assert examples.name == "some"


def test_the_split_is_the_one_asked_for(tmp_path: Path) -> None:
    path = saved(
        tmp_path, x_train=PIXELS, y_train=LABELS + 3, x_test=PIXELS[:2], y_test=LABELS[:2], index_test=[9, 4]
    )
    assert Npz(path, "train")().y.tolist() == [3, 5, 4, 4]
    test = Npz(path)()
    assert test.index.tolist() == [9, 4]
    assert len(test.classes) == 6
    with pytest.raises(
        DataError, match=r"expected arrays x_val and y_val, .*, got index_test, x_test, x_train"
    ):
        Npz(path, "val")()


@pytest.mark.parametrize(
    ("stored", "shape"),
    [
        (PIXELS, (4, 3, 5, 6)),
        (PIXELS.transpose(0, 3, 1, 2), (4, 3, 5, 6)),
        (PIXELS[..., 0], (4, 1, 5, 6)),
        (PIXELS[..., :1], (4, 1, 5, 6)),
        (PIXELS.reshape(4, -1), (4, 90)),
    ],
    ids=["channels last", "channels first", "no channels", "one channel", "flat"],
)
@pytest.mark.parametrize("floats", [False, True])
def test_shapes(tmp_path: Path, stored: Any, shape: tuple[int, ...], floats: bool) -> None:
    examples = Npz(saved(tmp_path, x=stored / 255 if floats else stored, y=LABELS))()
    assert tuple(examples.x.shape) == shape
    assert examples.x.dtype == (torch.float32 if floats else torch.uint8)
    whole = np.asarray(stored)[:, None] if stored.ndim == 3 else np.asarray(stored)
    whole = whole.transpose(0, 3, 1, 2) if whole.shape != shape else whole
    assert torch.allclose(examples.batch().x, torch.from_numpy(np.ascontiguousarray(whole)) / 255)


def test_features_keep_their_units_and_get_a_box_each(tmp_path: Path) -> None:
    x = np.array([[1.0, -5.0, np.nan], [3.0, 20.0, 7.0], [2.0, np.inf, 8.0], [2.5, 0.0, 8.0]])
    examples = Npz(saved(tmp_path, x=x, y=LABELS))()
    assert isinstance(examples.low, torch.Tensor)
    assert isinstance(examples.high, torch.Tensor)
    assert examples.low.tolist() == [1, -5, 7]
    assert examples.high.tolist() == [3, 20, 8]
    assert torch.equal(examples.x.isnan(), torch.from_numpy(np.isnan(x)))


def test_labels_in_text_are_numbered_in_sorted_order_over_all_splits(tmp_path: Path) -> None:
    path = saved(tmp_path, x_test=PIXELS, y_test=list("zbbz"), x_train=PIXELS, y_train=list("abyz"))
    examples = Npz(path)()
    assert examples.classes == ("a", "b", "y", "z")
    assert [examples.classes[label] for label in examples.y] == list("zbbz")


def test_class_names_come_from_the_file(tmp_path: Path) -> None:
    assert Npz(saved(tmp_path, x=PIXELS, y=LABELS[:, None], classes=list("pqrs")))().classes == tuple("pqrs")
    assert Npz(saved(tmp_path, x=PIXELS, y=list("rprp"), classes=list("rp")))().y.tolist() == [0, 1, 0, 1]
    with pytest.raises(DataError, match=r"expected labels out of 'classes' in y of .*, got 'q'"):
        Npz(saved(tmp_path, x=PIXELS, y=list("rprq"), classes=list("rp")))()
    with pytest.raises(DataError, match="expected labels from 0 to 1 in some, got 2 at example 1"):
        Npz(saved(tmp_path, x=PIXELS, y=LABELS, classes=list("rp")))()


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"x": PIXELS, "y": LABELS[:3]}, "expected one label for each of the 4 inputs of some, got 3 labels"),
        ({"x": PIXELS, "y": LABELS - 1}, "expected labels from 0 to 1 in some, got -1 at example 0"),
        ({"x": PIXELS, "y": LABELS + 10**12}, "expected labels below 100,000 in y of"),
        ({"x": PIXELS, "y": LABELS / 2}, "expected whole numbers from 0 in y of"),
        (
            {"x": PIXELS, "y": np.eye(4)},
            r"expected one label a row in y of .*, got shape \(4, 4\); take .argmax",
        ),
        ({"x": PIXELS.astype(np.int64), "y": LABELS}, "expected uint8 or floats in x of .*, got int64"),
        ({"x": PIXELS.astype(np.float32), "y": LABELS}, r"images in \[0, 1\] in x of .*values from 0 to 255"),
        ({"x": np.full((4, 1, 2, 2), -np.inf), "y": LABELS}, "values from -inf to -inf"),
        ({"x": LABELS, "y": LABELS}, r"expected rows of inputs in x of .*, got shape \(4,\)"),
        ({"x": PIXELS[:0], "y": LABELS[:0]}, "expected rows of inputs in x of"),
        ({"x": PIXELS.astype(complex), "y": LABELS}, "expected numbers or text in array 'x' of .*complex128"),
        ({"x": PIXELS.astype(object), "y": LABELS}, "expected numbers or text in array 'x' of .*object"),
        ({"x": PIXELS, "y": LABELS, "index": [0, 1]}, "expected 4 places in index of .*, got 2"),
        ({"a": PIXELS}, "expected arrays x_test and y_test, or x and y, in .*, got a; rename them"),
    ],
)
def test_what_does_not_fit_is_a_sentence(tmp_path: Path, stored: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Npz(saved(tmp_path, **stored))()


def test_the_limit_is_a_setting(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="to take at most 100 bytes, got 392 declared"):
        Npz(saved(tmp_path, x=PIXELS, y=LABELS), limit=100)()
