"""EAD: the search for a sparse change of least L1 distance, by shrinking what is not worth its weight."""

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
from frenemy.attacks.hinge import Aim, aim, bracket
from frenemy.attacks.slope import leads
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.slack import hold_
from frenemy.threats.threat import Threat, broadcast

__all__ = ["EAD"]

_NARROW: Final = 1e-6


@final
@dataclass(frozen=True, slots=True)
class EAD:
    r"""Weigh an elastic net of the change against a hinge on the margin, by a shrinking gradient method.

    $$ \min_\delta c \max(-h(x + \delta), 0) + \beta \|\delta\|_1 + \|\delta\|_2^2 / s $$

    $$ \delta_{k+1} = S_{\alpha\beta}(\upsilon_k - \alpha \nabla g(\upsilon_k)), \quad
    \upsilon_{k+1} = \delta_{k+1} + \tfrac{k}{k + 3} (\delta_{k+1} - \delta_k) $$

    with `h` the margin on the perturber's side, `g` all but the L1 term, `S_t` the soft threshold (every entry moves
    by `t` towards 0, at most to it) followed by the cut at the box, and `s` the L1 distance that would do if the model
    went on as it slopes at `x`. A round is `steps` such steps from where the last one ended; rounds halve the bracket
    of `c`. Each row has its own rounds, `c` and step length.

    Args:
        beta: weight of the L1 norm, above 0; the larger, the sparser the change.
        steps: steps a round, 0 or more; with 0 only the input itself is judged.
        binary_search_steps: rounds, 1 or more.
        initial_const: the first `c`, above 0; 1 is the least that would do if the model went on as it slopes at `x`.
        rate: the first threshold `alpha beta` in a round as a share of `s`, above 0; it falls to 0 along the round.
        early_stop: a row leaves at its first success inside the threat, near or not.
        batch_size: the most rows in one forward; None is all rows of the call.

    Returns:
        Found, with `x` the nearest success in L1 inside the threat; without one, the best of the points that were
        inside and of the last one brought back.

    Raises:
        UsageError: a setting is out of range, or the threat is not L1.

    Cost: a row takes at most binary_search_steps x steps + 3 forwards and binary_search_steps x steps backwards, and
    up to 9 backwards more to compare the classes that it could go to.
    """

    beta: float = 30.0
    steps: int = 50
    binary_search_steps: int = 9
    initial_const: float = 1.5
    rate: float = 0.1
    early_stop: bool = False
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Chen, Sharma, Zhang, Yi, Hsieh",
        title="EAD: Elastic-Net Attacks to Deep Neural Networks via Adversarial Examples",
        year=2018,
        venue="AAAI",
        link="arXiv:1709.04114",
        place="eq. 7 and Algorithm 1",
        access=Access.GRADIENTS,
        reach=0.95,
        nearest=1.05,
        threats=("l1",),
        deviations=(
            "the model is asked at the extrapolated point only, which is held to the box; its answer there serves the "
            "gradient and the verdict, one forward a step, and a round ends without extrapolation; the released code "
            "asks at both points, and the paper judges the other",
            "the threshold is alpha beta, as the method of proximal gradients has it; the paper's is beta",
            "squares are divided by the first linear estimate of the distance, which also sets c and the step, so "
            "that beta and the rest mean the same in any unit of the inputs",
            "the step falls straight to 0 along a round, where the released code takes a square root; each round "
            "starts where the last one ended, and has succeeded if its second half saw a success",
            "in the first round an untargeted row goes for the class that is nearest to first order",
            "the decision rule is the least L1 norm; that of the elastic net would not answer to a threat",
        ),
    )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        if self.steps < 0 or self.binary_search_steps < 1:
            raise UsageError(
                "expected steps >= 0 and binary_search_steps >= 1, got "
                f"{self.steps} and {self.binary_search_steps}"
            )
        if not all(0 < number < math.inf for number in (self.beta, self.initial_const, self.rate)):
            raise UsageError(
                "expected a finite beta, initial_const and rate above 0, got "
                f"{self.beta}, {self.initial_const} and {self.rate}"
            )
        looks = self.binary_search_steps * self.steps
        approach = Approach(_Path(self, threat, objective), looks, self.early_stop, self.batch_size)
        return approach(model, batch, threat=threat, objective=objective)


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """Rounds of FISTA, each on the weight that the rounds before have left in the bracket."""

    attack: EAD
    threat: Threat
    objective: Objective

    def begin(self, best: Best, rows: Tensor) -> State:
        x = best.batch.x[rows].contiguous()
        numbers, no = best.eps.new_zeros(6, len(rows)), torch.zeros_like(rows, dtype=torch.bool)
        numbers[4:] = math.inf
        state = dict(zip(("c", "low", "scale", "pace", "high", "far"), numbers))
        state |= {"delta": torch.zeros_like(x), "near": x.clone(), "rival": torch.zeros_like(rows)}
        return state | {"x": x, "held": no}

    def onward(self, active: Active, seen: Look) -> Stride:
        attack, state, x = self.attack, active.state, seen.x.detach()
        target = aim(active, seen, threat=self.threat, objective=self.objective, settled=attack.steps)
        state["rival"] = target.rival
        with torch.no_grad():
            ahead, fresh = x - active.origin, active.age == 0
            blind = fresh
            if active.fresh:
                blind = fresh & ~leads(target.normal)
                state |= self._measure(state, fresh, target)
            far = torch.linalg.vector_norm(ahead.flatten(1), 1, dim=1)
            closer = seen.success & (far < state["far"])
            state["far"] = torch.where(closer, far, state["far"])
            outside = (closer & (far > active.eps)).nonzero().flatten()
            if len(outside):
                state["near"][outside] = x[outside]
            turn = active.age % attack.steps
            over = (turn == 0) & ~fresh
            state["held"] |= seen.success & (over | (2 * turn >= attack.steps))
            if bool(over.any()):
                found = state["far"] < math.inf
                pace = torch.where(over & ~found, 2 * state["pace"], state["pace"])
                state |= {"pace": pace, **bracket(state, over)}
            delta = self._shrink(active, ahead, target.normal, seen.success, turn)
            drive = torch.where(turn + 1 < attack.steps, turn.to(x.dtype) / (turn + 3), 0)
            point = torch.lerp(state["delta"], delta, 1 + broadcast(drive, x)).add_(active.origin)
            point = hold_(point, self.threat.low, self.threat.high)
            last = active.age + 1 >= attack.steps * attack.binary_search_steps
            stop = blind | (last & (state["far"] < math.inf) & ~active.reached)
            rows = stop.nonzero().flatten()
            point[rows] = state["near"][rows]
        return Stride({**state, "delta": delta, "x": point}, stop, blind, target.backwards)

    def _measure(self, state: State, fresh: Tensor, target: Aim) -> State:
        """What rows that have just entered should try first, if the model goes on as it slopes there."""
        top = target.normal.flatten(1).abs().amax(1)
        scale = (-target.gap).clamp(min=_NARROW) / top
        first = {"c": self.attack.initial_const * (self.attack.beta + 2) / top, "scale": scale}
        first["pace"] = self.attack.rate * scale
        return {word: torch.where(fresh, new.nan_to_num(0, 0, 0), state[word]) for word, new in first.items()}

    def _shrink(
        self, active: Active, ahead: Tensor, gradient: Tensor, success: Tensor, turn: Tensor
    ) -> Tensor:
        """One step down from the extrapolated change, shrunk and cut at the box."""
        state = active.state
        cut = state["pace"] * (1 - turn.to(ahead.dtype) / self.attack.steps)
        size = cut / self.attack.beta
        push = torch.where(success, 0, state["c"]) * size
        kept = 1 - 2 * size / state["scale"].clamp(min=torch.finfo(size.dtype).tiny)
        moved = (ahead * broadcast(kept, ahead)).addcmul_(gradient, broadcast(push, ahead))
        reach = broadcast(cut, ahead)
        moved = moved.sub_(moved.clamp(-reach, reach)).add_(active.origin)
        return hold_(moved, self.threat.low, self.threat.high).sub_(active.origin)
