"""OLSRC: clean loss first, then the loss at each exact norm, smaller ones first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import Threat
from frenemy.training.climb import Climb
from frenemy.training.lexicographic import Lexicographic
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Terms, Views, within
from frenemy.training.spheres import FULL_BATCH, checked, named, ordered

__all__ = ["OLSRC"]


@final
@dataclass(frozen=True, slots=True)
class OLSRC:
    r"""Minimise the clean loss, and the loss at each exact norm as far as that raises none before it.

    $$ \operatorname{lex\,min}_\theta \left(\ell(f(x), y), \ell(f(x_1), y), \dots, \ell(f(x_T), y)\right), \quad
       x_t = \arg\max_{\|x' - x\| = s_t \varepsilon} \ell(f(x'), y), \quad s_1 < \dots < s_T = 1 $$

    Small norms count before large ones ("optimal lexicographically standardly robust classifier"). The weights follow
    `Lexicographic`. It is meant for full batches: what is no conflict in one batch may be one in the next.

    Args:
        sizes: the norms as shares of eps, ascending in (0, 1].
        alpha: weight of the clean loss, in [0, 1]; the others share the rest evenly.
        steps: of each search on its sphere.
        step_size: length of a step as a share of the norm; on a line a step above 1 is needed to reach the other side.
        start: where a search begins.
        forward: all points in one forward (`joint`) or one each (`separate`), which differs under batch norm.
        project: see `Lexicographic`.

    Cost: `steps` forwards and backwards for each size; then one forward of all points and a backward for each term;
    the gradients of all terms in memory.
    """

    sizes: tuple[float, ...] = (1.0,)
    alpha: float = 0.5
    steps: int = 10
    step_size: float = 0.25
    start: str = "uniform"
    forward: str = "joint"
    project: str = "gradient"

    card: ClassVar[Card] = Card(
        authors="Anonymous",
        title="Finding a human-like classifier",
        year=2019,
        venue="preprint",
        place="Sections 4.2, 4.3 and 6",
        vicinity=("x and PGD(x) at exact norms", "y", "identity", "identity", "yes"),
        deviations=(
            "where the box is smaller than a norm the point goes as far as the box allows",
            "002 says that no loss s is raised by the sum; that holds for what is followed of losses s and after, "
            "while an earlier one may raise it",
            "no number is added to the diagonal of the dual for stability",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {"mnist": FULL_BATCH}

    def __post_init__(self) -> None:
        checked(self.sizes)
        within("alpha", self.alpha)
        Lexicographic(self.project)

    @property
    def update(self) -> Lexicographic:
        """No term may raise an earlier one."""
        return Lexicographic(self.project)

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """The inputs, and where the search ends on each sphere."""
        climb, x = Climb(self.steps, self.step_size, self.start), {"clean": batch.x}
        for share in self.sizes:
            sphere = Sphere(threat.at(threat.eps * share))
            x[named(share)] = climb(
                model, batch, threat=sphere, objective=Untargeted(), key=key.fold(f"{share:g}")
            )
        return Views(x)

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy at all of them, in the order of the norms."""
        return ordered(model, views.x, batch.y, alpha=self.alpha, forward=self.forward)
