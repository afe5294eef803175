"""Cost of training by each recipe over standard training of the same net, in CPU time, side by side in one process.

    python benchmarks/training.py [--net lenet] [--rows 512] [--rounds 3] [--skip bfloat16] [--out FILE.json]
    python benchmarks/training.py --table      # only the table in docs/training.md

Every round trains each contender on the same rows, one after the other; a ratio is that of the medians. `naive` is the
loop that most code has: the attack backpropagates into the weights too. `floor` freezes them, and does nothing else.
With *bfloat16* the search runs in bfloat16, and for Free, whose backward is one for both, the losses do.
Peak memory is that of a training, above what the process held before it, each in a fresh process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import panels
import torch
from memory import alone, peak
from torch import nn
from torch.nn.functional import cross_entropy

from frenemy.catalog import find
from frenemy.data.examples import Examples
from frenemy.models.build import initialise
from frenemy.rng import Key
from frenemy.threats.linf import Linf
from frenemy.training.alphamix import AlphaMix
from frenemy.training.cat import CAT
from frenemy.training.engine import Precision, engine
from frenemy.training.fit import fit
from frenemy.training.freeat import FreeAT
from frenemy.training.olsrc import OLSRC
from frenemy.training.pgdat import PGDAT
from frenemy.training.recipe import Recipe
from frenemy.training.regime import Regime
from frenemy.training.sense import SENSE
from frenemy.training.sprout import SPROUT
from frenemy.training.standard import Standard
from frenemy.training.trades import TRADES

RESULTS, PAGE = Path("docs/results/training_speed.json"), Path("docs/training.md")
EPS, BATCH = 0.3, 128
ASKED = {
    "PGD-10": (8.5, "standard"),
    "PGD-10, bfloat16": (4.5, "standard"),
    "TRADES-10": (9.0, "standard"),
    "TRADES-10, bfloat16": (5.0, "standard"),
    "Free-8": (8.0, "standard"),
    "Free-8, bfloat16": (5.0, "standard"),
    "SPROUT": (2.2, "standard"),
    "CAT-10": (1.05, "PGD-10"),
    "OLSRC-10": (1.3, "alpha-mix-10"),
}
"""The ratios to reach, each over another contender."""
REPORTED = {"PGD-10": 9.05, "TRADES-10": 13.2, "Free-8": 14.0, "SPROUT": 1.85}
"""Over standard training in 004, Table 5.5 (VGG-16, CIFAR-10)."""


def naive(model: nn.Module, data: Examples, *, frozen: bool) -> None:
    """PGD-10 training as it is usually written; `frozen` spares the weights' gradients in the attack."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for rows in torch.split(torch.arange(len(data)), BATCH):
        batch = data.batch(rows)
        noise = Key(0).uniform(batch.index, tuple(batch.x.shape[1:]))
        x = (batch.x + EPS * (2 * noise - 1)).clamp(0, 1)
        for parameter in model.parameters():
            parameter.requires_grad_(not frozen)
        for _ in range(10):
            x = x.detach().requires_grad_()
            loss = cross_entropy(model(x), batch.y)
            if frozen:
                (gradient,) = torch.autograd.grad(loss, x)
            else:
                loss.backward()  # type: ignore[no-untyped-call]
                gradient = x.grad if x.grad is not None else torch.zeros_like(x)
            with torch.no_grad():
                x = (x + 0.25 * EPS * gradient.sign()).clamp(batch.x - EPS, batch.x + EPS).clamp(0, 1)
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        optimiser.zero_grad()
        cross_entropy(model(x.detach()), batch.y).backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def contenders(fresh: Callable[[], nn.Module], data: Examples) -> dict[str, Callable[[], None]]:
    """What is measured, standard training first."""

    def ours(recipe: Recipe, search: str = "float32", losses: Precision = "float32") -> Callable[[], None]:
        regime = Regime(epochs=1, batch_size=BATCH, attack_precision=search)
        where = engine("cpu", precision=losses)

        def run() -> None:
            fit(recipe, fresh(), data, key=Key(0), threat=Linf(EPS), regime=regime, engine=where)

        return run

    return {
        "standard": ours(Standard()),
        "PGD-10, naive": lambda: naive(fresh(), data, frozen=False),
        "PGD-10, floor": lambda: naive(fresh(), data, frozen=True),
        "PGD-10": ours(PGDAT()),
        "PGD-10, bfloat16": ours(PGDAT(), "bfloat16"),
        "TRADES-10": ours(TRADES()),
        "TRADES-10, bfloat16": ours(TRADES(), "bfloat16"),
        "Free-8": ours(FreeAT()),
        "Free-8, bfloat16": ours(FreeAT(), losses="bfloat16"),
        "SENSE-10": ours(SENSE(c=0.7)),
        "CAT-10": ours(CAT()),
        "SPROUT": ours(SPROUT()),
        "alpha-mix-10": ours(AlphaMix(steps=10, step_size=0.25, start="uniform")),
        "OLSRC-10": ours(OLSRC()),
    }


