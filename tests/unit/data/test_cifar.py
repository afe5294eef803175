"""CIFAR: three forms of one data set, checked as far as each can be."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from frenemy.data import cifar
from frenemy.data.cifar import CIFAR10, CIFAR100
from frenemy.errors import DataError

real = pytest.mark.skipif(
    "FRENEMY_DATA" not in os.environ, reason="FRENEMY_DATA names no folder of real data"
)


@pytest.fixture(autouse=True)
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let a data set be ten test examples and no other folder be searched."""
    if request.node.get_closest_marker("data") is None:
        monkeypatch.setitem(cifar._TOTAL, "test", 10)
        monkeypatch.setitem(cifar._TOTAL, "train", 10)
        monkeypatch.delenv("FRENEMY_DATA", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def pixels(count: int = 10) -> NDArray[np.uint8]:
    return (np.arange(count * 3072) * 7 % 251).astype(np.uint8).reshape(count, 3072)


def batch(folder: Path, file: str, key: bytes, value: Any = None) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    content = pickle.dumps({b"data": pixels() if value is None else value, key: list(range(10))}, protocol=3)
    (folder / file).write_bytes(content)
    return hashlib.md5(content).hexdigest()


def test_python_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = batch(tmp_path / "cifar-10-batches-py", "test_batch", b"labels")
    monkeypatch.setitem(cifar._TEN, "test_batch", digest)
    examples = CIFAR10(str(tmp_path))()
    assert np.array_equal(examples.x.numpy(), pixels().reshape(10, 3, 32, 32))
    assert examples.y.tolist() == list(range(10))
    assert examples.classes[3] == "cat"
    assert examples.notes == ()


@pytest.mark.parametrize("named", [True, False])
def test_python_batches_of_a_hundred_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    folder = tmp_path / "cifar100"
    monkeypatch.setitem(cifar._HUNDRED, "test", batch(folder, "test", b"fine_labels"))
    names = [f"thing {place}" for place in range(100)]
    if named:
        (folder / "meta").write_bytes(
            pickle.dumps({b"fine_label_names": [name.encode() for name in names]}, 3)
        )
    assert CIFAR100(str(tmp_path))().classes == (tuple(names) if named else tuple(map(str, range(100))))


def test_other_content_under_a_published_name_is_refused(tmp_path: Path) -> None:
    batch(tmp_path, "test_batch", b"labels")
    with pytest.raises(
        DataError, match=r"published content \(md5 40351d587109b95175f43aff81a1287e\), got md5"
    ):
        CIFAR10(str(tmp_path))()


@pytest.mark.parametrize("known", [True, False])
def test_a_payload_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    mark = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {mark}",)

    digest = batch(tmp_path, "test_batch", b"labels", Payload())
    if known:
        monkeypatch.setitem(cifar._TEN, "test_batch", digest)
    with pytest.raises(
        DataError, match=r"a call of .*system; nothing was run" if known else "published content"
    ):
        CIFAR10(str(tmp_path))()
    assert not mark.exists()


@pytest.mark.parametrize("split", ["train", "test"])
def test_binary_batches(tmp_path: Path, split: str) -> None:
    rows = np.concatenate([np.arange(10, dtype=np.uint8)[:, None], pixels()], axis=1)
    if split == "test":
        (tmp_path / "test_batch.bin").write_bytes(rows.tobytes())
    else:
        for place in range(5):
            (tmp_path / f"data_batch_{place + 1}.bin").write_bytes(rows[2 * place : 2 * place + 2].tobytes())
    examples = CIFAR10(str(tmp_path), split)()
    assert np.array_equal(examples.x.numpy().reshape(10, 3072), pixels())
    assert examples.y.tolist() == list(range(10))
    assert "no published checksum" in examples.notes[0]


def test_binary_batches_of_a_hundred_classes_take_the_fine_label(tmp_path: Path) -> None:
    labels = np.stack([np.zeros(10), np.arange(90, 100)], axis=1).astype(np.uint8)
    (tmp_path / "test.bin").write_bytes(np.concatenate([labels, pixels()], axis=1).tobytes())
    examples = CIFAR100(str(tmp_path))()
    assert examples.y.tolist() == list(range(90, 100))
    assert np.array_equal(examples.x.numpy().reshape(10, 3072), pixels())


def test_a_short_binary_batch(tmp_path: Path) -> None:
    (tmp_path / "test_batch.bin").write_bytes(bytes(30_729))
    with pytest.raises(
        DataError, match=r"expected 10 records of 3073 bytes \(30,730\) in .*, got 30,729 bytes"
    ):
        CIFAR10(str(tmp_path))()


def test_a_label_out_of_range(tmp_path: Path) -> None:
    (tmp_path / "test_batch.bin").write_bytes(bytes(3073 * 9) + b"\x0a" + bytes(3072))
    with pytest.raises(DataError, match=r"expected labels from 0 to 9 in cifar10, got 10 at example 9"):
        CIFAR10(str(tmp_path))()


def test_arrays_keep_their_places_and_say_that_they_are_a_subset(tmp_path: Path) -> None:
    rows = pixels(4).reshape(4, 32, 32, 3)
    np.savez(
        tmp_path / "cifar10.npz", x_test=rows, y_test=np.array([[3], [0], [9], [1]]), index_test=[5, 2, 9, 7]
    )
    examples = CIFAR10(str(tmp_path))()
    assert np.array_equal(examples.x.numpy(), rows.transpose(0, 3, 1, 2))
    assert examples.y.tolist() == [3, 0, 9, 1]
    assert examples.index.tolist() == [5, 2, 9, 7]
    assert examples.notes[0].startswith("a subset: 4 of the 10 test images of cifar10, exact pixels")


def test_arrays_of_other_kinds_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "cifar10.npz"
    rows = pixels(4).reshape(4, 32, 32, 3)
    np.savez(file, x_test=rows.astype(np.float32), y_test=np.zeros(4, int))
    with pytest.raises(DataError, match=r"expected x_test .* as uint8 .*, got float32 \(4, 32, 32, 3\)"):
        CIFAR10(str(tmp_path))()
    np.savez(file, x_test=rows, y_test=np.zeros(4, int), index_test=[1])
    with pytest.raises(DataError, match=r"expected 4 places in index_test of .*, got 1"):
        CIFAR10(str(tmp_path))()
    np.savez(file, x_train=rows, y_train=np.zeros(4, int))
    with pytest.raises(DataError, match=r"expected the arrays x_test and y_test in .*, got no x_test"):
        CIFAR10(str(tmp_path))()


def test_a_wrong_number_of_class_names(tmp_path: Path) -> None:
    (tmp_path / "test.bin").write_bytes(bytes(3074 * 10))
    (tmp_path / "fine_label_names.txt").write_text("apple\nbee\n")
    with pytest.raises(DataError, match=r"expected 100 class names .*, got 2"):
        CIFAR100(str(tmp_path))()


def test_a_missing_set_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"test_batch, or .*get them from https://www.cs.toronto.edu/~kriz"):
        CIFAR10(str(tmp_path))()


@pytest.mark.data
@real
def test_the_lossless_subset() -> None:
    examples = CIFAR10()()
    assert examples.x.shape == (1000, 3, 32, 32)
    assert examples.x.dtype == torch.uint8
    assert examples.x[0, :, 0, 0].tolist() == [158, 112, 49]
    assert [examples.classes[label] for label in examples.y[:4]] == ["cat", "ship", "ship", "airplane"]
    assert examples.index.tolist() == list(range(1000))
    assert "a subset: 1,000 of the 10,000" in examples.notes[0]
