"""How far cross-entropy PGD overstates models that were trained to look hard to it (004, Tables 4.2 and 5.6), in small.

    python scripts/overstated_tables.py --data-dir DIR     # all, into docs/results/overstated.json
    python scripts/overstated_tables.py --table            # only the table in docs/training.md

Stopped at any moment, the same command goes on where it was: trainings and audits are kept under runs/overstated.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import panels
from trained import judged, place, seconds, trained

from frenemy.files import write_atomic

if TYPE_CHECKING:
    from frenemy.data.examples import Examples
    from frenemy.training.fit import Fitted

RESULTS: Final = Path("docs/results/overstated.json")
PAGE: Final = Path("docs/training.md")
RUNS: Final = Path("runs/overstated")
WEIGHTS: Final = "model.safetensors"
ROWS, TESTED, EPOCHS, EPS = 3_000, 500, 8, 0.1
METHODS: Final = {
    "standard": ("standard", "93.3 / 0.6 / 0.0"),
    "label smoothing, 0.3": ("labelsmoothing(alpha=0.3)", ""),
    "PGD-AT": ("pgdat(steps=7,step_size=0.25)", "80.3 / 36.4 / 37.9"),
    "TRADES, 6": ("trades(beta=6,steps=7,step_size=0.25)", "84.9 / 38.8 / 39.5"),
    "IAAT": ("iaat(steps=7,warm_up=2)", ""),
    "HAT": ("hat(helper='{plain}',steps=7,step_size=0.25)", ""),
    "CAT": ("cat(steps=7)", "85.4 / 75.5 / 51.8"),
    "CAT, labels alone": ("cat(steps=7,adapt_eps=false,margin=0)", ""),
    "CAT, eps alone": ("cat(steps=7,adapt_labels=false,margin=0)", ""),
    "SPROUT": ("sprout", ""),
}
"""By name: the method, and clean / PGD / C&W of 004 where it has them (VGG-16, CIFAR-10, 8/255). `{plain}` is the model
of the standard row."""
NETS: Final = {
    "overstated": ("", tuple(METHODS)),
    "overstated-vgg": (
        ", VGG-16",
        ("standard", "label smoothing, 0.3", "PGD-AT", "TRADES, 6", "CAT", "SPROUT"),
    ),
}
"""By table: what follows a method's name in a key of the results, and the methods."""
SEARCHES: Final = {
    "PGD on cross-entropy": "pgd(steps=20,loss=ce)",
    "PGD on the margin": "pgd(steps=20,loss=margin)",
    "AutoAttack": "autoattack",
}


def main() -> None:
    """Train and judge what is missing, then write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", default=None, help="where fashion-mnist/ lies; else FRENEMY_DATA")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="only rebuild the table")
    options = parser.parse_args()
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not options.table:
        import frenemy

        train = frenemy.load("fashion-mnist", data_dir=options.data_dir, split="train").take(slice(0, ROWS))
        test = frenemy.load("fashion-mnist", data_dir=options.data_dir, examples=TESTED)
        for seed in range(options.seeds):
            for name, suffix in ((name, suffix) for suffix, names in NETS.values() for name in names):
                key = f"{name}{suffix}, seed {seed}"
                if key not in found:
                    found[key] = measure(name, suffix, seed, train, test)
                    print(key, found[key], flush=True)
                    write_atomic(RESULTS, (json.dumps(found, indent=1) + "\n").encode())
    for panel, (suffix, names) in NETS.items():
        panels.fill(panel, table(found, suffix, names), PAGE)


def measure(name: str, suffix: str, seed: int, train: Examples, test: Examples) -> dict[str, Any]:
    """Train one model and judge it by each search alone, and by the standard audit for its verdict."""
    out = RUNS / place(name + suffix, seed)
    fitted = fit(name, suffix, seed, train)
    facts, alarms = fitted.history[-1]["facts"], list(fitted.alarms)
    found = judged(fitted.model, test, SEARCHES, threat=f"linf:{EPS}", out=out)
    return {"seconds": seconds(fitted), "facts": facts, "alarms": alarms, **found}


def fit(name: str, suffix: str, seed: int, train: Examples) -> Fitted:
    """Train one model, and keep its weights; what is trained already costs nothing."""
    import frenemy
    from frenemy.models.build import initialise
    from frenemy.models.cifarresnets import CIFARResNet
    from frenemy.models.files import config_of, save
    from frenemy.models.vgg import VGG16
    from frenemy.training.regime import Regime

    method, out = METHODS[name][0], RUNS / place(name + suffix, seed)
    if "{plain}" in method:
        fit("standard", suffix, seed, train)
        method = method.format(plain=RUNS / place("standard" + suffix, seed) / WEIGHTS)
    model = VGG16(width=8, channels=1) if suffix else CIFARResNet(depth=8, width=4, channels=1)
    initialise(model, frenemy.Key(seed).fold("weights"))
    regime = Regime(
        epochs=EPOCHS, optimiser="sgd", rate=0.1, schedule="cosine", weight_decay=5e-4, select="last"
    )
    fitted = trained(method, model, train, seed=seed, threat=frenemy.Linf(EPS), regime=regime, out=out)
    save(fitted.model, out / WEIGHTS, config_of(fitted.model))
    return fitted


def table(found: dict[str, Any], suffix: str, names: tuple[str, ...]) -> str:
    """One line a method, of one net."""
    words, lines = ("clean", *SEARCHES), []
    for name in names:
        reported = METHODS[name][1]
        if rows := panels.of_seeds(found, name + suffix):
            gaps = [100 * (row["PGD on cross-entropy"][0] - row["AutoAttack"][0]) for row in rows]
            cells = [panels.over_seeds([row[word] for row in rows]) for word in words]
            lines.append([name, str(len(rows)), reported, *cells, f"{mean(gaps):.1f}"])
    head = ["method", "seeds", "004: clean / PGD / C&W", *(f"{word} %" for word in words), "gap"]
    return panels.table(head, lines)


if __name__ == "__main__":
    main()
