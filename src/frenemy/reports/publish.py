"""Publish: everything that is shown of some audits, in one directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frenemy.files import write_atomic
from frenemy.reports.page import render
from frenemy.reports.record import load, results, save
from frenemy.reports.searches import searches_csv
from frenemy.reports.table import table_csv, table_tex
from frenemy.risks.result import Audit

__all__ = ["publish", "republish"]


def publish(audits: Sequence[Audit], out: Path) -> list[Path]:
    """Write the report of some audits.

    What was measured is kept first (examples.npz, pictures.npz, audit.json, results.json), then what is drawn
    from it (table.csv, table.tex, searches.csv, report.html), so that nothing measured is lost if drawing fails.

    Args:
        audits: one a model, in the order they shall be shown; at least one.
        out: directory; it is made if missing, and files of these names in it are replaced.

    Returns:
        The files, in the order they were written.

    Raises:
        UsageError: there is no audit.
        RunError: a file cannot be written.
    """
    kept = save(audits, out)
    write_atomic(out / "results.json", results(audits))
    return [*kept, out / "results.json", *_draw(audits, out)]


def republish(out: Path) -> list[Path]:
    """Write results.json, the tables and the page again from what `publish` kept in `out`.

    Raises:
        RunError: `out` holds no audit, or one that is damaged or of another version.
    """
    audits = load(out)
    write_atomic(out / "results.json", results(audits))
    return [out / "results.json", *_draw(audits, out)]


def _draw(audits: Sequence[Audit], out: Path) -> list[Path]:
    drawn = {
        "table.csv": table_csv(audits),
        "table.tex": table_tex(audits),
        "searches.csv": searches_csv(audits),
        "report.html": render(audits),
    }
    for name, text in drawn.items():
        write_atomic(out / name, text.encode("utf-8", "replace"))
    return [out / name for name in drawn]
