"""Progress: a bar with the time left, on a terminal; nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import final

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["Bar"]


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
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._progress_console,
            disable=not self._progress_console.is_terminal,
            transient=True,
            expand=True,
        )
        with bar:
            task = bar.add_task(escape(name), total=1.0)
            yield lambda what, share: bar.update(task, completed=share, description=escape(f"{name}: {what}"))

    def show(self, what: RenderableType) -> None:
        """Print a result."""
        self._out.print(what)
