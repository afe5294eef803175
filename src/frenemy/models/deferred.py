"""Deferred: the result of a convolution that waits for what comes next, so that one kernel can do both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, final

import torch
from torch import Tensor
from torch.nn.functional import batch_norm, relu
from torch.utils._pytree import tree_leaves, tree_map_only

from frenemy.models.convolution import Convolution, last
from frenemy.models.fixednorm import Norm
from frenemy.models.onednn import BFLOAT16, CONVOLVED, Geometry

__all__ = ["ASIDE", "Deferred", "deferred", "finished"]

_RELUS: Final = frozenset((relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_))
_ADDS: Final = frozenset((torch.add, Tensor.add, Tensor.add_))
_WRITE: Final = frozenset((torch.relu_, Tensor.relu_, Tensor.add_))


ASIDE: Final[dict[Any, Callable[[Convolution], Any]]] = {
    Tensor.dim: lambda work: len(work.shape),
    Tensor.ndim.__get__: lambda work: len(work.shape),  # type: ignore[attr-defined]
    Tensor.shape.__get__: lambda work: torch.Size(work.shape),  # type: ignore[attr-defined]
    Tensor.dtype.__get__: lambda work: work.x.dtype,  # type: ignore[attr-defined]
    Tensor.device.__get__: lambda work: work.x.device,
}
"""What can be asked of a result that is still waited for."""


@final
class Deferred(Tensor):
    """A tensor like any other, whose values are worked out when somebody asks for them.

    Batch norm, a sum and ReLU that come next do not ask: `then` joins them to the work. Everything else does, be it
    called from Python or inside PyTorch. Gradients flow as if nothing had been put off.
    """

    _work: Convolution
    _value: Tensor | None
    _roots: tuple[Tensor, Tensor | None]

    @staticmethod
    def __new__(cls, work: Convolution) -> Deferred:
        """Look as the result will."""
        _, c, h, w = work.shape
        made: Deferred = Tensor._make_wrapper_subclass(
            cls, work.shape, strides=(c * h * w, 1, c * w, c), dtype=work.x.dtype, device=work.x.device
        )
        made._work, made._value = work, None
        return made

    def settled(self) -> Tensor:
        """The values.

        Raises:
            ModelError: the model has written to what went into the convolution, and uses once more what a joined kernel
                has passed over.
        """
        if self._value is None:
            self._value = _done(self._work)
        return self._value.settled() if isinstance(self._value, Deferred) else self._value

    def then(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor | None:
        """Give what `func` does to this tensor if that can be joined to the work, else None."""
        if not args or self._value is not None:
            return None
        mine = args[0] is self
        if func in _RELUS and mine:
            write = func in _WRITE or True in args[1:] or bool(kwargs.get("inplace"))
            return self._joined(self._work, write, rectified=True)
        if func is batch_norm and mine:
            norm = Norm.of(*args[1:], **kwargs)
            taken = self._work.norm is not None or self._work.other is not None
            return None if norm is None or taken else self._joined(self._work.then(norm=norm))
        if func in _ADDS and len(args) == 2 and not kwargs:
            return self._added(func in _WRITE, *args)
        return None

    def _added(self, write: bool, one: Any, two: Any) -> Tensor | None:
        """The sum of this tensor and another, of the same shape and kind."""
        work, other = self._work, two if one is self else one
        fits = (
            isinstance(other, Tensor) and other is not self and (one is self or (two is self and not write))
        )
        if not fits or work.other is not None or other.shape != work.shape or other.is_inference():
            return None
        if other.dtype != work.x.dtype or other.device != work.x.device:
            return None
        return self._joined(work.then(other=last(_plain(other.detach()))), write, other)

    def _joined(
        self, work: Convolution, write: bool = False, other: Tensor | None = None, rectified: bool = False
    ) -> Tensor | None:
        """What stands for the work; where this tensor is written to, it is that from now on."""
        root, before = self._roots
        if write and _wants(root, before, other):
            return None
        made = _stand((root, before if other is None else other), work, rectified)
        if write:
            self._value = made
        return made

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Whatever is called from Python gets the values, unless it only asks for the shape or is part of a graph."""
        if func in ASIDE:
            return ASIDE[func](args[0]._work)
        with torch._C.DisableTorchFunctionSubclass():
            if any(one.requires_grad for one in tree_leaves((args, kwargs)) if isinstance(one, Deferred)):
                return func(*args, **kwargs or {})
            return func(*_plain(args), **_plain(kwargs or {}))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Whatever is called inside PyTorch gets the values."""
        return func(*_plain(args), **_plain(kwargs or {}))


class _Stand(torch.autograd.Function):
    """Work, with the way back to what it was made of."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, other: Tensor | None, work: Convolution, rectified: bool) -> Tensor:
        ctx.work = work
        if not rectified:
            return Deferred(work)
        result = _done(work, rectified)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        for result in ctx.saved_tensors:
            gradient = torch.ops.aten.threshold_backward(gradient, result, 0)
        back, aside, *_ = ctx.needs_input_grad
        return ctx.work.slope(gradient) if back else None, gradient if aside else None, None, None


