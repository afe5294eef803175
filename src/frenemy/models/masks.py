"""Masks: batch norm with several sets of rescaling parameters, of which a vector chooses a mixture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm

from frenemy.errors import ModelError, UsageError, nearest

__all__ = ["STATISTICS", "MaskedNorm", "Wish", "convex", "encoded", "wished", "worn"]

STATISTICS: Final = ("shared", "own")
"""What becomes of running statistics: one set for all bases, or one for each."""

_SLACK: Final = 1e-4
_MOST: Final = 64


@final
@dataclass(slots=True, eq=False)
class Wish:
    """A mask that a caller asks for; `heard` once a masked model has put it on."""

    mask: Tensor
    heard: bool = False


_WISH: Final[ContextVar[Wish | None]] = ContextVar("wish", default=None)
_WORN: Final[ContextVar[Tensor | None]] = ContextVar("worn", default=None)


@contextmanager
def wished(mask: Tensor) -> Iterator[Wish]:
    """Ask the masked model that is called inside to wear `mask` instead of its own."""
    wish = Wish(mask)
    token = _WISH.set(wish)
    try:
        yield wish
    finally:
        _WISH.reset(token)


@contextmanager
def worn(standing: Tensor) -> Iterator[Tensor]:
    """Let the layers that are called inside wear the mask that was wished for, or else the standing one.

    Raises:
        ModelError: the mask that was wished for has another number of entries.
    """
    wish = _WISH.get()
    mask = standing if wish is None else wish.mask.to(standing)
    if mask.shape != standing.shape:
        raise ModelError(
            f"expected a mask of {len(standing)} numbers, one a basis of the model, got {len(mask)}; "
            "encode it for as many bases"
        )
    if wish is not None:
        wish.heard = True
    token = _WORN.set(mask)
    try:
        yield mask
    finally:
        _WORN.reset(token)


def encoded(p: float | Tensor, bases: int) -> Tensor:
    r"""Encode a share of the largest perturbation as a mask over the bases.

    $$ u_j = \max(0, 1 - |(k - 1) p - (j - 1)|), \quad j = 1 .. k $$

    For two bases this is `(1 - p, p)`. For more, bases stand at evenly spaced shares and the two nearest are mixed.

    Args:
        p: one number in [0, 1].
        bases: k, from 1 to 64.

    Returns:
        `(bases,)` numbers of 0 or more whose sum is 1, of the dtype and on the device of `p`.

    Raises:
        UsageError: `p` or the number of bases is out of its range.

    Source: 004, eq. 6.2, which says it for k = 2; the rest is ours.
    """
    if not 1 <= bases <= _MOST:
        raise UsageError(f"expected from 1 to {_MOST} bases, got {bases}; take 2")
    if not isinstance(p, Tensor) and not 0 <= p <= 1:
        raise UsageError(f"expected p to be from 0 to 1, got {p}")
    share = torch.as_tensor(p)
    places = torch.arange(bases, dtype=share.dtype, device=share.device)
    return (1 - (share * (bases - 1) - places).abs()).clamp(min=0)


def convex(mask: Tensor, bases: int) -> Tensor:
    """See that a mask is a mixture of the bases.

    Raises:
        UsageError: it has another number of entries, one is negative, or they do not sum to 1.
    """
    whole = mask.ndim == 1 and len(mask) == bases and bool(mask.isfinite().all())
    if not whole or bool((mask < 0).any()) or abs(float(mask.sum()) - 1) > _SLACK:
        raise UsageError(
            f"expected a mask of {bases} numbers of 0 or more that sum to 1, got {mask.tolist()}; "
            "encode a share p with encoded(p, bases)"
        )
    return mask.detach()


@final
class MaskedNorm(nn.Module):
    r"""Batch norm that rescales by a mixture of bases.

    $$ y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta, \quad \gamma = \sum_j u_j w_j, \quad
    \beta = \sum_j u_j w'_j $$

    with the mask `u` that the model around it wears. Mean and variance are taken over the batch and all places of a
    channel while training, and are the running ones otherwise. With statistics of its own, basis j keeps a running
    mean and variance, which move by `u_j` times the momentum and are mixed by `u` as the rescaling parameters are.

    Args:
        norm: the layer whose settings, parameters and statistics every basis starts from.
        bases: k, from 1 to 64.
        statistics: `shared`, one running mean and variance for all bases; `own`, one for each.

    Raises:
        ModelError: the layer keeps its statistics in step with other processes.

    Source: 004, eq. 6.1 and 6.2 (its `|B|` must count the places of a channel too).
    """

    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(self, norm: _BatchNorm, bases: int, statistics: str) -> None:
        super().__init__()
        encoded(0.0, bases)
        if statistics not in STATISTICS:
            raise UsageError(f"unknown statistics '{statistics}'{nearest(statistics, STATISTICS)}")
        if isinstance(norm, nn.SyncBatchNorm):
            raise ModelError(
                "expected batch norm of one process, got SyncBatchNorm; give the model before it is converted"
            )
        self.bases, self.statistics, self.eps, self.momentum = bases, statistics, norm.eps, norm.momentum
        for name in ("weight", "bias"):
            own = getattr(norm, name)
            value = None if own is None else nn.Parameter(_times(own.detach(), bases), own.requires_grad)
            self.register_parameter(name, value)
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            own = getattr(norm, name)
            if own is not None:
                own = _times(own, bases) if statistics == "own" else own.clone()
            self.register_buffer(name, own)
        self.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise and rescale `(batch, channels, ...)`.

        Raises:
            ModelError: no model around it wears a mask; or it trains, and the batch is a single row.
        """
        mask = _WORN.get()
        if mask is None:
            raise ModelError("expected masked batch norm inside a Masked model, got a call from outside")
        if self.training and len(x) == 1:
            raise ModelError(
                "expected two rows or more for batch norm that trains, got a batch of one; give more, or call eval()"
            )
        gamma, beta = _mixed(mask, self.weight), _mixed(mask, self.bias)
        mean, var, tracked = self.running_mean, self.running_var, self.num_batches_tracked
        if mean is None or var is None or tracked is None:
            return batch_norm(x, None, None, gamma, beta, True, 0.0, self.eps)
        if self.statistics == "own":
            return self._own(x, mask, gamma, beta, mean, var, tracked)
        rate = 0.0
        if self.training:
            tracked.add_(1)
            rate = 1.0 / float(tracked) if self.momentum is None else self.momentum
        return batch_norm(x, mean, var, gamma, beta, self.training, rate, self.eps)

    def _own(
        self,
        x: Tensor,
        mask: Tensor,
        gamma: Tensor | None,
        beta: Tensor | None,
        mean: Tensor,
        var: Tensor,
        tracked: Tensor,
    ) -> Tensor:
        """With statistics for each basis: mixed by the mask, and moved by their share in it."""
        if not self.training:
            return batch_norm(x, _mixed(mask, mean), _mixed(mask, var), gamma, beta, False, 0.0, self.eps)
        seen_mean, seen_var = torch.zeros_like(mean[0]), torch.zeros_like(var[0])
        y = batch_norm(x, seen_mean, seen_var, gamma, beta, True, 1.0, self.eps)
        with torch.no_grad():
            tracked.add_((mask > 0).to(tracked))
            rate = 1.0 / tracked.clamp(min=1) if self.momentum is None else self.momentum
            move = (mask * rate).to(mean)[:, None]
            for running, seen in ((mean, seen_mean), (var, seen_var)):
                running.copy_((1 - move) * running + move * seen)
        return y


def _mixed(mask: Tensor, bases: Tensor | None) -> Tensor | None:
    """The mixture of `(bases, channels)`; elementwise, so that no matrix product rounds it."""
    return None if bases is None else (mask.to(bases)[:, None] * bases).sum(0)


def _times(own: Tensor, bases: int) -> Tensor:
    return own.expand(bases, *own.shape).clone()
