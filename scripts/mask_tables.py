"""Batch norm as a mask in small (004, chapter 6): fine-tuning, interpolation, AdvProp and RobMask.

    python scripts/mask_tables.py --data-dir DIR --seeds 3     # all, into docs/results/masks.json
    python scripts/mask_tables.py --table                      # only the tables in docs/masks.md

Stopped at any moment, the same command goes on where it was: trainings and audits are kept under runs/masks.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from mask_panels import PAIRS, tables
from trained import place, trained

from frenemy.files import write_atomic

if TYPE_CHECKING:
    from torch import nn

    from frenemy.data.examples import Examples
    from frenemy.training.regime import Regime

RESULTS: Final = Path("docs/results/masks.json")
RUNS: Final = Path("runs/masks")
ROWS, TESTED, CLEAN = 6_000, 500, 10_000
"""Training images; test images that are attacked; test images for clean accuracy alone."""
EPOCHS: Final = 8
WIDE, NARROW = "0.1", "8/255"
"""The size of the perturbation for fine-tuning and interpolation, and for AdvProp and RobMask."""
ATTACKS: Final = "pgd(steps=20,loss=ce),apgd(steps=30,loss=margin)"
SHARES: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
PGD: Final = "pgdat(steps=7,step_size=0.2)"
MODELS: Final = {
    "standard": ("standard", WIDE, ""),
    "adversarial": (PGD, WIDE, ""),
    "standard, batch norm tuned by PGD-AT": (PGD, WIDE, "standard"),
    "PGD-AT, batch norm tuned plainly": ("standard", WIDE, "adversarial"),
    "AdvProp": ("advprop", NARROW, ""),
    "RobMask": ("robmask", NARROW, ""),
}
"""By name: the method, the size of the perturbation, and the model whose batch norm it fine-tunes."""


def main() -> None:
    """Train and measure what is missing, then write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", default=None, help="where fashion-mnist/ lies; else FRENEMY_DATA")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="only rebuild the tables")
    options = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not options.table:
        measure(found, options.seeds, options.data_dir)
    tables(found)


def keep(found: dict[str, Any], part: str, name: str, value: Any) -> None:
    """Put a result in its part and write them all."""
    found.setdefault(part, {})[name] = value
    write_atomic(RESULTS, (json.dumps(found, indent=1) + "\n").encode())
    print(part, name, value, flush=True)


def measure(found: dict[str, Any], seeds: int, data_dir: str | None) -> None:
    """Train every model of every seed, judge it clean, sweep the masks, and take the time of an epoch."""
    import frenemy

    train = frenemy.load("fashion-mnist", data_dir=data_dir, split="train").take(slice(0, ROWS))
    test = frenemy.load("fashion-mnist", data_dir=data_dir, examples=CLEAN)
    some = frenemy.load("fashion-mnist", data_dir=data_dir, examples=TESTED)
    for seed in range(seeds):
        models: dict[str, nn.Module] = {}
        for name in MODELS:
            models[name], key = named(name, seed, train), f"{name}, seed {seed}"
            if key not in found.get("clean", {}):
                keep(found, "clean", key, right(models[name], test))
        for name, (first, second) in PAIRS.items():
            if (key := f"{name}, seed {seed}") not in found.get("between", {}):
                keep(found, "between", key, between(models[first], models[second], some, place(name, seed)))
        for name in ("AdvProp", "RobMask"):
            if (key := f"{name}, seed {seed}") not in found.get("own", {}):
                shares, folder = (0.0, 0.5, 1.0), place(name, seed)
                keep(found, "own", key, swept(models[name], some, f"linf:{NARROW}", shares, folder))
    if "seconds" not in found.get("cost", {}):
        keep(found, "cost", "seconds", cost(train))


def named(name: str, seed: int, train: Examples) -> nn.Module:
    """Train one model, or take it from where it was kept."""
    import copy

    import frenemy

    method, eps, base = MODELS[name]
    fitted = trained(
        method,
        copy.deepcopy(named(base, seed, train)) if base else net(seed),
        train,
        seed=seed,
        threat=frenemy.Linf(number(eps)),
        regime=regime(EPOCHS, "norms" if base else "all"),
        out=RUNS / place(name, seed),
    )
    return fitted.model


