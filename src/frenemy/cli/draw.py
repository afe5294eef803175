"""Draw: what the verbs have in common that look at every model and make figures of what they see."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from frenemy.cli.subject import Subject
from frenemy.errors import UsageError

__all__ = ["draw"]

_T = TypeVar("_T")


def draw(
    options: Subject,
    argv: Sequence[str],
    look: Callable[..., _T],
    figures: Callable[[Sequence[_T], Path, str], tuple[list[str], list[Path]]],
    **more: Any,
) -> int:
    """Look at every model that was named, make the figures, and say what they show.

    Args:
        options: of the verb.
        argv: the words after it.
        look: called as `look(model, examples, threat=..., seed=..., batch_size=..., out=..., name=..., progress=...)`.
        figures: makes them, of what was seen, in a directory, with the command on them.
        more: what else `look` is given.

    Returns:
        The exit code.
    """
    from frenemy.cli.prepare import device_of, examples_of, models_of
    from frenemy.cli.progress import Bar
    from frenemy.ledger import open_ledger
    from frenemy.threats.spec import parse

    parse(options.around)
    device, examples = device_of(options.device), examples_of(options)
    if examples.rules is not None:
        raise UsageError(
            f"expected a table without rules for figures, got {examples.rules.source} beside it; audits heed "
            "it, figures do not: draw from a copy of the table alone"
        )
    asked, bar, seen = options.asked(), Bar(quiet=options.quiet), []
    out = options.place(asked)
    with open_ledger(out, asked):
        for name, model in models_of(options, examples, device, bar).items():
            with bar.task(name) as told:
                seen.append(
                    look(
                        model,
                        examples,
                        threat=options.around,
                        seed=options.seed,
                        batch_size=options.batch_size,
                        out=out / "models" / name,
                        name=name,
                        progress=told,
                        **more,
                    )
                )
        sentences, files = figures(seen, out, shlex.join(["frenemy", options.verb, *argv]))
    if not options.quiet:
        bar.figures(sentences, files)
    return 0
