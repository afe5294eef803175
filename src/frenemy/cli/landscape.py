"""`frenemy landscape`: see the loss around the inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

from frenemy.cli.draw import draw
from frenemy.cli.options import at_least, read
from frenemy.cli.subject import Subject

__all__ = ["LandscapeOptions", "run"]


@final
@dataclass(frozen=True)
class LandscapeOptions(Subject):
    """Draw the loss around the inputs, along the gradient and along a random direction.

    Args:
        objective: whose loss; enemy, friend or reversal.
        loss: ce, margin, dlr or kl.
        points: how many in each direction, an odd number.
        span: how far to go, in eps.
    """

    verb: ClassVar[str] = "landscape"

    examples: int | None = at_least(1, 50)
    objective: str = "enemy"
    loss: str = "ce"
    points: int = at_least(1, 25)
    span: float = at_least(0, 1.0)


_EPILOG: Final = """\
examples:
  frenemy landscape
  frenemy landscape --model lenet:plain.safetensors,lenet:robust.safetensors --data mnist --threat linf:0.3

The figures go to landscape.html; with `pip install "frenemy[plot]"` to landscape.pdf and .png too."""


def run(argv: list[str]) -> int:
    """Look around the inputs with every model that was named, and draw what is seen."""
    options = read(LandscapeOptions, argv, "landscape", _EPILOG)
    if options is None:
        return 0
    from frenemy.reports.pictured import surveyed
    from frenemy.risks.landscape import check, landscape
    from frenemy.threats.spec import parse

    how = {word: getattr(options, word) for word in ("objective", "loss", "points", "span")}
    check(parse(options.around), **how)
    return draw(options, argv, landscape, surveyed, **how)
