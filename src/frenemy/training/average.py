"""Average: weights averaged over the training, which are judged and kept in the place of the last ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn

__all__ = ["Average"]


@final
class Average:
    r"""Keep an average of the parameters beside them.

    `ema`: $\bar w \leftarrow \tau \bar w + (1 - \tau) w$ after each step; `swa`: the plain mean of the weights at the
    ends of epochs (Izmailov et al. 2018, arXiv:1803.05407, Algorithm 1). Before the share `since` of the training the
    average is the weights themselves. Buffers, such as the running statistics of batch norm, are those of the model as
    it is (SWA's paper makes them anew by a pass over the data; code for robust training copies them).

    Args:
        model: whose parameters are averaged.
        kind: `none` keeps nothing.
        decay: tau in [0, 1), for `ema`.
        since: share of the training in [0, 1].

    Cost: the parameters once more in memory, one pass over them a step (`ema`) or an epoch (`swa`).
    """

    def __init__(self, model: nn.Module, kind: str, decay: float, since: float) -> None:
        self._model, self._kind, self._decay, self._since = model, kind, decay, since
        self._mean = {} if kind == "none" else {n: p.detach().clone() for n, p in model.named_parameters()}
        self._count = torch.zeros((), dtype=torch.int64)

    def after(self, progress: float, epoch_ends: bool) -> None:
        """Take the weights in after a step, at this share of the training."""
        if self._kind == "none" or (self._kind == "swa" and not epoch_ends):
            return
        early = progress < self._since
        if self._kind == "ema":
            new = 1.0 if early else 1 - self._decay
        else:
            self._count += not early
            new = 1.0 if early else 1 / int(self._count)
        with torch.no_grad():
            for name, parameter in self._model.named_parameters():
                self._mean[name].lerp_(parameter, new)

    @contextmanager
    def instead(self) -> Iterator[None]:
        """Let the model have the averaged parameters for a while."""
        own = {name: p.detach().clone() for name, p in self._model.named_parameters() if name in self._mean}
        self._give(self._mean)
        try:
            yield
        finally:
            self._give(own)

    def state(self) -> dict[str, Tensor]:
        """All that is kept."""
        return {**self._mean, "count": self._count} if self._mean else {}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take `state()` back."""
        own = self.state()
        for name, values in state.items():
            own[name].copy_(values)

    def _give(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._model.named_parameters():
                if name in weights:
                    parameter.copy_(weights[name])
