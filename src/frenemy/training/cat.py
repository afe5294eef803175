"""CAT: an eps and a label of its own for each example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.models.model import Model
from frenemy.objectives.surrogates import Margin
from frenemy.rng import Key
from frenemy.threats.threat import Threat, radii
from frenemy.training.climb import Climb
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, within
from frenemy.training.softened import Softened
from frenemy.training.vicinity import dirichlet, smoothed

__all__ = ["CAT"]

_PAPER: Final = 8 / 255


@final
@dataclass(frozen=True, slots=True)
class CAT:
    r"""Let the eps of each example grow while no attack succeeds, and soften its label as it grows.

    $$ \varepsilon_i \leftarrow \min(\varepsilon_i + \eta, \varepsilon), \quad
       x' = \arg\max_{\|x' - x\| \le \varepsilon_i} \ell(f(x'), \tilde y_i), \quad
       \varepsilon_i \leftarrow 0 \text{ if } f(x') \ne y_i $$

    $$ \ell(f(x'), \tilde y) = -\sum_k \tilde y_k \log p_k(x') + m \max\{\max_{j \ne y} Z_j - Z_y, -\kappa\}, \quad
       \tilde y_i = (1 - a_i)\, y_i + a_i\, \operatorname{Dirichlet}(\mathbf 1), \quad
       a_i = a\, \varepsilon_i / \varepsilon $$

    The attack begins at the input with the softened label of the eps before; the weights follow that of the eps after.
    Cross-entropy attacks find far less than there is in models trained so: never judge it by those alone.

    Args:
        eta: growth in one step, as a share of eps (0.005 of 8/255 in the source).
        smoothing: a, share of the Dirichlet draw in the label at the whole eps, in [0, 1] (c eps = 10 x 8/255).
        margin: m, weight of the margin; 0 is cross-entropy alone.
        kappa: where the margin stops to count, 0 or more.
        steps, step_size: of PGD, the latter as a share of the threat's eps.
        adapt_eps: False has the whole eps for every example (the ablation "label smoothing only").
        adapt_labels: False keeps the labels hard ("adaptive eps only").
        as_released: the rule of the released code, in which an eps shrinks back where the attack fails and is kept
            where it succeeds, and the margin counts by eps_i and is summed over the batch.

    Cost: `steps` + 1 forwards and backwards an example and one forward to see whether the attack succeeded.
    """

    eta: float = 0.005 / _PAPER
    smoothing: float = 10 * _PAPER
    margin: float = 1.0
    kappa: float = 10.0
    steps: int = 10
    step_size: float = 0.25
    adapt_eps: bool = True
    adapt_labels: bool = True
    as_released: bool = False

    card: ClassVar[Card] = Card(
        authors="Cheng, Lei, Chen, Dhillon, Hsieh",
        title="CAT: Customized adversarial training for improved robustness",
        year=2020,
        venue="arXiv preprint",
        link="arXiv:2002.06789",
        place="Algorithm 1; 004, Algorithm 8, eq. 4.4 to 4.6",
        vicinity=("PGD(x) of an eps for each x", "y", "identity", "(1 - a) y + a Dirichlet(1)", "yes"),
        deviations=(
            "Algorithm 8 adds (1 - c eps) Dirichlet to (1 - c eps) y, which does not sum to 1; c eps as in eq. 4.4",
            "Algorithm 8 attacks with eps_i + eta before the cap, beyond the largest eps and outside the box; not here",
            "c is given by what c eps is at the largest eps, so that it means the same for every threat",
            "kappa is added to the margin, so that the loss is not negative; gradients are the same",
            "as_released: the second of its versions, but the cap is the threat's eps (0.035 there) and eta, steps and "
            "c are those set here; with several processes the margin is summed over the rows of each",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "cifar10": Preset(
            "004, Section 4.3",
            "vgg16",
            "linf:8/255",
            regime={
                "epochs": 200,
                "optimiser": "sgd",
                "rate": 0.1,
                "schedule": "step",
                "milestones": (80, 140, 180),
                "weight_decay": 5e-4,
                "augment": "crop-flip",
                "hold_out": 1000,
            },
        ),
        "mnist": Preset("chosen here", "lenet", "linf:0.3", regime={"epochs": 20, "hold_out": 1000}),
    }

    def __post_init__(self) -> None:
        within("smoothing", self.smoothing)
        for name in ("eta", "margin", "kappa"):
            within(name, getattr(self, name), float("inf"))

    def remember(self, memory: Memory, examples: Examples, batch_size: int) -> None:
        """An eps for each example, as a share of the threat's, 0 at first; the number of classes."""
        memory.keep("eps", 0.0 if self.adapt_eps else 1.0)
        memory.shared["classes"] = torch.tensor(len(examples.classes))

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """Attack with the eps that has grown, see whether that succeeded, and change eps and label by it."""
        whole, own = radii(threat.eps, batch.x), memory.of("eps", batch.index).to(batch.x)
        before = self._label(batch, memory, own, key.fold("before"))
        grown = (own + self.eta).clamp(max=1.0) if self.adapt_eps else torch.ones_like(own)
        x = Climb(self.steps, self.step_size, "input")(
            model,
            batch,
            threat=threat.at(grown * whole),
            objective=Softened(batch.y, self.margin, self.kappa),
            key=key,
            goal=before.log(),
        )
        with torch.no_grad():
            fell = model(x).argmax(1) != batch.y
        new = grown
        if self.adapt_eps:
            kept = (grown - self.eta).clamp(min=0) if self.as_released else grown
            new = torch.where(fell, grown if self.as_released else 0.0, kept)
        memory.put("eps", batch.index, new)
        label = self._label(batch, memory, new, key.fold("after"))
        return Views({"enemy": x}, {"eps": new * whole, "fell": fell.to(own)}, {"soft": label})

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy against the softened label, and the margin."""
        logits = model(views.x["enemy"])
        margin = Margin()(logits, batch.y).clamp(min=-self.kappa) + self.kappa
        if self.as_released:
            margin = margin * views.facts["eps"] * len(batch)
        return {
            "soft": Term(cross_entropy(logits, views.labels["soft"].to(logits), reduction="none")),
            "margin": Term(margin, self.margin),
        }

    def _label(self, batch: Batch, memory: Memory, share: Tensor, key: Key) -> Tensor:
        """The softened labels, `(batch, classes)` float64."""
        classes = int(memory.shared["classes"])
        if not self.adapt_labels:
            return smoothed(batch.y, classes, 0.0, 0.0)
        drawn = dirichlet(torch.ones(len(batch), classes, device=batch.x.device), batch.index, key)
        return smoothed(batch.y, classes, self.smoothing * share, drawn)