def regime(epochs: int, only: str = "all") -> Regime:
    """As 004, Section 6.4, without augmentation; the last epoch is kept."""
    from frenemy.training.regime import Regime

    return Regime(
        epochs=epochs,
        optimiser="sgd",
        rate=0.1,
        schedule="cosine",
        weight_decay=5e-4,
        select="last",
        only=only,
    )


def net(seed: int = 0) -> nn.Module:
    """The narrow residual net: 8 layers, 8 to 32 channels, 19,000 or so weights."""
    import frenemy
    from frenemy.models.build import initialise
    from frenemy.models.cifarresnets import CIFARResNet

    return initialise(CIFARResNet(1, 10, 8, 8), frenemy.Key(seed).fold("weights"))


def number(eps: str) -> float:
    """The size of a perturbation as people write it."""
    top, _, bottom = eps.partition("/")
    return float(top) / float(bottom or 1)


def right(model: nn.Module, test: Examples) -> dict[str, Any]:
    """Clean accuracy under the mask that is worn, with its interval."""
    import torch

    from frenemy.models.fast import Fast
    from frenemy.models.still import still
    from frenemy.risks.estimate import proportion

    hits = 0
    with still(model), torch.no_grad():
        for rows in torch.split(torch.arange(len(test)), 500):
            batch = test.batch(rows)
            hits += int((Fast(model)(batch.x).argmax(1) == batch.y).sum())
    return {"clean": percent(proportion(hits, len(test))), "n": len(test)}


def percent(one: Any) -> list[float]:
    """Value and ends in per cent."""
    return [round(100 * value, 2) for value in (one.value, one.low, one.high)]


def between(first: nn.Module, second: nn.Module, some: Examples, name: str) -> dict[str, Any]:
    """Interpolate batch norm from one model to the other; in the middle also with the statistics of each."""
    from frenemy.models.masked import joined

    found = swept(joined(first, second), some, f"linf:{WIDE}", SHARES, name)
    for statistics in ("first", "second"):
        both = joined(first, second, statistics)
        found[statistics] = swept(both, some, f"linf:{WIDE}", (0.4,), f"{name}-{statistics}")["rows"][0]
    return found


def swept(
    model: nn.Module, some: Examples, threat: str, shares: tuple[float, ...], name: str
) -> dict[str, Any]:
    """Judge a model under some masks."""
    from frenemy.risks.masking import masking

    began = time.process_time()
    found = masking(
        model, 2, some, shares=shares, threat=threat, attacks=ATTACKS, out=RUNS / "sweeps" / name, name=name
    )
    rows = [
        {
            "p": p,
            "clean": percent(found.clean(at)),
            "robust": percent(found.robust(at)),
            "trust": found.audits[at].trust,
            "reasons": [one.name for one in found.audits[at].caveats if one.grade != "note"],
        }
        for at, p in enumerate(found.shares)
    ]
    seconds = round(time.process_time() - began, 1)
    return {"rows": rows, "worst": percent(found.worst), "n": len(found.index), "seconds": seconds}


def cost(train: Examples) -> dict[str, float]:
    """CPU seconds of an epoch of 2,000 images, the least of three, the methods by turns."""
    import frenemy
    from frenemy.training.fit import fit
    from frenemy.training.named import recipe

    part, least = train.take(slice(0, 2_000)), dict[str, float]()
    for _ in range(3):
        for name in ("standard", PGD, "advprop", "robmask", "robmask(clean=0.5)"):
            began = time.process_time()
            fit(
                recipe(name),
                net(),
                part,
                key=frenemy.Key(0),
                threat=frenemy.Linf(number(NARROW)),
                regime=regime(1),
            )
            spent = time.process_time() - began
            least[name] = round(min(spent, least.get(name, spent)), 2)
    return least


if __name__ == "__main__":
    main()
