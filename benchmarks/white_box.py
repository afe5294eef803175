"""White-box attacks against the time their model takes, and against the peers, in one process.

    python benchmarks/white_box.py                          # cases not yet measured; docs/results/white_box_speed.json
    python benchmarks/white_box.py --only apgd --rounds 5   # cases whose name contains this, measured again
    python benchmarks/white_box.py --table                  # only rebuilds the part of docs/white-box.md
    python benchmarks/white_box.py --rows 8 --steps 3 --rounds 1 --only fab   # a quick look; nothing is written

Contenders run in turns within a round; times are medians of CPU seconds over the rounds, two threads. Rows of a model
forward and back are counted (for the peers by a wrapper). *Overhead* is the time of a contender over what the same rows
take in the model alone, measured in every round at the full batch. A contender that takes more than `--long` seconds
runs once, and one that takes more than `--limit` is cut. Models come from scripts/white_box_models.py; cases whose
weights are not there are left out, and so are peers that are not installed (benchmarks/peers.py says which versions).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import time
import warnings
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "400")
os.environ.setdefault("TQDM_DISABLE", "1")

import torch
from clock import Cut, at_most, unit
from panels import fill, speed
from peers import PEERS, able, import_it
from suite import CASES, WAYS, Case, answer, judged, rows_of, weighed
from torch import nn

from frenemy import heap
from frenemy.models.fast import Fast

RESULTS: Final = Path("docs/results/white_box_speed.json")


def measure(case: Case, model: nn.Module, options: argparse.Namespace) -> dict[str, Any]:
    """Time every contender in turns, and judge what each brings in the first round."""
    batch = rows_of(case.model, case.rows, options.data_dir)
    names = [*case.ways, *(library for library in PEERS if able(library, case.task))]
    for library in names[len(case.ways) :]:
        import_it(library)
    times: dict[str, list[float]] = {name: [] for name in names}
    units: dict[str, list[tuple[float, float]]] = {"plain": [], "fast": []}
    result: dict[str, dict[str, Any]] = {}
    for turn in range(options.rounds):
        for word, asked in (("plain", model), ("fast", Fast(model))):
            units[word].append(unit(asked, batch))
        for name in names:
            if turn and (result[name].get("cut") or times[name][0] > options.long):
                continue
            began = time.process_time()
            try:
                with at_most(options.limit):
                    given = answer(name, case.task, model, batch)
            except Cut:
                result[name] = {"cut": True, "seconds": options.limit}
                continue
            times[name].append(time.process_time() - began)
            if not turn:
                outcome = judged(model, batch, given.x, case.task.norm, case.eps)
                result[name] = {"forwards": given.forwards, "backwards": given.backwards, **outcome}
            print(f"  {name}: {times[name][-1]:.2f} s", flush=True)
    unit_of = {
        word: tuple(median(pair[k] for pair in pairs) for k in (0, 1)) for word, pairs in units.items()
    }
    for name, row in result.items():
        if not row.get("cut"):
            row |= {"seconds": round(median(times[name]), 4), "runs": len(times[name])}
            if name != "frenemy bfloat16":
                t_f, t_b = unit_of["fast" if name in WAYS[1:] else "plain"]
                alone = row["forwards"] * t_f + row["backwards"] * t_b
                row["overhead"] = round(row["seconds"] / alone, 3)
    return {
        "task": {"attack": case.task.attack, "norm": case.task.norm, "steps": case.task.steps},
        "model": case.model,
        "rows": len(batch),
        "eps": case.eps,
        "near": case.task.near,
        "microseconds": {word: [round(1e6 * t, 2) for t in pair] for word, pair in unit_of.items()},
        "targets": [[target.contender, target.against, target.limit] for target in case.targets],
        "contenders": result,
    }


def main() -> None:
    """Measure the cases asked for, one after the other; each is written as soon as it stands."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help=f"cases whose name contains this: {'; '.join(CASES)}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--long", type=float, default=60, help="CPU seconds above which once is enough")
    parser.add_argument("--limit", type=float, default=900, help="CPU seconds after which a contender is cut")
    parser.add_argument("--rows", type=int, default=0, help="so many rows only; nothing is written")
    parser.add_argument("--steps", type=int, default=0, help="so many steps only; nothing is written")
    parser.add_argument("--data-dir", default=None, help="where mnist/ and cifar10/ lie; else FRENEMY_DATA")
    parser.add_argument("--table", action="store_true", help="only rebuild the table from the results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    heap.keep()
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    record = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"cases": {}}
    small = options.rows or options.steps
    for name, case in CASES.items():
        wanted = options.only in name if options.only else small or name not in record["cases"]
        model = weighed(case.model) if wanted and not options.table else None
        if model is None:
            continue
        print(name, flush=True)
        if small:
            task = replace(case.task, steps=options.steps or case.task.steps)
            case = replace(case, task=task, rows=options.rows or case.rows)
        found = measure(case, model, options)
        print(speed({name: found}), flush=True)
        if not small:
            record |= {"torch": torch.__version__, "python": platform.python_version()}
            record["threads"] = options.threads
            record["cases"][name] = found
            record["cases"] = {one: record["cases"][one] for one in CASES if one in record["cases"]}
            RESULTS.parent.mkdir(parents=True, exist_ok=True)
            RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    if not small and record["cases"]:
        fill("speed", speed(record["cases"]))


if __name__ == "__main__":
    main()
