"""GEM: gradients projected so that following one raises none of those before it, from their products alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

__all__ = ["multipliers"]

_RANK = 1e-12


def multipliers(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""How much of each earlier gradient is added to each gradient.

    $$ \tilde g_t = \arg\min_z \|z - g_t\|_2 \ \text{ s.t. } \langle z, g_k \rangle \ge 0,\ k < t $$

    $$ \tilde g_t = g_t + \sum_{k < t} v_{tk} g_k, \quad v_t = \arg\min_{v \ge 0} \|\sum_{k < t} v_k g_k + g_t\|_2 $$

    The second line is the dual; its unknowns are as many as there are earlier gradients, so the gradients themselves
    are not needed, only their products.

    Args:
        gram: `(T, T)` products `<g_s, g_t>`, in the order of priority.

    Returns:
        `(T, T)` v, 0 or more, and 0 for k >= t; zero rows where nothing conflicts. Where earlier gradients depend on
        one another v is not unique, but the projection is.

    Cost: T non-negative least squares of at most T - 1 unknowns; for one earlier gradient
    `v = max(0, -<g_1, g_2>) / ||g_1||^2`.

    References:
        Lopez-Paz and Ranzato 2017, "Gradient episodic memory for continual learning", NeurIPS, arXiv:1706.08840, eq. 8
        to 11; 002, Section 4.2. Deviations: no margin and nothing on the diagonal of the dual (002 has 1e-10 and 1e-3
        there for numerical stability), which bias every projection.
    """
    count = len(gram)
    found = np.zeros((count, count))
    scale = max(float(np.diag(gram).max(initial=0.0)), np.finfo(float).tiny)
    values, vectors = np.linalg.eigh(gram / scale)
    root = np.sqrt(np.clip(values, 0.0, None))[:, None] * vectors.T
    for t in range(1, count):
        earlier = [k for k in range(t) if gram[k, k] > _RANK * _RANK * scale]
        if not earlier or all(gram[k, t] >= 0 for k in earlier):
            continue
        if len(earlier) == 1:
            found[t, earlier[0]] = -gram[earlier[0], t] / gram[earlier[0], earlier[0]]
        else:
            found[t, earlier] = nnls(root[:, earlier], -root[:, t])[0]
    return found
