"""Shapes and dtypes by name; the tests check them at every call through jaxtyping's import hook."""

from __future__ import annotations

from typing import TypeAlias

from jaxtyping import Bool, Float, Int64
from torch import Tensor

__all__ = ["Counts", "Flags", "Goal", "Inputs", "Labels", "Logits", "PerExample"]

Inputs: TypeAlias = Float[Tensor, "batch *shape"]
"""Inputs in natural units (images in [0, 1])."""

Labels: TypeAlias = Int64[Tensor, "batch"]
"""Class numbers, from 0."""

Logits: TypeAlias = Float[Tensor, "batch classes"]
"""One unnormalised score a class."""

PerExample: TypeAlias = Float[Tensor, "batch"]
"""One number an example."""

Flags: TypeAlias = Bool[Tensor, "batch"]
"""One yes or no an example."""

Counts: TypeAlias = Int64[Tensor, "batch"]
"""One count an example."""

Goal: TypeAlias = Int64[Tensor, "batch"] | Int64[Tensor, "batch 2"] | Float[Tensor, "batch classes"]
"""What an objective measures against: a label each, a label and a target each, or the logits of a distribution each."""
