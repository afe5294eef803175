"""ChannelsLast: convolutions of a forward laid out channels last, which quick kernels want."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.amp.autocast_mode import is_autocast_available
from torch.nn.functional import batch_norm, linear
from torch.overrides import TorchFunctionMode

from frenemy.models.convolution import Rounded, last
from frenemy.models.deferred import ASIDE, Deferred, deferred
from frenemy.models.fixednorm import normed
from frenemy.models.packed import packed

__all__ = ["ChannelsLast", "lowered_to"]


class ChannelsLast(TorchFunctionMode):
    """While this mode is on, two-dimensional convolutions work on channels-last tensors, whatever the model was given.

    What follows them (pooling, batch norm, ReLU) keeps the layout, and some of it is many times quicker there: pooling
    on a CPU takes a tenth of the time. A `view` that the layout does not allow becomes a `reshape`. Sums are taken in
    another order, so that logits and gradients agree to rounding. Batch norm on running statistics has a quicker slope,
    and a convolution whose weights want no gradients waits for the batch norm, sum and ReLU after it, to take them
    along. The mode is on in its own thread only, and for one forward.

    Args:
        linear: what linear maps are sent to; None leaves them.
    """

    def __init__(self, linear: Callable[..., Tensor] | None = None) -> None:
        self._linear = linear
        self._waiting: Deferred | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call the function, or what stands in for it here."""
        kwargs = kwargs or {}
        if func in ASIDE:
            return func(*args, **kwargs)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            joined = waiting.then(func, args, kwargs)
            if joined is not None:
                return self._wait(joined)
            waiting.settled()
        if func is linear and args and self._linear:
            return self._linear(*args, **kwargs)
        if func is torch.conv2d and len(args) > 1 and args[0].ndim == 4:
            return self._convolved(*args, **kwargs)
        if func is batch_norm and (result := normed(*args, **kwargs)) is not None:
            return result
        if func is torch.Tensor.view and not args[0].is_contiguous() and not _typed(*args[1:], **kwargs):
            return args[0].reshape(*args[1:], **kwargs)
        return func(*args, **kwargs)

    def _convolved(self, x: Tensor, weight: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        cast = lowered_to(x, weight)
        if cast or x.dtype == weight.dtype:
            late = deferred(x.to(cast) if cast else x, weight, *args, **kwargs)
            if late is not None:
                return self._wait(late)
        laid = packed(weight, Rounded(cast or weight.dtype))
        return torch.conv2d(last(x), last(weight) if laid is None else laid, *args, **kwargs)

    def _wait(self, result: Tensor) -> Tensor:
        self._waiting = result if isinstance(result, Deferred) else None
        return result

    def __exit__(self, *exc: Any) -> None:
        """Nothing is waited for afterwards."""
        waiting, self._waiting = self._waiting, None
        super().__exit__(*exc)  # type: ignore[no-untyped-call]
        if waiting is not None and exc[0] is None:
            waiting.settled()


def lowered_to(x: Tensor, weight: Tensor) -> torch.dtype | None:
    """What autocasting is about to round these two to, if it is on; a model may have switched it off for a part."""
    kind, castable = x.device.type, (torch.float32, torch.float16, torch.bfloat16)
    able = weight.dtype == torch.float32 and x.dtype in castable and is_autocast_available(kind)
    return torch.get_autocast_dtype(kind) if able and torch.is_autocast_enabled(kind) else None


def _typed(*args: Any, **kwargs: Any) -> bool:
    """Whether a view is asked for as another type, not in another shape."""
    return any(isinstance(one, torch.dtype) for one in (*args, *kwargs.values()))
