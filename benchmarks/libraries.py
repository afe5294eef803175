"""How each library is asked: a task, a model and a batch go in, points come out.

adv-lib imports torchvision and visdom, which it needs for nothing here: empty modules stand in while it is imported.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from frenemy import Batch

ORDERS: Final = {"linf": math.inf, "l2": 2.0, "l1": 1.0}


@dataclass(frozen=True)
class Task:
    """What is asked of every library.

    Args:
        attack: its usual name, such as `APGD-CE`.
        norm: `linf`, `l2` or `l1`.
        eps: size of the ball; inf asks for the least distance.
        steps: iterations (of each round, of each target), or queries for Square.
        rounds: of the search for a constant (C&W, EAD).
    """

    attack: str
    norm: str = "linf"
    eps: float = math.inf
    steps: int = 100
    rounds: int = 1

    @property
    def near(self) -> bool:
        """Whether it is the least distance that counts."""
        return math.isinf(self.eps)

    def size(self, x: Tensor) -> float:
        """Give eps, or the largest distance in [0, 1] where the least is asked for."""
        count = x[0].numel()
        return self.eps if not self.near else {"linf": 1.0, "l2": math.sqrt(count), "l1": count}[self.norm]


Run = Callable[[Task, nn.Module, Batch], Tensor]
"""An attack of some library."""


def foolbox(make: Callable[[Any, Task], Any]) -> Run:
    """Give an attack of foolbox, made from its module of attacks."""

    def run(task: Task, model: nn.Module, batch: Batch) -> Tensor:
        foolbox = importlib.import_module("foolbox")
        asked = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        eps = None if task.near else task.eps
        found: Tensor = make(foolbox.attacks, task)(asked, batch.x, batch.y, epsilons=eps)[1]
        return found

    return run


def foolbox_near(name: str) -> Run:
    """DeepFool, FMN: one class a norm, with the norm in its name."""
    words = {"linf": "Linf" if name == "DeepFoolAttack" else "LInf", "l2": "L2", "l1": "L1"}
    return foolbox(lambda a, t: getattr(a, words[t.norm] + name)(steps=t.steps))


def torchattacks(name: str, settings: Callable[[Task, Tensor], dict[str, Any]]) -> Run:
    """Give an attack of torchattacks, by name."""

    def run(task: Task, model: nn.Module, batch: Batch) -> Tensor:
        attack = getattr(importlib.import_module("torchattacks"), name)(model, **settings(task, batch.x))
        found: Tensor = attack(batch.x, batch.y)
        return found

    return run


def ball(task: Task, x: Tensor) -> dict[str, Any]:
    """Write norm and eps as torchattacks does."""
    return {"norm": task.norm.capitalize(), "eps": task.size(x)}


def art(name: str | Callable[[Task], str], settings: Callable[[Task, Batch], dict[str, Any]]) -> Run:
    """Give an attack of the Adversarial Robustness Toolbox, all rows in one batch."""

    def run(task: Task, model: nn.Module, batch: Batch) -> Tensor:
        classifier = importlib.import_module("art.estimators.classification").PyTorchClassifier(
            model, nn.CrossEntropyLoss(), tuple(batch.x.shape[1:]), 10, clip_values=(0, 1), device_type="cpu"
        )
        called = name if isinstance(name, str) else name(task)
        make = getattr(importlib.import_module("art.attacks.evasion"), called)
        attack = make(classifier, batch_size=len(batch), **settings(task, batch))
        one_hot = np.eye(10, dtype=np.float32)[batch.y.numpy()]
        return torch.from_numpy(np.asarray(attack.generate(batch.x.numpy(), one_hot), dtype=np.float32))

    return run


def art_ball(task: Task, batch: Batch) -> dict[str, Any]:
    """Write norm and eps as the toolbox does."""
    return {"norm": ORDERS[task.norm], "eps": task.size(batch.x)}


def adv_lib(call: Callable[[Any, Task, nn.Module, Batch], Tensor]) -> Run:
    """Give an attack of adv-lib, called from its module of attacks."""

    def run(task: Task, model: nn.Module, batch: Batch) -> Tensor:
        return call(stubbed("adv_lib.attacks", ("torchvision", "visdom")), task, model, batch)

    return run


def stubbed(name: str, absent: tuple[str, ...]) -> ModuleType:
    """Import a module with empty ones in the place of those it needs for nothing here."""
    stubs = {stub: ModuleType(stub) for stub in absent if stub not in sys.modules}
    for stub in stubs.values():
        stub.models = None  # type: ignore[attr-defined]
    sys.modules.update(stubs)
    try:
        return importlib.import_module(name)
    finally:
        for stub_name in stubs:
            del sys.modules[stub_name]


def original(module: str, name: str, settings: Callable[[Task], dict[str, Any]]) -> Run:
    """Give an attack of the authors of AutoAttack, by module and name."""

    def run(task: Task, model: nn.Module, batch: Batch) -> Tensor:
        make = getattr(importlib.import_module(f"pyautoattack.{module}"), name)
        common = {"eps": task.size(batch.x), "norm": task.norm.capitalize(), "seed": 0, "device": "cpu"}
        attack = make(model, **common, **settings(task))
        if name == "AutoAttack":
            found: Tensor = attack.run_standard_evaluation(batch.x, batch.y, batch_size=len(batch))[0]
        else:
            found = attack.perturb(batch.x, batch.y)
        return found

    return run
