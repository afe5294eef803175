"""Measure the white-box attacks on trained models: accuracy, least distances, cost, and the gap that masking leaves.

    python scripts/white_box_tables.py --data-dir DIR            # what is missing; then the tables of docs/white-box.md
    python scripts/white_box_tables.py --data-dir DIR --peers    # the same attacks of the libraries that are installed
    python scripts/white_box_tables.py --table                   # only rebuilds the tables

Models come from scripts/white_box_models.py (and one from scripts/mnist_tables.py); those whose weights are not there
are left out. Every cell is a row of docs/results/white_box.json, written as soon as it stands: stopped at any moment,
the same command goes on where it was. frenemy searches with the fast float32 kernels, and again on the model itself
where a success does not stand up there; whatever comes back, from anybody, is judged by the model itself.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "400")
os.environ.setdefault("TQDM_DISABLE", "1")

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import panels
from clock import Cut, at_most
from libraries import Task
from mnist_tables import RUNS as MNIST_RUNS
from mnist_tables import architecture
from peers import PEERS, able, import_it
from suite import answer, judged, rows_of, weighed
from white_box_models import KINDS

from frenemy import Batch
from frenemy.attacks.best import look
from frenemy.errors import FrenemyError
from frenemy.models.files import load_state
from frenemy.models.still import still

RESULTS: Final = Path("docs/results/white_box.json")
MODELS: Final = ("lenet-plain", "lenet-robust", "resnet-plain", "resnet-robust")
ATTACKS: Final = (
    ("FGSM", 1),
    ("PGD", 40),
    ("PGD-margin", 40),
    ("MI-FGSM", 10),
    ("APGD-CE", 100),
    ("APGD-DLR", 100),
    ("APGD-T", 100),
    ("FAB-T", 100),
    ("Square", 5000),
    ("AutoAttack", 100),
)
NEAREST: Final = (
    Task("DeepFool", "linf", steps=50),
    Task("FAB", "linf"),
    Task("FMN", "linf"),
    Task("C&W", "linf", steps=50, rounds=9),
    Task("DeepFool", "l2", steps=50),
    Task("FAB", "l2"),
    Task("FMN", "l2"),
    Task("DDN", "l2"),
    Task("C&W", "l2", steps=50, rounds=9),
    Task("FAB", "l1"),
    Task("FMN", "l1"),
    Task("EAD", "l1", rounds=9),
)
GAP: Final = (("BIM", 40), ("PGD", 40), ("PGD-margin", 40), ("APGD-CE", 100), ("AutoAttack", 100))
"""From the input, from a random start, on the margin, with its own step sizes, and the ensemble."""
MASKED: Final = (
    ("mlp as released", (0.1, 0.2)),
    ("lenet-smooth", (0.1, 0.15, 0.2)),
    ("lenet-plain x 100", (0.1, 0.15, 0.2)),
)


class Hundredfold(nn.Module):
    """A model whose logits are multiplied by 100: the same answers, a saturated softmax, as after distillation."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Give 100 times the logits."""
        return 100 * self.model(x)  # type: ignore[no-any-return]


def masked(name: str) -> nn.Module | None:
    """Give a model of the gap, or None where its weights are not there."""
    if name == "mlp as released":
        weights = MNIST_RUNS / "MLP-released-80-epochs-seed-0.safetensors"
        model = architecture("MLP, as released") if weights.exists() else None
        if model is not None:
            load_state(model, weights)
        return model.eval() if model is not None else None
    plain = weighed(name.split()[0])
    return Hundredfold(plain).eval() if plain is not None and name.endswith("x 100") else plain


def cells(options: argparse.Namespace) -> Iterator[tuple[dict[str, Any], Task]]:
    """Give every cell that is wanted: what identifies its row, and its task."""
    libraries = ("frenemy", *PEERS) if options.peers else ("frenemy",)
    for model in MODELS:
        usual = [Task(attack, "linf", KINDS[model].eps, steps) for attack, steps in ATTACKS]
        for task in (*usual, *NEAREST):
            for library in libraries:
                if library == "frenemy" or able(library, task):
                    yield _identity("attacks", model, task, library, options.examples), task
    for model, sizes in MASKED:
        for eps in sizes:
            for attack, steps in GAP:
                task = Task(attack, "linf", eps, steps)
                yield _identity("gap", model, task, "frenemy", options.examples), task


