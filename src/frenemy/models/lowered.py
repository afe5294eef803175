"""Lowered: a model run in bfloat16, for searches that are confirmed in float32 afterwards."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from frenemy.models.layout import ChannelsLast, lowered_to
from frenemy.models.model import Model
from frenemy.models.onednn import BFLOAT16, laid_out, mapped
from frenemy.models.packed import packed

__all__ = ["Lowered"]


@final
class Lowered(nn.Module):
    """Run a model under bfloat16 autocasting and give float32 logits.

    Good for finding points, not for judging them: some points are adversarial in bfloat16 only. The model and its
    weights are not modified. Convolutions work channels last.

    Args:
        model: any model; its weights stay in float32. While it is held still (inside `still`) those of linear maps and
            convolutions are rounded once, into a copy as large as they are at most; else whenever they are used.
            Gradients with respect to the input flow as before, second derivatives do not.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the model computed in bfloat16, `(batch, classes)` float32."""
        with torch.autocast(x.device.type, torch.bfloat16), ChannelsLast(_linear):
            return self.model(x).to(torch.float32)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if BFLOAT16 and x.ndim == 2 and x.device.type == "cpu" and lowered_to(x, weight) == torch.bfloat16:
        laid, turned = packed(weight, _laid_out), packed(weight, _turned)
        if laid is not None and turned is not None:
            bias = None if bias is None else bias.to(torch.bfloat16)
            return mapped(x.to(torch.bfloat16), laid, turned, bias)
    return linear(x, weight, bias)


def _laid_out(weight: Tensor) -> Tensor:
    return laid_out(weight.to(torch.bfloat16))


def _turned(weight: Tensor) -> Tensor:
    return laid_out(weight.to(torch.bfloat16).t().contiguous())
