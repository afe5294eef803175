"""Whether a threat can turn every example into one: the middle of the box."""

from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as some
from numpy.typing import NDArray

from frenemy.threats.invariances import Invariances
from frenemy.threats.l1 import L1
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import meets

ROWS = arrays.arrays(np.float64, (3, 5), elements=some.floats(-2, 3))


@given(x=ROWS, order=some.sampled_from([1, 2, np.inf]), eps=some.floats(0.0, 8.0))
def test_all_meet_where_the_farthest_row_reaches_the_middle(
    x: NDArray[np.float64], order: float, eps: float
) -> None:
    far = np.linalg.norm(x - 0.5, ord=order, axis=1).max()
    ball = {1: L1, 2: L2, np.inf: Linf}[order](eps, low=-2.0, high=3.0)
    if abs(far - eps) > 1e-3:
        assert meets(ball, torch.from_numpy(x)) == (far < eps)


def test_a_box_without_ends_has_no_middle_and_a_sphere_or_finite_set_hardly_holds_it() -> None:
    x = torch.rand(4, 1, 3, 3)
    assert not meets(Linf(9.0, low=-torch.inf, high=torch.inf), x)
    assert not meets(Linf(9.0, high=torch.inf), x)
    assert not meets(Sphere(Linf(0.6)), x)
    assert not meets(Invariances(), x)
