"""Sizes: what the settings of an architecture must be for the layers to exist at all."""

from __future__ import annotations

from frenemy.errors import ModelError

__all__ = ["positive", "room", "staged"]


def positive(kind: str, **sizes: int) -> None:
    """See that every size is at least 1.

    Args:
        kind: the architecture, for what is said if one is not.
        sizes: settings by name.

    Raises:
        ModelError: a size is below 1.
    """
    for name, size in sizes.items():
        if size < 1:
            raise ModelError(f"expected {name} of {kind} to be at least 1, got {size}; give a larger one")


def room(side: int, least: int) -> int:
    """Give `side` back if images of so many pixels a side survive the layers that shrink them.

    Raises:
        ModelError: the image is too small.
    """
    if side < least:
        raise ModelError(
            f"expected images of at least {least} x {least}, got {side} x {side}; take a linear model or an MLP"
        )
    return side


def staged(kind: str, depth: int, rest: int, most: int, usual: str) -> int:
    """Give the `n` of a residual network of `depth = 6n + rest` layers: three stages of `n` blocks of two layers.

    Args:
        kind: the architecture, for what is said if the depth does not fit.
        depth: layers with weights.
        rest: layers outside the stages.
        most: the greatest depth that is built, since a depth in a file may be any number.
        usual: depths to take instead, for what is said.

    Raises:
        ModelError: the depth is of another form, or above `most`.
    """
    blocks, left = divmod(depth - rest, 6)
    if left or not rest + 6 <= depth <= most:
        raise ModelError(
            f"expected depth of {kind} to be 6n + {rest} from {rest + 6} to {most}, got {depth}; take {usual}"
        )
    return blocks
