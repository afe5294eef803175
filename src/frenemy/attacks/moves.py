"""Moves: the proposals of a random search over squares, and those for Linf, from corner to corner of a cube."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, final, runtime_checkable

import torch
from torch import Tensor

from frenemy.attacks.active import Active, State
from frenemy.attacks.best import Best
from frenemy.attacks.windows import Dealer, Grid, Sizes, bits, scattered
from frenemy.rng import Key
from frenemy.threats.threat import Threat, broadcast

__all__ = ["Corners", "Moves", "Standing"]

_TRIES: Final = 4


@runtime_checkable
class Moves(Protocol):
    """Where a row starts, and which point it looks at next."""

    def begin(self, best: Best, rows: Tensor) -> State:
        """The state in which these rows start: `x`, the start itself, and whatever else."""
        ...

    def propose(self, active: Active, ahead: int = 1) -> Tensor:
        """Points of the threat other than `active.x`: those of the next `ahead` queries of each row, row by row.

        Each takes it that none of those before it is kept.
        """
        ...

    def accept(self, active: Active, rows: Tensor) -> None:
        """Bring the state of these working rows in line with their new `x`, in place."""
        ...


@final
@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """Where each row of a search stands, as often as it is asked about at a time."""

    x: Tensor
    origin: Tensor
    eps: Tensor
    state: State

    @classmethod
    def of(cls, active: Active, times: int, names: tuple[str, ...]) -> Standing:
        """The rows of `active`, and what their state has under these names."""
        parts = (active.x, active.origin, active.eps, *(active.state[name] for name in names))
        if times > 1:
            parts = tuple(part.repeat_interleave(times, 0) for part in parts)
        x, origin, eps, *state = parts
        return cls(x, origin, eps, dict(zip(names, state, strict=True)))


@final
class Corners:
    """Moves for Linf: every cell is at an end of its range, and a window of each channel is sent to one end.

    Args:
        key: of the run.
        threat: an Linf ball.
        grid, p_init, run: see `Sizes`.
    """

    def __init__(self, key: Key, threat: Threat, grid: Grid, p_init: float, run: int) -> None:
        self._key, self._threat, self._grid = key, threat, grid
        self._dealer = Dealer(key, Sizes(grid, p_init, run), 1, -(-_TRIES * grid.channels // 64))

    def begin(self, best: Best, rows: Tensor) -> State:
        """Stripes one cell wide, each at a random end (2020, Section 3.3)."""
        origin, eps, index = best.batch.x[rows], best.eps[rows], best.batch.index[rows]
        size = broadcast(eps, origin)
        ends = {
            name: self._grid.flat(self._threat.retract(origin + way * size, origin, eps))
            for name, way in (("up", 1), ("down", -1))
        }
        stripes = self._key.fold("stripes").words(index, (self._grid.channels, 1, self._grid.width)) < 0
        upwards = stripes.expand(-1, -1, self._grid.height, -1).flatten(2)
        x = torch.where(upwards, ends["up"], ends["down"]).reshape(origin.shape)
        return {"x": x, "seed": self._dealer.seed(index), **ends}

    def propose(self, active: Active, ahead: int = 1) -> Tensor:
        """Send one window of each channel to a random end, not to where all of it already is."""
        turn, here = self._dealer.turn(active, ahead), Standing.of(active, ahead, ("up", "down"))
        cells = turn.cells(turn.top[:, 0], turn.left[:, 0])
        point = here.x.clone(memory_format=torch.contiguous_format) if here.x is active.x else here.x
        flat = self._grid.flat(point)
        places = cells[:, None].expand(-1, self._grid.channels, -1)
        up, down, now = (t.gather(2, places) for t in (here.state["up"], here.state["down"], flat))
        idle_up, idle_down = ((now == end).all(2)[:, None] for end in (up, down))
        signs = bits(turn.spare, _TRIES * self._grid.channels).reshape(len(point), _TRIES, -1)
        idle = torch.where(signs, idle_up, idle_down).all(2)
        first = idle.int().argmin(1)
        sign = signs[torch.arange(len(signs), device=signs.device), first] ^ idle.all(1)[:, None]
        scattered(flat, cells, torch.where(sign[:, :, None], up, down))
        return point

    def accept(self, active: Active, rows: Tensor) -> None:
        """Nothing is remembered but the point."""
