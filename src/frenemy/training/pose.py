"""Pose: how a model stands while a training step searches it: frozen, in a chosen mode, in a chosen precision."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn

from frenemy.errors import UsageError
from frenemy.models.fast import Fast
from frenemy.models.model import Model
from frenemy.models.still import still

__all__ = ["Pose"]


@final
class Pose:
    """Hold a model for a search inside training; undo all of it afterwards.

    Args:
        model: that is trained.
        mode: what batch norm does meanwhile: `eval`, it uses its running statistics; `train`, those of the batch, and
            the running ones move with every forward (as in Madry's released code); `batch`, those of the batch, and the
            running ones do not move.
        low: search a bfloat16 copy of the model, made again before each search. The points are then those of a rounded
            model; training itself stays in float32.

    Raises:
        UsageError: the mode is unknown, or the copy would let the running statistics of `train` drift.

    Cost: `low` keeps half a model more; bringing it up to date is one pass over the weights a step.
    """

    def __init__(self, model: nn.Module, mode: str = "eval", low: bool = False) -> None:
        if low and mode == "train":
            raise UsageError(
                "expected the attack mode eval or batch with a bfloat16 attack, got train; statistics "
                "cannot be kept by a copy"
            )
        self._model, self._mode = model, mode
        self._copy = _Lowered(model) if low else None

    @contextmanager
    def __call__(self) -> Iterator[Model]:
        """Give the model as it is to be searched."""
        stance = self._copy.fresh(self._model) if self._copy is not None else self._model
        with still(stance):
            if self._mode == "eval":
                yield Fast(stance) if self._copy is None else self._copy
                return
            stance.train()
            kept = [(buffer, buffer.clone()) for buffer in stance.buffers()] if self._mode == "batch" else []
            try:
                yield Fast(stance) if self._copy is None else self._copy
            finally:
                with torch.no_grad():
                    for buffer, before in kept:
                        buffer.copy_(before)


@final
class _Lowered(nn.Module):
    """A copy of a model in bfloat16, images channels last, that answers in float32."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.inner = copy.deepcopy(model).to(torch.bfloat16)
        for parameter in self.inner.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def fresh(self, model: nn.Module) -> nn.Module:
        """Bring the copy up to date."""
        with torch.no_grad():
            for own, theirs in zip(
                self.inner.state_dict().values(), model.state_dict().values(), strict=True
            ):
                own.copy_(theirs)
        return self.inner

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(torch.bfloat16)
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.inner(x)
        return logits.to(torch.float32)
