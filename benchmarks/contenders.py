"""What is timed: the floor, frenemy in its ways, and the peers, each as a call that returns the accuracy left."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from memory import peak
from torch import nn
from torch.nn.functional import cross_entropy

from frenemy import PGD, Batch, Key, Linf, Untargeted
from frenemy.data.digits import Digits
from frenemy.data.examples import Examples
from frenemy.models.build import initialise
from frenemy.models.convnets import LeNet
from frenemy.models.fast import Fast
from frenemy.models.mlp import MLP
from frenemy.models.resnets import ResNet18
from frenemy.training.fit import fit
from frenemy.training.pgdat import PGDAT
from frenemy.training.regime import Regime
from frenemy.training.standard import Standard

MODELS: Final[dict[str, tuple[str, int, int]]] = {
    "mlp, full run": ("MLP", 500, 40),
    "lenet, full run": ("LeNet", 128, 40),
    "resnet18, full run": ("ResNet18", 32, 10),
    "mlp, nearly all fall": ("MLP", 500, 40),
    "lenet, nearly all fall": ("LeNet", 128, 40),
    "mlp, half survive": ("MLP trained on PGD", 500, 40),
    "mlp, none falls": ("MLP", 500, 40),
    "lenet, none falls": ("LeNet", 128, 40),
}
"""Model, rows and steps of each case. A full run takes every step on every row; the others only judge accuracy."""

_EPS: Final = {"full run": 0.1, "nearly all fall": 0.15, "half survive": 0.1, "none falls": 1e-4}


@dataclass(frozen=True)
class Case:
    """A model, its inputs, and the radius they are attacked in."""

    name: str
    model: nn.Module
    batch: Batch
    eps: float
    steps: int
    judging: bool

    def to(self, device: str) -> Case:
        """The same case elsewhere."""
        held = (self.batch.x, self.batch.y, self.batch.index)
        return dataclasses.replace(
            self, model=self.model.to(device), batch=Batch(*(one.to(device) for one in held))
        )

    @property
    def memory(self) -> bool:
        """Whether peak memory is measured too."""
        return not self.judging


def case(name: str) -> Case:
    """Build one case: digits pasted into the size the model wants, the model trained on them."""
    kind, rows, steps = MODELS[name]
    side, channels = (32, 3) if kind == "ResNet18" else (28, 1)
    train, test = _pasted("train", side, channels), _pasted("test", side, channels)
    model = _trained(kind, train)
    x, y = test.batch().x, test.batch().y
    repeat = -(-rows // len(x))
    batch = Batch(x.repeat(repeat, 1, 1, 1)[:rows], y.repeat(repeat)[:rows], torch.arange(rows))
    setting = name.split(", ")[1]
    if setting == "none falls":
        with torch.no_grad():
            batch = Batch(batch.x, model(batch.x).argmax(1), batch.index)
    return Case(name, model, batch, _EPS[setting], steps, setting != "full run")


def _pasted(split: str, side: int, channels: int) -> Examples:
    """Digits enlarged to 24 pixels, put at a keyed place on a black picture, with a little noise."""
    small = Digits(split)()
    x = nn.functional.interpolate(small.batch().x, size=24, mode="bilinear")
    room = side - 24
    place = (Key(0).fold(split).uniform(small.index, (2,)) * (room + 1)).long()
    wide = torch.zeros(len(x), 1, side, side)
    for row, (top, left) in enumerate(place.tolist()):
        wide[row, :, top : top + 24, left : left + 24] = x[row]
    noise = 0.05 * Key(1).fold(split).uniform(small.index, (channels, side, side))
    return dataclasses.replace(small, x=(wide.repeat(1, channels, 1, 1) + noise).clamp(0, 1))


def _trained(kind: str, train: Examples) -> nn.Module:
    made: dict[str, Callable[[], nn.Module]] = {"MLP": MLP, "LeNet": LeNet, "ResNet18": ResNet18}
    model = initialise(made[kind.split()[0]](), Key(0))
    file = Path("runs/benchmarks") / f"{kind.replace(' ', '-')}.pt"
    if file.exists():
        model.load_state_dict(torch.load(file, weights_only=True))
        return model.eval()
    epochs = {"MLP": 10, "LeNet": 5, "ResNet18": 1}[kind.split()[0]]
    recipe = PGDAT() if "PGD" in kind else Standard()
    fit(recipe, model, train, key=Key(0), threat=Linf(0.1), regime=Regime(epochs=epochs))
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), file)
    return model.eval()


def contenders(here: Case, names: list[str] | None = None) -> dict[str, Callable[[], float]]:
    """All contenders of a case that can run here, the floor first."""
    every: dict[str, Callable[[], float]] = {"floor": lambda: _floor(here)}
    fast_rows = 64 if "lenet" in here.name and not here.judging else None
    every["frenemy"] = lambda: _ours(here, here.model, None)
    every["frenemy fast"] = lambda: _ours(here, Fast(here.model), fast_rows)
    for library, run in (("torchattacks", _torchattacks), ("foolbox", _foolbox), ("art", _art)):
        if importlib.util.find_spec(library):
            every[library] = lambda run=run: run(here)  # type: ignore[misc]
    return {name: run for name, run in every.items() if names is None or name in names}


def _left(here: Case, x: torch.Tensor) -> float:
    with torch.no_grad():
        return float((here.model(x).argmax(1) == here.batch.y).float().mean())


def _floor(here: Case) -> float:
    here.model.requires_grad_(False)
    for _ in range(here.steps):
        x = here.batch.x.detach().requires_grad_()
        torch.autograd.grad(cross_entropy(here.model(x), here.batch.y, reduction="sum"), x)
    here.model.requires_grad_(True)
    return _left(here, here.batch.x)


def _ours(here: Case, model: Any, rows: int | None) -> float:
    attack = PGD(
        steps=here.steps, step_size=0.1, random_start=False, early_stop=here.judging, batch_size=rows
    )
    found = attack(model, here.batch, threat=Linf(here.eps), objective=Untargeted(), key=Key(0))
    return _left(here, found.x)


def _torchattacks(here: Case) -> float:
    import torchattacks

    attack = torchattacks.PGD(
        here.model, eps=here.eps, alpha=here.eps / 10, steps=here.steps, random_start=False
    )
    return _left(here, attack(here.batch.x, here.batch.y))


def _foolbox(here: Case) -> float:
    import foolbox

    model = foolbox.PyTorchModel(here.model, bounds=(0, 1), device=here.batch.x.device)
    attack = foolbox.attacks.LinfPGD(rel_stepsize=0.1, steps=here.steps, random_start=False)
    _, found, _ = attack(model, here.batch.x, here.batch.y, epsilons=here.eps)
    return _left(here, found)


def _art(here: Case) -> float:
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    shape, where = tuple(here.batch.x.shape[1:]), here.batch.x.device
    kind = "cpu" if where.type == "cpu" else "gpu"
    classifier = PyTorchClassifier(
        here.model, nn.CrossEntropyLoss(), shape, 10, clip_values=(0, 1), device_type=kind
    )
    attack = ProjectedGradientDescentPyTorch(
        classifier,
        norm=np.inf,
        eps=here.eps,
        eps_step=here.eps / 10,
        max_iter=here.steps,
        batch_size=len(here.batch),
        verbose=False,
    )
    found = attack.generate(here.batch.x.cpu().numpy(), here.batch.y.cpu().numpy())
    return _left(here, torch.from_numpy(found).to(where))


def peak_of(here: Case, name: str) -> float:
    """Peak memory of one call, in MB."""
    small = dataclasses.replace(here, batch=here.batch.rows(slice(0, 8)), steps=1)
    return peak(contenders(here, [name])[name], contenders(small, [name])[name])
