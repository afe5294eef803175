"""Estimate: a number with the interval it was measured to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import final

__all__ = ["Estimate", "difference", "proportion"]


@final
@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, the two ends of its interval, and the number of examples behind it.

    Over zero examples a risk is undefined: the value is NaN and the interval is all there is, [0, 1].
    """

    value: float
    low: float
    high: float
    n: int

    @property
    def defined(self) -> bool:
        """Whether any example stands behind the number."""
        return self.n > 0

    def __str__(self) -> str:
        if not self.defined:
            return "undefined (n = 0)"
        return f"{100 * self.value:.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"

    def plain(self) -> dict[str, float | int | None]:
        """As JSON holds it; a value that is undefined is None."""
        value = self.value if self.defined else None
        return {"value": value, "low": self.low, "high": self.high, "n": self.n}

    def flip(self) -> Estimate:
        """The complement: an accuracy from its risk."""
        return Estimate(1 - self.value, 1 - self.high, 1 - self.low, self.n)


def proportion(hits: int, n: int, confidence: float = 0.95) -> Estimate:
    r"""Estimate a probability from `hits` among `n` independent examples, with Wilson's score interval.

    $$ \frac{\hat p + z^2/2n \pm z \sqrt{\hat p (1 - \hat p)/n + z^2/4n^2}}{1 + z^2/n} $$

    Args:
        hits: how often it happened, from 0 to `n`.
        n: number of examples; with 0 the estimate is undefined.
        confidence: coverage of the interval, in (0, 1).

    References:
        Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22, p. 209.
    """
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0, 0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if hits == 0 else max(0.0, middle - reach)
    high = 1.0 if hits == n else min(1.0, middle + reach)
    return Estimate(share, low, high, n)


def difference(first: Estimate, second: Estimate) -> Estimate:
    r"""Estimate how much larger the second probability is than the first, from their own intervals.

    $$ d - \sqrt{(p_2 - l_2)^2 + (u_1 - p_1)^2}, \quad d + \sqrt{(u_2 - p_2)^2 + (p_1 - l_1)^2}, \quad d = p_2 - p_1 $$

    Holds for samples that are independent; where both are shares of the same examples, which tend to fall together, it
    is too wide rather than too narrow. An exact number is an estimate whose ends are its value.

    Returns:
        The difference, in [-1, 1], with the smaller of the two n; undefined, and anything in [-1, 1], if one is.

    References:
        Newcombe 1998, "Interval estimation for the difference between independent proportions", Statistics in Medicine
        17, p. 873, method 10.
    """
    n = min(first.n, second.n)
    if n == 0:
        return Estimate(math.nan, -1.0, 1.0, 0)
    d = second.value - first.value
    below = math.hypot(second.value - second.low, first.high - first.value)
    above = math.hypot(second.high - second.value, first.value - first.low)
    return Estimate(d, d - below, d + above, n)
