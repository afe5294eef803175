"""Pose: how a model stands while a training step searches it: frozen, in a chosen mode, in a chosen precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import torch
from torch import nn

from frenemy.models.fast import Fast
from frenemy.models.lowered import Lowered
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
        low: search the model in bfloat16. The points are then those of a rounded model; training itself stays in
            float32, and so do the statistics of batch norm.
    """

    def __init__(self, model: nn.Module, mode: str = "eval", low: bool = False) -> None:
        self._model, self._mode = model, mode
        self._asked: Model = Lowered(model) if low else Fast(model)

    @contextmanager
    def __call__(self) -> Iterator[Model]:
        """Give the model as it is to be searched."""
        with still(self._model):
            if self._mode == "eval":
                yield self._asked
                return
            self._model.train()
            kept = (
                [(buffer, buffer.clone()) for buffer in self._model.buffers()]
                if self._mode == "batch"
                else []
            )
            try:
                yield self._asked
            finally:
                with torch.no_grad():
                    for buffer, before in kept:
                        buffer.copy_(before)
