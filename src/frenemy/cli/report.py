"""`frenemy report DIR`: make the tables and the page of a finished audit again."""

from __future__ import annotations

from pathlib import Path

from frenemy.errors import UsageError

__all__ = ["run"]


def run(argv: list[str]) -> int:
    """Write results.json, the tables and the page again from what was measured; no model is needed."""
    if len(argv) != 1 or argv[0].startswith("-"):
        if argv in (["-h"], ["--help"]):
            print("usage: frenemy report DIR\n\nMake the tables and the page of the audit in DIR again.")
            return 0
        raise UsageError(
            f"expected the directory of one run, got {len(argv)} words; write: frenemy report DIR"
        )
    from frenemy.reports.publish import republish

    for file in republish(Path(argv[0])):
        print(file)
    return 0
