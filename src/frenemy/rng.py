"""Stateless randomness: a draw is a function of (key, example index, coordinate) and of nothing else.

The result for an example therefore does not depend on the batch it sits in, on the order of the batch, or on
what was dropped before it, and the global generators are neither read nor written.

Each 64-bit word is splitmix64's finaliser (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
generators", Section 3) applied to a counter; arithmetic is int64 with wrap-around, so that CPU and CUDA agree
bit for bit on the words and on uniform draws.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

__all__ = ["Key"]


def _signed(word: int) -> int:
    """Read a 64-bit word as a signed integer, as torch stores it."""
    return word - (1 << 64) if word >= 1 << 63 else word


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def _shift(word: Tensor, bits: int) -> Tensor:
    """Shift right without dragging the sign along."""
    return (word >> bits) & ((1 << (64 - bits)) - 1)


def _mix(word: Tensor) -> Tensor:
    """Finalise splitmix64: a bijection of 64-bit words in which every input bit moves every output bit."""
    word = (word ^ _shift(word, 30)) * _FIRST
    word = (word ^ _shift(word, 27)) * _SECOND
    return word ^ _shift(word, 31)


@final
@dataclass(frozen=True, slots=True)
class Key:
    """A place in the tree of randomness.

    `Key(seed)` is the root; `fold` walks to a child by name or number. Two different paths give independent
    draws; the same path gives the same draws, always.

    Args:
        value: any integer; only its low 64 bits count. For a root, the user's seed.

    Example:
        >>> key = Key(0).fold("start").fold(3)
        >>> key.uniform(torch.tensor([5, 9]), (2, 2)).shape
        torch.Size([2, 2, 2])
    """

    value: int = 0

    def fold(self, name: str | int) -> Key:
        """Walk to the child called `name`; 1 and "1" are different children."""
        text = f"{self.value & (2**64 - 1)}/{type(name).__name__}/{name}".encode()
        return Key(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little"))

    def words(self, index: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Draw uniform 64-bit words.

        Args:
            index: `(batch,)` integers, the place of each example in its data set.
            shape: shape of one example's draw.

        Returns:
            `(batch, *shape)` int64 on the device of `index`.
        """
        count = math.prod(shape)
        seeds = _mix(index.to(torch.int64) * _GOLDEN + _signed(self.value & (2**64 - 1)))
        steps = torch.arange(1, count + 1, device=index.device) * _GOLDEN
        return _mix(seeds[:, None] + steps).reshape(len(index), *shape)

    def uniform(self, index: Tensor, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw from the uniform law on [0, 1).

        Args:
            index: `(batch,)` integers, the place of each example in its data set.
            shape: shape of one example's draw.
            dtype: float64 uses 53 random bits, every other type 24.

        Returns:
            `(batch, *shape)` of `dtype`.
        """
        bits = 53 if dtype == torch.float64 else 24
        exact = torch.float64 if dtype == torch.float64 else torch.float32
        return (_shift(self.words(index, shape), 64 - bits).to(exact) * 2.0**-bits).to(dtype)

    def normal(self, index: Tensor, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw from the standard normal law by Box and Muller's method; arguments and result as `uniform`."""
        radius = 1.0 - self.fold("radius").uniform(index, shape, torch.float64)
        angle = self.fold("angle").uniform(index, shape, torch.float64)
        return (torch.sqrt(-2.0 * torch.log(radius)) * torch.cos(2.0 * math.pi * angle)).to(dtype)

    def noise(self, place: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw from the standard normal law for one example, on the CPU, about ten times as fast as `normal`.

        The draw comes from a generator of torch of its own, seeded by key and place: a function of these two, as every
        draw, but one that another version of torch may answer otherwise.

        Args:
            place: of the example in its data set.
            shape: of the draw.
            dtype: float32 or float64.

        Returns:
            `shape` of `dtype`.
        """
        seed = self.fold(place).value & (2**63 - 1)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)

    @contextmanager
    def borrowed(self, device: torch.device) -> Iterator[None]:
        """Let code that draws from the global generators, such as dropout, draw by this key; then restore them."""
        cuda = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(self.value & (2**63 - 1))
            yield

    def permutation(self, count: int) -> Tensor:
        """Draw a permutation of `0 .. count - 1` as `(count,)` int64."""
        return torch.argsort(self.words(torch.arange(count), ()), stable=True)
