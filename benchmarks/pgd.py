"""PGD-40 against its physical floor and against the peers, in one process.

    python benchmarks/pgd.py                      # prints the ratios, writes docs/results/speed.json and docs/speed.md
    python benchmarks/pgd.py --rounds 3 --only mlp
    python benchmarks/pgd.py --device cuda        # prints ratios of elapsed times; nothing is written

The floor is 40 times a forward and a backward pass with respect to the input only, parameters frozen, eager float32:
what PGD must cost if nothing is rearranged. Contenders run in turns within a round; a ratio is the median CPU time of a
contender over the median CPU time of the floor. Peers that are not installed are left out: foolbox==3.3.4,
torchattacks==3.5.1, adversarial-robustness-toolbox==1.20.1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "400")

import torch
from contenders import MODELS, Case, case, contenders, peak_of
from memory import alone
from tables import markdown

from frenemy import heap

RESULTS: Final = Path("docs/results/speed.json")


def measure(here: Case, rounds: int, names: list[str] | None = None) -> dict[str, Any]:
    """Time every contender in turns; report medians as ratios to the floor, and the accuracy each leaves."""
    runs: dict[str, Callable[[], float]] = contenders(here, names)
    times: dict[str, list[float]] = {name: [] for name in runs}
    left = {name: run() for name, run in runs.items()}
    for _ in range(rounds):
        for name, run in runs.items():
            began = clock(here)
            run()
            times[name].append(clock(here) - began)
    floor = median(times["floor"])
    rows = {
        name: {
            "ratio": round(median(spent) / floor, 3),
            "seconds": round(median(spent), 4),
            "left": left[name],
        }
        for name, spent in times.items()
    }
    return {"case": here.name, "rows": len(here.batch), "steps": here.steps, "contenders": rows}


def clock(here: Case) -> float:
    """Processor seconds of this process; on another device the time that has passed once its work is done."""
    if here.batch.x.device.type == "cpu":
        return time.process_time()
    torch.accelerator.synchronize()
    return time.perf_counter()


def main() -> None:
    """Measure all cases, then memory, each in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-memory", action="store_true", help="do not measure peak memory")
    parser.add_argument(
        "--peak", nargs=2, metavar=("CASE", "CONTENDER"), help="print one peak memory in MB, and stop"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        print(peak_of(case(options.peak[0]), options.peak[1]))
        return
    heap.keep()
    found = []
    for name, (_, rows, steps) in MODELS.items():
        if options.only in name:
            here = case(name).to(options.device)
            rounds = max(
                3, options.rounds if rows * steps < 4000 or "resnet" not in name else options.rounds // 2
            )
            result = measure(here, rounds)
            if here.memory and not options.no_memory and options.device == "cpu":
                result["peak_mb"] = {
                    which: alone("--peak", name, which) for which in ("floor", "frenemy", "frenemy fast")
                }
            found.append(result)
            print(markdown([result]), flush=True)
    record = {
        "threads": options.threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cases": found,
    }
    if not options.only and options.device == "cpu":
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(record, indent=1) + "\n")
        Path("docs/speed.md").write_text(markdown(found, heading=True))


if __name__ == "__main__":
    main()
