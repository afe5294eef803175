"""OLGRC: as OLSRC, but the points at each norm keep out of what smaller norms have reached already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.hypocritical import Hypocritical
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import Threat, broadcast, radii
from frenemy.training.climb import Climb
from frenemy.training.lexicographic import Lexicographic
from frenemy.training.memory import Memory
from frenemy.training.perceptron import begin, improve, logits
from frenemy.training.recipe import Preset, Terms, Views, within
from frenemy.training.spheres import FULL_BATCH, checked, named, ordered

__all__ = ["OLGRC"]

_TINY = 1e-12


@final
@dataclass(frozen=True, slots=True)
class OLGRC:
    r"""Minimise the clean loss, and the loss at points of each exact norm that are not nearer to another example.

    $$ \operatorname{lex\,min}_\theta \left(\ell(f(x), y), \ell(f(x_1), y), \dots\right), \quad x_t =
       \operatorname{lex\,max}_{\|x' - x\| = s_t \varepsilon} \left(\log P_t(x'), \ell(f(x'), y)\right), \quad
       P_t(x') = \sum_{j \ge t} P(j \mid x') $$

    A discriminator learns at which norm a point was met: class 0 are the inputs, class t the points of largest and of
    least loss at norm t. P_t is its probability that a point was not reached at a smaller norm. A search follows the
    mean of the slope of log P_t and of what is left of the slope of the loss when it may not lower log P_t, both of
    length 1 ("optimal lexicographically genuinely robust classifier").

    Args:
        sizes, alpha, steps, step_size, start, forward, project: as for `OLSRC`.
        hidden: neurons of the discriminator, which has one hidden layer with leaky ReLU (0.2).
        rate: of its Adam; it takes one step after each of the weights.

    Cost: three times the searches of OLSRC, the first with a small net beside the model; the discriminator and its
    moments in memory.
    """

    sizes: tuple[float, ...] = (1.0,)
    alpha: float = 0.5
    steps: int = 10
    step_size: float = 0.25
    start: str = "uniform"
    forward: str = "joint"
    project: str = "gradient"
    hidden: int = 256
    rate: float = 1e-3

    card: ClassVar[Card] = Card(
        authors="Anonymous",
        title="Finding a human-like classifier",
        year=2019,
        venue="preprint",
        place="Sections 4.1 to 4.3 and 6",
        vicinity=(
            "x and PGD(x) at exact norms, outside what was reached",
            "y",
            "identity",
            "identity",
            "yes",
        ),
        deviations=(
            "002 does not say what the discriminator is nor how fast it learns; here it has the shape of the "
            "classifier of its Section 6.1 and Adam at 0.001",
            "002 does not say how its probabilities make a region; here P_t sums the classes from t on",
            "the two slopes of a search have length 1 and count alike",
            "with several processes each has a discriminator of its own, and a checkpoint holds that of the first",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {"mnist": FULL_BATCH}

    def __post_init__(self) -> None:
        checked(self.sizes)
        within("alpha", self.alpha)
        if self.hidden < 1 or not 0 < self.rate < float("inf"):
            raise UsageError(
                f"expected hidden neurons and a rate above 0, got hidden={self.hidden}, rate={self.rate}; "
                "256 and 0.001 are usual"
            )
        Lexicographic(self.project)

    @property
    def update(self) -> Lexicographic:
        """No term may raise an earlier one."""
        return Lexicographic(self.project)

    def remember(self, memory: Memory, examples: Examples, batch_size: int) -> None:
        """The discriminator."""
        begin(memory, examples.x[0].numel(), self.hidden, len(self.sizes) + 1)

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The inputs; at each norm a point outside what was reached, and those of largest and of least loss."""
        climb, x, facts = Climb(self.steps, self.step_size, self.start), {"clean": batch.x}, {}
        for place, share in enumerate(self.sizes, 1):
            sphere, own = Sphere(threat.at(threat.eps * share)), key.fold(f"{share:g}")
            x[named(share)] = self._avoiding(model, batch, sphere, memory, place, own)
            for name, objective in (("most", Untargeted()), ("least", Hypocritical())):
                x[f"{name} {share:g}"] = climb(
                    model, batch, threat=sphere, objective=objective, key=own.fold(name)
                )
            with torch.no_grad():
                facts[f"unexplored {share:g}"] = _beyond(memory, x[named(share)], place).exp()
        return Views(x, facts)

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy at the inputs and at the points outside, in the order of the norms."""
        points = {name: views.x[name] for name in ("clean", *map(named, self.sizes))}
        return ordered(model, points, batch.y, alpha=self.alpha, forward=self.forward)

    def learn(self, memory: Memory, batch: Batch, views: Views, threat: Threat) -> None:
        """One step of the discriminator."""
        points, classes = [batch.x], [torch.zeros_like(batch.y)]
        for place, share in enumerate(self.sizes, 1):
            points += [views.x[f"most {share:g}"], views.x[f"least {share:g}"]]
            classes += [torch.full_like(batch.y, place)] * 2
        device = memory.shared["w1"].device
        improve(memory, torch.cat(points).to(device), torch.cat(classes).to(device), self.rate)

    def _avoiding(
        self, model: Model, batch: Batch, sphere: Sphere, memory: Memory, place: int, key: Key
    ) -> Tensor:
        """Climb out of what smaller norms have reached first, and up the loss as far as that leaves free."""
        eps, objective = radii(sphere.eps, batch.x), Untargeted()
        x = Climb(0, 0.0, self.start)(model, batch, threat=sphere, objective=objective, key=key)
        for _ in range(self.steps):
            with torch.enable_grad():
                leaf = x.detach().requires_grad_()
                (out,) = torch.autograd.grad(_beyond(memory, leaf, place).sum(), leaf)
                (up,) = torch.autograd.grad(objective.loss(model(leaf), batch.y).sum(), leaf)
            along = (out * up).flatten(1).sum(1) / out.flatten(1).square().sum(1).clamp(min=_TINY)
            free = up - broadcast(along.clamp(max=0), up) * out
            x = sphere.retract(sphere.move(x, _unit(out) + _unit(free), self.step_size * eps), batch.x, eps)
        return x.detach()


def _beyond(memory: Memory, x: Tensor, place: int) -> Tensor:
    """Logarithm of the probability that a point belongs to norm number `place` or a larger one, `(batch,)`."""
    said = logits(memory, x)
    return said[:, place:].logsumexp(1) - said.logsumexp(1)


def _unit(gradient: Tensor) -> Tensor:
    """Each row at length 1; zero where it is zero."""
    return gradient / broadcast(gradient.flatten(1).norm(dim=1).clamp(min=_TINY), gradient)
