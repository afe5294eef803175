"""Progress: a bar with the time left, on a terminal; nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from frenemy.reports.searches import searches
from frenemy.reports.table import terminal
from frenemy.reports.words import trust
from frenemy.risks.result import Audit

__all__ = ["Bar"]

_LOOKS: Final = {
    "note": "yellow",
    "caution": "bold yellow",
    "doubt": "bold red",
    "do not trust": "bold red",
    "ok": "bold green",
}


@final
class Bar:
    """Shows how far things are on standard error, and results on standard output.

    Args:
        quiet: show no progress.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._out = Console(highlight=False)
        self._progress_console = Console(stderr=True, quiet=quiet)

    @contextmanager
    def task(self, name: str) -> Iterator[Callable[[str, float], None]]:
        """Show one piece of work while it runs; the function it gives is told `(what, share of all)`."""
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self._progress_console,
            disable=not self._progress_console.is_terminal,
            speed_estimate_period=600,
            transient=True,
            expand=True,
        )
        with bar:
            task = bar.add_task(escape(name), total=1.0)
            yield lambda what, share: bar.update(task, completed=share, description=escape(f"{name}: {what}"))

    def results(self, audits: Sequence[Audit], page: Path) -> None:
        """Print the numbers, what must be known before believing them, and where the page lies."""
        self._out.print(terminal(audits))
        for audit in audits:
            self._out.print("\nwhat was run", style="dim")
            self._out.print(searches(audit))
        for audit in audits:
            for caveat in audit.caveats:
                self._out.print(
                    Text.assemble(
                        "\n", (f"{audit.model}: {caveat.name}. ", _LOOKS[caveat.grade]), caveat.text
                    )
                )
        self._out.print()
        for audit in audits:
            if said := trust(audit):
                self._out.print(
                    Text.assemble(
                        f"{audit.model}: ",
                        (f"trust: {said['word']}", _LOOKS[said["word"]]),
                        f". {said['text']}",
                    )
                )
        self._out.print(f"\nreport: {page}", soft_wrap=True, markup=False, emoji=False)

    def figures(self, sentences: Sequence[str], files: Sequence[Path]) -> None:
        """Print what some figures show, and where they lie."""
        for sentence in sentences:
            self._out.print(Text(sentence), "\n")
        for file in files:
            self._out.print(f"figures: {file}", soft_wrap=True, markup=False, emoji=False)
        if len(files) == 1:
            self._out.print('for PDF and PNG: pip install "frenemy[plot]"', markup=False, style="dim")
