"""`frenemy cite NAME ...`: BibTeX of the parts that were used."""

from __future__ import annotations

from frenemy.cli.list import found

__all__ = ["run"]


def run(argv: list[str]) -> int:
    """Print one BibTeX entry a name."""
    if not argv or argv in (["-h"], ["--help"]):
        print(
            "usage: frenemy cite NAME ...\n\nPrint the BibTeX of attacks, recipes, models, data sets and other parts."
        )
        return 0
    parts = dict.fromkeys(part for name in argv for _, part in found(name))
    for part in parts:
        print(part.card.bibtex(part.name))
    return 0
