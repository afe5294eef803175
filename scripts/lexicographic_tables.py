"""Losses summed and losses in their order, in full batches of MNIST (002, Section 6.2, Table 2).

    python scripts/lexicographic_tables.py --data-dir DIR     # in small, into docs/results/lexicographic.json
    python scripts/lexicographic_tables.py --data-dir DIR --scale middle     # the same with 2,000 images
    python scripts/lexicographic_tables.py --data-dir DIR --scale whole --seeds 1 --device cuda
    python scripts/lexicographic_tables.py --table            # only the tables in docs/lexicographic.md

`whole` is what 002 has: 2,000 images, the net of Madry et al., 40 steps and 2,000 iterations. Stopped at any moment,
the same command goes on where it was: trainings and audits are kept under runs/lexicographic.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import panels
from trained import judged, place, seconds, trained

from frenemy.files import write_atomic
from frenemy.models.convnets import LeNet
from frenemy.models.smallcnn import CapacityCNN

if TYPE_CHECKING:
    from torch import nn

    from frenemy.data.examples import Examples

RESULTS: Final = Path("docs/results/lexicographic.json")
PAGE: Final = Path("docs/lexicographic.md")
RUNS: Final = Path("runs/lexicographic")
TESTED: Final = 1_000
METHODS: Final = {
    "standard": ("standard", "96.93 / 5.23"),
    "alpha-mix AT": ("alphamix({})", "97.55 / 25.42"),
    "TRADES, 1": ("trades(beta=1,{})", "98.02 / 25.75"),
    "OLSRC": ("olsrc({})", "97.80 / 26.54"),
    "OLGRC": ("olgrc({})", "97.93 / 26.71"),
}
"""By name: the method, and natural and adversarial accuracy of 002 (L2 norm 4.0; its table for Linf 0.3 is lost)."""
THREATS: Final = ("l2:4", "linf:0.3")
SEARCHES: Final = {"PGD on cross-entropy": "pgd(steps=40,loss=ce)", "AutoAttack": "autoattack"}


@dataclass(frozen=True)
class Scale:
    """How large a training is: net, images in its one batch, iterations, the search and how that computes."""

    net: Callable[[], nn.Module]
    rows: int
    iterations: int
    search: str
    precision: str = "float32"


SCALES: Final = {
    "small": Scale(lambda: CapacityCNN(capacity=3), 1_000, 200, "steps=5,step_size=0.4"),
    "middle": Scale(lambda: CapacityCNN(capacity=3), 2_000, 200, "steps=5,step_size=0.4"),
    "whole": Scale(LeNet, 2_000, 2_000, "steps=40,step_size=0.0625", "bfloat16"),
}


def main() -> None:
    """Train and judge what is missing, then write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", default=None, help="where mnist/ lies; else FRENEMY_DATA")
    parser.add_argument("--scale", default="small", choices=SCALES)
    parser.add_argument("--threats", nargs="*", default=list(THREATS), choices=THREATS)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="where it trains and judges")
    parser.add_argument("--table", action="store_true", help="only rebuild the tables")
    options = parser.parse_args()
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not options.table:
        import frenemy

        scale = SCALES[options.scale]
        train = frenemy.load("mnist", data_dir=options.data_dir, split="train").take(slice(0, scale.rows))
        test = frenemy.load("mnist", data_dir=options.data_dir, examples=TESTED)
        for threat in options.threats:
            for seed in range(options.seeds):
                for name in options.methods:
                    key = f"{options.scale} {threat}, {name}, seed {seed}"
                    if key not in found:
                        found[key] = measure(options.scale, threat, name, seed, train, test, options.device)
                        print(key, found[key], flush=True)
                        write_atomic(RESULTS, (json.dumps(found, indent=1) + "\n").encode())
    for size in SCALES:
        for threat in THREATS:
            if any(key.startswith(f"{size} {threat}, ") for key in found):
                panels.fill(f"mnist {size} {threat}", table(found, size, threat), PAGE)


def measure(
    size: str, threat: str, name: str, seed: int, train: Examples, test: Examples, device: str
) -> dict[str, Any]:
    """Train one model in full batches, and judge it by each search alone."""
    import frenemy
    from frenemy.models.build import initialise
    from frenemy.threats.spec import parse
    from frenemy.training.regime import Regime

    scale, out = SCALES[size], RUNS / place(size, threat.replace(":", ""), name, seed)
    fitted = trained(
        METHODS[name][0].format(scale.search),
        initialise(scale.net(), frenemy.Key(seed).fold("weights")),
        train,
        seed=seed,
        threat=parse(threat),
        regime=Regime(
            epochs=scale.iterations,
            batch_size=scale.rows,
            rate=1e-3,
            select="last",
            attack_precision=scale.precision,
        ),
        out=out,
        device=device,
    )
    found = judged(fitted.model, test, SEARCHES, threat=threat, out=out)
    return {"seconds": seconds(fitted), "alarms": list(fitted.alarms), **found}


def table(found: dict[str, Any], size: str, threat: str) -> str:
    """One line a method: mean and deviation over the seeds, and the outermost ends of their intervals."""
    beside, words, lines = threat == THREATS[0], ("clean", *SEARCHES), []
    for name, (_, reported) in METHODS.items():
        if rows := panels.of_seeds(found, f"{size} {threat}, {name}"):
            cells = [panels.over_seeds([row[word] for row in rows]) for word in words]
            lines.append([name, str(len(rows)), *([reported] if beside else []), *cells])
    head = ["method", "seeds", *(["002: natural / norm 4"] if beside else [])]
    return panels.table([*head, *(f"{word} %" for word in words)], lines)


if __name__ == "__main__":
    main()
