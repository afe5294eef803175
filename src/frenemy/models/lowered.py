"""Lowered: a model run in bfloat16, for searches that are confirmed in float32 afterwards."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from frenemy.models.layout import ChannelsLast
from frenemy.models.model import Model

__all__ = ["Lowered"]


@final
class Lowered(nn.Module):
    """Run a model under bfloat16 autocasting and give float32 logits.

    Good for finding points, not for judging them: some points are adversarial in bfloat16 only. The model and its
    weights are not modified. Convolutions work channels last.

    Args:
        model: any model; weights stay in float32 and are rounded as they are used.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the model computed in bfloat16, `(batch, classes)` float32."""
        with torch.autocast(x.device.type, torch.bfloat16), ChannelsLast():
            return self.model(x).to(torch.float32)
