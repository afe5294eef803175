"""Explored: a small net that learns which points are nearer to some example than a distance."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.risks.genuine import Nearest
from frenemy.rng import Key
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import Threat

__all__ = ["Explored", "learned"]

_NEAR, _FAR = 0.5, 1.5
"""Points are drawn at distances between these shares of eps from an example."""


@final
class Explored(nn.Module):
    """Log-odds that a point is not nearer than eps to any example, `(batch, 1)`; one hidden layer, leaky ReLU."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(features, hidden), nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Give the log-odds."""
        odds: Tensor = self.last(nn.functional.leaky_relu(self.first(x.flatten(1)), 0.2))
        return odds


def learned(
    examples: Examples, ball: Threat, eps: float, *, key: Key, hidden: int = 256, steps: int = 1_000
) -> Explored:
    r"""Learn the region that smaller perturbations reach, for `explored` of `genuine_accuracy`.

    $$ X_\varepsilon = \{x' : \|x' - x_j\| < \varepsilon \text{ for some } j\} $$

    Each step draws 256 points at 0.5 to 1.5 eps from random examples and takes a step of Adam on the cross-entropy of
    whether the nearest example is nearer than eps. For a finite set `Nearest` is exact and needs no learning; this
    stands for it where distances to all examples are too many, and shows what a learned region costs.

    Args:
        examples: the clean inputs.
        ball: an Linf, L2 or L1 ball, for norm and box.
        eps: the distance, above 0.
        key: settles weights and draws.
        hidden: neurons.
        steps: of Adam, at a rate of 0.01.

    Raises:
        UsageError: eps is not above 0.

    Cost: `steps` times 256 distances to all examples while learning; afterwards one small forward a point.

    References:
        002, Section 4.1, which trains a discriminator of norms; here it is one of two classes for one norm.
    """
    if not 0 < eps < float("inf"):
        raise UsageError(f"expected an eps above 0, got {eps}; at 0 nothing is explored")
    order = float(getattr(ball, "order", 2.0))
    everything = examples.batch(torch.arange(len(examples))).x
    exact = Nearest(everything, order, eps)
    net = Explored(everything[0].numel(), hidden)
    _begin(net, everything.flatten(1), eps, key.fold("weights"))
    adam = torch.optim.Adam(net.parameters(), lr=0.01)
    for step in range(steps):
        own, rows = key.fold("draw").fold(step), torch.arange(256)
        which = (own.fold("which").uniform(rows, ()) * len(examples)).long().clamp(max=len(examples) - 1)
        x = everything[which]
        size = eps * (_NEAR + (_FAR - _NEAR) * own.fold("size").uniform(rows, ()))
        sphere = Sphere(ball.at(size))
        points = sphere.sample(x, rows, own.fold("way"), size)
        with torch.no_grad():
            goal = (exact(points) >= 0).float()
        loss = nn.functional.binary_cross_entropy_with_logits(net(points), goal)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return net.eval()


@torch.no_grad()
def _begin(net: Explored, x: Tensor, eps: float, key: Key) -> None:
    """Let each neuron bend within eps of an example, at a slope that is seen at that distance."""
    rows = torch.arange(net.first.weight.shape[0])
    way = nn.functional.normalize(key.fold("way").normal(rows, (x.shape[1],)), dim=1) / eps
    which = (key.fold("which").uniform(rows, ()) * len(x)).long().clamp(max=len(x) - 1)
    shift = 2 * key.fold("shift").uniform(rows, ()) - 1
    net.first.weight.copy_(way)
    net.first.bias.copy_(1.5 * shift - (way * x[which]).sum(1))
    net.last.weight.copy_(key.fold("last").normal(torch.arange(1), (len(rows),)) / len(rows) ** 0.5)
    net.last.bias.zero_()
