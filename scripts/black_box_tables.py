"""Rerun 004's Tables 2.1 and 2.2 (MNIST) and the comparison of Q in Fig. 2.5: searches that see labels alone.

    python scripts/black_box_tables.py --data-dir DIR            # what is missing; then the tables of docs/black-box.md
    python scripts/black_box_tables.py --table                   # only rebuilds the tables

The LeNet is lenet-plain of scripts/white_box_models.py; without its weights its cells are left out. Boosted trees are
trained here and kept under runs/black-box; without LightGBM theirs are left out. Every cell is a row of
docs/results/black_box.json, written as soon as it stands: stopped at any moment, the same command goes on where it was.
Distances are read after exactly so many queries. The LeNet is searched with the fast float32 kernels; examples whose
last point the model itself answers rightly are searched again on the model itself.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import labelled
import panels
import rivals
from white_box_models import KINDS, trained
from white_box_models import RUNS as LENETS

import frenemy
from frenemy.attacks.attack import Books, Found
from frenemy.attacks.best import look
from frenemy.errors import FrenemyError, ModelError
from frenemy.files import write_atomic
from frenemy.models.fast import Fast
from frenemy.models.still import still
from frenemy.models.trees import lightgbm_file
from frenemy.risks.named import asked

RESULTS: Final = Path("docs/results/black_box.json")
PAGE: Final = Path("docs/black-box.md")
RUNS: Final = Path("runs/black-box")
FAR: Final = frenemy.L2(1000.0)
MARKS: Final = {
    "lenet-plain": (1000, 2000, 4000, 8000, 14000),
    "mnist-trees": (1000, 5125, 11858, 32230),
    "phoneme-trees": (1000, 4229, 11139, 29598),
}
"""Queries after which distances are read; the last is the budget."""
TREES: Final = {"mnist-trees": (100, 100), "phoneme-trees": (255, 500)}
"""Trees, and leaves of each at most: those of 004 for MNIST and for HIGGS."""
CELLS: Final = (
    *(("lenet-plain", name) for name in ("cw", "boundary", "guessingsmart", "opt", "signopt", "svmopt")),
    *(("lenet-plain", f"signopt(directions={q})") for q in (200, 50, 400)),
    ("lenet-plain", "svmopt(directions=200)"),
    *((trees, name) for trees in TREES for name in ("opt", "signopt", "hopskipjump")),
)


def data(name: str, data_dir: str | None) -> tuple[frenemy.Batch, frenemy.Batch]:
    """Give the training and the test rows of a model; features of tables in [0, 1]."""
    if name != "phoneme-trees":
        parts = (frenemy.load("mnist", data_dir=data_dir, split=split) for split in ("train", "test"))
        train, test = (part.batch() for part in parts)
        return train, test
    root = Path(data_dir or os.environ.get("FRENEMY_DATA", "."))
    table = frenemy.load(str(root / "tabular" / "phoneme.csv"))
    whole, order = table.batch(), frenemy.Key(0).fold("split").permutation(len(table))
    low, high = torch.as_tensor(table.low), torch.as_tensor(table.high)
    whole = frenemy.Batch((whole.x - low) / (high - low), whole.y, whole.index)
    return whole.rows(order[1000:]), whole.rows(order[:1000])


def boosted(name: str, train: frenemy.Batch) -> nn.Module:
    """Give boosted trees, from their file or by training them.

    Raises:
        ModelError: LightGBM is not installed.
    """
    try:
        import lightgbm
    except ImportError as error:
        raise ModelError('LightGBM is not installed; pip install "frenemy[tables]"') from error
    file, classes = RUNS / f"{name}.txt", int(train.y.max()) + 1
    if not file.exists():
        rounds, leaves = TREES[name]
        several = (
            {"objective": "multiclass", "num_class": classes} if classes > 2 else {"objective": "binary"}
        )
        settings = {"num_leaves": leaves, "seed": 0, "deterministic": True, "force_row_wise": True}
        rows = lightgbm.Dataset(train.x.flatten(1).numpy(), train.y.numpy(), params={"verbose": -1})
        fixed = {"num_threads": 1, "verbose": -1}
        booster = lightgbm.train(several | settings | fixed, rows, num_boost_round=rounds)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, booster.model_to_string().encode())
    return lightgbm_file(file, range(classes)).eval()


def model_of(name: str, train: frenemy.Batch) -> nn.Module | None:
    """Give a model; None where its weights, or the library that reads them, are not there."""
    if name in KINDS:
        return trained(name) if (LENETS / f"{name}.safetensors").exists() else None
    try:
        return boosted(name, train)
    except ModelError as error:
        print(f"{name}: left out, {error}", flush=True)
        return None


def measure(attack: str, model: nn.Module, batch: frenemy.Batch, marks: tuple[int, ...]) -> dict[str, Any]:
    """Run one cell: the distance of the nearest wrong point of every example after so many queries."""
    size = 1024 if next(model.parameters(), None) is None else 64
    search = asked(attack)[0].having({"queries": marks[-1], "batch_size": size}).attack
    began = time.process_time()

    def seek(asked_of: nn.Module, rows: frenemy.Batch) -> tuple[Tensor, Tensor, Found]:
        """Search, and give the distances, which points the model itself gets wrong, and what was found."""
        with patch.object(Books, "marks", staticmethod(lambda queries: [m for m in marks if m <= queries])):
            found: Found = search(
                asked_of, rows, threat=FAR, objective=frenemy.Untargeted(), key=frenemy.Key(0)
            )
        with still(model):
            wrong = (look(model, found.x, size).argmax(1) != rows.y) & found.success
        last = FAR.norm(found.x - rows.x).where(found.success, math.inf)
        return found.books.trace if found.books is not None else last[:, None], wrong, found

    reached, stands, found = seek(Fast(model), batch)
    spent = time.process_time() - began
    if len(again := (found.success & ~stands).nonzero().flatten()):
        further, upright, _ = seek(model, batch.rows(again))
        reached, stands = reached.index_copy(0, again, further), stands.index_copy(0, again, upright)
    return {
        "queries": list(marks) if found.books is not None else [int(found.queries.max())],
        "distances": [[round(d, 4) if d < math.inf else None for d in row] for row in reached.tolist()],
        "stand": int(stands.sum()),
        "again": len(again),
        "microseconds": round(1e6 * spent / int(found.queries.sum()), 1),
    }


def accuracy(model: nn.Module, test: frenemy.Batch) -> tuple[float, Tensor]:
    """Share of the test rows that are answered rightly, and their places."""
    with still(model):
        right = look(Fast(model), test.x, 500).argmax(1) == test.y
    return float(right.double().mean()), right.nonzero().flatten()


def run(wanted: Callable[[str], bool], file: Path, data_dir: str | None, examples: int) -> None:
    """Measure the cells that are wanted and missing, and keep each as soon as it stands."""
    for name in MARKS:
        kept = labelled.read(file)
        standing = {(row["model"], row["attack"]) for row in kept["cells"] if row["n"] == examples}
        missing = [a for m, a in CELLS if m == name and (m, a) not in standing and wanted(f"{m} {a}")]
        if not missing:
            continue
        try:
            train, test = data(name, data_dir)
        except FrenemyError as error:
            print(f"{name}: left out, {error}", flush=True)
            continue
        if (model := model_of(name, train)) is None:
            continue
        share, right = accuracy(model, test)
        batch = test.rows(right[:examples])
        kept["models"][name] = {"accuracy": round(share, 4), "rows": len(test)}
        for attack in missing:
            row = {"model": name, "attack": attack, "n": len(batch)}
            row |= measure(attack, model, batch, MARKS[name])
            kept["cells"].append(row)
            kept["cells"].sort(key=lambda r: CELLS.index((r["model"], r["attack"])))
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(file, labelled.text(kept).encode())
            print(f"{name} {attack}: {labelled.means(row)} at {row['queries']}", flush=True)


def main() -> None:
    """Measure what is missing, then fill in the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", default=None, help="where mnist/ and tabular/ lie; else FRENEMY_DATA")
    parser.add_argument("--examples", type=int, default=20, help="test examples that are answered rightly")
    parser.add_argument("--only", default="", help="models and attacks whose name contains this")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="only rebuild the tables from the results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.table:
        run(lambda name: options.only in name, options.out, options.data_dir, options.examples)
    if options.out == RESULTS and RESULTS.exists():
        kept = labelled.read(RESULTS)
        for name, write_out in labelled.TABLES.items():
            panels.fill(name, write_out(kept), PAGE)
        panels.fill("rivals", rivals.table(rivals.read()), PAGE)


if __name__ == "__main__":
    main()