def _identity(place: str, model: str, task: Task, library: str, examples: int) -> dict[str, Any]:
    return {
        "table": place,
        "model": model,
        "attack": task.attack,
        "norm": task.norm,
        "eps": None if task.near else task.eps,
        "near": task.near,
        "steps": task.steps,
        "rounds": task.rounds,
        "library": library,
        "n": examples,
    }


def measure(library: str, task: Task, model: nn.Module, batch: Batch, limit: float) -> dict[str, Any]:
    """Run one cell, and judge what comes back."""
    contender, settings = library, {}
    if library == "frenemy":
        contender = "frenemy fast"
        settings = {"early_stop": not task.near, "batch_size": 64 if batch.x.ndim == 4 else None}
    else:
        import_it(library)
    began = time.process_time()
    try:
        with at_most(limit):
            given = answer(contender, task, model, batch, **settings)
    except Cut:
        return {"cut": limit}
    except Exception as error:
        if library == "frenemy":
            raise
        return {"failed": type(error).__name__}
    spent = time.process_time() - began
    outcome = judged(model, batch, given.x, task.norm, task.size(batch.x))
    with still(model):
        clean = float((look(model, batch.x, 64).argmax(1) == batch.y).double().mean())
    result: dict[str, Any] = {"clean": round(100 * clean, 2), "seconds": round(spent, 2)}
    result |= {"forwards": given.forwards / len(batch), "backwards": given.backwards / len(batch)}
    if task.near:
        return result | {"median": outcome["median"], "found": round(100 * outcome["found"], 2)}
    return result | {"accuracy": round(100 * outcome["left"], 2)}


def ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put rows in the order of the tables, whatever order they were measured in."""
    models = [*MODELS, *(name for name, _ in MASKED)]
    near = [(task.attack, task.norm) for task in NEAREST]
    libraries = ["frenemy", *PEERS]

    def place(row: dict[str, Any]) -> tuple[Any, ...]:
        gap = row["table"] == "gap"
        names = [name for name, _ in (GAP if gap else ATTACKS)]
        which = near.index((row["attack"], row["norm"])) if row["near"] else names.index(row["attack"])
        return (
            gap,
            models.index(row["model"]),
            row["near"],
            row["eps"] or 0,
            which,
            libraries.index(row["library"]),
        )

    return sorted(rows, key=place)


def main() -> None:
    """Measure what is missing, then fill in the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", default=None, help="where mnist/ and cifar10/ lie; else FRENEMY_DATA")
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--peers", action="store_true", help="also other libraries, where they are installed")
    parser.add_argument("--only", default="", help="models and attacks whose name contains this")
    parser.add_argument("--limit", type=float, default=900, help="CPU seconds after which a cell is cut")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="only rebuild the tables from the results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    rows: list[dict[str, Any]] = json.loads(options.out.read_text()) if options.out.exists() else []
    for identity, task in cells(options) if not options.table else ():
        stands = any(identity.items() <= row.items() for row in rows)
        name = f"{identity['model']} {task.attack} {task.norm} {identity['library']}"
        if stands or options.only not in name:
            continue
        gap = identity["table"] == "gap"
        model = masked(identity["model"]) if gap else weighed(identity["model"])
        if model is None:
            continue
        data = "lenet-plain" if gap else identity["model"]
        try:
            batch = rows_of(data, options.examples, options.data_dir)
            found = measure(identity["library"], task, model, batch, options.limit)
        except FrenemyError as error:
            print(f"{name}: left out, {error}", flush=True)
            continue
        rows = ordered([*rows, identity | found])
        print(name, {word: found[word] for word in found if word != "clean"}, flush=True)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(rows, indent=1) + "\n")
    if options.out == RESULTS and rows:
        standing = [row for row in rows if row["n"] == options.examples]
        panels.fill("attacks", panels.attacks([row for row in standing if row["table"] == "attacks"]))
        panels.fill("gap", panels.gap([row for row in standing if row["table"] == "gap"]))


if __name__ == "__main__":
    main()
