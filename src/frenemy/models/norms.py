"""Norms: the batch-norm layers of a model, wherever they are, and what in its state belongs to them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from frenemy.errors import ModelError
from frenemy.models.masks import MaskedNorm

__all__ = ["differing", "norm_parameters", "norm_state", "norms"]


def norms(model: nn.Module) -> dict[str, _BatchNorm | MaskedNorm]:
    """List the batch-norm layers of a model by name, plain and masked; a layer that stands twice has both names."""
    return {
        name: layer
        for name, layer in model.named_modules(remove_duplicate=False)
        if isinstance(layer, _BatchNorm | MaskedNorm)
    }


def norm_parameters(model: nn.Module) -> list[nn.Parameter]:
    """List the rescaling parameters of all batch-norm layers, each once."""
    found = {id(p): p for layer in norms(model).values() for p in layer.parameters(recurse=False)}
    return list(found.values())


def norm_state(model: nn.Module) -> list[str]:
    """Name the entries of the state that belong to batch norm: rescaling parameters and running statistics."""
    layers = norms(model).items()
    return [f"{place}.{name}" if place else name for place, layer in layers for name in layer.state_dict()]


def differing(first: nn.Module, second: nn.Module) -> list[str]:
    """Name the batch-norm entries of the state in which two models differ that are alike in all else.

    Raises:
        ModelError: there is no batch norm, or the models differ elsewhere; the first tensor that does is named.
    """
    own = norm_state(first)
    if not own:
        raise ModelError(
            f"expected a model with batch norm, got {type(first).__name__} without any; take such as resnet18"
        )
    one, other = first.state_dict(), second.state_dict()
    for name in [*one, *(name for name in other if name not in one)]:
        if name not in one or name not in other:
            raise _elsewhere(name, "in one of them alone")
        if one[name].shape != other[name].shape or one[name].dtype != other[name].dtype:
            raise _elsewhere(name, f"{_shape(one[name])} in one and {_shape(other[name])} in the other")
        if name not in own and not torch.equal(one[name], other[name].to(one[name].device)):
            share = float((one[name] != other[name].to(one[name].device)).double().mean())
            raise _elsewhere(name, f"with {share:.0%} of its numbers changed")
    return [name for name in own if not torch.equal(one[name], other[name].to(one[name].device))]


def _elsewhere(name: str, how: str) -> ModelError:
    return ModelError(
        f"expected two models that differ in batch norm alone, got '{name}' {how}; train the second from the first "
        "with --only norms"
    )


def _shape(tensor: Tensor) -> list[object]:
    return [*tensor.shape, str(tensor.dtype).removeprefix("torch.")]