def _stand(roots: tuple[Tensor, Tensor | None], work: Convolution, rectified: bool = False) -> Tensor:
    """Give the result of the work, now if it is rectified, with gradients to `roots` where these are wanted."""
    made: Tensor
    if _wants(*roots):
        with torch._C.DisableTorchFunction():
            made = _Stand.apply(*roots, work, rectified)  # type: ignore[no-untyped-call]
    else:
        made = _done(work, rectified) if rectified else Deferred(work)
    if not rectified:
        made._roots = roots  # type: ignore[attr-defined]
    return made


def _done(work: Convolution, rectified: bool = False) -> Tensor:
    with torch._C.DisableTorchFunction(), torch.no_grad():
        return work(rectified)


def finished(result: Tensor) -> Tensor:
    """The same, and a tensor of the ordinary kind if it was one that waits."""
    if not isinstance(result, Deferred):
        return result
    return result.clone() if result.requires_grad else result.settled()


def _plain(tree: Any) -> Any:
    """The same tensors, lists and so on, nothing waiting in them any more."""
    return tree_map_only(Deferred, Deferred.settled, tree)


def _wants(*tensors: Tensor | None) -> bool:
    """Whether a gradient of one of these is wanted."""
    return torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in tensors)


def deferred(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor | None:
    """Give the convolution of `x`, not yet worked out, or None where it must be worked out at once.

    Args:
        x: `(n, c, h, w)`, in the dtype to work in; the weight may be in another.
        weight, bias, stride, padding, dilation, groups: as in `torch.conv2d`.
    """
    able = CONVOLVED and (x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and BFLOAT16))
    if not able or x.device.type != "cpu" or _wants(weight, bias) or isinstance(padding, str):
        return None
    if torch.is_inference_mode_enabled() or x.is_inference():
        return None
    padding, stride, dilation = (
        (one, one) if isinstance(one, int) else (one[0], one[-1]) for one in (padding, stride, dilation)
    )
    geometry = (padding, stride, dilation, groups)
    shape = _shape(x.shape, weight.shape, geometry)
    if shape is None:
        return None
    laid = last(x.detach())
    return _stand((x, None), Convolution(laid, weight, bias, geometry, shape, (laid._version,)))


def _shape(x: Sequence[int], kernel: Sequence[int], geometry: Geometry) -> tuple[int, int, int, int] | None:
    """Shape of a convolution, or None where there is none; PyTorch says best what is wrong then."""
    padding, stride, dilation, groups = geometry
    if len(x) != 4 or len(kernel) != 4 or x[1] != kernel[1] * groups or kernel[0] % groups or min(stride) < 1:
        return None
    height = (x[2] + 2 * padding[0] - dilation[0] * (kernel[2] - 1) - 1) // stride[0] + 1
    width = (x[3] + 2 * padding[1] - dilation[1] * (kernel[3] - 1) - 1) // stride[1] + 1
    shape = (x[0], kernel[0], height, width)
    return shape if min(shape) > 0 else None
