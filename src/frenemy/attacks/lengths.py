"""Lengths: moves of a random search over squares for L2 and L1, where length is moved about."""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor
from torch.nn.functional import pad

from frenemy.attacks.active import Active, State
from frenemy.attacks.best import Best
from frenemy.attacks.bumps import pair, tiles
from frenemy.attacks.moves import Standing
from frenemy.attacks.windows import Dealer, Grid, Patch, Sizes, Turn, bits, scattered
from frenemy.rng import Key
from frenemy.threats.slack import hold_
from frenemy.threats.threat import Threat, broadcast

__all__ = ["Lengths"]

_TRIES: Final = 4
_ENOUGH: Final = 1e-3
"""Length left unused counts as something to move from this share of eps on."""
_SAME: Final = 1e-4


@final
class Lengths:
    """Moves for L2 and L1: the length in two windows goes to the first of them, with a new pattern on top.

    Args:
        key: of the run.
        threat: an L2 or L1 ball.
        grid, p_init, run: see `Sizes`.
        like: a tensor of the dtype and on the device of the inputs.
    """

    def __init__(self, key: Key, threat: Threat, grid: Grid, p_init: float, run: int, like: Tensor) -> None:
        self._key, self._threat, self._grid = key, threat, grid
        self._order = float(getattr(threat, "order", 2.0))
        self._exact = self._order == 2 or grid.channels == 1
        sizes = Sizes(grid, p_init, run, least=1 if self._order == 1 and grid.height == 1 else 3, odd=True)
        self._dealer = Dealer(key, sizes, 1 + _TRIES, -(-(1 + grid.channels) // 64))
        most = [max(sides) for sides in zip(*sizes.levels)]
        pairs = torch.zeros(len(sizes.levels), 2, *most, dtype=torch.float64)
        for level, (high, wide) in enumerate(sizes.levels):
            for across in (0, 1):
                pairs[level, across, :high, :wide] = pair(high, wide, self._order, bool(across))
        self._pairs = pairs.to(like)

    def begin(self, best: Best, rows: Tensor) -> State:
        """Tiles with random signs, of norm eps (2020, Section 3.4)."""
        origin, eps, index = best.batch.x[rows], best.eps[rows], best.batch.index[rows]
        grid = self._grid
        pattern, number = tiles(grid.height, grid.width, self._order)
        count = int(number.max()) + 1
        positive = self._key.fold("tiles").words(index, (grid.channels, count)) < 0
        signs = torch.where(positive, 1.0, -1.0)[:, :, number.flatten().to(origin.device)]
        delta = signs.to(origin.dtype) * pattern.flatten().to(origin)
        delta = delta / torch.linalg.vector_norm(delta.flatten(1), self._order, dim=1)[:, None, None]
        step = broadcast(eps, origin) * delta.reshape(origin.shape)
        x = self._threat.retract(origin + step, origin, eps)
        return {"x": x, "seed": self._dealer.seed(index), **self._books(x - origin)}

    def propose(self, active: Active, ahead: int = 1) -> Tensor:
        """Move length between two windows that hold some."""
        now = Standing.of(active, ahead, ("spent", "changed", "peak"))
        order, grid, eps = self._order, self._grid, now.eps
        turn = self._dealer.turn(active, ahead)
        delta = grid.flat(now.x - now.origin)
        free = (eps**order - now.state["spent"]).clamp(min=0)
        ample = free > _ENOUGH * eps**order
        into = turn.patch(turn.top[:, 0], turn.left[:, 0])
        away = self._second(now.state, turn, ample)
        here, there = (_gathered(delta, patch) for patch in (into, away))
        outside = away.own & ~_within(away, turn)
        held = _mass(here, into.own, order)
        taken = _mass(there, outside, order)
        unit = here / _root(held, order).clamp(min=torch.finfo(delta.dtype).tiny)[:, :, None]
        fresh = self._pattern(turn, into)
        mixed = fresh + unit
        size = _root(_mass(mixed, into.own, order), order)
        void = size < _SAME
        mixed = torch.where(void[:, :, None], fresh, mixed / size.clamp(min=_SAME)[:, :, None])
        goal = _root(free[:, None] / grid.channels + held + taken, order)
        goal = (goal * grid.channels if order == 1 else goal)[:, :, None]
        scattered(delta, away.index, 0.0)
        scattered(delta, into.index, goal * mixed)
        point = self._held(delta.reshape(now.x.shape) + now.origin, now.origin, eps)
        before, after = (_gathered(grid.flat(x), into) for x in (now.x, point))
        idle = ((before == after).flatten(1).all(1) & (taken == 0).all(1)).nonzero().flatten()
        if len(idle):
            turned = -torch.where(held[:, :, None] > 0, unit, fresh)
            again = scattered(delta[idle], into.index[idle], (goal * turned)[idle]).reshape(now.x[idle].shape)
            point[idle] = self._held(again + now.origin[idle], now.origin[idle], eps[idle])
        return point

    def _held(self, point: Tensor, origin: Tensor, eps: Tensor) -> Tensor:
        """Bring points back into the set; where their norm is eps at most, cutting at the box is enough."""
        if self._exact:
            return hold_(point, self._threat.low, self._threat.high)
        return self._threat.retract(point, origin, eps)

    def accept(self, active: Active, rows: Tensor) -> None:
        """Count anew where these rows have changed and by how much."""
        books = self._books(active.x[rows] - active.origin[rows])
        for name, values in books.items():
            active.state[name][rows] = values

    def _books(self, delta: Tensor) -> State:
        """Length spent to the power of the norm; cells changed above and left of each corner; the cell changed most."""
        flat = self._grid.flat(delta)
        changed = (flat != 0).any(1).reshape(len(flat), self._grid.height, self._grid.width)
        return {
            "spent": _mass(flat.flatten(1), None, self._order),
            "changed": pad(changed.int(), (1, 0, 1, 0)).cumsum(1).cumsum(2),
            "peak": flat.abs().sum(1).argmax(1),
        }

    def _second(self, state: State, turn: Turn, ample: Tensor) -> Patch:
        """The first second window with which something moves; the last resort lies around the cell changed most."""
        rows = torch.arange(len(ample), device=ample.device)[:, None]
        low, right = turn.top + turn.height[:, None], turn.left + turn.width[:, None]
        table = state["changed"]
        held = table[rows, low, right] - table[rows, turn.top, right]
        held += table[rows, turn.top, turn.left] - table[rows, low, turn.left]
        useful = (held[:, :1] > 0) | (held[:, 1:] > 0) | ample[:, None]
        first = 1 + useful.int().argmax(1, keepdim=True)
        peak, grid = state["peak"], self._grid
        top = torch.minimum((peak // grid.width - turn.height // 2).clamp(min=0), grid.height - turn.height)
        left = torch.minimum((peak % grid.width - turn.width // 2).clamp(min=0), grid.width - turn.width)
        found = useful.any(1)
        return turn.patch(
            torch.where(found, turn.top.gather(1, first)[:, 0], top),
            torch.where(found, turn.left.gather(1, first)[:, 0], left),
        )

    def _pattern(self, turn: Turn, into: Patch) -> Tensor:
        """A pair of bumps a row, with a sign for each channel: `(batch, channels, cells)`."""
        drawn = bits(turn.spare, 1 + self._grid.channels)
        _, _, high, wide = self._pairs.shape
        begins = (2 * turn.level[:, None] + drawn[:, :1].long()) * (high * wide)
        which = self._pairs.take(begins + into.down * wide + into.right)
        signs = torch.where(drawn[:, 1:], 1.0, -1.0).to(which.dtype)
        return signs[:, :, None] * which[:, None]


def _gathered(flat: Tensor, patch: Patch) -> Tensor:
    return flat.gather(2, patch.index[:, None].expand(-1, flat.shape[1], -1))


def _mass(values: Tensor, where: Tensor | None, order: float) -> Tensor:
    """Sum over the last axis of `|v|^order`, over some cells or all."""
    powers = values.square() if order == 2 else values.abs()
    return (powers if where is None else powers * where[:, None]).sum(-1)


def _root(mass: Tensor, order: float) -> Tensor:
    return mass.sqrt() if order == 2 else mass


def _within(patch: Patch, turn: Turn) -> Tensor:
    """Which cells of a patch lie in the first window of the turn."""
    down = patch.down + (patch.top[:, None] - turn.top[:, :1])
    right = patch.right + (patch.left[:, None] - turn.left[:, :1])
    return (down >= 0) & (down < turn.height[:, None]) & (right >= 0) & (right < turn.width[:, None])
