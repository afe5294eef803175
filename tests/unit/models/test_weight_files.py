"""Files of weights: whole, safe, and refused in one sentence when they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from frenemy.errors import ModelError
from frenemy.models.files import config_of, fingerprint, load_state, matching, read_config, save
from frenemy.models.linear import Linear
from frenemy.models.mlp import MLP

STATE = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.ones(2)}


def write(path: Path, state: dict[str, Tensor]) -> Path:
    save_file(state, path)
    return path


def refused(path: Path, partial: bool = False) -> str:
    """Load into a module that must stay as it is; give the one sentence that came back."""
    module = Linear(3, 2)
    before = fingerprint(module)
    with pytest.raises(ModelError) as caught:
        load_state(module, path, partial)
    assert fingerprint(module) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_weights_of_other_origin_load(tmp_path: Path) -> None:
    path, module = write(tmp_path / "w.safetensors", STATE), Linear(3, 2)
    assert load_state(module, path) == []
    assert all(torch.equal(module.state_dict()[name], tensor) for name, tensor in STATE.items())
    assert read_config(path) == {}


def test_numbers_are_cast_to_the_module(tmp_path: Path) -> None:
    path = write(tmp_path / "w.safetensors", {name: tensor.half() for name, tensor in STATE.items()})
    module = Linear(3, 2)
    load_state(module, path)
    assert torch.equal(module.layer.weight, STATE["layer.weight"])
    assert module.layer.weight.dtype == torch.float32


def test_the_config_travels(tmp_path: Path) -> None:
    module = MLP(4, (3, 2), 5)
    save(module, tmp_path / "deep" / "w.safetensors", config_of(module))
    settings = {"features": 4, "hidden": [3, 2], "classes": 5}
    assert read_config(tmp_path / "deep" / "w.safetensors") == {"architecture": "MLP", "settings": settings}


def test_the_order_of_a_config_does_not_change_the_bytes(tmp_path: Path) -> None:
    module = Linear(3, 2)
    save(module, tmp_path / "a.safetensors", {"a": 1, "b": 2})
    save(module, tmp_path / "b.safetensors", {"b": 2, "a": 1})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.safetensors"
    save(Linear(3, 2), path, {})
    old = path.read_bytes()

    def full(file: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        save(Linear(3, 2), path, {})
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_tied_and_strided_weights_are_written(tmp_path: Path) -> None:
    first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    first.weight = second.weight = nn.Parameter(torch.arange(4.0).reshape(2, 2).t())
    save(nn.Sequential(first, second), tmp_path / "w.safetensors", {})
    third, fourth = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    load_state(nn.Sequential(third, fourth), tmp_path / "w.safetensors")
    assert torch.equal(third.weight, torch.tensor([[0.0, 2.0], [1.0, 3.0]]))
    assert torch.equal(fourth.weight, third.weight)


@pytest.mark.parametrize("config", [{"a": object()}, {"a": float("nan")}])
def test_a_config_that_json_cannot_hold_is_refused(tmp_path: Path, config: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="JSON"):
        save(Linear(3, 2), tmp_path / "w.safetensors", config)
    assert list(tmp_path.iterdir()) == []


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"ends in \.safetensors, got"):
        save(Linear(3, 2), tmp_path / "w.pt", {})
    assert "ends in .safetensors, got" in refused(tmp_path / "w.onnx")


def test_missing_unexpected_and_misshapen_are_listed_up_to_five(tmp_path: Path) -> None:
    extra = {f"extra{n}": torch.zeros(1) for n in range(7)}
    path = write(tmp_path / "w.safetensors", {"layer.weight": torch.zeros(3, 2)} | extra)
    message = refused(path)
    assert "missing: layer.bias" in message
    assert "unexpected: extra0, extra1, extra2, extra3, extra4 and 2 more" in message
    assert "of another shape: layer.weight [3, 2] for [2, 3]" in message
    assert "--partial" in message


def test_partial_loads_what_fits_and_says_what_does_not(tmp_path: Path) -> None:
    bias = torch.tensor([3.0, 4.0])
    path = write(
        tmp_path / "w.safetensors", {"layer.bias": bias, "layer.weight": torch.zeros(9), "x": 1 * bias}
    )
    module = Linear(3, 2)
    weight = module.layer.weight.detach().clone()
    assert matching(module, path, partial=True) == ["layer.bias"]
    assert load_state(module, path, partial=True) == ["layer.weight"]
    assert torch.equal(module.layer.bias, bias)
    assert torch.equal(module.layer.weight, weight)


def test_partial_with_nothing_that_fits_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "w.safetensors", {"x": torch.zeros(2)})
    assert "unexpected: x" in refused(path, partial=True)
