"""Masked: a model whose batch norm has several sets of rescaling parameters, and wears a mask over them."""

from __future__ import annotations

import copy
from typing import Final, final

import torch
from torch import Tensor, nn

from frenemy.errors import ModelError, UsageError, nearest
from frenemy.models.masks import MaskedNorm, convex, encoded, wished, worn
from frenemy.models.model import Model
from frenemy.models.norms import differing, norm_state, norms

__all__ = ["JOINED", "Masked", "Worn", "joined", "masked", "share_of"]

JOINED: Final = ("between", "first", "second")
"""Running statistics of two models in one: mixed by the mask as the rescaling parameters are, or those of one."""


@final
class Masked(nn.Module):
    r"""Give every batch-norm layer of a model `bases` sets of rescaling parameters, mixed by a mask.

    $$ \gamma = \sum_j u_j w_j, \quad \beta = \sum_j u_j w'_j $$

    The mask is part of the model that is judged, never a function of the perturbation:

    - fixed: `wear(u)` sets the mask on which the model stands; it is in the state, and so in the file;
    - chosen for a call: `Worn(model, u)` is the model with `u` on, also through `Fast` or `Lowered`;
    - the worst of several: judge `Worn(model, u)` for each, and count an example where it stands under all
      (`frenemy mask` does).

    At first every basis is the model's own batch norm, so that any mask gives the model itself.

    Args:
        model: copied, not changed; with at least one batch-norm layer.
        bases: k, from 1 to 64.
        statistics: `shared`, one running mean and variance for all bases; `own`, one for each basis, mixed alike.
        p: share of the largest perturbation whose mask it stands on, in [0, 1] (see `encoded`).

    Raises:
        ModelError: the model has no batch norm, or is masked already.
        UsageError: a setting is out of its range.

    Source: 004, eq. 6.2; Xie et al. 2020, arXiv:1911.09665, for statistics of their own.
    """

    mask: Tensor

    def __init__(self, model: nn.Module, bases: int = 2, statistics: str = "shared", p: float = 0.0) -> None:
        super().__init__()
        layers = norms(model)
        if not layers:
            raise ModelError(
                f"expected a model with batch norm, got {type(model).__name__} without any; take such as resnet18"
            )
        if any(isinstance(layer, MaskedNorm) for layer in layers.values()):
            raise ModelError("expected a model without masks, got one that has some; give the one inside it")
        self.bases, self.statistics = bases, statistics
        self.model = copy.deepcopy(model)
        made: dict[int, MaskedNorm] = {}
        for name, layer in norms(self.model).items():
            if not isinstance(layer, MaskedNorm):
                new = made.setdefault(id(layer), MaskedNorm(layer, bases, statistics))
                self.set_submodule(f"model.{name}" if name else "model", new)
        device = next((one.device for one in model.state_dict().values()), torch.device("cpu"))
        self.register_buffer("mask", encoded(p, bases).to(device))
        self.training = model.training

    def wear(self, mask: Tensor) -> Masked:
        """Stand on a mask from now on.

        Raises:
            UsageError: it is no mixture of the bases.
        """
        self.mask.copy_(convex(mask, self.bases))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Logits under the mask that was wished for (`Worn`), or else under the standing one."""
        with worn(self.mask):
            logits: Tensor = self.model(x)
        return logits

    def plain(self) -> dict[str, object]:
        """How it was made of its model, as JSON holds it."""
        return {"bases": self.bases, "statistics": self.statistics}


@final
class Worn(nn.Module):
    """A masked model with a mask on that is chosen here; what wraps the model does not matter.

    Args:
        model: a `Masked`, or whatever calls one.
        mask: `(bases,)`, a mixture of the bases.

    Raises:
        UsageError: the mask is no mixture.
    """

    mask: Tensor

    def __init__(self, model: Model, mask: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mask", convex(mask, len(mask)), persistent=False)
        self.training = getattr(model, "training", False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits under this mask.

        Raises:
            ModelError: there is no masked model inside, or one of another number of bases.
        """
        with wished(self.mask) as wish:
            logits = self.model(x)
        if not wish.heard:
            raise ModelError(
                "expected a model with masks, got one that wears none; wrap it: Masked(model, bases=2)"
            )
        return logits


def masked(model: nn.Module, bases: int, statistics: str, p: float) -> Masked:
    """Give a model masks and let it stand on that of `p`; one that has such masks already is given back.

    Raises:
        ModelError: it has masks of another kind, or no batch norm.
        UsageError: a setting is out of its range.
    """
    if not isinstance(model, Masked):
        return Masked(model, bases, statistics, p)
    if (model.bases, model.statistics) != (bases, statistics):
        raise ModelError(
            f"expected a model of {bases} bases with {statistics} statistics, got one of {model.bases} with "
            f"{model.statistics}; train it by the method that made it, or begin with a plain model"
        )
    return model.wear(encoded(p, bases))


def joined(first: nn.Module, second: nn.Module, statistics: str = "between") -> Masked:
    r"""Make one model of two that differ in batch norm alone: basis 1 is that of the first, basis 2 of the second.

    $$ \gamma_p = (1 - p) \gamma_A + p \gamma_B, \quad \beta_p = (1 - p) \beta_A + p \beta_B $$

    under the mask `encoded(p, 2)`; at p = 0 and 1 it gives the logits of the two, bit for bit, where the statistics go
    between too.

    Args:
        first, second: A and B; they are not changed.
        statistics: `between`, running means and variances are mixed alike; `first` or `second`, they are those of that
            model throughout.

    Raises:
        ModelError: the models differ elsewhere, or not at all, or one is masked.
        UsageError: the statistics are none of these.

    Source: 004, Section 6.2.2, where p = 1 is the model before its batch norm was fine-tuned. It names gamma and beta
    alone; the ends of its Table 6.2 are the models of Table 6.1, which have statistics of their own.
    """
    if statistics not in JOINED:
        raise UsageError(f"unknown statistics '{statistics}'{nearest(statistics, JOINED)}")
    if not differing(first, second):
        raise ModelError("expected two models that differ in batch norm, got the same twice; give another")
    base = second if statistics == "second" else first
    found = Masked(base, 2, "own" if statistics == "between" else "shared")
    state = found.state_dict()
    one, other = first.state_dict(), second.state_dict()
    with torch.no_grad():
        for name in norm_state(first):
            target = state[f"model.{name}"]
            if statistics == "between" or name.rpartition(".")[2] in ("weight", "bias"):
                target.copy_(torch.stack([one[name], other[name].to(one[name])]))
    return found


def share_of(model: Masked) -> float:
    """The p whose mask a model stands on: the mean of the bases' places, in [0, 1]."""
    places = torch.linspace(0, 1, model.bases, device=model.mask.device)
    return float((model.mask * places).sum()) if model.bases > 1 else 0.0
