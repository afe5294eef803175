"""Perceptron: a small net inside a recipe's memory, which says at which norm a point was met, or what it shows."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, leaky_relu

from frenemy.rng import Key
from frenemy.training.memory import Memory

__all__ = ["begin", "improve", "logits"]

_LEAK = 0.2
_NAMES = ("w1", "b1", "w2", "b2")
_BETAS, _TINY = (0.9, 0.999), 1e-8


def begin(memory: Memory, features: int, hidden: int, classes: int) -> None:
    """Put a net of one hidden layer with leaky ReLU into the memory, with the moments of its Adam."""
    key = Key(0).fold("discriminator")
    shapes = {"w1": (features, hidden), "b1": (hidden,), "w2": (hidden, classes), "b2": (classes,)}
    for name, shape in shapes.items():
        drawn = key.fold(name).normal(torch.arange(shape[0]), shape[1:]) / math.sqrt(shape[0])
        memory.shared[name] = drawn.contiguous() if len(shape) > 1 else torch.zeros(shape)
        memory.shared[f"m {name}"] = torch.zeros(shape)
        memory.shared[f"v {name}"] = torch.zeros(shape)
    memory.shared["count"] = torch.zeros(())


def logits(memory: Memory, x: Tensor) -> Tensor:
    """What it says, `(batch, classes)`; differentiable in `x`."""
    return _answer([memory.shared[name].to(x) for name in _NAMES], x)


def improve(memory: Memory, x: Tensor, classes: Tensor, rate: float) -> Tensor:
    """Take one step of Adam on the cross-entropy of these points, and give it."""
    weights = [memory.shared[name].clone().requires_grad_() for name in _NAMES]
    with torch.enable_grad():
        loss = cross_entropy(_answer(weights, x.detach().to(weights[0])), classes.to(weights[0].device))
    memory.shared["count"] += 1
    count = float(memory.shared["count"])
    for name, gradient in zip(_NAMES, torch.autograd.grad(loss, weights), strict=True):
        first, second = memory.shared[f"m {name}"], memory.shared[f"v {name}"]
        first.mul_(_BETAS[0]).add_(gradient, alpha=1 - _BETAS[0])
        second.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
        size = (second / (1 - _BETAS[1] ** count)).sqrt_().add_(_TINY)
        memory.shared[name].addcdiv_(first, size, value=-rate / (1 - _BETAS[0] ** count))
    return loss.detach()


def _answer(weights: list[Tensor], x: Tensor) -> Tensor:
    w1, b1, w2, b2 = weights
    return leaky_relu(x.flatten(1) @ w1 + b1, _LEAK) @ w2 + b2
