"""Parts of the training: schedules, averages, perturbed weights, poses, augmentation, alarms, several processes."""

from __future__ import annotations

import math
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.augment import augmented
from frenemy.data.batch import Batch
from frenemy.data.digits import Digits
from frenemy.errors import DataError, UsageError
from frenemy.models.build import initialise
from frenemy.models.counted import Counted
from frenemy.models.mlp import MLP
from frenemy.rng import Key
from frenemy.threats.linf import Linf
from frenemy.training.average import Average
from frenemy.training.engine import engine
from frenemy.training.fit import fit
from frenemy.training.iaat import IAAT
from frenemy.training.memory import Memory
from frenemy.training.pgdat import PGDAT
from frenemy.training.pose import Pose
from frenemy.training.recipe import Preset, Term, total
from frenemy.training.regime import Regime
from frenemy.training.watch import alarms


def small() -> nn.Module:
    return initialise(MLP(64, (8,), 10), Key(0))


def flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_the_schedules_are_those_of_torch() -> None:
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    step = torch.optim.lr_scheduler.MultiStepLR(optimiser, [3, 5], gamma=0.2)
    regime = Regime(epochs=8, schedule="step", milestones=(3, 5), drop=0.2)
    for epoch in range(8):
        assert regime.factor((epoch + 0.5) / 8) == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        step.step()
    optimiser = torch.optim.SGD([weight], lr=1.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 10)
    for share in range(11):
        assert Regime(schedule="cosine").factor(share / 10) == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        cosine.step()
    cycle = Regime(schedule="one-cycle", peak=0.4)
    assert [cycle.factor(p) for p in (0, 0.2, 0.4, 0.7, 1)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert [Regime(warm_up=4).grown(e) for e in (0.5, 2, 4, 9)] == [0.125, 0.5, 1, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"rate": 0.0},
        {"rate": math.nan},
        {"hold_out": -1},
        {"schedule": "cosin"},
        {"select": "best"},
        {"momentum": 1.0},
        {"drop": 0.0},
        {"guard": 2.0},
        {"average": "mean"},
        {"attack_precision": "half"},
    ],
)
def test_a_regime_that_cannot_be_is_said_in_a_sentence(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"expected|unknown"):
        Regime(**wrong)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=8), st.floats(0, 0.99))
def test_an_average_is_the_recursion_or_the_mean(values: list[float], decay: float) -> None:
    model = nn.Linear(1, 1, bias=False).double()
    ema, swa = Average(model, "ema", decay, 0.0), Average(model, "swa", 0.0, 0.0)
    expected = float(model.weight.detach())
    for place, value in enumerate(values):
        with torch.no_grad():
            model.weight.fill_(value)
        expected = decay * expected + (1 - decay) * value
        ema.after(place / len(values), True)
        swa.after(place / len(values), True)
        swa.after(place / len(values), False)
    with ema.instead():
        assert float(model.weight.detach()) == pytest.approx(expected, abs=1e-12)
    with swa.instead():
        assert float(model.weight.detach()) == pytest.approx(sum(values) / len(values), abs=1e-12)
    assert float(model.weight.detach()) == values[-1]


