"""What the checks of an audit cost, as a share of the whole audit at default effort: rows asked, and seconds.

    python benchmarks/checks.py [--data-dir DIR]        # docs/results/checks.json; asked: below 5 per cent

The demonstration models on digits, and with a data directory LeNet on MNIST, plain and robust, where
scripts/white_box_models.py has left weights.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch

import frenemy
from frenemy.data.examples import Examples
from frenemy.models.convnets import LeNet
from frenemy.models.files import load_state
from frenemy.models.model import Model
from frenemy.training.demonstration import DEMONSTRATIONS, demonstration

RESULTS: Final = Path("docs/results/checks.json")
PAGE: Final = Path("docs/trust.md")
MOST: Final = 0.05


def cases(data_dir: str | None, examples: int) -> Iterator[tuple[str, Model, Examples, str]]:
    """Give a name, a model, its data and the threat."""
    for name in DEMONSTRATIONS:
        yield name, demonstration(name), frenemy.load("digits"), "linf:0.15"
    for name, threat in (("lenet-plain", "linf:0.2"), ("lenet-robust", "linf:0.3")):
        weights = Path("runs/white-box") / f"{name}.safetensors"
        if data_dir and weights.exists():
            model = LeNet()
            load_state(model, weights)
            yield name, model, frenemy.load("mnist", data_dir=data_dir, examples=examples), threat


def table(results: dict[str, Any]) -> str:
    """Lay the shares out."""
    lines = [
        "| model | examples | rows of the audit | of the checks | share of rows | share of seconds |",
        "|---" * 6 + "|",
    ]
    for name, row in results.items():
        shares = [f"{100 * row[word]:.1f} %" for word in ("share_of_rows", "share_of_seconds")]
        counts = [f"{row[word]:,}" for word in ("examples", "rows", "checks")]
        lines.append("| " + " | ".join([name, *counts, *shares]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Audit each, print the shares, keep them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", default=None)
    parser.add_argument("--examples", type=int, default=500, help="of MNIST")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    frenemy.audit(
        demonstration("digits-plain"), frenemy.load("digits", examples=9), threat="linf:0.1"
    )  # warm
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}  # models without weights here stay
    for name, model, data, threat in cases(options.data_dir, options.examples):
        found = frenemy.audit(model, data, threat=threat, name=name)
        rows, every = (cost.forwards + cost.backwards for cost in (found.checking, found.cost))
        share, seconds = rows / every, found.checking.seconds / found.cost.seconds
        results[name] = {
            "examples": len(data),
            "rows": every,
            "checks": rows,
            "share_of_rows": round(share, 4),
            "share_of_seconds": round(seconds, 4),
            "trust": found.trust,
        }
        missed = "" if share < MOST else "  MISSED"
        print(
            f"{name:14} {100 * share:5.2f} % of {every:,} rows, {100 * seconds:5.2f} % of the seconds{missed}"
        )
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    if len(results) > len(DEMONSTRATIONS):
        head, _, rest = PAGE.read_text().partition("<!-- checks -->")
        PAGE.write_text(
            f"{head}<!-- checks -->\n{table(results)}\n<!-- /checks -->{rest.partition('<!-- /checks -->')[2]}"
        )


if __name__ == "__main__":
    main()
