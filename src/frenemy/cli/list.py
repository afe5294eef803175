"""`frenemy list [KIND | NAME ...]`: the parts there are, or one in full, read from their files without loading them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from frenemy.catalog import Part, catalog
from frenemy.errors import UsageError, nearest

__all__ = ["FOLDERS", "found", "run"]

FOLDERS: Final = {
    "attacks": "attacks",
    "threats": "threats",
    "objectives": "objectives",
    "models": "models",
    "data": "data",
    "recipes": "training",
    "theory": "theory",
}
"""Words for kinds of parts, and the folders that hold them."""

_HELP: Final = """\
usage: frenemy list [{kinds} | NAME ...]

Show the parts there are, with their sources; or parts in full, with their settings,
costs, and where they depart from their sources.

examples:
  frenemy list attacks
  frenemy list trades pgd"""

_VICINITY: Final = ("inputs", "labels", "g of answers", "h of labels", "for an attack")


def run(argv: list[str]) -> int:
    """Print the parts of some kinds, or of all; or parts in full."""
    if argv in (["-h"], ["--help"]):
        print(_HELP.format(kinds=" | ".join(FOLDERS)))
        return 0
    named = {word: found(word, *FOLDERS) for word in argv if word not in FOLDERS}
    console = Console(highlight=False)
    for word in argv or FOLDERS:
        if word in named:
            for kind, part in named[word]:
                console.print(_whole(kind, part), soft_wrap=True)
            continue
        parts = catalog(FOLDERS[word])
        table = _table(word, ("name", "what it is", "source"))
        for part in parts.values():
            table.add_row(
                Text(part.name, style="bold"), Text(part.summary), Text(part.card.citation, style="dim")
            )
        console.print(table)
        console.print()
        if any(part.card.vicinity for part in parts.values()):
            console.print(_vicinities(parts))
            console.print()
    return 0


def found(name: str, *others: str) -> list[tuple[str, Part]]:
    """Find the parts of a name in any spelling, of whatever kind, each with the word for its kind.

    `others` are words that would have done too, to be named beside the parts if there is none.

    Raises:
        UsageError: there is none.
    """
    key = name.lower().replace("-", "").replace("_", "")
    parts = {kind: catalog(folder) for kind, folder in FOLDERS.items()}
    if not (those := [(kind, own[key]) for kind, own in parts.items() if key in own]):
        known = [*others, *(one for own in parts.values() for one in own)]
        raise UsageError(f"unknown part '{name}'{nearest(key, known)}")
    return those


def _whole(kind: str, part: Part) -> Text:
    """All that its file says of a part: how it is called, what it does, where it departs from its source."""
    said = ", ".join(f"{name}={value}" if value else name for name, value in part.settings)
    text = Text.assemble(
        (part.name, "bold"), f" ({kind.removesuffix('s')})\n", (part.card.citation, "dim"), "\n\n"
    )
    text.append(f"{part.name.lower()}({said})\n\n", "bold").append(f"{part.text}\n")
    if part.card.access is not None:
        text.append(f"\nSees of the model: {part.card.access.value}.\n")
    if part.card.deviations:
        text.append("\nDepartures:\n").append("".join(f"- {one}\n" for one in part.card.deviations))
    for data in part.presets:
        text.append(
            f"\nAs its source trained: frenemy train {part.name.lower()} --preset paper --data {data}"
        )
    return text.append("\n" * bool(part.presets))


def _vicinities(parts: Mapping[str, Part]) -> Table:
    """What each method trains on, as the table of vicinal risks has it (004, Table 5.1)."""
    table = _table("vicinal risk, -sum_k log g(f(x)_k) h(y_k): what each trains on", ("name", *_VICINITY))
    for part in parts.values():
        table.add_row(Text(part.name, style="bold"), *map(Text, part.card.vicinity))
    return table


def _table(title: str, headings: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, header_style="dim", overflow="fold", no_wrap=heading == "name")
    return table
