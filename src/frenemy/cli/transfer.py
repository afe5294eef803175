"""`frenemy transfer`: attack one model and judge another, for every two of several."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, final

from frenemy.cli.options import calls, read
from frenemy.cli.subject import Subject, words
from frenemy.errors import UsageError

__all__ = ["TransferOptions", "run"]


@final
@dataclass(frozen=True)
class TransferOptions(Subject):
    """Attack every model, and show every model the points that were found on each.

    Args:
        objectives: whose points, separated by commas; enemy, friend.
        attack: what searches each source, with settings in brackets if need be; by default pgd(steps=50), for models
            that show scores alone square(queries=1000), for those that show labels alone hopskipjump(queries=1500).
        loss: what it climbs, where it takes one and none is said with it; ce, margin, dlr or kl.
        access: what the searches see of the sources; gradients, scores, or labels alone.
    """

    verb: ClassVar[str] = "transfer"

    objectives: str = "enemy,friend"
    attack: str | None = calls()
    loss: str = "ce"
    access: Literal["gradients", "scores", "labels"] = "gradients"


_EPILOG: Final = """\
examples:
  frenemy transfer
  frenemy transfer --model digits-plain,digits-robust,mlp@0 --threat linf:0.1
  frenemy transfer --model lenet:a.safetensors,net.py:make,lightgbm:trees.txt --data mnist --examples 1000

The matrix goes to transfer.html, the numbers to transfer.json. A run that is stopped goes on model by model."""


def run(argv: list[str]) -> int:
    """Attack every model that was named, judge all others on what was found, and show the matrix."""
    options = read(TransferOptions, argv, "transfer", _EPILOG)
    if options is None:
        return 0
    from frenemy.cli.prepare import check, device_of, examples_of, models_of
    from frenemy.cli.progress import Bar
    from frenemy.ledger import open_ledger
    from frenemy.reports.crossed import crossed
    from frenemy.risks.transfer import transfer
    from frenemy.risks.wishes import wish_named

    if len(options.specs) < 2:
        raise UsageError(
            f"expected two models or more in --model, got '{options.model}'; separate them by commas"
        )
    wishes = [wish_named(word) for word in words("objectives", options.objectives)]
    how = {"attacks": options.attack, "effort": "standard", "losses": None, "access": "gradients"}
    check(options.around, wishes, how, {})
    device, examples = device_of(options.device), examples_of(options)
    asked, bar = options.asked(), Bar(quiet=options.quiet)
    out = options.place(asked)
    with open_ledger(out, asked):
        models = models_of(options, examples, device, bar)
        with bar.task("transfer") as told:
            found = transfer(
                models,
                examples,
                threat=options.around,
                objectives=wishes,
                attack=options.attack,
                loss=options.loss,
                access=options.access,
                seed=options.seed,
                batch_size=options.batch_size,
                out=out,
                progress=told,
            )
        sentences, files = crossed(found, out, shlex.join(["frenemy", "transfer", *argv]))
    if not options.quiet:
        bar.figures(sentences, files)
    return 0
