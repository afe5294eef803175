"""Windows: where a random search over squares looks next, and how large its squares are by then."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from frenemy.attacks.active import Active
from frenemy.rng import Key

__all__ = ["BLOCK", "Dealer", "Grid", "Patch", "Sizes", "Turn", "bits", "scattered"]

_HALVINGS: Final = (10, 50, 200, 1000, 2000, 4000, 6000, 8000)
"""Queries of 10000 after which the share of the picture halves (2020, Section 5)."""
BLOCK: Final = 16
"""So many queries are drawn for at once: a draw of many words costs little more than one of few."""
_LOW: Final = (1 << 32) - 1


@final
@dataclass(frozen=True, slots=True)
class Grid:
    """One input as a picture: the last two axes are its height and width, all before them its channels.

    A flat row of features is a picture one high.
    """

    channels: int
    height: int
    width: int

    @staticmethod
    def of(shape: Sequence[int]) -> Grid:
        """The picture in an input of this shape."""
        height, width = (1, 1, *shape)[-2:]
        return Grid(math.prod(shape[:-2]), height, width)

    def flat(self, x: Tensor) -> Tensor:
        """`(batch, *shape)` as `(batch, channels, height * width)`; a view where memory allows."""
        return x.reshape(len(x), self.channels, self.height * self.width)


@final
@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the window of each query is: a share `p` of the picture, which halves as the queries go by.

    `side = round(sqrt(p height width))`; where that is longer than the short side of the picture, the window takes all
    of that side and as much of the other as makes up the share.

    Args:
        grid: the picture.
        p_init: share at first, in (0, 1].
        run: queries of the run; the schedule, made for 10000, is scaled to it.
        least: the shortest side, as far as the picture has room.
        odd: even sides are made longer by one.
    """

    grid: Grid
    p_init: float
    run: int
    least: int = 1
    odd: bool = False

    @property
    def levels(self) -> list[tuple[int, int]]:
        """Height and width at each level, from the largest share to the smallest."""
        return [self._sides(self.p_init / 2**n) for n in range(len(_HALVINGS) + 1)]

    def level(self, query: Tensor) -> Tensor:
        """Level at each query of the run, counted from 0."""
        scaled = query * 10000 // self.run
        return torch.bucketize(scaled, torch.tensor(_HALVINGS, device=query.device))

    def _sides(self, share: float) -> tuple[int, int]:
        height, width = self.grid.height, self.grid.width
        short, area = min(height, width), share * height * width
        side = self._rounded(math.sqrt(area))
        if side <= short:
            return side, side
        long = min(self._rounded(area / short), max(height, width))
        return (short, long) if height <= width else (long, short)

    def _rounded(self, length: float) -> int:
        side = max(round(length), self.least)
        return side + 1 if self.odd and side % 2 == 0 else side


@final
@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """The cells of one window a row, padded to the largest among them by cells named again.

    Args:
        index: `(batch, cells)` places in the flat picture.
        own: `(batch, cells)` False where a cell was named before.
        down, right: `(batch, cells)` places inside the window.
        top, left: `(batch,)` of the window.
    """

    index: Tensor
    own: Tensor
    down: Tensor
    right: Tensor
    top: Tensor
    left: Tensor


