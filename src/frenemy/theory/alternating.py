"""Alternating: an accuracy by exact norm that must rise again, whoever answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

from frenemy.card import Card
from frenemy.rng import Key
from frenemy.theory.intervals import Steps, Stretch, drawn, pictured, told
from frenemy.theory.problem import Draws, Quantity, Slide, inside
from frenemy.theory.scene import Scene

__all__ = ["Alternating"]

_CLASSES: Final = tuple(Stretch(low, low + 1.0, 1 if low % 2 else -1) for low in (-2.0, -1.0, 0.0, 1.0))
_RULE: Final = Steps((-3.0, -1.0, 0.0, 1.0, 3.0), (1, -1, 1, -1, 1, -1))


@final
@dataclass(frozen=True, slots=True)
class Alternating:
    r"""Two classes that take turns on a line, and the answers that accuracy at larger norms leaves no choice in.

    $$ x \sim U([-2, 2)), \quad y = -1 \text{ on } [-2, -1) \cup [0, 1), \quad y = 1 \text{ on } [-1, 0) \cup [1, 2) $$

    A classifier with natural accuracy 1 has accuracy 0 at the exact norm 1. To have 0 at norm 2 as well it must answer
    1 on [-4, -3) and [2, 3), -1 on [-3, -2) and [3, 4); but then its accuracy is 1/4 at norm 3/2 and 1/2 at norm 3. So
    no classifier is right on all clean inputs and never more accurate at a larger norm.

    Args:
        eps: what is done to an input, from 0 to 3; beyond, answers count that the source leaves open.

    Raises:
        UsageError: eps is no number from 0 to 3.

    References:
        002, Section 9.1, Figures 13 and 14.
    """

    eps: float = 3.0

    card: ClassVar[Card] = Card(
        authors="Anonymous",
        title="Finding a human-like classifier",
        year=2019,
        venue="preprint",
        place="Section 9.1, Figures 13 and 14",
        deviations=(
            "002 says that with these answers the accuracy is 0 for all norms in (1, 2]; it is so at 2, and up to 1/4 "
            "before: [-3, -2.5) would have to be answered 1 for norm 3/2 and -1 for norm 2",
            "002 leaves the answers outside [-4, 4) open; here the outermost ones go on, and up to eps = 3 no standard "
            "accuracy depends on them",
        ),
    )
    slide: ClassVar[Slide] = Slide("eps", 0.0, 3.0)

    def __post_init__(self) -> None:
        inside("eps", self.eps, 0, 3, "beyond 3 the source leaves the answers open", ends="[]")

    def draw(self, n: int, seed: int) -> Draws:
        """Draw examples."""
        return drawn(_CLASSES, Key(seed).fold("alternating"), n)

    def scene(self) -> Scene:
        """The clean inputs, the answers, and the points eps away from them."""
        return pictured(_RULE, _CLASSES, self.eps, 5.5)

    def quantities(self, n: int = 20_000, seed: int = 0) -> tuple[Quantity, ...]:
        """Natural accuracy, standard accuracy by largest and by exact norm, genuine accuracy by exact norm."""
        return told(_RULE, _CLASSES, self.eps, self.draw(n, seed))
