"""SPROUT: labels from a Dirichlet distribution that learns to be the hardest, on noisy mixtures; no attack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.errors import DivergedError, UsageError, nearest
from frenemy.models.model import Model
from frenemy.rng import Key
from frenemy.threats.threat import Threat, broadcast
from frenemy.training.memory import Memory
from frenemy.training.recipe import Preset, Term, Terms, Views, within
from frenemy.training.vicinity import dirichlet, mixed, noisy, one_eps, onto_simplex, partners

__all__ = ["SPROUT"]

_READINGS: Final = ("text", "algorithm", "released")
_FLOOR, _FAR = 1e-3, 1e4


@final
@dataclass(frozen=True, slots=True)
class SPROUT:
    r"""Minimise over the weights what is largest over the parameter of a distribution of labels.

    $$ \min_\theta \max_\beta E\, \ell(f_\theta(\tilde x), \tilde y), \quad
       \tilde y \sim \operatorname{Dirichlet}((1 - \alpha)\, y_{mix} + \alpha \beta) $$

    $$ \tilde x = \lambda (x_i + \Delta z_i) + (1 - \lambda)(x_j + \Delta z_j), \quad
       y_{mix} = \lambda y_i + (1 - \lambda) y_j, \quad \lambda \sim \operatorname{Beta}(a, a) $$

    Cross-entropy is linear in the label, so its slope in a concentration c has a closed form,

    $$ \frac{\partial}{\partial c_j} E\, \ell = \frac{1}{c_0} \left(\ell_j - \sum_k \frac{c_k}{c_0} \ell_k\right),
       \quad \ell_k = -\log p_k,\ c_0 = \sum_k c_k $$

    which beta climbs after each step of the weights: a projected step, so that beta keeps its sum. Often all of it ends
    at the class that is hardest for the model. No attack is made, and none is withstood for long: judge it by the
    strongest one.

    Args:
        alpha: in (0, 1].
        reading: `text`, the weights of eq. 5.6; `algorithm`, those of Algorithm 9, which are swapped; `released`, the
            concentration 10 y + beta of the released code, with alpha unused and losses mixed, not labels.
        deviation: Delta; 0 leaves Gaussian augmentation out.
        shape: a of the mixture; 0 leaves mixup out.
        dirichlet: False leaves the labels as they are mixed.
        sample: False has the mean of the distribution in the place of a draw, which has the same expected gradient.
        rate: by which beta climbs.
        constrain: project beta to where its sum is the number of classes and each entry 0.001 or more; without it the
            mass runs away.

    Cost: one forward and backward an example, and draws from a gamma distribution for each class.
    """

    alpha: float = 0.01
    reading: str = "text"
    deviation: float = 0.1
    shape: float = 1.0
    dirichlet: bool = True
    sample: bool = True
    rate: float = 0.1
    constrain: bool = True

    card: ClassVar[Card] = Card(
        authors="Cheng, Chen, Liu, Chang, Hsieh, Das",
        title="Self-progressing robust training",
        year=2021,
        venue="AAAI",
        link="arXiv:2012.11769",
        place="Algorithm 1; 004, Algorithm 9, eq. 5.6 to 5.8",
        vicinity=(
            "lambda N(x_i, Delta^2) + (1 - lambda) N(x_j, Delta^2)",
            "lambda y_i + (1 - lambda) y_j",
            "identity",
            "Dirichlet((1 - alpha) y + alpha beta)",
            "no",
        ),
        deviations=(
            "eq. 5.6 and Algorithm 9 give alpha to different parts, which are opposite methods; see `reading`",
            "004 mixes inputs by lambda and labels by 1 - lambda; both by lambda here",
            "beta climbs by the closed form and not by a reparametrised draw, at the points the weights are trained on",
            "the maximum over beta is unbounded as printed; here beta is projected to a simplex: its sum stays the "
            "number of classes, each entry 0.001 or more",
            "Algorithm 9 begins at a random beta; here, as in the released code, at 1 for every class",
            "lambda is drawn for each example, not for a batch; noisy inputs are not put back into the box",
            "with several processes each has a beta of its own and partners within its rows; a checkpoint holds the "
            "beta of the first",
            "released: one step of the weights a batch, not three; no momentum nor weight decay on beta",
            "one-hot and uniform labels are called special cases in 004; a draw of concentration 1 is nearly one-hot "
            "at a random class, and only its mean is the smoothed label",
        ),
    )
    blends: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Preset]] = {
        "cifar10": Preset(
            "004, Section 5.3.4",
            "vgg16",
            None,
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
        "mnist": Preset("chosen here", "lenet", None, regime={"epochs": 20, "hold_out": 1000}),
    }

    def __post_init__(self) -> None:
        if self.reading not in _READINGS:
            raise UsageError(f"unknown reading '{self.reading}'{nearest(self.reading, _READINGS)}")
        within("alpha", self.alpha)
        for name in ("deviation", "shape", "rate"):
            within(name, getattr(self, name), float("inf"))

    def remember(self, memory: Memory, examples: Examples, batch_size: int) -> None:
        """Beta, 1 for every class at first."""
        memory.shared["beta"] = torch.ones(len(examples.classes))

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """Noisy mixtures; the labels of both partners, a draw for each, and beta as a leaf.

        Raises:
            UsageError: inputs are mixed, and the threat has an eps for each example.
        """
        x, other = noisy(batch, self.deviation, key.fold("noise")), batch.y
        share = torch.ones(len(batch), dtype=x.dtype, device=x.device)
        if self.shape > 0:
            one_eps(threat, "SPROUT")
            place, share = partners(batch, key.fold("partner")), mixed(batch, self.shape, key.fold("share"))
            weight = broadcast(share, x)
            x, other = weight * x + (1 - weight) * x[place], batch.y[place]
        beta = memory.shared["beta"].to(batch.x.device, torch.float64).requires_grad_(self.dirichlet)
        labels = {"other": other, "beta": beta}
        if self.dirichlet and self.sample:
            with torch.no_grad():
                for name, one in self._concentrations(batch.y, other, share, beta).items():
                    labels[f"drawn {name}"] = dirichlet(one, batch.index, key.fold(name))
        return Views({"mixed": x}, {"share": share} if self.shape > 0 else {}, labels)

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """Cross-entropy against the labels; its slope in beta is that of the mean label."""
        logits, other = model(views.x["mixed"]), views.labels["other"]
        share = views.facts.get("share", torch.ones_like(logits[:, 0]))
        if not self.dirichlet:
            own = cross_entropy(logits, batch.y, reduction="none")
            if self.shape == 0:
                return {"mixed": Term(own)}
            return {"mixed": Term(share * own + (1 - share) * cross_entropy(logits, other, reduction="none"))}
        loss, losses = torch.zeros_like(logits[:, 0]), -logits.log_softmax(1)
        shares = (
            {"own": share, "other": 1 - share}
            if self.reading == "released"
            else {"own": torch.ones_like(share)}
        )
        for name, one in self._concentrations(batch.y, other, share, views.labels["beta"]).items():
            mean = (one / one.sum(1, keepdim=True)).to(logits)
            drawn = views.labels.get(f"drawn {name}", mean.detach()).to(logits)
            climbed = (losses.detach() * mean).sum(1)
            loss = loss + shares[name] * ((losses * drawn).sum(1) + climbed - climbed.detach())
        return {"mixed": Term(loss)}

    def learn(self, memory: Memory, batch: Batch, views: Views, threat: Threat) -> None:
        """Let beta climb.

        Raises:
            DivergedError: without its constraint beta ran away.
        """
        slope = views.labels["beta"].grad
        if slope is None:
            return
        beta = memory.shared["beta"]
        climbed = beta.double() + self.rate * slope.cpu()
        new = climbed.clamp(min=_FLOOR)
        if self.constrain and bool(climbed.isfinite().all()):
            new = onto_simplex(climbed, len(beta), _FLOOR)
        if not bool(new.isfinite().all()) or float(new.max()) > max(_FAR, len(beta)):
            raise DivergedError(
                f"expected a label distribution that stays, got a beta of {float(new.max()):g} for class "
                f"{int(new.argmax())}; use a lower rate, or constrain=true"
            )
        beta.copy_(new.to(beta))

    def relation(self, memory: Memory) -> Tensor:
        r"""How the labels of classes go together by what was learned: $ \beta_s \beta_t $, `(classes, classes)`.

        Where the concentration is beta alone, the entry of two classes is $ -\beta_0^2 (\beta_0 + 1) $ times the
        covariance of their labels (004, eq. 5.7 and Fig. 5.8).
        """
        return torch.outer(memory.shared["beta"], memory.shared["beta"])

    def _concentrations(self, y: Tensor, other: Tensor, share: Tensor, beta: Tensor) -> dict[str, Tensor]:
        """What the labels are drawn from, `(batch, classes)` float64; two of them where losses are mixed."""
        own, another = (one_hot(labels, len(beta)).double() for labels in (y, other))
        if self.reading == "released":
            found = {"own": 10 * own + beta}
            return {**found, "other": 10 * another + beta} if self.shape > 0 else found
        weight = share.double()[:, None]
        both = weight * own + (1 - weight) * another
        alpha = self.alpha if self.reading == "text" else 1 - self.alpha
        return {"own": ((1 - alpha) * both + alpha * beta).clamp(min=1e-6)}
