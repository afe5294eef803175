"""A pickle may hold numbers; whatever could run is refused and not run."""

from __future__ import annotations

import builtins
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frenemy.data.pickles import unpickle
from frenemy.errors import DataError

HERE = Path("batch")


class Payload:
    """Asks to be rebuilt by a call."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_bytes_come_back(protocol: int, order: Any) -> None:
    data = np.asarray(np.arange(24, dtype=np.uint8).reshape(4, 6), order=order)
    table = unpickle(pickle.dumps({b"data": data, "labels": [1, 2]}, protocol=protocol), HERE)
    assert np.array_equal(table["data"], data)
    assert table["data"].dtype == np.uint8
    assert table["labels"] == [1, 2]


def test_a_pickle_as_python_2_writes_it() -> None:
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
        b"(K\x01K\x02K\x03\x86cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x06abcdeftb"
    )
    table = unpickle(b"\x80\x02}U\x04data" + array + b"s.", HERE)
    assert table["data"].tolist() == [[97, 98, 99], [100, 101, 102]]


@pytest.mark.parametrize("call", [os.system, builtins.eval, builtins.open, np.load])
def test_a_call_is_refused_and_not_made(call: Any, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    words = {
        os.system: (f"touch {mark}",),
        builtins.eval: (f"open({str(mark)!r}, 'w')",),
        builtins.open: (str(mark), "w"),
        np.load: (str(mark),),
    }
    content = pickle.dumps({b"data": Payload(call, *words[call])}, protocol=3)
    with pytest.raises(
        DataError, match=r"expected plain numbers and text in batch, got a call of .*nothing was run"
    ):
        unpickle(content, HERE)
    assert not mark.exists()


@pytest.mark.parametrize(
    "value",
    [np.zeros(2, np.float32), np.array([{}], dtype=object)],
    ids=["floats", "objects"],
)
def test_arrays_of_anything_else_are_refused(value: Any) -> None:
    with pytest.raises(DataError, match="an array of something else than unsigned bytes"):
        unpickle(pickle.dumps({b"data": value}, protocol=3), HERE)


def test_a_shape_that_does_not_fit_its_bytes_is_refused() -> None:
    content = pickle.dumps({b"data": np.zeros((2, 3), np.uint8)}, protocol=3)
    false = content.replace(b"K\x02K\x03\x86", b"K\x09K\x09\x86")
    assert false != content
    with pytest.raises(DataError, match="cannot reshape"):
        unpickle(false, HERE)


@pytest.mark.parametrize("content", [b"", b"\x80\x02}", b"garbage"])
def test_damage_is_a_sentence(content: bytes) -> None:
    with pytest.raises(DataError, match="expected plain numbers and text in batch, got"):
        unpickle(content, HERE)


def test_a_pickle_of_something_else() -> None:
    with pytest.raises(DataError, match="expected a dictionary in batch, got list"):
        unpickle(pickle.dumps([1]), HERE)