@final
@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """What is drawn for one query of each row.

    Args:
        grid: the picture.
        level: `(batch,)` level of the size.
        height, width: `(batch,)` of the windows.
        top, left: `(batch, windows)` of the windows drawn.
        spare: `(batch, words)` random words for everything else.
        most: the largest height and width among the rows.
    """

    grid: Grid
    level: Tensor
    height: Tensor
    width: Tensor
    top: Tensor
    left: Tensor
    spare: Tensor
    most: tuple[int, int]

    def cells(self, top: Tensor, left: Tensor) -> Tensor:
        """Places of the windows with these corners, `(batch,)` each, as `Patch.index`."""
        down, right = self._sides()
        rows, columns = (top[:, None] + down) * self.grid.width, left[:, None] + right
        return (rows[:, :, None] + columns[:, None, :]).flatten(1)

    def patch(self, top: Tensor, left: Tensor) -> Patch:
        """The same with what else there is to say about each cell."""
        tall, wide = (torch.arange(side, device=top.device) for side in self.most)
        own = (tall < self.height[:, None])[:, :, None] & (wide < self.width[:, None])[:, None, :]
        down, right = self._sides()
        down, right = down[:, :, None].expand(own.shape), right[:, None, :].expand(own.shape)
        return Patch(self.cells(top, left), own.flatten(1), down.flatten(1), right.flatten(1), top, left)

    def _sides(self) -> tuple[Tensor, Tensor]:
        tall, wide = (torch.arange(side, device=self.top.device) for side in self.most)
        return torch.minimum(tall, self.height[:, None] - 1), torch.minimum(wide, self.width[:, None] - 1)


@final
class Dealer:
    """Deals each working row its draws, by (key, example index, query): whoever its neighbours are.

    Args:
        key: of the run.
        sizes: of its windows.
        windows: corners to draw a query.
        spare: words to draw a query besides.
    """

    _from: Tensor
    _dealt: tuple[Tensor, ...]
    _most: tuple[int, int]

    def __init__(self, key: Key, sizes: Sizes, windows: int, spare: int) -> None:
        self._key, self._sizes, self._windows, self._spare = key, sizes, windows, spare
        self._rows: Tensor | None = None

    def seed(self, index: Tensor) -> Tensor:
        """A word for each example, `(batch,)`, which its state carries as `seed`."""
        return self._key.fold("seed").words(index, ())

    def turn(self, active: Active, ahead: int = 1) -> Turn:
        """The draws of the next `ahead` queries of each row, those of a row one after the other."""
        if active.rows is not self._rows or int((active.age - self._from).max()) + ahead > BLOCK:
            self._rows, self._from = active.rows, active.age
            self._dealt, self._most = self._deal(active)
        count = torch.arange(len(active), device=active.age.device) * BLOCK + active.age - self._from
        places = (count[:, None] + torch.arange(ahead, device=count.device)).flatten()
        level, height, width, top, left, spare = (part.index_select(0, places) for part in self._dealt)
        return Turn(self._sizes.grid, level, height, width, top, left, spare, self._most)

    def _deal(self, active: Active) -> tuple[tuple[Tensor, ...], tuple[int, int]]:
        """The next queries of each row, what a `Turn` holds of each, and the largest height and width among them."""
        grid, levels = self._sizes.grid, self._sizes.levels
        query = (active.age[:, None] + torch.arange(BLOCK, device=active.age.device)).flatten()
        seeds = active.state["seed"].repeat_interleave(BLOCK) + query
        words = self._key.fold("query").words(seeds, (self._windows + self._spare,))
        level = self._sizes.level(query)
        height, width = torch.tensor(levels, device=level.device)[level].unbind(1)
        corner, spare = words.tensor_split([self._windows], dim=1)
        top = (corner & _LOW) % (grid.height - height + 1)[:, None]
        left = ((corner >> 32) & _LOW) % (grid.width - width + 1)[:, None]
        rest = levels[int(level.min()) :]
        most = max(high for high, _ in rest), max(wide for _, wide in rest)
        return (level, height, width, top, left, spare), most


def bits(words: Tensor, count: int) -> Tensor:
    """The first `count` bits of each row's words, `(batch, words)` to `(batch, count)` bool."""
    places = torch.arange(64, device=words.device)
    return ((words[:, :, None] >> places) & 1).flatten(1)[:, :count].bool()


def scattered(onto: Tensor, index: Tensor, values: Tensor | float) -> Tensor:
    """Write at places of each flat picture, in all channels and in place; a place named twice takes one value."""
    places = index[:, None].expand(-1, onto.shape[1], -1)
    if isinstance(values, Tensor):
        return onto.scatter_(2, places, values)
    return onto.scatter_(2, places, values)
