"""Masks: every layer is found, bases are mixed as the formula says, and a file brings them back."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from frenemy.data.examples import Examples
from frenemy.errors import ModelError, UsageError
from frenemy.models.build import build, initialise
from frenemy.models.fast import Fast
from frenemy.models.files import config_of, save
from frenemy.models.masked import Masked, Worn, joined, share_of
from frenemy.models.masks import MaskedNorm, encoded
from frenemy.models.mlp import MLP
from frenemy.models.norms import differing, norm_parameters, norm_state, norms
from frenemy.models.resnets import ResNet18
from frenemy.models.still import still
from frenemy.rng import Key
from frenemy.training.pose import Pose

ROWS = torch.arange(6)


def small(seed: int = 0, stirred: bool = True) -> nn.Module:
    """A residual net whose batch norm is not at its start."""
    with torch.random.fork_rng(devices=[]):
        model = ResNet18(1, 3, 2)
    initialise(model, Key(seed))
    return stir(model, seed) if stirred else model


def stir(model: nn.Module, seed: int) -> nn.Module:
    """Other batch norm, drawn by key."""
    state = model.state_dict()
    with torch.no_grad():
        for name in norm_state(model):
            if state[name].is_floating_point():
                draw = Key(seed).fold(name).uniform(ROWS[:1], tuple(state[name].shape), state[name].dtype)
                state[name].copy_(draw[0] + 0.5)
    return model


def pictures(dtype: torch.dtype = torch.float32) -> Tensor:
    return Key(7).uniform(ROWS, (1, 8, 8), dtype)


def logits(model: nn.Module, x: Tensor) -> Tensor:
    with still(model), torch.no_grad():
        found: Tensor = model(x)
    return found


def test_every_layer_is_found_once_for_each_of_its_names() -> None:
    model = small()
    found = norms(model)
    assert len(found) == 1 + 4 * 4 + 3
    assert len(norm_state(model)) == 5 * len(found)
    assert len(norm_parameters(model)) == 2 * len(found)
    layer = nn.BatchNorm1d(4)
    tied = nn.Sequential(layer, nn.ReLU(), layer)
    assert list(norms(tied)) == ["0", "2"]
    assert len(norm_parameters(tied)) == 2
    twice: Any = Masked(tied)
    assert twice.model[0] is twice.model[2]
    alone = Masked(nn.BatchNorm1d(4).eval())
    x = Key(1).uniform(ROWS, (4,))
    assert torch.equal(alone(x), nn.BatchNorm1d(4).eval()(x))


@pytest.mark.parametrize("statistics", ["shared", "own"])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_at_first_any_mask_gives_the_model_itself(statistics: str, p: float) -> None:
    model, x = small(), pictures()
    masked = Masked(model, 2, statistics, p)
    assert share_of(masked) == pytest.approx(p)
    torch.testing.assert_close(logits(masked, x), logits(model, x), rtol=1e-5, atol=1e-6)


@given(st.integers(1, 6), st.floats(0, 1))
def test_a_share_is_encoded_as_a_mixture_of_its_two_neighbours(bases: int, p: float) -> None:
    mask = encoded(torch.tensor(p, dtype=torch.float64), bases)
    assert float(mask.min()) >= 0
    assert int((mask > 0).sum()) <= 2
    if bases > 1:
        assert float(mask.sum()) == pytest.approx(1)
        assert float((mask * torch.linspace(0, 1, bases, dtype=torch.float64)).sum()) == pytest.approx(p)
    if bases == 2:
        assert mask.tolist() == pytest.approx([1 - p, p])


def test_three_quarters_of_the_largest_perturbation_are_encoded_as_the_source_has_it() -> None:
    """004, footnote 1: 6/255 of 8/255 is (0.25, 0.75)."""
    assert encoded(6 / 8, 2).tolist() == [0.25, 0.75]


@pytest.mark.parametrize("statistics", ["shared", "own"])
@pytest.mark.parametrize("training", [False, True])
def test_the_layer_is_the_formula(statistics: str, training: bool) -> None:
    """Against sums written by hand; and the running statistics move as the docstring says."""
    norm: Any = stir(nn.BatchNorm2d(4, momentum=0.2), 1).double()
    layer: Any = MaskedNorm(norm, 3, statistics).train(training)
    draws = {name: Key(2).fold(name).uniform(ROWS[:3], (4,), torch.float64) for name in "wbmv"}
    with torch.no_grad():
        layer.weight.copy_(draws["w"])
        layer.bias.copy_(draws["b"])
        if statistics == "own":
            layer.running_mean.copy_(draws["m"])
            layer.running_var.copy_(draws["v"] + 0.1)
    mask = torch.tensor([0.0, 0.25, 0.75], dtype=torch.float64)
    x = Key(3).uniform(ROWS, (4, 5, 2), torch.float64)
    before = {name: own.clone() for name, own in layer.named_buffers()}

    class Around(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            from frenemy.models.masks import worn

            with worn(mask):
                found: Tensor = layer(x)
            return found

    y = Around()(x)
    gamma = 0.25 * draws["w"][1] + 0.75 * draws["w"][2]
    beta = 0.25 * draws["b"][1] + 0.75 * draws["b"][2]
    if training:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    else:
        parts = [before["running_mean"], before["running_var"]]
        mean, var = (0.25 * one[1] + 0.75 * one[2] if statistics == "own" else one for one in parts)
    shape = (1, 4, 1, 1)
    expected = (x - mean.view(shape)) / (var.view(shape) + norm.eps).sqrt() * gamma.view(shape)
    torch.testing.assert_close(y, expected + beta.view(shape))
    seen = {"running_mean": x.mean((0, 2, 3)), "running_var": x.var((0, 2, 3), correction=1)}
    for name, batch in seen.items():
        if not training:
            wanted = before[name]
        elif statistics == "own":
            move = 0.2 * mask[:, None]
            wanted = (1 - move) * before[name] + move * batch
        else:
            wanted = 0.8 * before[name] + 0.2 * batch
        torch.testing.assert_close(getattr(layer, name), wanted)
    counts = torch.tensor([0, 1, 1]) if statistics == "own" else torch.tensor(1)
    moved = layer.num_batches_tracked - before["num_batches_tracked"]
    assert torch.equal(moved, counts if training else torch.zeros_like(counts))


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("statistics", ["shared", "own"])
def test_on_one_basis_it_is_the_batch_norm_of_torch(momentum: float | None, statistics: str) -> None:
    with torch.random.fork_rng(devices=[]):
        plain = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5, momentum=momentum), nn.Linear(5, 2)).train()
    masked = Masked(plain, 2, statistics, p=1.0).train()
    for step in range(3):
        x = Key(step).uniform(ROWS, (4,))
        torch.testing.assert_close(masked(x), plain(x))
    made: Any = masked.model
    inner = made[1]
    for name in ("running_mean", "running_var"):
        own = getattr(inner, name)
        torch.testing.assert_close(own[1] if statistics == "own" else own, getattr(plain[1], name))
        if statistics == "own":
            assert torch.equal(own[0], torch.full((5,), 0.0 if name == "running_mean" else 1.0))
    torch.testing.assert_close(logits(masked, x), logits(plain, x))


def test_without_rescaling_or_statistics_a_layer_keeps_what_it_has() -> None:
    x = Key(1).uniform(ROWS, (4,))
    for norm in (nn.BatchNorm1d(4, affine=False), nn.BatchNorm1d(4, track_running_stats=False)):
        masked = Masked(nn.Sequential(norm, nn.Linear(4, 2)), 2, "own").eval()
        expected = batch_norm(x, norm.running_mean, norm.running_var, training=norm.running_mean is None)
        inner: Any = masked.model
        assert torch.equal(masked(x), inner[1](expected))


def test_a_mask_is_fixed_or_chosen_for_a_call_whatever_stands_between() -> None:
    first, second, x = small(1), stir(small(1), 2), pictures()
    both = joined(first, second)
    assert torch.equal(logits(both, x), logits(first, x))
    assert torch.equal(logits(Worn(both, encoded(1.0, 2)), x), logits(second, x))
    assert torch.equal(logits(both, x), logits(first, x))
    chosen = logits(Worn(both, encoded(0.3, 2)), x)
    through = logits(Worn(Fast(both), encoded(0.3, 2)), x)
    torch.testing.assert_close(through, chosen, rtol=1e-4, atol=1e-5)
    with Pose(both, low=True)() as posed:
        torch.testing.assert_close(Worn(posed, encoded(0.3, 2))(x), chosen, rtol=0.1, atol=0.1)
    assert both.training
    assert all(module.training for module in both.modules())
    assert torch.equal(logits(both.wear(encoded(0.3, 2)), x), chosen)
    assert share_of(both) == pytest.approx(0.3)
    twin = copy.deepcopy(both)
    assert torch.equal(logits(twin, x), chosen)
    twin.wear(encoded(0.0, 2))
    assert torch.equal(logits(both, x), chosen)


@pytest.mark.parametrize("statistics", ["between", "first", "second"])
def test_two_models_are_mixed_tensor_by_tensor(statistics: str) -> None:
    first, second, x, p = small(1), stir(small(1), 2), pictures(), 0.4
    both = joined(first, second, statistics)
    mixed = copy.deepcopy(first)
    state, one, other = mixed.state_dict(), first.state_dict(), second.state_dict()
    with torch.no_grad():
        for name in norm_state(first):
            if "running" in name and statistics != "between":
                state[name].copy_(one[name] if statistics == "first" else other[name])
            elif state[name].is_floating_point():
                state[name].copy_((1 - p) * one[name] + p * other[name])
    torch.testing.assert_close(logits(Worn(both, encoded(p, 2)), x), logits(mixed, x), rtol=1e-4, atol=1e-5)


def test_at_both_ends_the_logits_are_those_of_the_two_bit_for_bit() -> None:
    first, second, x = small(1), stir(small(1), 2), pictures()
    for dtype in (torch.float32, torch.float64):
        one, other = copy.deepcopy(first).to(dtype), copy.deepcopy(second).to(dtype)
        both = joined(one, other)
        for p, model in ((0.0, one), (1.0, other)):
            assert torch.equal(logits(both.wear(encoded(p, 2)), x.to(dtype)), logits(model, x.to(dtype)))


def test_models_that_differ_elsewhere_are_refused_by_name() -> None:
    first: Any = small(1)
    other: Any = stir(small(1), 2)
    assert differing(first, other) == [n for n in norm_state(first) if "tracked" not in n]
    with torch.no_grad():
        other.stages[1][0].path[0].weight[0, 0, 0, 0] += 1
    with pytest.raises(ModelError, match=r"got 'stages\.1\.0\.path\.0\.weight' with 1% of its numbers"):
        joined(first, other)
    with pytest.raises(ModelError, match=r"'stem\.0\.weight' \[2, 1, 3, 3, 'float32'\] in one"):
        joined(first, ResNet18(1, 3, 3))
    with pytest.raises(ModelError, match=r"'head\.bias' in one of them alone"):
        joined(*_headless())
    with pytest.raises(ModelError, match="got the same twice"):
        joined(first, copy.deepcopy(first))
    with pytest.raises(ModelError, match="got MLP without any"):
        joined(MLP(4), MLP(4))
    with pytest.raises(UsageError, match="unknown statistics 'mean'"):
        joined(first, stir(small(1), 3), "mean")


def _headless() -> tuple[nn.Module, nn.Module]:
    one: Any = small(1)
    other: Any = stir(small(1), 2)
    one.head = nn.Linear(16, 3, bias=False)
    other.head = nn.Linear(16, 3)
    with torch.no_grad():
        other.head.weight.copy_(one.head.weight)
    return one, other


def test_what_cannot_be_is_said_in_a_sentence() -> None:
    with pytest.raises(ModelError, match="expected a model with batch norm, got MLP without any"):
        Masked(MLP(4))
    masked = Masked(small())
    with pytest.raises(ModelError, match="expected a model without masks"):
        Masked(masked)
    for mask in ([0.5, 0.6], [1.5, -0.5], [1.0], [float("nan"), 1.0]):
        with pytest.raises(UsageError, match="that sum to 1"):
            masked.wear(torch.tensor(mask))
    with pytest.raises(UsageError, match="that sum to 1"):
        Worn(masked, torch.tensor([2.0, -1.0]))
    with pytest.raises(ModelError, match="expected a mask of 2 numbers"):
        Worn(masked, encoded(0.5, 3))(pictures())
    with pytest.raises(ModelError, match="got one that wears none"):
        Worn(small(), encoded(0.5, 2))(pictures())
    with pytest.raises(ModelError, match="a call from outside"):
        masked.model(pictures())
    with pytest.raises(ModelError, match="expected two rows or more for batch norm that trains"):
        masked.train()(pictures()[:1])
    assert masked.eval()(pictures()[:1]).shape == (1, 3)
    with pytest.raises(UsageError, match="from 1 to 64 bases"):
        Masked(small(), 0)
    with pytest.raises(UsageError, match="p to be from 0 to 1"):
        Masked(small(), p=1.2)
    with pytest.raises(UsageError, match="unknown statistics 'one'"):
        Masked(small(), statistics="one")
    with pytest.raises(ModelError, match="SyncBatchNorm"):
        Masked(nn.Sequential(nn.SyncBatchNorm(2), nn.Linear(2, 2)))


def some() -> Examples:
    return Examples("some", pictures(), torch.arange(6) % 3, ("a", "b", "c"))


@pytest.mark.parametrize("statistics", ["shared", "own"])
def test_a_file_brings_the_masks_back_and_says_what_it_wears(tmp_path: Path, statistics: str) -> None:
    masked = Masked(small(), 3, statistics, p=0.25)
    with torch.no_grad():
        for parameter in norm_parameters(masked):
            parameter.mul_(torch.tensor([[1.0], [2.0], [3.0]]))
    masked.eval()
    assert "model.stem.1.weight" in masked.state_dict()
    file = tmp_path / "m.safetensors"
    save(masked, file, config_of(masked))
    found, _ = build(str(file), examples=some())
    assert torch.equal(logits(found, pictures()), logits(masked, pictures()))
    assert any("wears the mask (0.5, 0.5, 0)" in note for note in found.notes)
    found, _ = build(f"resnet18:{file}", examples=some())
    assert torch.equal(logits(found, pictures()), logits(masked, pictures()))


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ({"bases": 1e9, "statistics": "own"}, "to tell the bases"),
        ({"bases": 10**9, "statistics": "own"}, "from 1 to 64 bases"),
        ({"bases": True, "statistics": "own"}, "to tell the bases"),
        ({"bases": 2, "statistics": "none"}, "unknown statistics"),
        ({"bases": 2}, "to tell the bases"),
        ([], "to tell the bases"),
        ({"bases": 3, "statistics": "shared"}, "of another shape"),
    ],
)
def test_a_file_that_lies_about_its_masks_is_refused(tmp_path: Path, masks: object, said: str) -> None:
    masked, file = Masked(small()), tmp_path / "m.safetensors"
    save(masked, file, config_of(masked) | {"masks": masks})
    with pytest.raises(UsageError, match=said):
        build(str(file), examples=some())
