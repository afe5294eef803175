"""Line: by the largest norm two classifiers are equal, by the exact norm they are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

from frenemy.card import Card
from frenemy.errors import UsageError, nearest
from frenemy.rng import Key
from frenemy.theory.intervals import Steps, Stretch, drawn, pictured, told
from frenemy.theory.problem import Draws, Quantity, Slide, inside
from frenemy.theory.scene import Scene

__all__ = ["CLASSES", "Line"]

CLASSES: Final = (Stretch(-2.0, -1.0, -1), Stretch(1.0, 2.0, 1))

_RULES: Final = {
    "f1": Steps((1.0,), (-1, 1)),
    "f2": Steps((-4.0, 0.0), (1, -1, 1)),
    "f3": Steps((0.0,), (-1, 1)),
    "f4": Steps((0.0, 4.0), (-1, 1, -1)),
}


@final
@dataclass(frozen=True, slots=True)
class Line:
    r"""Two classes on a line, and classifiers that are right on both.

    $$ x \sim U([-2, -1) \cup [1, 2)), \quad y = \operatorname{sign} x $$

    | rule | answers 1 |
    |---|---|
    | f1 | from 1 on |
    | f2 | below -4, and from 0 on |
    | f3 | from 0 on |
    | f4 | from 0 to 4 |

    Standard accuracy by the largest norm asks for the same answer everywhere in [x - eps, x + eps], by the exact norm
    at its two ends only. Genuine accuracy asks at those points alone that are exactly eps away from the nearest clean
    input: the ends of the eps-neighbourhood of the clean inputs, each with the class of the interval it is reached
    from, an end that two intervals reach at once counted twice. At eps = 0 it is the natural accuracy.

    Args:
        rule: `f1`, `f2`, `f3` or `f4`.
        eps: what is done to an input, 0 or more.

    Raises:
        UsageError: the rule is unknown, or eps is no number of 0 or more.

    References:
        002, Section 2, Figures 5 to 8; Section 9.1 for f4.
    """

    rule: str = "f1"
    eps: float = 0.5

    card: ClassVar[Card] = Card(
        authors="Anonymous",
        title="Finding a human-like classifier",
        year=2019,
        venue="preprint",
        place="Section 2; Section 9.1 for f4",
        deviations=(
            "step(x) is 1 from 0 on and -1 below; 002 prints 1 twice",
            "f4 as printed takes the value 0; here it is -1 where it is not 1",
            "S_exact is a set of clean inputs, but 002 lists and counts the perturbed points: so does this",
        ),
    )
    slide: ClassVar[Slide] = Slide("eps", 0.0, 6.0)

    def __post_init__(self) -> None:
        if self.rule not in _RULES:
            raise UsageError(f"unknown rule '{self.rule}'{nearest(self.rule, _RULES)}")
        inside("eps", self.eps, 0, 1e6, "0.5 is usual", ends="[]")

    def draw(self, n: int, seed: int) -> Draws:
        """Draw examples."""
        return drawn(CLASSES, Key(seed).fold("line"), n)

    def scene(self) -> Scene:
        """The clean inputs, the answers, and the points eps away from them."""
        return pictured(_RULES[self.rule], CLASSES, self.eps, 8.5)

    def quantities(self, n: int = 20_000, seed: int = 0) -> tuple[Quantity, ...]:
        """Natural accuracy, standard accuracy by largest and by exact norm, genuine accuracy by exact norm."""
        return told(_RULES[self.rule], CLASSES, self.eps, self.draw(n, seed))