def main() -> None:
    """Measure, print a table, and keep it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="lenet")
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--skip", default="", help="contenders whose names hold this word are left out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--peak", metavar="CONTENDER", help="print one peak memory in MB, and stop")
    parser.add_argument("--table", action="store_true", help="only rebuild the table")
    options = parser.parse_args()
    if options.table:
        panels.fill("cost", table(json.loads(RESULTS.read_text())["lenet"]["found"]), PAGE)
        return
    torch.set_num_threads(options.threads)
    index = torch.arange(options.rows)
    data = Examples("noise", Key(0).uniform(index, (1, 28, 28)), index % 10, tuple("0123456789"))
    made = find("models", options.net).load()

    def fresh() -> nn.Module:
        return initialise(made(), Key(0))

    every = contenders(fresh, data)
    if options.peak:
        print(peak(every[options.peak], contenders(fresh, data.take(slice(0, 16)))[options.peak]))
        return
    skip = options.skip or "no such word"
    every = {name: run for name, run in every.items() if skip not in name}
    every["standard"]()
    seconds: dict[str, list[float]] = {name: [] for name in every}
    for _ in range(options.rounds):
        for name, run in every.items():
            began = time.process_time()
            run()
            seconds[name].append(time.process_time() - began)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    found = {}
    for name, value in medians.items():
        ratio = value / medians["standard"]
        asked = ""
        if name in ASKED and ASKED[name][1] in medians:
            limit, base = ASKED[name]
            asked = f"   {value / medians[base]:.2f} x {base}, asked {limit}"
        asked += f"   004: {REPORTED[name]} x" if name in REPORTED else ""
        print(f"{name:22} {1000 * value / options.rows:8.2f} ms a row {ratio:6.2f} x standard{asked}")
        found[name] = {"ms_a_row": round(1000 * value / options.rows, 3), "ratio": round(ratio, 2)}
    same = ("--net", options.net, "--rows", str(options.rows), "--threads", str(options.threads))
    for name in found:
        found[name]["peak_mb"] = alone("--peak", name, *same)
        print(f"{name:22} {found[name]['peak_mb']:8.1f} MB at its peak")
    kept = json.loads(options.out.read_text()) if options.out.exists() else {}
    kept[options.net] = {"rows": options.rows, "rounds": options.rounds, "seconds": seconds, "found": found}
    options.out.write_text(json.dumps(kept, indent=1) + "\n")


def table(found: dict[str, dict[str, float]]) -> str:
    """One line a contender: its cost over standard training, what was asked, and what 004 has."""
    rows = []
    for name, one in found.items():
        limit, base = ASKED.get(name, (0.0, ""))
        over = "" if base in ("", "standard") else f", {one['ratio'] / found[base]['ratio']:.2f} of {base}"
        asked = f"{limit:g}x{'' if base == 'standard' else f' of {base}'}" if base else ""
        memory = f"{one['peak_mb']:.0f} MB, {one['peak_mb'] / found['standard']['peak_mb']:.2f}x"
        reported = f"{REPORTED[name]:.1f}x" if name in REPORTED else ""
        rows.append([name, f"{one['ratio']:.2f}x{over}", asked, memory, reported])
    return panels.table(["", "CPU over standard", "asked", "peak memory", "004, Table 5.5 (VGG-16)"], rows)


if __name__ == "__main__":
    main()
