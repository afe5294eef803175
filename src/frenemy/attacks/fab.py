"""FAB: the fast adaptive boundary attack, which walks along the border of the decision region towards the input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from frenemy.attacks.active import Active
from frenemy.attacks.attack import Found, admit
from frenemy.attacks.best import Best, look
from frenemy.attacks.faces import Face, shorten
from frenemy.attacks.patience import hopeless, walked
from frenemy.attacks.runs import Runs
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.models.still import still
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.plane import landing
from frenemy.threats.slack import hold_
from frenemy.threats.threat import Threat, broadcast

__all__ = ["FAB"]

_LOOKS: Final = 3
_LEAST: Final = 1e-8
_BEYOND: Final = 1.001
"""From beyond the face both steps pass it by as much: without this their mean would lie on it to the last bit."""


@final
@dataclass(frozen=True, slots=True)
class FAB:
    r"""Project onto the nearest face of the linearised decision region, pulled towards the input; keep the nearest.

    $$ x_{t+1} = \Pi_{box}\big((1 - \alpha)(x_t + \eta d_t) + \alpha (x + \eta d^0_t)\big), \quad
       \alpha = \min\Big(\frac{\|d_t\|}{\|d_t\| + \|d^0_t\|}, \alpha_{max}\Big) $$

    with `d_t` and `d^0_t` the shortest steps inside the box from `x_t` and from the input onto the face. A point that
    succeeds is pulled back: `x + \beta (x_{t+1} - x)`.

    Args:
        steps: linearisations a run; with 0 only the input is judged.
        restarts: runs, for each target where there are targets. The first begins at the input, later ones at a random
            point half as far from it as the nearest success, or as eps if that is less.
        alpha_max: strongest pull towards the input, in [0, 1].
        eta: length of each step as a multiple of the distance to the face; above 1 it passes the face.
        beta: what share of the way out a success is pulled back to, in [0, 1].
        targets: None looks at the faces of all classes at each step, with a backward for each; a number gives each of
            so many classes, those of highest logit at the input, runs of its own with one face and one backward a step
            (FAB-T has 9). An objective towards a class has one face anyway, and targets mean nothing there.
        early_stop: a row leaves at its first success inside the threat, near or not; a run without hope of one ends.
        parity: do as the released code does: look at every face, begin at random at half of eps whatever was found
            before, take every step, and do not search the line from the input to the success at the end.
        batch_size: the most rows in one forward; None is all rows of the call.

    Returns:
        Found, with `x` inside the set for every row with a finite clean answer; a success is the nearest one seen.

    Raises:
        UsageError: a setting is out of range, or the threat is a sphere.

    Cost: with K faces (K = classes - 1, or 1) and R runs (restarts, times targets), a row takes 1 + 2 R steps forwards
    and at most K R steps backwards; 2 forwards and K backwards more if it is not found, and 5 forwards more if it is.
    """

    steps: int = 100
    restarts: int = 1
    alpha_max: float = 0.1
    eta: float = 1.05
    beta: float = 0.9
    targets: int | None = None
    early_stop: bool = False
    parity: bool = False
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Croce, Hein",
        title="Minimally distorted adversarial examples with a fast adaptive boundary attack",
        year=2020,
        venue="ICML",
        link="arXiv:1907.02044",
        place="Algorithm 1; eq. 5-10",
        access=Access.GRADIENTS,
        reach=0.95,
        nearest=1.02,
        threats=("linf", "l2", "l1"),
        deviations=(
            "any box; paper and released code have [0, 1]",
            "every run of every row goes on to its end for the sake of the distance, where the released code drops a "
            "row after its first run with a success within eps",
            "a face is passed over that would have to be three times as steep as the steepest looked at, to lie nearer",
            "a run whose gradient is zero or not finite ends there",
            "the input's own step goes a thousandth farther, so that rounding does not say on which side a point lies",
            "with early_stop a run ends where its nearest success stays too far beyond eps to come back (patience.py)",
            "with parity: all faces are looked at, random starts are half of eps away, no final search, as released",
        ),
    )

    def __post_init__(self) -> None:
        if self.steps < 0 or self.restarts < 1 or (self.batch_size is not None and self.batch_size < 1):
            raise UsageError(
                "expected steps >= 0, restarts >= 1 and batch_size >= 1, got "
                f"steps={self.steps}, restarts={self.restarts}, batch_size={self.batch_size}"
            )
        if self.targets is not None and self.targets < 1:
            raise UsageError(f"expected targets >= 1, or None for all faces at once, got {self.targets}")
        if not (0 <= self.alpha_max <= 1 and 0 <= self.beta <= 1 and 0 < self.eta < math.inf):
            raise UsageError(
                "expected alpha_max and beta in [0, 1] and a finite eta above 0, got "
                f"alpha_max={self.alpha_max}, beta={self.beta}, eta={self.eta}"
            )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row that is not yet where the perturber wants it."""
        admit(self, threat)
        with torch.inference_mode(False), torch.enable_grad(), still(model):
            x = batch.x.clone() if batch.x.is_inference() else batch.x.detach()
            batch = Batch(x, batch.y, batch.index)
            clean = look(model, x, self.batch_size)
            best = Best(batch, clean, threat=threat, objective=objective)
            if self.steps:
                runs = Runs(
                    best,
                    clean,
                    key,
                    restarts=self.restarts,
                    targets=self.targets,
                    beta=self.beta,
                    parity=self.parity,
                )
                self._run(model, best, runs)
            found = best.found()
            if self.early_stop or self.parity:
                return found
            return shorten(model, batch, found, threat, objective, _LOOKS, self.batch_size, found.success)

    def _run(self, model: Model, best: Best, runs: Runs) -> None:
        objective = best.objective
        active = Active(best, best.open(early_stop=True), runs.begin, self.batch_size)
        while len(active):
            closing, lost, backwards = active.state["closing"], torch.zeros_like(active.live), 0
            blind, point = lost, active.x
            if bool((active.live & ~closing).any()):
                x = active.x.detach().requires_grad_()
                logits = model(x)
                active.forwards += 1
                lost = active.lost(active.x, logits.detach())
                face = runs.face(active, x, logits)
                blind, backwards = face.blind, face.backwards
                point = self._ahead(x.detach(), active.origin, face, best.threat)
                stay = (closing | lost | blind).nonzero().flatten()
                point[stay] = active.x[stay]
                del x, logits, face
            answer = look(model, point, None)
            active.forwards += 1
            loss, success = objective.loss(answer, active.goal), objective.success(answer, active.goal)
            distance = best.threat.norm(point - active.origin)
            inside = distance <= active.state["limit"]
            hit, walk = success & inside, walked(active.state, success, distance)
            rank = torch.where(success, -distance, loss).masked_fill(~inside, -torch.inf)
            over = blind | (active.state["turn"] + 1 >= self.steps)
            if self.early_stop and not self.parity:
                over = over | hopeless(walk, active.state["limit"], best.threat)
            last = active.state["run"] + 1 >= runs.count
            leaving = closing | lost | active.lost(point, answer) | (over & last & (hit | active.reached))
            if self.early_stop:
                leaving = leaving | hit
            live, when = active.live & ~leaving, active.age + 1
            left = int(live.sum())
            if left:
                best.flat[active.rows] |= blind & live & (active.age == 0)
                active.step(backwards, runs.onward(active, point, success, distance, walk, live & over, last))
            else:
                active.backwards += backwards
            active.see(point, loss, hit, when, rank)
            active.settle(live, left)

    def _ahead(self, x: Tensor, origin: Tensor, face: Face, threat: Threat) -> Tensor:
        """The next point of each row, before it is known how the model answers there."""
        back = torch.linalg.vecdot(face.normal.flatten(1), (origin - x).flatten(1))
        near = landing(x, face.gap, face.normal, threat)
        far = landing(origin, face.gap + back, face.normal, threat)
        one, two = (threat.norm(step).clamp(min=_LEAST) for step in (near, far))
        alpha = broadcast((one / (one + two)).clamp(max=self.alpha_max), x)
        onto, beyond = torch.add(x, near, alpha=self.eta), 1 if self.parity else _BEYOND
        pulled = torch.add(origin, far, alpha=beyond * self.eta)
        return hold_(onto.lerp_(pulled, alpha), threat.low, threat.high)
