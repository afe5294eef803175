"""Augment: pictures mirrored and shifted at random, by key and example."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from frenemy.errors import DataError
from frenemy.rng import Key

__all__ = ["augmented"]


def augmented(x: Tensor, index: Tensor, key: Key, kind: str, low: float = 0.0, reach: int = 4) -> Tensor:
    """Mirror or shift each picture, independently of its neighbours in the batch.

    Args:
        x: `(batch, channels, height, width)`.
        index: `(batch,)` places in the data set; the draw depends on key and place alone.
        key: another key draws anew.
        kind: `none`; `flip` mirrors left and right with probability one half; `crop` shifts by -reach .. reach pixels
            up or down and left or right, uniformly, and fills with `low`; `crop-flip` does both.
        low: what stands outside of a picture.
        reach: the most pixels of a shift.

    Returns:
        Pictures of the same shape.

    Raises:
        DataError: the inputs are no pictures.
    """
    if kind == "none":
        return x
    if x.ndim != 4:
        raise DataError(
            f"expected pictures (batch, channels, height, width) to {kind}, got inputs of shape {tuple(x.shape[1:])}; "
            "train them with augment none"
        )
    if "flip" in kind:
        mirrored = key.fold("flip").uniform(index, ()) < 0.5
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    if "crop" in kind:
        _, _, height, width = x.shape
        wide = pad(x, (reach,) * 4, value=low)
        shift = (key.fold("crop").uniform(index, (2,)) * (2 * reach + 1)).long()
        down = shift[:, :1] + torch.arange(height, device=x.device)
        right = shift[:, 1:] + torch.arange(width, device=x.device)
        row = torch.arange(len(x), device=x.device)[:, None, None]
        x = wide[row, :, down[:, :, None], right[:, None, :]].permute(0, 3, 1, 2).contiguous()
    return x
