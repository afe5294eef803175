"""From a word to a data set, and from a wrong word to the nearest right one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from frenemy.catalog import catalog
from frenemy.data.digits import Digits
from frenemy.data.find import load
from frenemy.errors import DataError

real = pytest.mark.skipif(
    "FRENEMY_DATA" not in os.environ, reason="FRENEMY_DATA names no folder of real data"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.savez(tmp_path / "rows.npz", x=np.eye(3), y=[0, 1, 1], x_train=np.eye(2), y_train=[1, 0])
    (tmp_path / "rows.csv").write_text("kind,u,v\na,1,0\nb,2,1\n")
    (tmp_path / "pictures" / "cat").mkdir(parents=True)
    Image.new("L", (4, 3)).save(tmp_path / "pictures" / "cat" / "1.png")
    (tmp_path / "images").write_bytes(b"\0\0\x08\x02\0\0\0\1\0\0\0\2ab")
    (tmp_path / "labels").write_bytes(b"\0\0\x08\x01\0\0\0\1\0")
    return tmp_path


def test_the_catalog_knows_every_reader() -> None:
    names = {"cifar10", "cifar100", "digits", "fashionmnist", "folder", "idx", "mnist", "npz", "table"}
    assert names <= set(catalog("data"))
    for name in names:
        part = catalog("data")[name]
        assert part.load().card == part.card
        assert part.summary.endswith(".")


@pytest.mark.parametrize("spec", ["digits", "Digits", "DIGITS"])
def test_a_name(spec: str) -> None:
    assert load(spec).checksum == Digits()().checksum
    assert len(load(spec, split="train")) == 1437


def test_the_first_examples() -> None:
    some = load("digits", examples=7)
    assert torch.equal(some.x, Digits()().x[:7])
    assert torch.equal(some.index, Digits()().index[:7])
    assert len(load("digits", examples=360)) == 360


@pytest.mark.parametrize("count", [0, -1, 361])
def test_a_wrong_number_of_examples(count: int) -> None:
    with pytest.raises(DataError, match=f"expected from 1 to 360 examples of digits, got {count}"):
        load("digits", examples=count)


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        ("npz:{}/rows.npz", (3, 3)),
        ("{}/rows.npz", (3, 3)),
        ("folder:{}/pictures", (1, 1, 3, 4)),
        ("{}/pictures", (1, 1, 3, 4)),
        ("idx:{}/images,{}/labels", (1, 2)),
    ],
)
def test_paths(folder: Path, spec: str, shape: tuple[int, ...]) -> None:
    assert tuple(load(spec.replace("{}", str(folder))).x.shape) == shape


@pytest.mark.parametrize("spec", ["csv:{}/rows.csv", "table:{}/rows.csv", "{}/rows.csv"])
def test_tables_with_a_setting(folder: Path, spec: str) -> None:
    examples = load(spec.replace("{}", str(folder)), target="kind", resize=None)
    assert examples.classes == ("a", "b")


def test_settings_and_splits_reach_the_reader(folder: Path) -> None:
    assert load(f"{folder}/pictures", resize=2).x.shape == (1, 1, 2, 2)
    assert load(f"{folder}/rows.npz", split="train").y.tolist() == [1, 0]


@pytest.mark.parametrize("setting", ["resize", "path"])
def test_a_setting_that_is_not_the_readers(folder: Path, setting: str) -> None:
    with pytest.raises(DataError, match=f"expected settings of 'npz', got '{setting}'"):
        load(f"{folder}/rows.npz", **dict[str, Any]({setting: 3}))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mnits", "unknown data 'mnits', .*did you mean 'mnist'.*known: .*digits"),
        ("fashon-mnist", "did you mean 'fashionmnist'"),
        ("nowhere/pictures", "unknown data 'nowhere/pictures', and no folder"),
        ("kite:7", "unknown data 'kite:7'"),
        ("", "unknown data ''"),
        ("npz", "expected npz:PATH, got 'npz'; write it so"),
        ("npz:", "expected npz:PATH, got 'npz:'; write it so"),
        ("idx:one", "expected idx:IMAGES,LABELS, got 'idx:one'"),
        ("digits:3", "expected digits, got 'digits:3'"),
        ("nowhere.npz", "expected an .npz file, got nothing at nowhere.npz"),
    ],
)
def test_a_wrong_word(spec: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        load(spec)


def test_a_missing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRENEMY_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DataError, match=r"expected the files of fashion-mnist .*zalandoresearch.*--data-dir"):
        load("fashion_mnist", data_dir=str(tmp_path))


@pytest.mark.data
@real
def test_the_folder_of_real_data_can_be_named() -> None:
    examples = load("fashion-mnist", data_dir=os.environ["FRENEMY_DATA"], examples=100)
    assert examples.x.shape == (100, 1, 28, 28)
    assert examples.name == "fashion-mnist"
