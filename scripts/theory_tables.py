"""The measured part of docs/theory.md: training on toy problems, sensible risk and genuine accuracy on the digits.

    python scripts/theory_tables.py            # measures what is missing, writes the JSON, the tables and the figure
    python scripts/theory_tables.py --table    # only rebuilds the tables and the figure

A run that is stopped goes on where it was: what is measured stands in docs/results/theory.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import panels

from frenemy.files import write_atomic
from frenemy.risks.estimate import Estimate
from frenemy.risks.order import lexicographic

RESULTS: Final = Path("docs/results/theory.json")
PAGE: Final = Path("docs/theory.md")
FIGURE: Final = Path("docs/img/genuine.png")
SEEDS: Final = range(5)
MODELS: Final = ("digits-plain", "digits-robust")
SIZES: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
EPS: Final = 0.15
_EPS: Final = ("Adversarial training, eps = 1", "Adversarial training, eps = 4")


def main() -> None:
    """Measure what is missing, then write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", action="store_true", help="only rebuild the tables and the figure")
    options = parser.parse_args()
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    work: dict[str, Callable[[], Any]] = {
        **{f"training {seed}": partial(training, seed) for seed in SEEDS},
        **{f"sensible {a} by {b}": partial(sensible, a, b) for a in MODELS for b in MODELS},
        **{f"genuine {name}": partial(genuine, name) for name in MODELS},
    }
    for name, measure in work.items():
        if not options.table and name not in found:
            found[name] = measure()
            print(name, flush=True)
            write_atomic(RESULTS, (json.dumps(found, indent=1) + "\n").encode())
    panels.fill("training", training_table(found), PAGE)
    panels.fill("sensible", sensible_table(found), PAGE)
    panels.fill("genuine", genuine_table(found), PAGE)
    draw(found)


def training(seed: int) -> dict[str, float]:
    """What the sources show of training, for one seed."""
    from frenemy.papers.alternation import alternation
    from frenemy.papers.directions import directions
    from frenemy.papers.margins import margins
    from frenemy.papers.weights import weights

    lines, features, near, border = alternation(seed), weights(seed), margins(seed), directions(seed)
    told = {f"angle {name}": value for name, value in lines.spread.items()}
    told |= {f"risk {name}": value for name, value in lines.risk.items()}
    for name in features.first:
        told[f"weight {name}"] = float(features.first[name][-1] / features.weak[name][-1])
        told[f"natural {name}"], told[f"adversarial {name}"] = (
            features.natural[name],
            features.adversarial[name],
        )
    for name, one in near.items():
        told[f"natural {name}"], told[f"adversarial {name}"] = one.natural, one.adversarial
    return told | {f"jump {name}": value for name, value in border.jump.items()}


def sensible(name: str, reference: str) -> dict[str, Any]:
    """Standard, sensible and robust risk of one model, the other standing for the Bayes rule."""
    import frenemy
    from frenemy.risks.sensible import sensible_risk
    from frenemy.training.demonstration import demonstration

    model, other = demonstration(name), demonstration(reference)
    found = sensible_risk(
        model, other, frenemy.load("digits"), threat=frenemy.Linf(EPS), key=frenemy.Key(0).fold("sensible")
    )
    return {kind: asdict(getattr(found, kind)) for kind in ("standard", "sensible", "robust")}


def genuine(name: str) -> list[dict[str, Any]]:
    """Standard and genuine accuracy by exact norm, among all digits."""
    import torch

    import frenemy
    from frenemy.data.examples import Examples
    from frenemy.risks.genuine import genuine_accuracy
    from frenemy.threats.l2 import L2
    from frenemy.training.demonstration import demonstration

    test, train = frenemy.load("digits"), frenemy.load("digits", split="train")
    known = Examples("all digits", torch.cat([test.x, train.x]), torch.cat([test.y, train.y]), test.classes)
    found = genuine_accuracy(
        demonstration(name), test, L2(0.0), SIZES, key=frenemy.Key(0).fold("genuine"), known=known
    )
    return [asdict(one) for one in found]


