"""Declared sizes are checked before anything is read."""

from __future__ import annotations

import gzip
import io
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frenemy.data.archive import array_names, arrays, opened
from frenemy.errors import DataError


def header(shape: tuple[int, ...], kind: str = "|u1") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"shape": shape, "fortran_order": False, "descr": kind})
    return stream.getvalue()


def packed(path: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.npy", content)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.npz"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back(file: Path, save: object) -> None:
    x, y = np.arange(6.0).reshape(2, 3).T, np.array(["a", "b"])
    (np.savez if save is np.savez else np.savez_compressed)(file, x=x, y=y, z=np.float32(3))
    assert array_names(file) == {"x", "y", "z"}
    found = arrays(file, ["x", "y", "z"])
    assert np.array_equal(found["x"], x)
    assert found["y"].tolist() == ["a", "b"]
    assert found["z"].shape == ()


@settings(deadline=None)
@given(shape=st.lists(st.integers(0, 3), max_size=3), off=st.integers(-3, 3))
def test_a_declared_size_must_be_the_true_one(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], off: int
) -> None:
    size = int(np.prod(shape, dtype=int))
    place = tmp_path_factory.mktemp("npz") / "a.npz"
    packed(place, "x", header(tuple(shape)) + bytes(max(size + off, 0)))
    if max(size + off, 0) == size:
        assert arrays(place, ["x"])["x"].shape == tuple(shape)
    else:
        with pytest.raises(DataError, match=rf"to take the {size:,} bytes its header declares, got"):
            arrays(place, ["x"])


def test_a_small_file_that_declares_terabytes_is_refused_without_memory(file: Path) -> None:
    packed(file, "x", header((1 << 20, 1 << 22)) + bytes(1000))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"declares, got 1,000; the file is damaged or made to mislead"):
        arrays(file, ["x"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


def test_a_bomb_that_tells_the_truth_meets_the_limit(file: Path) -> None:
    packed(file, "x", header((1 << 22,)) + bytes(1 << 22))
    assert file.stat().st_size < 10_000
    with pytest.raises(DataError, match=r"to take at most 1,000,000 bytes, got 4,194,304 declared"):
        arrays(file, ["x"], limit=1_000_000)


def test_the_limit_holds_for_all_arrays_together(file: Path) -> None:
    np.savez(file, x=np.zeros(600, np.uint8), y=np.zeros(600, np.uint8))
    assert len(arrays(file, ["x"], limit=1000)) == 1
    with pytest.raises(DataError, match="got 1,200 declared"):
        arrays(file, ["x", "y"], limit=1000)


@pytest.mark.parametrize("shape", [(-1,), (-2, -3)])
def test_negative_shapes(file: Path, shape: tuple[int, ...]) -> None:
    packed(file, "x", header(shape) + bytes(6))
    with pytest.raises(DataError, match="made to mislead"):
        arrays(file, ["x"])


def test_objects_are_refused_and_not_unpickled(file: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return open, (str(mark), "w")

    packed(file, "x", header((1,), "|O") + pickle.dumps([Payload()]))
    with pytest.raises(DataError, match=r"expected numbers or text in array 'x' of .*, got dtype object"):
        arrays(file, ["x"])
    assert not mark.exists()


def test_damage(file: Path) -> None:
    np.savez(file, x=np.arange(100))
    whole = file.read_bytes()
    for content in (b"", b"no zip at all", whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"expected a whole file, got .*a.npz which cannot be read"):
            array_names(file)
    file.write_bytes(whole.replace(np.arange(100).tobytes(), np.ones(100, int).tobytes()))
    with pytest.raises(DataError, match=r"cannot be read .*CRC"):
        arrays(file, ["x"])
    packed(file, "x", b"no header")
    with pytest.raises(DataError, match="cannot be read"):
        arrays(file, ["x"])


def test_a_missing_file(file: Path) -> None:
    with pytest.raises(DataError, match=r"expected an .npz file, got nothing at .*a.npz"):
        array_names(file)
    with pytest.raises(DataError, match="expected a file, got nothing at"), opened(file):
        pass


@settings(deadline=None)
@given(content=st.binary())
def test_gzip_or_not_is_the_same(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    place = tmp_path_factory.mktemp("gz") / "a"
    for stored in {gzip.compress(content), content} - {b for b in [content] if b[:2] == b"\x1f\x8b"}:
        place.write_bytes(stored)
        with opened(place) as stream:
            assert stream.read() == content
