"""What SPROUT is made of, and what it withstands besides perturbations (004, Fig. 5.5, Tables 5.4 and 5.9), in small.

    python scripts/sprout_tables.py --data-dir DIR     # all, into docs/results/sprout.json
    python scripts/sprout_tables.py --table            # only the tables in docs/training.md

Stopped at any moment, the same command goes on where it was: trainings and audits are kept under runs/sprout.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import panels
from trained import judged, numbers, place, trained

from frenemy.files import write_atomic
from frenemy.risks.estimate import proportion

if TYPE_CHECKING:
    from torch import Tensor, nn

    from frenemy.data.examples import Examples

RESULTS: Final = Path("docs/results/sprout.json")
PAGE: Final = Path("docs/training.md")
RUNS: Final = Path("runs/sprout")
EPOCHS, EPS = 15, 8 / 255
METHODS: Final = {
    "standard": ("standard", "88.21 / 93.4 / 91.88 / 91.95"),
    "uniform label smoothing": ("labelsmoothing(alpha=0.1)", ""),
    "Dirichlet": ("sprout(shape=0,deviation=0)", ""),
    "GA": ("sprout(shape=0,dirichlet=false)", ""),
    "Mixup": ("sprout(deviation=0,dirichlet=false)", ""),
    "Dirichlet + GA": ("sprout(shape=0)", ""),
    "Dirichlet + Mixup": ("sprout(deviation=0)", ""),
    "GA + Mixup": ("sprout(dirichlet=false)", ""),
    "SPROUT": ("sprout", "85.95 / 88.26 / 86.98 / 81.64"),
    "SPROUT, as released": ("sprout(reading=released)", ""),
    "PGD-AT": ("pgdat(steps=7,step_size=0.25)", "82.66 / 83.64 / 84.99 / 81.08"),
    "TRADES, 6": ("trades(beta=6,steps=7,step_size=0.25)", "80.81 / 81.5 / 83.08 / 79.27"),
}
"""By name: the method, and what 004 has under rotation / brightness / contrast / grey (Wide ResNet, CIFAR-10)."""
MODULES: Final = {"Dirichlet": {"Mixup": "0.1023", "GA": "0.0163"}, "Mixup": {"GA": "0.0111"}}
"""004, Table 5.9."""
SEARCHES: Final = {"PGD on cross-entropy": "pgd(steps=20,loss=ce)", "AutoAttack": "autoattack"}


def main() -> None:
    """Train and judge what is missing, then write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", default=None, help="where cifar10/ lies; else FRENEMY_DATA")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="only rebuild the tables")
    options = parser.parse_args()
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not options.table:
        import frenemy

        train = frenemy.load("cifar10", data_dir=options.data_dir, split="train")
        test = frenemy.load("cifar10", data_dir=options.data_dir)
        for seed in range(options.seeds):
            for name in METHODS:
                if f"{name}, seed {seed}" not in found:
                    keep(found, f"{name}, seed {seed}", measure(name, seed, train, test))
            if f"cosines, seed {seed}" not in found:
                keep(found, f"cosines, seed {seed}", cosines(seed, train, test))
    panels.fill("modules", modules(found), PAGE)
    panels.fill("invariances", invariances(found), PAGE)
    panels.fill("cosines", angles(found), PAGE)


def keep(found: dict[str, Any], name: str, value: Any) -> None:
    """Put a result in its place and write them all."""
    found[name] = value
    write_atomic(RESULTS, (json.dumps(found, indent=1) + "\n").encode())
    print(name, value, flush=True)


def model_of(name: str, seed: int, train: Examples) -> nn.Module:
    """Train one model, or take it from where it was kept."""
    import frenemy
    from frenemy.models.build import initialise
    from frenemy.models.cifarresnets import CIFARResNet
    from frenemy.training.regime import Regime

    return trained(
        METHODS[name][0],
        initialise(CIFARResNet(depth=8, width=8), frenemy.Key(seed).fold("weights")),
        train,
        seed=seed,
        threat=frenemy.Linf(EPS),
        regime=Regime(
            epochs=EPOCHS,
            optimiser="sgd",
            rate=0.1,
            schedule="cosine",
            weight_decay=5e-4,
            augment="crop-flip",
            select="last",
        ),
        out=RUNS / place(name, seed),
    ).model


def measure(name: str, seed: int, train: Examples, test: Examples) -> dict[str, Any]:
    """Judge one model by each search, and under each change that should change nothing."""
    import torch

    from frenemy.models.still import still
    from frenemy.threats.invariances import Invariances

    model = model_of(name, seed, train)
    row = judged(model, test, SEARCHES, threat=f"linf:{EPS}", out=RUNS / place(name, seed))
    changes, batch = Invariances(), test.batch()
    with still(model), torch.no_grad():
        for number, word in enumerate(changes.names[1:], 1):
            x = changes.member(batch.x, torch.full_like(batch.y, number))
            row[word] = numbers(proportion(int((model(x).argmax(1) == batch.y).sum()), len(batch)))
    return row


def cosines(seed: int, train: Examples, test: Examples) -> dict[str, list[float]]:
    """Mean cosine of the input gradients of models trained with one module each, and its standard error."""
    from torch.nn.functional import cosine_similarity

    slopes = {
        name: slope(model_of(name, seed, train), test).flatten(1) for name in ("Dirichlet", "Mixup", "GA")
    }
    found = {}
    for a, b in itertools.combinations(slopes, 2):
        each = cosine_similarity(slopes[a], slopes[b], dim=1)
        found[f"{a} and {b}"] = [float(each.mean()), float(each.std()) / len(each) ** 0.5]
    return found


def slope(model: nn.Module, test: Examples) -> Tensor:
    """The gradient of cross-entropy in each input."""
    import torch
    from torch.nn.functional import cross_entropy

    from frenemy.models.still import still

    batch = test.batch()
    leaf = batch.x.clone().requires_grad_()
    with still(model):
        return torch.autograd.grad(cross_entropy(model(leaf), batch.y, reduction="sum"), leaf)[0]


def modules(found: dict[str, Any]) -> str:
    """Accuracy untouched, under PGD and under AutoAttack."""
    words = ("clean", *SEARCHES)
    lines = []
    for name in METHODS:
        if rows := panels.of_seeds(found, name):
            lines.append([name, str(len(rows)), *(panels.over_seeds([r[w] for r in rows]) for w in words)])
    return panels.table(["trained by", "seeds", *(f"{word} %" for word in words)], lines)


def invariances(found: dict[str, Any]) -> str:
    """Accuracy under each change."""
    words = ("rotation", "brightness", "contrast", "grey")
    lines = []
    for name in ("standard", "PGD-AT", "TRADES, 6", "SPROUT"):
        if rows := panels.of_seeds(found, name):
            lines.append([name, METHODS[name][1], *(panels.over_seeds([r[w] for r in rows]) for w in words)])
    return panels.table(["trained by", "004", *(f"{word} %" for word in words)], lines)


def angles(found: dict[str, Any]) -> str:
    """The cosines, with those of 004 beside."""
    rows = panels.of_seeds(found, "cosines")
    lines = []
    for a, others in MODULES.items():
        for b, reported in others.items():
            values = [row[f"{a} and {b}"][0] for row in rows]
            lines.append([f"{a} and {b}", reported, ", ".join(f"{value:.3f}" for value in values)])
    return panels.table(["modules", "004", "measured, by seed"], lines)


if __name__ == "__main__":
    main()
