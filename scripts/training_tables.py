"""Robust training: what methods trade, which nets collapse, which epoch to keep, and MNIST whole; judged by audits.

    python scripts/training_tables.py --data-dir DIR                   # all, into docs/results/training.json
    python scripts/training_tables.py --data-dir DIR --only hypocrisy  # one study
    python scripts/training_tables.py --table                          # only the tables in docs/training.md

Stopped at any moment, the same command goes on where it was: trainings and audits are kept under runs/training.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import panels
from trained import place, seconds, trained
from training_cases import CASES, STUDIES, Case

from frenemy.files import write_atomic

if TYPE_CHECKING:
    from torch import nn

RESULTS: Final = Path("docs/results/training.json")
PAGE: Final = Path("docs/training.md")
FIGURE: Final = Path("docs/img/hypocrisy.png")
RUNS: Final = Path("runs/training")
MEASURES: Final = {"R_nat": "risk_natural", "R_hyp": "risk_hypocritical", "R_adv": "risk_adversarial"}


def main() -> None:
    """Measure what is missing, then write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data-dir", default=None, help="where mnist/ and fashion-mnist/ lie; else FRENEMY_DATA"
    )
    parser.add_argument("--only", default=None, help=", ".join(STUDIES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--table", action="store_true", help="only rebuild the tables")
    options = parser.parse_args()
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    if not options.table:
        done = {(row["study"], row["name"], row["seed"]) for row in rows}
        for seed in range(options.seeds):
            for case in CASES:
                if options.only in (None, case.study) and (case.study, case.name, seed) not in done:
                    rows.append(measure(case, seed, options))
                    write_atomic(RESULTS, (json.dumps(rows, indent=1) + "\n").encode())
    for study in STUDIES:
        panels.fill(study, table([row for row in rows if row["study"] == study], study), PAGE)
    draw([row for row in rows if row["study"] == "hypocrisy"])


def measure(case: Case, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train one model and audit it on test images."""
    import frenemy
    from frenemy.training.regime import Regime

    study = STUDIES[case.study]
    train = frenemy.load(study.data, data_dir=options.data_dir, split="train")
    train = train.take(slice(0, study.rows))
    threat, regime = frenemy.Linf(case.eps), Regime(hold_out=study.held, **case.regime)
    out = RUNS / place(case.study, case.name, seed)
    model = net(case.net, seed)
    fitted = trained(
        case.recipe, model, train, seed=seed, threat=threat, regime=regime, out=out, device=options.device
    )
    test = frenemy.load(study.data, data_dir=options.data_dir, examples=study.tested)
    found = frenemy.audit(
        fitted.model,
        test,
        threat=f"linf:{case.eps}",
        objectives=("enemy", "friend"),
        losses=study.losses,
        attacks=study.attacks,
        precision=study.precision,
        curve=0,
        out=out / "audit",
    )
    row: dict[str, Any] = {"study": case.study, "name": case.name, "seed": seed, "n": len(test)}
    for word, measure_name in MEASURES.items():
        one = found[measure_name]
        told = [round(100 * value, 2) for value in (one.value, one.low, one.high)]
        row[word] = None if math.isnan(one.value) else told
    row["epoch"], row["alarms"] = fitted.epoch, [alarm.partition(":")[0] for alarm in fitted.alarms]
    row["facts"] = fitted.history[-1]["facts"]
    row["seconds"] = seconds(fitted)
    print(row, flush=True)
    return row


def net(name: str, seed: int) -> nn.Module:
    """Make a net with weights of this seed."""
    import frenemy
    from frenemy.models.build import initialise
    from frenemy.models.mlp import MLP
    from frenemy.models.smallcnn import CapacityCNN, SmallCNN

    made = {"mlp": MLP, "smallcnn": SmallCNN}
    model = made[name]() if name in made else CapacityCNN(capacity=int(name.split()[1]))
    return initialise(model, frenemy.Key(seed).fold("weights"))


def table(rows: list[dict[str, Any]], study: str) -> str:
    """Mean and deviation over the seeds, and the interval of one of them."""
    cases = [case for case in CASES if case.study == study]
    reported = any(case.reported for case in cases)
    head = ["method", "seeds", *(f"{word} %" for word in MEASURES), "epoch kept", "alarms", "s"]
    if reported:
        head.insert(2, "reported R_nat / R_hyp / R_adv")
    lines = []
    for case in cases:
        own = [row for row in rows if row["name"] == case.name]
        if not own:
            continue
        cells = [
            case.name,
            str(len(own)),
            *(_cell([row[word] for row in own if row[word]]) for word in MEASURES),
        ]
        told = sorted({alarm for row in own for alarm in row["alarms"]})
        kept = ", ".join(dict.fromkeys(str(row["epoch"]) for row in own))
        cells += [
            f"{kept} of {case.regime['epochs']}",
            ", ".join(told),
            f"{mean(row['seconds'] for row in own):.0f}",
        ]
        if reported:
            cells.insert(2, case.reported)
        lines.append(cells)
    return panels.table(head, lines)


def _cell(found: list[list[float]]) -> str:
    return panels.over_seeds(found, 1) if found else "undefined"


def draw(rows: list[dict[str, Any]]) -> None:
    """Draw natural against hypocritical risk: every seed, and hollow what 000 reports."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(5.5, 3.5), layout="constrained")
    for family, colour in (
        ("Standard", "#6e7781"),
        ("PGD-AT", "#1f2328"),
        ("TRADES", "#b3400f"),
        ("THRM", "#0b5cad"),
    ):
        cases = [case for case in CASES if case.study == "hypocrisy" and case.name.startswith(family)]
        names = [case.name for case in cases]
        own = [row for row in rows if row["name"] in names]
        axis.plot([r["R_nat"][0] for r in own], [r["R_hyp"][0] for r in own], "o", color=colour, label=family)
        told = [[float(word) for word in case.reported.split(" / ")[:2]] for case in cases]
        axis.plot(*zip(*told, strict=True), "o--", color=colour, markerfacecolor="white", linewidth=0.8)
    axis.set_xscale("log")
    axis.set_xlabel("natural risk, %")
    axis.set_ylabel("hypocritical risk, %")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    figure.savefig(FIGURE, dpi=110)


if __name__ == "__main__":
    main()
