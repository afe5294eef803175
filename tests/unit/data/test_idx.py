"""IDX files: what is written is read, and each kind of damage has its sentence."""

from __future__ import annotations

import gzip
import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from frenemy.data.idx import MNIST, FashionMNIST, Idx
from frenemy.errors import DataError

real = pytest.mark.skipif(
    "FRENEMY_DATA" not in os.environ, reason="FRENEMY_DATA names no folder of real data"
)


def written(array: NDArray[np.uint8]) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.write_bytes(written(np.arange(4 * 3 * 2, dtype=np.uint8).reshape(4, 3, 2)))
    labels.write_bytes(written(np.array([0, 2, 1, 1], dtype=np.uint8)))
    return images, labels


def put(folder: Path, count: int = 2) -> Path:
    folder.mkdir(parents=True)
    (folder / "t10k-images-idx3-ubyte").write_bytes(written(np.zeros((count, 28, 28), np.uint8)))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(written(np.zeros(count, np.uint8)))
    return folder


@settings(deadline=None)
@given(
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    zipped=st.booleans(),
    seed=st.binary(min_size=256),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], zipped: bool, seed: bytes
) -> None:
    folder = tmp_path_factory.mktemp("idx")
    array = np.frombuffer(seed[: int(np.prod(shape))], np.uint8).reshape(shape)
    for name, content in (("x", written(array)), ("y", written(np.arange(shape[0], dtype=np.uint8)))):
        (folder / name).write_bytes(gzip.compress(content) if zipped else content)
    examples = Idx(str(folder / "x"), str(folder / "y"))()
    assert np.array_equal(examples.x.numpy(), array[:, None] if array.ndim == 3 else array)
    assert examples.y.tolist() == list(range(shape[0]))
    assert examples.classes == tuple(str(label) for label in range(shape[0]))


def test_truncated_gzip(pair: tuple[Path, Path]) -> None:
    whole = gzip.compress(pair[0].read_bytes())
    pair[0].write_bytes(whole[:-6])
    with pytest.raises(DataError, match=r"expected a whole file, got .*images which cannot be read .*fetch"):
        Idx(*map(str, pair))()


def test_wrong_checksum_inside_gzip(pair: tuple[Path, Path]) -> None:
    whole = bytearray(gzip.compress(pair[0].read_bytes()))
    whole[-6] ^= 1
    pair[0].write_bytes(whole)
    with pytest.raises(DataError, match=r"images which cannot be read \(CRC check failed"):
        Idx(*map(str, pair))()


def test_exchanged_files_have_the_wrong_magic(pair: tuple[Path, Path]) -> None:
    with pytest.raises(
        DataError, match=r"starts with 0x00000802 or .*, got 0x00000801; check that images and labels"
    ):
        Idx(str(pair[1]), str(pair[0]))()


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x00", b"\x00\x00\x0d\x03" + b"\0" * 12, b"<html>not found</html>"]
)
def test_other_content_has_the_wrong_magic(pair: tuple[Path, Path], content: bytes) -> None:
    pair[0].write_bytes(content)
    with pytest.raises(DataError, match=r"to be an IDX file of bytes .*got 0x"):
        Idx(*map(str, pair))()


def test_short_header(pair: tuple[Path, Path]) -> None:
    pair[0].write_bytes(pair[0].read_bytes()[:9])
    with pytest.raises(DataError, match=r"expected the header of .*images to name 3 sizes, got its end"):
        Idx(*map(str, pair))()


def test_short_and_long_body(pair: tuple[Path, Path]) -> None:
    whole = pair[0].read_bytes()
    pair[0].write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"expected 24 bytes after the header of .*images, got 23;"):
        Idx(*map(str, pair))()
    pair[0].write_bytes(whole + b"\0")
    with pytest.raises(DataError, match=r"expected 24 bytes after the header of .*images, got more;"):
        Idx(*map(str, pair))()


def test_a_huge_declared_size_is_refused_before_reading(pair: tuple[Path, Path]) -> None:
    pair[0].write_bytes(b"\0\0\x08\x03" + b"\xff" * 12)
    with pytest.raises(DataError, match=r"expected at most 4,294,967,296 bytes, got .*images which declares"):
        Idx(*map(str, pair))()


def test_labels_of_another_count(pair: tuple[Path, Path]) -> None:
    pair[1].write_bytes(written(np.zeros(5, np.uint8)))
    with pytest.raises(
        DataError, match=r"one label for each of the 4 inputs of .*images, got 5 in .*labels;"
    ):
        Idx(*map(str, pair))()


def test_no_examples(pair: tuple[Path, Path]) -> None:
    pair[0].write_bytes(written(np.zeros((0, 3, 2), np.uint8)))
    with pytest.raises(DataError, match=r"expected at least one example in .*images, got none"):
        Idx(*map(str, pair))()


@pytest.mark.parametrize(
    ("reader", "folder"),
    [(MNIST, "mnist"), (MNIST, "MNIST/raw"), (FashionMNIST, "fashion-mnist"), (FashionMNIST, ".")],
)
def test_other_data_under_a_published_name_is_refused(
    tmp_path: Path, reader: type[MNIST] | type[FashionMNIST], folder: str
) -> None:
    put(tmp_path / "data" / folder)
    with pytest.raises(DataError, match=r"published content \(sha256 .*, got sha256 .*idx:IMAGES,LABELS"):
        reader(str(tmp_path / "data"))()


def test_one_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRENEMY_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (put(tmp_path / "mnist") / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(
        DataError, match=r"t10k-labels-idx1-ubyte.*got only t10k-images-idx3-ubyte in .*mnist; get"
    ):
        MNIST(str(tmp_path))()


@pytest.mark.data
@real
@pytest.mark.parametrize(
    ("reader", "first", "name"),
    [(MNIST, [7, 2, 1, 0, 4], "7"), (FashionMNIST, [9, 2, 1, 1, 6], "Ankle boot")],
)
def test_the_published_files_are_accepted(
    reader: type[MNIST] | type[FashionMNIST], first: list[int], name: str
) -> None:
    examples = reader()()
    assert examples.x.shape == (10_000, 1, 28, 28)
    assert examples.x.dtype == torch.uint8
    assert examples.y[:5].tolist() == first
    assert examples.classes[first[0]] == name
    assert len(reader(split="train")()) == 60_000


@pytest.mark.data
@real
def test_the_test_digits_come_fast() -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        MNIST()()
        times.append(time.perf_counter() - start)
    assert min(times) < 0.3
