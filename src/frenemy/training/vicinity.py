"""Vicinity: noise, partners and label distributions by key, for methods that look around the examples."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import betaincinv, gammaincinv
from torch import Tensor
from torch.nn.functional import one_hot

from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["dirichlet", "mixed", "noisy", "one_eps", "onto_simplex", "partners", "smoothed"]


def noisy(batch: Batch, deviation: float, key: Key) -> Tensor:
    """The inputs with normal noise of this deviation on every number, `(batch, *shape)`; the box does not bound it."""
    if not 0 <= deviation < float("inf"):
        raise UsageError(f"expected a deviation of 0 or more, got {deviation}; 0.1 is usual")
    if deviation == 0:
        return batch.x
    return batch.x + deviation * key.normal(batch.index, tuple(batch.x.shape[1:]), batch.x.dtype)


def one_eps(threat: Threat, who: str) -> None:
    """See that a threat has one eps for all examples, where inputs are mixtures of two.

    Raises:
        UsageError: each example has its own.
    """
    if isinstance(threat.eps, Tensor) and threat.eps.numel() > 1:
        raise UsageError(
            f"expected one eps for all with {who}, whose inputs belong to two examples each, got {threat.eps.numel()} "
            "of them; give one number, or a method that mixes nothing"
        )


def partners(batch: Batch, key: Key) -> Tensor:
    """A partner in the batch for each row, `(batch,)` places: a permutation that is drawn by example."""
    return key.uniform(batch.index, (), torch.float64).argsort()


def mixed(batch: Batch, shape: float, key: Key) -> Tensor:
    """The share lambda of each row in its mixture, `(batch,)`: Beta(a, a) by its inverse distribution."""
    if not 0 < shape < float("inf"):
        raise UsageError(f"expected a shape of the Beta distribution above 0, got {shape}; 1 is uniform")
    u = key.uniform(batch.index, (), torch.float64).cpu().numpy()
    return torch.from_numpy(np.asarray(betaincinv(shape, shape, u))).to(batch.x)


def smoothed(y: Tensor, classes: int, share: Tensor | float, rest: Tensor | float) -> Tensor:
    """`(1 - share) onehot(y) + share rest`, `(batch, classes)` float64; `share` one number, or one a row."""
    hard = one_hot(y, classes).double()
    weight = torch.as_tensor(share, dtype=torch.float64, device=y.device).expand(len(y))[:, None]
    return (1 - weight) * hard + weight * torch.as_tensor(rest, dtype=torch.float64, device=y.device)


def dirichlet(concentration: Tensor, index: Tensor, key: Key) -> Tensor:
    r"""Draw a distribution for each row, `(batch, classes)` float64.

    Gamma variates by their inverse distribution, $ G_a = G_{a + 1} U^{1/a} $ in logarithms so that small
    concentrations do not vanish; divided by their sum.

    Args:
        concentration: `(batch, classes)`, above 0.
        index: `(batch,)` places of the examples; a draw depends on key, example and class alone.
        key: of the draws.
    """
    a = concentration.detach().double().cpu().numpy()
    shape = (a.shape[1],)
    first = key.fold("gamma").uniform(index, shape, torch.float64).cpu().numpy()
    second = key.fold("power").uniform(index, shape, torch.float64).cpu().numpy()
    tiny = np.finfo(float).tiny
    logs = np.log(np.maximum(gammaincinv(a + 1, first), tiny)) + np.log(np.maximum(second, tiny)) / a
    return torch.from_numpy(logs).to(concentration.device).softmax(1)


def onto_simplex(values: Tensor, total: float, least: float) -> Tensor:
    r"""Give the nearest point whose entries sum to `total`, each at least `least`.

    $$ p_j = \max(v_j - \tau, least), \quad \tau \text{ such that } \sum_j p_j = total $$

    Args:
        values: `(n,)`, finite.
        total: at least `n least`.
        least: of each entry.
    """
    room = total - least * len(values)
    above = (values - least).sort(descending=True).values
    places = torch.arange(1, len(values) + 1, device=values.device)
    shifts = (above.cumsum(0) - room) / places
    off = max(int((above > shifts).sum()), 1)
    return least + (values - least - shifts[off - 1]).clamp(min=0)
