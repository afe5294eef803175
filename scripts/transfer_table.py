"""The matrix of docs/transfer.md: the digits models against each other.

    python scripts/transfer_table.py            # searches, writes docs/results/transfer_digits.json and the table
    python scripts/transfer_table.py --table    # only rebuilds the table from docs/results/transfer_digits.json

A run that is stopped goes on where it was, in runs/transfer-digits.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import panels

from frenemy.cli.main import main as frenemy
from frenemy.files import write_atomic

__all__ = ["table"]

RESULTS: Final = Path("docs/results/transfer_digits.json")
PAGE: Final = Path("docs/transfer.md")
RUN: Final = Path("runs/transfer-digits")
MODELS: Final = "digits-plain,digits-robust,mlp@0"
WHO: Final = {"untargeted": "enemy", "hypocritical": "false friend"}


def table(found: list[dict[str, Any]]) -> str:
    """Write the share of turned examples of every source and target, question by question, as Markdown."""
    parts = []
    for one in found:
        cells = {(cell["source"], cell["target"]): cell["turned"] for cell in one["cells"]}
        head = [f"{WHO[one['objective']]}: points of", *one["models"]]
        rows = [[s, *(_share(cells[s, target]) for target in one["models"])] for s in one["sources"]]
        parts.append(panels.table(head, rows))
    return "\n\n".join(parts)


def _share(cell: dict[str, Any]) -> str:
    if cell["value"] is None:
        return "undefined"
    return f"{100 * cell['value']:.1f} [{100 * cell['low']:.1f}, {100 * cell['high']:.1f}], {cell['n']}"


def main() -> None:
    """Search what is missing, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", action="store_true", help="only rebuild the table")
    if not parser.parse_args().table:
        words = ["transfer", "--model", MODELS, "--threat", "linf:0.15", "--device", "cpu", "--out", str(RUN)]
        if code := frenemy(words):
            raise SystemExit(code)
        write_atomic(RESULTS, (RUN / "transfer.json").read_bytes())
    panels.fill("matrix", table(json.loads(RESULTS.read_text())), PAGE)


if __name__ == "__main__":
    main()
