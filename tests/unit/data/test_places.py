"""Where data is looked for, in order, and what is said when it is not there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from frenemy.data.places import check_split, data_dirs, locate, verify
from frenemy.errors import DataError


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    folders = [tmp_path / "given", tmp_path / "variable", tmp_path / "cache" / "frenemy" / "data"]
    for folder in folders:
        folder.mkdir(parents=True)
    monkeypatch.setenv("FRENEMY_DATA", str(folders[1]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folders


def test_the_order_of_folders(places: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_dirs(str(places[0])) == places
    assert data_dirs() == places[1:]
    monkeypatch.setenv("FRENEMY_DATA", "")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_dirs() == [Path.home() / ".cache" / "frenemy" / "data"]


def test_a_given_folder_must_exist(places: list[Path]) -> None:
    with pytest.raises(DataError, match=r"expected --data-dir to be a folder, got .*nowhere"):
        data_dirs(str(places[0] / "nowhere"))


def test_the_first_folder_that_has_all_files_wins(places: list[Path]) -> None:
    groups = [("a", "b"), ("c",)]

    def found() -> tuple[Path, ...]:
        return locate("set", groups, str(places[0]), folders=("other",), address="somewhere")

    (places[2] / "set").mkdir()
    (places[2] / "set" / "a").touch()
    (places[2] / "set" / "b.gz").touch()
    assert found() == (places[2] / "set" / "a", places[2] / "set" / "b.gz")
    (places[1] / "other").mkdir()
    (places[1] / "other" / "c").touch()
    assert found() == (places[1] / "other" / "c",)
    (places[0] / "c").touch()
    assert found() == (places[0] / "c",)
    (places[0] / "set" / "other").mkdir(parents=True)
    (places[0] / "set" / "other" / "c.gz").touch()
    assert found() == (places[0] / "set" / "other" / "c.gz",)


def test_files_are_not_gathered_from_two_folders(places: list[Path]) -> None:
    (places[0] / "a").touch()
    (places[1] / "b").touch()
    with pytest.raises(
        DataError, match=r"expected the files of set \(a and b\) under .*, got only a in .*given; get"
    ):
        locate("set", [("a", "b")], str(places[0]), address="somewhere")


def test_a_missing_set_says_all_that_is_needed(places: list[Path]) -> None:
    with pytest.raises(DataError) as caught:
        locate("set", [("a", "b"), ("c",)], address="https://example.org/set")
    text = str(caught.value)
    assert "(a and b, or c)" in text
    assert all(str(place) in text for place in places[1:])
    assert f"get them from https://example.org/set and put them into {places[1] / 'set'}" in text


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_checksums(kind: str) -> None:
    digest = hashlib.new(kind, b"content").hexdigest()
    verify(Path("f"), b"content", digest, "npz:PATH")
    with pytest.raises(
        DataError, match=rf"expected f to hold the published content \({kind} {digest}\), got {kind}"
    ):
        verify(Path("f"), b"contents", digest, "npz:PATH")


def test_splits() -> None:
    check_split("train")
    check_split("test")
    with pytest.raises(DataError, match="did you mean 'train'"):
        check_split("trian")
