"""CW: Carlini and Wagner's search for the least distance, which weighs the distance against the margin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from frenemy.attacks.active import Active, State
from frenemy.attacks.approach import Approach, Look, Stride
from frenemy.attacks.attack import Found, admit
from frenemy.attacks.best import Best
from frenemy.attacks.hinge import aim, bracket
from frenemy.attacks.slope import leads
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.chart import Chart, chart
from frenemy.threats.threat import Threat, broadcast

__all__ = ["CW"]

_FIRST: Final = 0.9
_SECOND: Final = 0.999
_TINY: Final = 1e-8
_NARROW: Final = 1e-6
_NEARLY: Final = 1.01


@final
@dataclass(frozen=True, slots=True)
class CW:
    r"""Weigh the distance against a hinge on the margin, and find the weight at which the border is just crossed.

    $$ \min_u D(\delta) + c \max(\kappa - h(x + \delta), 0), \quad x + \delta = \tfrac{low + high}{2} + a \tanh u $$

    with `h` the margin on the perturber's side. For L2, `D = |d|^2` and rounds halve the bracket of `c`; for Linf,
    `D = sum_i max(|d_i| - tau, 0)` and rounds halve the bracket of `tau`. A round is `steps` steps of Adam from where
    the last one ended. Each row has its own rounds, `c`, `tau` and step length.

    Args:
        steps: steps of Adam a round, 0 or more; with 0 only the input itself is judged.
        binary_search_steps: rounds, 1 or more.
        confidence: `kappa`, 0 or more, in logits: how large a margin the search strives for. What is kept is the
            nearest success, whatever its margin.
        initial_const: the first `c`, above 0; 1 is the least that would do if the model went on as it slopes at `x`.
        rate: Adam's first step in a round, above 0; 1 is the largest change of a coordinate of `u` that would do if
            the model went on as it slopes at `x`. It falls to 0 along the round.
        early_stop: a row leaves at its first success inside the threat, near or not.
        batch_size: the most rows in one forward; None is all rows of the call.

    Returns:
        Found, with `x` the nearest success inside the threat; without one, the best of the points that were inside
        and of the last one brought back.

    Raises:
        UsageError: a setting is out of range, or the threat is neither L2 nor Linf.

    Cost: a row takes at most binary_search_steps x steps + 3 forwards and binary_search_steps x steps backwards, and
    up to 9 backwards more to compare the classes that it could go to.

    References:
        004, eq. 2.5-2.7.
    """

    steps: int = 50
    binary_search_steps: int = 9
    confidence: float = 0.0
    initial_const: float = 1.5
    rate: float = 0.1
    early_stop: bool = False
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Carlini, Wagner",
        title="Towards Evaluating the Robustness of Neural Networks",
        year=2017,
        venue="IEEE Symposium on Security and Privacy",
        link="arXiv:1608.04644",
        place="Sections V.B, VI.A and VI.C",
        access=Access.GRADIENTS,
        reach=0.95,
        nearest=1.05,
        threats=("l2", "linf"),
        deviations=(
            "c and Adam's step start from the slope at the input, not from 1e-3 and 0.01: no unit of the inputs is "
            "privileged, and no round goes to weights far too small",
            "Adam's step falls to 0 along a round, each round starts where the last one ended (in the paper for Linf "
            "only), and has succeeded if its second half saw a success",
            "tanh runs past the box and is cut at its ends, so that inputs at an end move (the released code shrinks "
            "them instead); coordinates without a finite box move as they are",
            "in the first round an untargeted row goes for the class that is nearest to first order, not for the "
            "runner-up of the logits",
            "for Linf the bracket of tau is halved; the paper lowers tau by a tenth",
            "no abort of a round; the released code stops when the sum of the whole batch stalls",
            "towards a class the hinge is on max_k z_k - z_t, as in the paper; eq. 2.7 of 004 has the sign reversed",
        ),
    )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        if self.steps < 0 or self.binary_search_steps < 1 or not 0 <= self.confidence < math.inf:
            raise UsageError(
                "expected steps >= 0, binary_search_steps >= 1 and a finite confidence >= 0, got "
                f"{self.steps}, {self.binary_search_steps} and {self.confidence}"
            )
        if not (0 < self.initial_const < math.inf and 0 < self.rate < math.inf):
            raise UsageError(
                f"expected a finite initial_const and rate above 0, got {self.initial_const} and {self.rate}"
            )
        order = float(getattr(threat, "order", math.inf))
        path = _Path(self, threat, objective, chart(threat, batch.x), order)
        looks = self.binary_search_steps * self.steps
        approach = Approach(path, looks, self.early_stop, self.batch_size)
        return approach(model, batch, threat=threat, objective=objective)


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """Rounds of Adam, each on the weight or the reach that the rounds before have left in the bracket."""

    attack: CW
    threat: Threat
    objective: Objective
    chart: Chart
    order: float

    def begin(self, best: Best, rows: Tensor) -> State:
        x = best.batch.x[rows].contiguous()
        numbers, no = best.eps.new_zeros(6, len(rows)), torch.zeros_like(rows, dtype=torch.bool)
        numbers[4:] = math.inf
        state = dict(zip(("c", "tau", "pace", "low", "high", "far"), numbers))
        state |= {"near": x.clone(), "w": self.chart.enter(x), "rival": torch.zeros_like(rows), "held": no}
        return state | {"x": x, "first": torch.zeros_like(x), "second": torch.zeros_like(x)}

    def onward(self, active: Active, seen: Look) -> Stride:
        attack, state, x = self.attack, active.state, seen.x.detach()
        target = aim(active, seen, threat=self.threat, objective=self.objective, settled=attack.steps)
        state["rival"], gradient = target.rival, target.normal
        with torch.no_grad():
            delta, fresh = x - active.origin, active.age == 0
            blind = fresh
            if active.fresh:
                blind = fresh & ~leads(gradient)
                state |= self._measure(state, fresh, attack.confidence - target.gap, gradient, x)
            won = seen.success & (target.margin >= attack.confidence)
            far = torch.linalg.vector_norm(delta.flatten(1), self.order, dim=1)
            closer = won & (far < state["far"])
            state["far"] = torch.where(closer, far, state["far"])
            outside = (closer & (far > active.eps)).nonzero().flatten()
            if len(outside):
                state["near"][outside] = x[outside]
            turn = active.age % attack.steps
            over = (turn == 0) & ~fresh
            state["held"] |= won & (over | (2 * turn >= attack.steps))
            if bool(over.any()):
                state |= self._next_round(state, over)
            push = broadcast(torch.where(won, 0, state["c"]), x)
            if self.order == 2.0:
                pull = delta.addcmul_(gradient, push, value=-0.5)
            else:
                reach = broadcast(state["tau"], x)
                pull = delta.sub_(delta.clamp(-reach, reach)).sign_().addcmul_(gradient, push, value=-1)
            ahead = self.chart.leave(self._adam(state, pull.mul_(self.chart.rate(x)), turn))
            last = active.age + 1 >= attack.steps * attack.binary_search_steps
            stop = blind | (last & (state["far"] < math.inf) & ~active.reached)
            rows = stop.nonzero().flatten()
            ahead[rows] = state["near"][rows]
        return Stride({**state, "x": ahead}, stop, blind, target.backwards)

    def _measure(self, state: State, fresh: Tensor, gap: Tensor, gradient: Tensor, x: Tensor) -> State:
        """What rows that have just entered should try first, if the model goes on as it slopes there."""
        gap, slopes = gap.clamp(min=_NARROW), gradient.flatten(1)
        moved = (gradient * self.chart.rate(x)).flatten(1).abs()
        if self.order == 2.0:
            c, tau = 2 * gap / slopes.square().sum(1), gap
            pace = gap * moved.amax(1) / moved.square().sum(1)
        else:
            c, tau = 1 / slopes.abs().amax(1), gap / slopes.abs().sum(1)
            pace = gap / moved.sum(1)
        first = {"c": self.attack.initial_const * c, "tau": tau, "pace": self.attack.rate * pace}
        return {word: torch.where(fresh, new.nan_to_num(0, 0, 0), state[word]) for word, new in first.items()}

    def _next_round(self, state: State, over: Tensor) -> State:
        """Halve the bracket of each row whose round is over; without any success yet, weigh and step more boldly."""
        found = state["far"] < math.inf
        pace = torch.where(over & ~found, 2 * state["pace"], state["pace"])
        rows = over.nonzero().flatten()
        state["first"][rows], state["second"][rows] = 0, 0
        if self.order == 2.0:
            return {"pace": pace, **bracket(state, over)}
        c, tau, low, far = (state[word] for word in ("c", "tau", "low", "far"))
        low = torch.where(over & (far > _NEARLY * tau), torch.maximum(tau, low), low)
        low = torch.where(over & (far <= low), far / 2, low)
        tau = torch.where(over, torch.where(found, (low + far) / 2, 2 * tau), tau)
        return {"pace": pace, "c": torch.where(over & ~found, 10 * c, c), "tau": tau, "low": low}

    def _adam(self, state: State, gradient: Tensor, turn: Tensor) -> Tensor:
        """One step of Adam (Kingma and Ba 2015, Algorithm 1) down the gradient, each row at its own turn."""
        first = state["first"].lerp_(gradient, 1 - _FIRST)
        second = state["second"].mul_(_SECOND).addcmul_(gradient, gradient, value=1 - _SECOND)
        count = turn.to(first.dtype) + 1
        root = (1 - _SECOND**count).sqrt()
        left = 1 - (count - 1) / self.attack.steps
        step = first * broadcast(state["pace"] * left * root / (1 - _FIRST**count), first)
        return state["w"].addcdiv_(step, second.sqrt().add_(_TINY * broadcast(root, first)), value=-1)
