"""Searches by labels of other libraries, and of their authors: each as it comes, one point at a time, watched."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["PEERS", "attackbox", "line", "peer"]


class Spent(Exception):
    """The budget of a peer is spent."""


class Watch(nn.Module):
    """Count rows, remember the nearest row that is answered wrongly, and stop at the budget."""

    def __init__(self, model: nn.Module, x: Tensor, y: int, marks: tuple[int, ...]) -> None:
        super().__init__()
        self.model, self.x, self.y, self.marks = model, x, y, marks
        self.rows, self.nearest, self.reached = 0, float("inf"), dict[int, float]()

    def forward(self, rows: Tensor) -> Tensor:
        """Answer, and keep the books."""
        with torch.no_grad():
            logits: Tensor = self.model(rows)
        far = (rows - self.x).flatten(1).norm(dim=1)
        for wrong, distance in zip((logits.argmax(1) != self.y).tolist(), far.tolist(), strict=True):
            self.rows += 1
            if wrong:
                self.nearest = min(self.nearest, distance)
            if self.rows in self.marks:
                self.reached[self.rows] = self.nearest
        if self.rows >= self.marks[-1]:
            raise Spent
        return logits


def cleverhans_hopskipjump(watch: Watch, x: Tensor) -> None:
    """HopSkipJump of cleverhans 4.0, as it comes."""
    from cleverhans.torch.attacks.hop_skip_jump_attack import hop_skip_jump_attack

    hop_skip_jump_attack(watch, x, norm=2, verbose=False, clip_min=0.0, clip_max=1.0, num_iterations=64)


def _art(watch: Watch, x: Tensor, name: str, **settings: Any) -> None:
    from art.attacks import evasion
    from art.estimators.classification import BlackBoxClassifier

    def predict(rows: Any) -> Any:
        answers = watch(torch.from_numpy(np.asarray(rows, dtype=np.float32))).argmax(1)
        return np.eye(10, dtype=np.float32)[answers.numpy()]

    judge = BlackBoxClassifier(predict, tuple(x.shape[1:]), 10, clip_values=(0.0, 1.0))
    getattr(evasion, name)(judge, targeted=False, verbose=False, **settings).generate(x.numpy())


def art_hopskipjump(watch: Watch, x: Tensor) -> None:
    """HopSkipJump of ART, as it comes."""
    _art(watch, x, "HopSkipJump", norm=2, max_iter=64, max_eval=10000, init_eval=100)


def art_signopt(watch: Watch, x: Tensor) -> None:
    """Sign-OPT of ART, as it comes."""
    _art(watch, x, "SignOPTAttack", max_iter=1000, query_limit=10**6)


def foolbox_hopskipjump(watch: Watch, x: Tensor) -> None:
    """HopSkipJump of Foolbox, as it comes."""
    import foolbox

    model = foolbox.PyTorchModel(watch.eval(), bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.HopSkipJumpAttack(steps=64)
    attack(model, x, foolbox.criteria.Misclassification(torch.tensor([watch.y])), epsilons=None)


def foolbox_boundary(watch: Watch, x: Tensor) -> None:
    """The boundary attack of Foolbox, as it comes."""
    import foolbox

    model = foolbox.PyTorchModel(watch.eval(), bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.BoundaryAttack(steps=25000)
    attack(model, x, foolbox.criteria.Misclassification(torch.tensor([watch.y])), epsilons=None)


def attackbox(clone: Path) -> Callable[[Watch, Tensor], None]:
    """Sign-OPT of its authors, as it comes but for its `.cuda()`, from a clone of github.com/cmhcbb/attackbox."""
    file = clone / "attack" / "Sign_OPT.py"
    spec = importlib.util.spec_from_file_location("attackbox_signopt", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise FileNotFoundError(
            f"expected attack/Sign_OPT.py in {clone}, found none; give a clone of attackbox"
        )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(watch: Watch, x: Tensor) -> None:
        class Asked:
            """The model as the authors' own wrapper has it: rows are clipped to the box first."""

            def predict_label(self, rows: Tensor) -> Tensor:
                label: Tensor = watch(rows.clamp(0.0, 1.0)).argmax(1)[0]
                return label

        with mock.patch.object(torch.Tensor, "cuda", lambda self: self), contextlib.redirect_stdout(None):
            module.OPT_attack_sign_SGD(Asked())(x, torch.tensor([watch.y]), query_limit=10**6)

    return run


PEERS: dict[str, Callable[[Watch, Tensor], None]] = {
    "hopskipjump, cleverhans": cleverhans_hopskipjump,
    "hopskipjump, ART": art_hopskipjump,
    "hopskipjump, Foolbox": foolbox_hopskipjump,
    "signopt, ART": art_signopt,
    "boundary, Foolbox": foolbox_boundary,
}


def peer(
    run: Callable[[Watch, Tensor], None],
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    marks: tuple[int, ...],
    keys: int,
) -> Any:
    """Let a peer search one point after the other, once a key, and read its distances at the marks."""
    reached, rows, began = [], 0, time.process_time()
    for key, place in itertools.product(range(keys), range(len(x))):
        torch.manual_seed(1000 * key + place)
        np.random.seed(1000 * key + place)  # noqa: NPY002
        watch = Watch(model, x[place : place + 1], int(y[place]), marks)
        try:
            with contextlib.suppress(Spent):
                run(watch, x[place : place + 1])
        except ImportError:
            return None
        rows += watch.rows
        reached.append([watch.reached.get(mark, watch.nearest) for mark in marks])
    return line(np.array(reached), marks, (time.process_time() - began) / rows)


def line(reached: Any, marks: tuple[int, ...], seconds: float) -> dict[str, Any]:
    """What is kept of a search: distances at the marks, their middles, and CPU seconds a query."""
    return {
        "queries": list(marks),
        "median": [round(float(m), 4) for m in np.median(reached, axis=0)],
        "mean": [round(float(m), 4) for m in reached.mean(0)],
        "within 1.5": [round(float(m), 4) for m in (reached <= 1.5).mean(0)],
        "microseconds": round(1e6 * seconds, 1),
        "distances": [[round(d, 4) if d < np.inf else None for d in row] for row in reached.tolist()],
    }
