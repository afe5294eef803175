"""`frenemy converge`: see whether a search has come to rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

from frenemy.cli.draw import draw
from frenemy.cli.options import at_least, calls, read
from frenemy.cli.subject import Subject

__all__ = ["ConvergeOptions", "run"]


@final
@dataclass(frozen=True)
class ConvergeOptions(Subject):
    """Draw the loss and the worst-case accuracy of a search against its steps, run by run.

    Args:
        objective: whose search; enemy, friend or reversal.
        attack: what climbs, with settings in brackets if need be; pgd, bim, mifgsm or apgd.
        loss: what it climbs; ce, margin, dlr or kl.
        steps: gradient steps of a run.
        step_size: length of a step as a share of eps.
        restarts: how many runs.
    """

    verb: ClassVar[str] = "converge"

    examples: int | None = at_least(1, 100)
    objective: str = "enemy"
    attack: str | None = calls()
    loss: str = "ce"
    steps: int = at_least(1, 100)
    step_size: float | None = at_least(0, None)
    restarts: int = at_least(1, 5)


_EPILOG: Final = """\
examples:
  frenemy converge
  frenemy converge --model lenet:net.safetensors --data mnist --threat linf:0.3 --steps 500 --restarts 20
  frenemy converge --model net.py:make --data photos --resize 32 --attack "apgd(loss=dlr)"

The figures go to convergence.html; with `pip install "frenemy[plot]"` to convergence.pdf and .png too."""


def run(argv: list[str]) -> int:
    """Search every model that was named, and draw how the search went."""
    options = read(ConvergeOptions, argv, "converge", _EPILOG)
    if options is None:
        return 0
    from frenemy.reports.pictured import converged
    from frenemy.risks.convergence import climbing, converge
    from frenemy.risks.wishes import wish_named

    attack, loss = climbing(options.attack or "pgd", options.loss, options.steps, options.step_size)
    how = {"objective": wish_named(options.objective), "restarts": options.restarts}
    return draw(options, argv, converge, converged, attack=attack, loss=loss, **how)
