"""`frenemy list [FOLDER]`: the parts there are, read from their cards without loading them."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from frenemy.catalog import catalog
from frenemy.errors import UsageError, nearest

__all__ = ["FOLDERS", "run"]

FOLDERS: Final = ("attacks", "threats", "objectives", "models", "data", "theory")
"""Folders that hold parts with cards."""


def run(argv: list[str]) -> int:
    """Print the parts of one folder, or of all."""
    if argv in (["-h"], ["--help"]):
        print(f"usage: frenemy list [{' | '.join(FOLDERS)}]\n\nShow the parts there are, with their sources.")
        return 0
    for word in argv:
        if word not in FOLDERS:
            raise UsageError(f"unknown kind of part '{word}'{nearest(word, FOLDERS)}")
    console = Console(highlight=False)
    for folder in argv or FOLDERS:
        table = Table(title=folder, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
        for heading in ("name", "what it is", "source"):
            table.add_column(heading, header_style="dim", overflow="fold")
        for part in catalog(folder).values():
            table.add_row(
                Text(part.name, style="bold"), Text(part.summary), Text(part.card.citation, style="dim")
            )
        console.print(table)
        console.print()
    return 0
