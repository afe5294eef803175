"""The weight of the hinge: bracketed and halved, each row on its own."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from frenemy.attacks.active import State
from frenemy.attacks.hinge import bracket


def search(wanted: list[float], first: float, rounds: int, only: int | None = None) -> State:
    """Play rounds in which a weight does if it is at least the wanted one; perhaps of one row only."""
    need = torch.tensor(wanted, dtype=torch.float64)
    state: State = {
        "c": torch.full_like(need, first),
        "low": torch.zeros_like(need),
        "high": torch.full_like(need, math.inf),
        "held": torch.zeros(len(need), dtype=torch.bool),
    }
    over = torch.ones_like(need, dtype=torch.bool) if only is None else torch.arange(len(need)) == only
    for _ in range(rounds):
        state["held"] = state["c"] >= need
        state = bracket(state, over)
    return state


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5), st.floats(0.1, 10))
def test_the_bracket_closes_on_the_least_weight_that_does(wanted: list[float], first: float) -> None:
    state = search(wanted, first, 40)
    for place, need in enumerate(wanted):
        assert float(state["low"][place]) <= need <= float(state["high"][place])
        assert math.isclose(float(state["c"][place]), need, rel_tol=1e-6)
    assert not state["held"].any()


def test_a_weight_that_never_does_grows_tenfold() -> None:
    assert search([1e9], 1.0, 4)["c"].tolist() == [1e4]


def test_rows_whose_round_goes_on_stay_as_they_are() -> None:
    """1 fails, 10 does, 5.5 does; next comes the middle of 1 and 5.5."""
    state = search([5.0, 5.0, 5.0], 1.0, 3, only=1)
    assert state["c"].tolist() == [1.0, 3.25, 1.0]
    assert state["low"].tolist() == [0.0, 1.0, 0.0]