def training_table(found: dict[str, Any]) -> str:
    """Reported beside measured: mean and deviation over the seeds."""
    runs = [found[f"training {seed}"] for seed in SEEDS if f"training {seed}" in found]
    lines = [
        ("001, Figure 6", "spread of the line's direction, PGD-AT", "alternates", "angle PGD-AT", "°", 1),
        ("", "the same, SENSE", "converges", "angle SENSE", "°", 1),
        ("", "standard risk of the last line, PGD-AT", "", "risk PGD-AT", " %", 100),
        ("", "the same, SENSE", "", "risk SENSE", " %", 100),
        ("003, Figure 9", "first weight over a weak one, standard training", "", "weight standard training", "", 1),
        ("", "the same, adversarial training", "rises", "weight adversarial training", "", 1),
        ("", "accuracy, standard training", "> 99 %", "natural standard training", " %", 100),
        ("", "under eps = 2 eta", "< 1 %", "adversarial standard training", " %", 100),
        ("", "accuracy, adversarial training", "p = 95 %", "natural adversarial training", " %", 100),
        ("", "under eps = 2 eta", "p = 95 %", "adversarial adversarial training", " %", 100),
        ("004, Figure 4.1", "standard risk, trained with eps = 1", "near optimal", f"natural {_EPS[0]}", " %", 100),
        ("", "the same, eps = 4", "much worse", f"natural {_EPS[1]}", " %", 100),
        ("004, Figure 2.3", "largest step of g within 0.1°: disc", "continuous", "jump disc", "", 1),
        ("", "small net", "continuous", "jump small net", "", 1),
        ("", "trees", "continuous", "jump trees", "", 1),
    ]  # fmt: skip
    rows = [
        [source, what, said, _spread([scale * run[name] for run in runs], unit)]
        for source, what, said, name, unit, scale in lines
    ]
    return panels.table(["source", "number", "reported", f"measured, {len(runs)} seeds"], rows)


def _spread(values: list[float], unit: str) -> str:
    return f"{mean(values):.3g} ± {stdev(values):.2g}{unit}"


def sensible_table(found: dict[str, Any]) -> str:
    """One line a model and reference."""
    rows = []
    for name in MODELS:
        for reference in MODELS:
            one = found[f"sensible {name} by {reference}"]
            rows.append(
                [name, reference, *(str(Estimate(**one[k])) for k in ("standard", "sensible", "robust"))]
            )
    return panels.table(["model", "reference", "standard risk %", "sensible risk %", "robust risk %"], rows)


def genuine_table(found: dict[str, Any]) -> str:
    """Both accuracies of both models at every norm, and which model is more robust."""
    told = {name: found[f"genuine {name}"] for name in MODELS}
    head = [
        "exact norm",
        *(f"{name}: {kind}" for name in MODELS for kind in ("standard %", "genuine %", "pseudo")),
    ]
    rows = []
    for place, size in enumerate(SIZES):
        cells = []
        for name in MODELS:
            one = told[name][place]
            cells += [
                str(Estimate(**one["standard"])),
                f"{Estimate(**one['genuine'])} of {one['genuine']['n']}",
            ]
            cells.append(str(one["pseudo"]))
        rows.append([f"{size:g}", *cells])
    said = []
    for kind, word in (("standard", "LSR"), ("genuine", "LGR")):
        for tolerance in (0.0, 0.05):
            first, second = ([Estimate(**one[kind]) for one in told[name]] for name in MODELS)
            order = lexicographic(SIZES, first, second, tolerance)
            said.append(
                f"{word}, differences up to {100 * tolerance:g} points being none: {MODELS[1]} is **{order.relation}** "
                f"(norm {order.eps:g})."
            )
    return panels.table(head, rows) + "\n\n" + "\n".join(f"- {line}" for line in said)


def draw(found: dict[str, Any]) -> None:
    """Draw the accuracy functions with their bands."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
    for axis, kind in zip(axes, ("standard", "genuine"), strict=True):
        for name, colour in zip(MODELS, ("#1f2328", "#b3400f"), strict=True):
            rows = [one for one in found[f"genuine {name}"] if one[kind]["n"]]
            x = [one["eps"] for one in rows]
            axis.plot(x, [one[kind]["value"] for one in rows], color=colour, label=name)
            low, high = ([one[kind][end] for one in rows] for end in ("low", "high"))
            axis.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        axis.set_title(f"{kind} accuracy")
        axis.set_xlabel("exact norm, L2")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    figure.savefig(FIGURE, dpi=110)


if __name__ == "__main__":
    main()
