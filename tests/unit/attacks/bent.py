"""A bent little net, and APGD as the papers write it: slowly, row by row, in numpy."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frenemy.attacks.ascent import Ascent, Rule
from frenemy.attacks.attack import Found
from frenemy.attacks.best import Best
from frenemy.data.batch import Batch
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.l1 import L1
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.threat import Threat

__all__ = ["BALLS", "TOLD", "Bent", "Row", "climbed", "cross_entropy", "paper", "project"]

TOLD: Final = json.loads((Path(__file__).parents[2] / "fixtures" / "autoattack_apgd.json").read_text())
BALLS: Final[dict[str, Callable[..., Threat]]] = {"Linf": Linf, "L2": L2, "L1": L1}
Row = NDArray[np.float64]


class Bent:
    """Two layers with a smooth bend between; remembers what it was asked."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        self.weights = {name: torch.tensor(value, dtype=dtype) for name, value in TOLD["weights"].items()}
        self.asked: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.asked.append(x.detach().clone())
        hidden = torch.tanh(x @ self.weights["first"].T + self.weights["shift"])
        logits: Tensor = hidden @ self.weights["second"].T + self.weights["bias"]
        return logits


def climbed(
    rule: Rule, steps: int, x: Tensor, threat: Threat, wish: Objective, begin: Callable[[Best], Tensor]
) -> tuple[Found, Tensor, Tensor]:
    """Run a rule from given points on `Bent`: what is found, all points, all losses; the labels are its answers."""
    model = Bent(x.dtype)
    y = model(x).argmax(1)
    model.asked.clear()
    ascent = Ascent(rule, steps, 1, False, False, None, lambda best, rows, draw: begin(best))
    found = ascent(model, Batch(x, y, torch.arange(len(x))), threat=threat, objective=wish, key=Key(0))
    clean, *points = model.asked
    goal = wish.goal(model(clean), y)
    return found, torch.stack(points), torch.stack([wish.loss(model(point), goal) for point in points])


def project(norm: str, x: Row, origin: Row, eps: float) -> Row:
    """Onto the ball and the unit cube: Linf and L1 the nearest point, L2 scaled, then cut."""
    step = x - origin
    if norm == "Linf":
        return np.clip(origin + np.clip(step, -eps, eps), 0, 1)
    if norm == "L2":
        length = float(np.sqrt((step**2).sum()))
        return np.clip(origin + step * min(1.0, eps / max(length, 1e-300)), 0, 1)
    room = np.where(step > 0, 1 - origin, origin)

    def shrunk(cut: float) -> Row:
        return np.minimum(np.maximum(np.abs(step) - cut, 0), room)

    low, high = 0.0, float(np.abs(step).max())
    if shrunk(0.0).sum() <= eps:
        high = 0.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if shrunk(middle).sum() > eps else (low, middle)
    return origin + np.sign(step) * shrunk(high)


def cross_entropy(x: Row, y: int) -> tuple[float, Row]:
    """Loss of `Bent`, and its gradient, by the chain rule."""
    first, shift, second, bias = (np.array(TOLD["weights"][n]) for n in ("first", "shift", "second", "bias"))
    hidden = np.tanh(first @ x + shift)
    z = second @ hidden + bias
    p = np.exp(z - z.max())
    p /= p.sum()
    outer = p - np.eye(len(p))[y]
    return float(-np.log(p[y])), first.T @ ((1 - hidden**2) * (second.T @ outer))


def paper(norm: str, x: Row, y: int, start: Row, eps: float, steps: int) -> list[Row]:
    """Algorithm 1 of 2003.01690, and Section 3 of 2103.01208 for L1: one row, one line after the other."""
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    marks = sorted({math.ceil(round(share * steps, 6)) for share in shares})
    if norm == "L1":
        marks = [t for t in range(1, steps) if t % max(4 * steps // 100, 1) == 0]
    point, before, points, losses = start, start, [start], []
    best, best_loss, best_slope = start, -math.inf, start
    step, keep, support = (2 * eps, len(x), len(x)) if norm != "L1" else (eps, -(-len(x) // 5), len(x))
    since, mark_loss, halved = 0, math.nan, False
    for t in range(steps):
        loss, slope = cross_entropy(point, y)
        losses.append(loss)
        if loss > best_loss:
            best, best_loss, best_slope = point, loss, slope
        if t == 0:
            mark_loss = loss
        elif t in marks and norm == "L1":
            changed = int((np.abs(best - x) > 1e-12).sum())
            keep = max(2 * changed // 3, 1)
            if changed < 0.95 * support:
                step, point, slope = eps, best, best_slope
            else:
                step = max(step / 1.5, eps / 10)
            support = changed
        elif t in marks:
            window = losses[since : t + 1]
            rises = sum(b > a for a, b in pairwise(window))
            halved = rises < 0.75 * (t - since) or (not halved and mark_loss == best_loss)
            if halved:
                step, point, slope, losses[-1] = step / 2, best, best_slope, best_loss
            since, mark_loss = t, best_loss
        if norm == "L1":
            large = np.abs(slope) >= np.sort(np.abs(slope))[-keep]
            ahead = project(norm, point + step * np.where(large, np.sign(slope), 0) / large.sum(), x, eps)
        else:
            way = np.sign(slope) if norm == "Linf" else slope / np.sqrt((slope**2).sum())
            ahead = project(norm, point + step * way, x, eps)
            if t > 0:
                ahead = project(norm, point + 0.75 * (ahead - point) + 0.25 * (point - before), x, eps)
        before, point = point, ahead
        points.append(point)
    return points
