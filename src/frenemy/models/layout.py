"""ChannelsLast: convolutions of a forward laid out channels last, which quick kernels want."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import batch_norm, linear
from torch.overrides import TorchFunctionMode

from frenemy.models.fixednorm import normed
from frenemy.models.packed import packed

__all__ = ["ChannelsLast", "last"]


class ChannelsLast(TorchFunctionMode):
    """While this mode is on, two-dimensional convolutions work on channels-last tensors, whatever the model was given.

    What follows them (pooling, batch norm, ReLU) keeps the layout, and some of it is many times quicker there: pooling
    on a CPU takes a tenth of the time. A `view` that the layout does not allow becomes a `reshape`. Sums are taken in
    another order, so that logits and gradients agree to rounding. Batch norm on running statistics has a quicker slope.
    The mode is on in its own thread only.

    Args:
        linear: what linear maps are sent to; None leaves them.
        lay: says of inputs and weight of a convolution how the weight is to be laid out; None is channels last.
    """

    def __init__(
        self,
        linear: Callable[..., Tensor] | None = None,
        lay: Callable[[Tensor, Tensor], Callable[[Tensor], Tensor]] | None = None,
    ) -> None:
        self._linear, self._lay = linear, lay

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call the function, on tensors laid out anew if it is a convolution."""
        kwargs = kwargs or {}
        if func is linear and args and self._linear:
            return self._linear(*args, **kwargs)
        if func is torch.conv2d and len(args) > 1 and args[0].ndim == 4:
            x, weight = args[:2]
            laid = packed(weight, self._lay(x, weight) if self._lay else last)
            args = (last(x), last(weight) if laid is None else laid, *args[2:])
        if func is batch_norm and (result := normed(*args, **kwargs)) is not None:
            return result
        if func is torch.Tensor.view and not args[0].is_contiguous() and not _typed(*args[1:], **kwargs):
            return args[0].reshape(*args[1:], **kwargs)
        return func(*args, **kwargs)


def _typed(*args: Any, **kwargs: Any) -> bool:
    """Whether a view is asked for as another type, not in another shape."""
    return any(isinstance(one, torch.dtype) for one in (*args, *kwargs.values()))


def last(x: Tensor) -> Tensor:
    """Lay `(n, c, h, w)` out as n, h, w, c. With one channel both layouts are the same bytes, and only strides tell."""
    if x.shape[1] == 1 and x.is_contiguous():
        _, c, h, w = x.shape
        return x.as_strided(x.shape, (c * h * w, 1, c * w, c))
    return x.contiguous(memory_format=torch.channels_last)
