"""Audit every model of the gallery: the naive number, the number after the remedy, and the verdict of the audit.

    python scripts/trust_gallery.py                 # those not yet measured; docs/results/trust.json, docs/trust.md
    python scripts/trust_gallery.py --only rounding # those whose name contains this, measured again
    python scripts/trust_gallery.py --table         # only rebuilds the tables

Needs no data but scikit-learn's digits. The naive number is PGD on cross-entropy, 20 steps, as a hasty evaluation would
run it; the verdict is that of `frenemy audit` as it comes, which knows nothing of the remedy.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, Final

from gallery import EPS, Piece, broken, honest

import frenemy

RESULTS: Final = Path("docs/results/trust.json")
PAGE: Final = Path("docs/trust.md")
VERDICTS: Final = ("ok", "caution", "do not trust")


def accuracy(model: Any, **how: Any) -> dict[str, float]:
    """Accuracy under an enemy, with its interval."""
    found = frenemy.audit(model, "digits", threat=f"linf:{EPS}", objectives=["enemy"], curve=0, **how)
    estimate = found["accuracy_adversarial"]
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def measure(piece: Piece, kind: str) -> dict[str, Any]:
    """Measure one model three times, each time a fresh one."""
    naive = accuracy(piece.naive(piece.make()), attacks="pgd(steps=20)", losses=["ce"])
    began = time.process_time()
    found = frenemy.audit(piece.make(), "digits", threat=f"linf:{EPS}")
    seconds = time.process_time() - began
    mended = accuracy(piece.mended(piece.make()), **piece.how)
    reasons = [c.name for c in found.caveats if c.grade in ("caution", "doubt")]
    audited = found["accuracy_adversarial"]
    return {
        "kind": kind,
        "why": piece.why,
        "remedy": piece.remedy,
        "clean": found["accuracy_clean"].value,
        "naive": naive,
        "audited": {"value": audited.value, "low": audited.low, "high": audited.high},
        "mended": mended,
        "trust": found.trust,
        "reasons": list(dict.fromkeys(reasons)),
        "checks": {check.name: [check.state, check.seen] for check in found.checks},
        "seconds": round(seconds, 1),
    }


def tables(rows: dict[str, Any]) -> str:
    """Lay the results out: one table of models, one of verdicts."""
    lines = [
        "| model | clean | naive PGD | this audit | after the remedy | remedy | verdict | because of |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        numbers = [f"{100 * row['clean']:.1f}"]
        numbers += [
            f"{100 * row[w]['value']:.1f} [{100 * row[w]['low']:.1f}, {100 * row[w]['high']:.1f}]"
            for w in ("naive", "audited", "mended")
        ]
        cells = [f"**{name}**: {row['why']}", *numbers, row["remedy"] or "AutoAttack", row["trust"]]
        lines.append("| " + " | ".join([*cells, ", ".join(row["reasons"]) or "–"]) + " |")
    lines += ["", "| | " + " | ".join(VERDICTS) + " |", "|---|---|---|---|"]
    for kind in ("broken", "honest"):
        counts = [sum(r["kind"] == kind and r["trust"] == v for r in rows.values()) for v in VERDICTS]
        lines.append(f"| {kind} | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines)


def fill(text: str, block: str) -> str:
    """Put a block between its two marks."""
    start, end = "<!-- gallery -->", "<!-- /gallery -->"
    head, _, rest = text.partition(start)
    return f"{head}{start}\n{block}\n{end}{rest.partition(end)[2]}"


def main() -> None:
    """Measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=None, help="measure those whose name contains this again")
    parser.add_argument("--table", action="store_true", help="only rebuild the tables")
    options = parser.parse_args()
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    pieces = [("broken", piece) for piece in broken()] + [("honest", piece) for piece in honest()]
    for kind, piece in pieces:
        wanted = piece.name not in rows if options.only is None else options.only in piece.name
        if options.table or not wanted:
            continue
        rows[piece.name] = measure(piece, kind)
        row = rows[piece.name]
        print(
            piece.name,
            row["trust"],
            row["reasons"],
            row["naive"]["value"],
            row["mended"]["value"],
            flush=True,
        )
        order = [piece.name for _, piece in pieces if piece.name in rows]
        rows = {name: rows[name] for name in order}
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    if PAGE.exists():
        PAGE.write_text(fill(PAGE.read_text(), tables(rows)))
    print(tables(rows))


if __name__ == "__main__":
    main()