def test_perturbed_weights_give_the_gradient_and_the_points_are_found_once() -> None:
    """One step of SGD against the formula of the paper, written by hand."""
    data = Digits("train")().take(slice(0, 16))
    model, other = small(), small()
    looks: list[int] = []

    class Watched:
        card: ClassVar[Card] = PGDAT.card
        presets: ClassVar[Mapping[str, Preset]] = PGDAT.presets

        def views(self, model: Any, batch: Batch, **more: Any) -> Any:
            looks.append(len(batch))
            return PGDAT(steps=2).views(model, batch, **more)

        def terms(self, *args: Any) -> Any:
            return PGDAT().terms(*args)

    regime = Regime(epochs=1, optimiser="sgd", momentum=0.0, rate=0.5, perturb=0.1, batch_size=16)
    from frenemy.training.run import Run

    run = Run(Watched(), model, data, Linf(0.1), regime, Key(3), engine("cpu"), None, 60.0)
    run.train(lambda what, share: None)
    assert looks == [16]
    order = Key(3).fold("hold out").permutation(16)[Key(3).fold("shuffle").fold(0).permutation(16)]
    batch = data.batch(order)
    key = Key(3).fold("attack").fold(0).fold(0)
    memory = Memory(data.index)
    with Pose(other)() as posed:
        x = PGDAT(steps=2).views(posed, batch, threat=Linf(0.1), memory=memory, key=key).x["enemy"]
    weights = list(other.parameters())
    first = torch.autograd.grad(cross_entropy(other(x), batch.y), weights)
    before = [w.detach().clone() for w in weights]
    with torch.no_grad():
        for w, g in zip(weights, first, strict=True):
            if w.ndim > 1:
                w.add_(0.1 * w.norm() * g / g.norm())
    second = torch.autograd.grad(cross_entropy(other(x), batch.y), weights)
    with torch.no_grad():
        for w, g, own in zip(weights, second, before, strict=True):
            w.copy_(own - 0.5 * g)
    torch.testing.assert_close(flat(model), flat(other), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("low", [False, True])
@pytest.mark.parametrize("mode", ["eval", "train", "batch"])
def test_a_pose_does_to_batch_norm_what_it_says(mode: Any, low: bool) -> None:
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).train()
    x = Key(0).uniform(torch.arange(8), (3,))
    before = [buffer.clone() for buffer in model.buffers()]
    hidden = model[0](x).detach()
    expected = model[2]((hidden - hidden.mean(0)) / (hidden.var(0, correction=0) + 1e-5).sqrt()).detach()
    with Pose(model, mode, low)() as posed:
        answer = posed(x)
        assert not answer.requires_grad
    assert model.training
    moved = not all(map(torch.equal, model.buffers(), before))
    assert moved == (mode == "train")
    assert all(buffer.dtype == kept.dtype for buffer, kept in zip(model.buffers(), before, strict=True))
    if mode != "eval":
        torch.testing.assert_close(answer, expected, rtol=0.02 if low else None, atol=0.02 if low else None)


def test_a_low_pose_follows_the_model() -> None:
    model = small()
    pose, x = Pose(model, low=True), Key(0).uniform(torch.arange(4), (1, 8, 8))
    for _ in range(2):
        with pose() as posed:
            low = posed(x)
        assert low.dtype == torch.float32
        torch.testing.assert_close(low, model(x), rtol=0.02, atol=0.02)
        assert not torch.equal(low, model(x))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.5)


def test_pictures_are_shifted_and_mirrored_by_key_and_place_alone() -> None:
    """Against slices, one picture at a time; and every shift comes about as often."""
    index = torch.arange(400)
    x, key = Key(0).uniform(index, (2, 5, 7)), Key(3)
    moved = augmented(x, index, key, "crop-flip", low=-1.0)
    assert torch.equal(augmented(x[9:12], index[9:12], key, "crop-flip", low=-1.0), moved[9:12])
    shift = (key.fold("crop").uniform(index, (2,)) * 9).long()
    mirrored = key.fold("flip").uniform(index, ()) < 0.5
    for row in range(40):
        wide = torch.full((2, 13, 15), -1.0)
        wide[:, 4:9, 4:11] = x[row].flip(2) if mirrored[row] else x[row]
        down, right = shift[row].tolist()
        assert torch.equal(moved[row], wide[:, down : down + 5, right : right + 7])
    counts = torch.bincount(shift[:, 0], minlength=9)
    assert int(counts.min()) > 20
    assert 150 < int(mirrored.sum()) < 250
    assert augmented(x, index, key, "none") is x
    with pytest.raises(DataError, match="expected pictures"):
        augmented(x.flatten(1), index, key, "flip")


