"""Hostile files of weights: each is refused in one sentence, and the module stays as it was."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from frenemy.errors import ModelError
from frenemy.models import files
from frenemy.models.files import fingerprint, load_state, read_config
from frenemy.models.linear import Linear

STATE = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.ones(2)}


def write(path: Path, state: dict[str, Tensor]) -> Path:
    save_file(state, path)
    return path


def raw(path: Path, header: object, body: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def entry(dtype: str, shape: list[Any], offsets: list[int]) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def refused(path: Path, partial: bool = False) -> str:
    """Load into a module that must stay as it is; give the one sentence that came back."""
    module = Linear(3, 2)
    before = fingerprint(module)
    with pytest.raises(ModelError) as caught:
        load_state(module, path, partial)
    assert fingerprint(module) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("ending", [".pt", ".pth", ".pkl", ".bin", ".ckpt", ".PT", ".safetensors"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_pickle_is_never_opened(tmp_path: Path, ending: str, zipped: bool) -> None:
    marker, path = tmp_path / "executed", tmp_path / f"w{ending}"
    payload = pickle.dumps(Payload(marker))
    path.write_bytes(payload)
    if zipped:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("w/data.pkl", payload)
    message = refused(path)
    assert not marker.exists()
    if ending != ".safetensors":
        assert "convert it" in message
        assert "weights_only=True" in message
    pickle.loads(payload)
    assert marker.exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "w.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    assert "does not exist" in refused(tmp_path / "folder.safetensors")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.safetensors", STATE).read_bytes()
    for length in range(0, len(whole), 3):
        path = tmp_path / "cut.safetensors"
        path.write_bytes(whole[:length])
        assert f"got cut.safetensors of {length} bytes" in refused(path)


@pytest.mark.parametrize("length", [2**40, 2**63, 2**64 - 1, 2**24 + 1])
def test_a_header_that_claims_too_much_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}" * 20)
    assert f"its header cannot be {length} bytes long" in refused(path)


def test_a_long_header_is_refused_also_where_the_file_is_long(tmp_path: Path) -> None:
    path = raw(tmp_path / "w.safetensors", json.dumps({}).encode() + b" " * 2**24)
    assert f"its header cannot be {2**24 + 2} bytes long" in refused(path)


GOOD = {"layer.weight": entry("F32", [2, 3], [0, 24]), "layer.bias": entry("F32", [2], [24, 32])}


@pytest.mark.parametrize(
    "header",
    [
        b"not json",
        b"\xff\xfe",
        b"[" * 5000,
        [],
        {"layer.bias": 3},
        {"layer.bias": {"dtype": "F32"}},
        GOOD | {"layer.bias": entry("F33", [2], [24, 32])},
        GOOD | {"layer.bias": entry("F32", ["2"], [24, 32])},
        GOOD | {"layer.bias": entry("F32", [2], [24])},
        GOOD | {"layer.bias": entry("F32", [3], [24, 32])},
        GOOD | {"layer.bias": entry("F32", [2], [0, 8])},
        GOOD | {"layer.bias": entry("F32", [2**40], [24, 24 + 2**42])},
        GOOD | {"layer.bias": entry("F32", [2**62, 2**62], [24, 32])},
        GOOD | {"layer.bias": entry("F32", [-2], [32, 24])},
        GOOD | {"__metadata__": {"frenemy": 3}},
    ],
    ids=range(15),
)
def test_a_lying_header_is_refused(tmp_path: Path, header: object) -> None:
    message = refused(raw(tmp_path / "w.safetensors", header, bytes(32)))
    assert "whole safetensors file, got w.safetensors of" in message


def test_the_honest_header_of_these_tests_is_taken(tmp_path: Path) -> None:
    assert load_state(Linear(3, 2), raw(tmp_path / "w.safetensors", GOOD, bytes(32))) == []


def test_more_than_eight_gib_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert files.LIMIT == 8 * 1024**3
    path = raw(tmp_path / "w.safetensors", GOOD, bytes(32))
    monkeypatch.setattr(files, "LIMIT", 32)
    assert load_state(Linear(3, 2), path) == []
    monkeypatch.setattr(files, "LIMIT", 31)
    monkeypatch.delattr("safetensors.safe_open")
    assert "at most 8 GiB" in refused(path)


@pytest.mark.parametrize("text", ["{", "[" * 5000])
def test_a_damaged_config_is_refused(tmp_path: Path, text: str) -> None:
    save_file(STATE, tmp_path / "w.safetensors", metadata={"frenemy": text})
    with pytest.raises(ModelError, match="its config is not JSON"):
        read_config(tmp_path / "w.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    bias = torch.tensor([0.0, value])
    message = refused(write(tmp_path / "w.safetensors", STATE | {"layer.bias": bias}))
    assert "got 1 that are not in 'layer.bias'" in message


def test_weights_that_overflow_the_module_are_refused(tmp_path: Path) -> None:
    bias = torch.tensor([0.0, 1e300], dtype=torch.float64)
    assert "finite" in refused(write(tmp_path / "w.safetensors", STATE | {"layer.bias": bias}))
