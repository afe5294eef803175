"""Searches by labels beside their peers: the same model, points and queries; distance reached and CPU time a query.

    python benchmarks/labels.py --data-dir DIR --model lenet:FILE [--points 50] [--keys 2] [--peers] [--out FILE.json]

Peers that are not installed are left out. The floor is the model's forward on as many rows in chunks of 256.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import frenemy
from frenemy.attacks.attack import Books
from frenemy.catalog import find
from frenemy.models.build import build
from frenemy.risks.named import asked

OWN = (
    "hopskipjump",
    "hopskipjump(cloud=100,memory=0)",
    "signopt",
    "signopt(directions=200,tries=100,beta=0.001,memory=0)",
    "svmopt",
    "opt",
    "boundary",
    "guessingsmart",
    "geoda",
)
"""Ours, as they come; and with the settings of their papers."""


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
    return _line(np.array(reached), marks, (time.process_time() - began) / rows)


def own(name: str, model: nn.Module, batch: frenemy.Batch, marks: tuple[int, ...], keys: int) -> Any:
    """Let one of ours search all points at once, once a key; read its distances at the marks."""
    attack = asked(name)[0].having({"queries": marks[-1], "batch_size": 256}).attack
    threat, places = frenemy.L2(1000.0), Books.marks(marks[-1])
    columns = [max(k for k, place in enumerate(places) if place <= mark) for mark in marks]
    reached, rows, began = [], 0, time.process_time()
    for key in range(keys):
        found = attack(model, batch, threat=threat, objective=frenemy.Untargeted(), key=frenemy.Key(key))
        assert found.books is not None
        rows += int(found.queries.sum())
        reached.append(found.books.trace[:, columns].numpy())
    return _line(np.concatenate(reached), marks, (time.process_time() - began) / rows)


def floor(model: nn.Module, x: Tensor, rows: int) -> float:
    """CPU seconds a row of forwards in chunks of 256."""
    chunk = x.repeat(-(-256 // len(x)), 1, 1, 1)[:256]
    times = []
    with torch.no_grad():
        for _ in range(max(5, rows // 256)):
            began = time.process_time()
            model(chunk)
            times.append((time.process_time() - began) / 256)
    return statistics.median(times)


def _line(reached: Any, marks: tuple[int, ...], seconds: float) -> dict[str, Any]:
    return {
        "queries": list(marks),
        "median": [round(float(m), 4) for m in np.median(reached, axis=0)],
        "mean": [round(float(m), 4) for m in reached.mean(0)],
        "within 1.5": [round(float(m), 4) for m in (reached <= 1.5).mean(0)],
        "microseconds": round(1e6 * seconds, 1),
        "distances": [[round(d, 4) if d < np.inf else None for d in row] for row in reached.tolist()],
    }


def main() -> None:
    """Measure, print a line each, keep all in a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--model", required=True, help="a model of MNIST, such as lenet:FILE.safetensors")
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--keys", type=int, default=1, help="runs of each search from other starts")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--marks", default="1000,2400,4000")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    examples = frenemy.load("mnist", data_dir=options.data_dir, examples=2 * options.points + 20)
    model, _ = build(options.model, examples=examples)
    whole = examples.batch(slice(0, None))
    with torch.no_grad():
        right = (model(whole.x).argmax(1) == whole.y).nonzero().flatten()[: options.points]
    batch, marks = whole.rows(right), tuple(map(int, options.marks.split(",")))
    found: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "points": len(batch),
        "keys": options.keys,
        "model": Path(options.model).name,
    }
    found["floor"] = base = round(1e6 * floor(model, batch.x, 20000), 1)
    print(f"floor: {base} us of CPU a row", flush=True)
    ddn = find("attacks", "ddn").load()()(
        model, batch, threat=frenemy.L2(1000.0), objective=frenemy.Untargeted(), key=frenemy.Key(0)
    )
    found["white box"] = round(float((ddn.x - batch.x).flatten(1).norm(dim=1).median()), 4)
    print(f"white box (DDN): median {found['white box']}", flush=True)
    names = [*OWN, *(PEERS if options.peers else ())]
    for name in [n for n in names if not options.only or n.startswith(tuple(options.only.split(";")))]:
        line = (
            own(name, model, batch, marks, options.keys)
            if name in OWN
            else peer(PEERS[name], model, batch.x, batch.y, marks, options.keys)
        )
        if line is None:
            continue
        found[name] = line
        print(
            f"{name}: median {line['median']} at {line['queries']}, {line['microseconds']} us a query",
            flush=True,
        )
        if options.out:
            options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