def test_a_weight_of_nought_takes_no_part() -> None:
    bad = torch.tensor([math.nan, 1.0])
    assert float(total({"a": Term(torch.ones(2), 2.0), "b": Term(bad, 0.0)}, 2)) == 2.0
    with pytest.raises(UsageError, match="at least one term"):
        total({"b": Term(bad, 0.0)}, 2)


def test_a_memory_knows_its_examples() -> None:
    memory = Memory(torch.tensor([30, 10, 20]))
    memory.keep("eps", 0.5)
    memory.put("eps", torch.tensor([20, 30]), torch.tensor([2.0, 3.0]))
    assert memory.of("eps", torch.tensor([30, 10, 20])).tolist() == [3.0, 0.5, 2.0]
    with pytest.raises(DataError, match="at place 11"):
        memory.of("eps", torch.tensor([10, 11]))


def entry(epoch: int, robust: float, top: float = 0.2) -> dict[str, Any]:
    return {"epoch": epoch, "clean": 0.9, "robust": robust, "top": top}


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ([entry(1, 0.1, 1.0)], ["collapse"]),
        ([entry(1, 0.5), entry(2, 0.05)], ["catastrophic", "robust overfitting"]),
        ([entry(1, 0.5), entry(2, 0.47), entry(3, 0.44)], ["robust overfitting"]),
        ([entry(1, 0.5), entry(2, 0.52)], []),
        ([{"epoch": 1, "clean": None, "robust": None, "top": None}], []),
    ],
)
def test_what_goes_wrong_is_named(history: list[dict[str, Any]], said: list[str]) -> None:
    found = alarms(history, 0.3)
    assert [any(word in one for one in found) for word in said] == [True] * len(said)
    assert len(found) == len(said)


def _worker(rank: int, port: int, out: str) -> None:
    import os

    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    trained = _trained(engine("cpu", devices=2))
    torch.save((flat(trained[0]), trained[1]), f"{out}/{rank}.pt")


def _trained(where: Any) -> tuple[nn.Module, Tensor]:
    """Seven batches of 20 and one of a single row: one process has nothing to do there."""
    data, model = Digits("train")().take(slice(0, 141)), small()
    recipe, threat = IAAT(steps=2, warm_up=0), Linf(0.1)
    regime = Regime(epochs=2, batch_size=20, optimiser="sgd", rate=0.1)
    from frenemy.training.run import Run

    run = Run(recipe, model, data, threat, regime, Key(0), where, None, 60.0)
    run.train(lambda what, share: None)
    return model, run._memory.of("eps", data.index)


@pytest.mark.slow
def test_two_processes_come_to_the_weights_of_one(tmp_path: Path) -> None:
    """Gloo on this machine; the model of each, and what is remembered of each example, agree up to rounding."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(_worker, (port, str(tmp_path)), nprocs=2)  # type: ignore[no-untyped-call]
    model, eps = _trained(engine("cpu"))
    pieces = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    assert torch.equal(pieces[0][0], pieces[1][0])
    assert torch.equal(pieces[0][1], pieces[1][1])
    torch.testing.assert_close(pieces[0][0], flat(model), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pieces[0][1], eps)
    with pytest.raises(UsageError, match="try cpu"):
        engine("cuda", devices=9)


def test_a_search_inside_training_spends_what_its_card_says() -> None:
    data = Digits("train")().take(slice(0, 10)).batch()
    counted = Counted(small())
    PGDAT(steps=7).views(counted, data, threat=Linf(0.1), memory=Memory(data.index), key=Key(0))
    assert counted.counts.forwards == 70


def test_fitting_asks_for_nothing_when_told_nothing() -> None:
    fitted = fit(
        PGDAT(steps=1), small(), Digits("train")().take(slice(0, 20)), key=Key(0), regime=Regime(epochs=1)
    )
    assert fitted.history[0]["robust"] is None
    assert fitted.alarms == ()
