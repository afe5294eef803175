"""002, Figures 9 to 12: losses summed and losses in their order, on the line; judged exactly.

    python scripts/line_training.py            # trains what is missing, writes docs/results/line.json and the tables
    python scripts/line_training.py --table    # only rebuilds the tables in docs/lexicographic.md

A run that is stopped goes on where it was: what is trained stands in docs/results/line.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import panels

from frenemy.errors import DivergedError
from frenemy.files import write_atomic
from frenemy.papers.preferences import METHODS, SIZES, preferences

RESULTS: Final = Path("docs/results/line.json")
PAGE: Final = Path("docs/lexicographic.md")
RATES: Final = {"1": (0.015, 0.15, 0.5), "2": (0.015, 0.15)}
SEEDS: Final = {"1": 3, "2": 2}
AT: Final = SIZES.index(4.0)
REPORTED: Final = {
    "1: AT": "fluctuates; 0 / 0",
    "1: TRADES": "fluctuates; 1 / almost 0",
    "1: OLSRC": "stable; 1 / about 0.5",
    "2: OLSRC": "not f3",
    "2: OLGRC": "close to f3",
}


def main() -> None:
    """Train what is missing, then write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", action="store_true", help="only rebuild the tables")
    options = parser.parse_args()
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for seed in range(max(SEEDS.values())):
        for name in METHODS:
            for rate in RATES[name[0]]:
                key = f"{name}, rate {rate:g}, seed {seed}"
                if options.table or key in found or seed >= SEEDS[name[0]]:
                    continue
                try:
                    found[key] = asdict(preferences(name, seed, rate=rate))
                except DivergedError as error:
                    found[key] = {"diverged": str(error)}
                print(key, flush=True)
                write_atomic(RESULTS, (json.dumps(found, indent=1) + "\n").encode())
    for number in ("1", "2"):
        panels.fill(f"line {number}", table(found, number), PAGE)


def table(found: dict[str, Any], number: str) -> str:
    """One line a method and rate: mean and deviation over the seeds."""
    head = ["method", "rate", "seeds", "reported", "natural, late", "its swing", "at the largest norm, late"]
    head += ["natural, last", "at norm 4, last", "genuine, mean over norms 1 to 6, last"]
    rows = []
    for name in METHODS:
        for rate in RATES[number]:
            runs = [
                found[key] for seed in range(9) if (key := f"{name}, rate {rate:g}, seed {seed}") in found
            ]
            if name[0] != number or not runs:
                continue
            sane = [run for run in runs if "diverged" not in run]
            values: list[list[float]] = [
                [run[word] for run in sane] for word in ("natural", "swings", "large")
            ]
            values += [[run["exact"][0] for run in sane], [run["exact"][AT] for run in sane]]
            values.append([mean(run["genuine"][SIZES.index(float(d))] for d in range(1, 7)) for run in sane])
            cells = [_spread(one) for one in values] if sane else ["diverged"] * 6
            rows.append([name[3:], f"{rate:g}", str(len(runs)), REPORTED[name], *cells])
    return panels.table(head, rows)


def _spread(values: list[float]) -> str:
    return f"{mean(values):.3f} ± {stdev(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


if __name__ == "__main__":
    main()
