"""Laws of every architecture in the folder: it is a classifier, it holds still, it comes back from a file."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from frenemy.catalog import catalog
from frenemy.data.examples import Examples
from frenemy.models.answers import Answers
from frenemy.models.build import build, initialise
from frenemy.models.files import config_of, fingerprint, load_state, save
from frenemy.models.still import still
from frenemy.rng import Key

ARCHITECTURES = sorted(catalog("models"))
DATA = {"features": 12, "channels": 2, "side": 8, "classes": 3}
TINY = DATA | {
    "width": 2,
    "hidden": (5, 4),
    "capacity": 2,
    "depth": 8,
    "widen": 2,
    "cardinality": 2,
    "expansion": 2,
}
OWN = {
    "smallcnn": {"side": 16, "width": 8},
    "wideresnet": {"depth": 10},
    "densenet": {"depth": 22},
    "resnext": {"depth": 11},
}
"""What the layers of one architecture need."""
every = pytest.mark.parametrize("name", ARCHITECTURES)


def shape_of(name: str) -> tuple[int, ...]:
    flat = "features" in inspect.signature(catalog("models")[name].load()).parameters
    side = settings_of(name).get("side", 8)
    return (3, 2, 2) if flat else (2, side, side)


def settings_of(name: str) -> dict[str, Any]:
    small: dict[str, Any] = TINY | OWN.get(name, {})
    return {word: small[word] for word in inspect.signature(catalog("models")[name].load()).parameters}


def tiny(name: str, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        module: nn.Module = catalog("models")[name].load()(**settings_of(name))
    return initialise(module, Key(seed))


def inputs(name: str, rows: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return Key(1).uniform(torch.arange(rows), shape_of(name), dtype)


def examples(name: str) -> Examples:
    return Examples("tiny", inputs(name, 4), torch.tensor([0, 1, 2, 0]), ("a", "b", "c"))


def trace(module: nn.Module) -> tuple[object, ...]:
    tensors = [*module.named_parameters(), *module.named_buffers()]
    return (
        [(m.training, type(m)) for m in module.modules()],
        [(n, t.requires_grad, t.grad_fn, None if t.grad is None else t.grad.tolist()) for n, t in tensors],
        [(n, t.tolist(), t._version) for n, t in tensors],
    )


def test_the_folder_holds_architectures() -> None:
    assert set(ARCHITECTURES) >= {"linear", "mlp", "lenet", "convnet", "resnet18"}


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_have_shape_dtype_and_are_deterministic(name: str, dtype: torch.dtype) -> None:
    module, x = tiny(name).to(dtype).eval(), inputs(name, 5, dtype)
    before = x.clone()
    logits = module(x)
    assert logits.shape == (5, 3)
    assert logits.dtype == dtype
    assert logits.isfinite().all()
    assert torch.equal(logits, module(x))
    assert torch.equal(x, before)


@every
def test_every_setting_has_a_default(name: str) -> None:
    parameters = inspect.signature(catalog("models")[name].load()).parameters.values()
    assert all(p.default is not p.empty for p in parameters)


@every
def test_a_batch_is_its_rows(name: str) -> None:
    module, x = tiny(name).double().eval(), inputs(name, 4, torch.float64)
    rows = torch.cat([module(row[None]) for row in x])
    torch.testing.assert_close(module(x), rows, rtol=0, atol=1e-12)


@every
def test_the_gradient_is_the_slope(name: str) -> None:
    module, x = tiny(name).double().eval(), inputs(name, 2, torch.float64).requires_grad_()
    weights = Key(2).normal(torch.arange(2), (3,), torch.float64)
    (gradient,) = torch.autograd.grad((module(x) * weights).sum(), x)
    assert gradient.abs().sum() > 0
    for n in range(3):
        way = Key(3).fold(n).normal(torch.arange(2), shape_of(name), torch.float64)
        with torch.no_grad():
            rise = ((module(x + 1e-6 * way) - module(x - 1e-6 * way)) * weights).sum() / 2e-6
        torch.testing.assert_close((gradient * way).sum(), rise, rtol=1e-5, atol=1e-7)


@every
@pytest.mark.parametrize("raises", [False, True])
def test_held_still_it_keeps_no_trace(name: str, raises: bool) -> None:
    module, x = tiny(name).train(), inputs(name, 4)
    module(x).sum().backward()
    leaves = [m for m in module.modules() if not list(m.children())]
    norms = [m for m in leaves if isinstance(m, nn.BatchNorm2d)]
    (norms or leaves)[0].eval()
    next(module.parameters()).requires_grad_(False)
    before = trace(module)
    try:
        with still(module):
            assert not any(m.training for m in module.modules())
            asked = x.clone().requires_grad_()
            torch.autograd.grad(module(asked).sum(), asked)
            module(x).sum()
            if raises:
                raise KeyError("in the middle")
    except KeyError:
        assert raises
    assert trace(module) == before


@every
def test_a_file_brings_it_back_bit_for_bit(name: str, tmp_path: Path) -> None:
    module = tiny(name, seed=5).train()
    module(inputs(name, 4))
    save(module, tmp_path / "w.safetensors", config_of(module))
    back, short = build(str(tmp_path / "w.safetensors"), examples=examples(name))
    assert short == "w"
    assert fingerprint(back) == fingerprint(Answers(module))
    other = tiny(name, seed=6)
    assert fingerprint(other) != fingerprint(module)
    assert load_state(other, tmp_path / "w.safetensors") == []
    assert fingerprint(other) == fingerprint(module)
    assert config_of(other) == config_of(module)


@every
def test_the_same_weights_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    for file in ("a", "b"):
        module = tiny(name)
        save(module, tmp_path / f"{file}.safetensors", config_of(module))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@every
def test_a_key_decides_the_weights_and_nothing_else_does(name: str) -> None:
    before = torch.get_rng_state()
    first, again, other = tiny(name, 7), tiny(name, 7), tiny(name, 8)
    own = ",".join(f"{word}={value}" for word, value in settings_of(name).items() if word not in DATA)
    built, short = build(f"{name}({own})@7", examples=examples(name))
    assert torch.equal(torch.get_rng_state(), before)
    assert fingerprint(first) == fingerprint(again) != fingerprint(other)
    assert fingerprint(built) == fingerprint(Answers(first))
    assert short.startswith(name)
    assert short.endswith("@7")
    assert built.notes == []
    assert built(inputs(name, 3)).shape == (3, 3)


@every
def test_random_weights_follow_the_default_law(name: str) -> None:
    """Against the law itself, and against the layers' own initialisation."""
    module = tiny(name, 9)
    usual = copy.deepcopy(module)
    ours, theirs = [], []
    with torch.random.fork_rng(devices=[]):
        for ref, layer in zip(usual.modules(), module.modules(), strict=True):
            if isinstance(ref, nn.Linear | nn.Conv2d) and isinstance(layer, nn.Linear | nn.Conv2d):
                ref.reset_parameters()
                bound = nn.init._calculate_fan_in_and_fan_out(ref.weight)[0] ** -0.5
                ours += [p.detach().flatten() / bound for p in layer.parameters()]
                theirs += [p.detach().flatten() / bound for p in ref.parameters()]
    drawn, expected = torch.cat(ours).numpy(), torch.cat(theirs).numpy()
    assert abs(drawn).max() <= 1 + 1e-6
    assert stats.kstest(drawn, "uniform", args=(-1, 2)).pvalue > 1e-4
    assert stats.ks_2samp(drawn, expected).pvalue > 1e-4


@every
def test_fresh_batch_norm_does_nothing(name: str) -> None:
    module = tiny(name).train()
    module(inputs(name, 4))
    initialise(module, Key(0))
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        x = Key(4).normal(torch.arange(2), (norm.num_features, 3, 3))
        torch.testing.assert_close(norm.eval()(x), x / (1 + norm.eps) ** 0.5)
