"""Laws of every toy problem in the folder: formula, integral and samples are one number. The file names no problem."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frenemy.catalog import catalog
from frenemy.errors import UsageError
from frenemy.theory.problem import Problem

PROBLEMS = catalog("theory")
every = pytest.mark.parametrize("name", PROBLEMS)


def usual(name: str) -> Any:
    return PROBLEMS[name].load()()


@every
def test_it_is_a_problem_with_a_source(name: str) -> None:
    problem = usual(name)
    assert isinstance(problem, Problem)
    assert PROBLEMS[name].card.authors
    assert PROBLEMS[name].card.place


@every
def test_three_ways_give_one_number(name: str) -> None:
    for seed in range(3):
        found = usual(name).quantities(20_000, seed)
        assert len({one.name for one in found}) == len(found) > 2
        for one in found:
            assert one.agrees, one
            assert math.isnan(one.simulated) == (one.n == 0), one
            assert 0 <= one.closed_form <= 1


@every
def test_samples_come_closer_by_the_root_of_their_number(name: str) -> None:
    """Their error is that of a share, at every size, within four of its own standard errors; so its slope is -1/2."""
    problem, sizes, seeds = usual(name), (100, 1_000, 10_000), 24
    errors = []
    for n in sizes:
        off = [
            (one.simulated - one.closed_form) ** 2 * one.n / (one.closed_form * (1 - one.closed_form))
            for seed in range(seeds)
            for one in problem.quantities(n, seed)
            if one.n and 0.02 < one.closed_form < 0.98
        ]
        assert abs(np.mean(off) - 1) < 4 * math.sqrt(2 / seeds), (n, np.mean(off))
        errors.append(math.sqrt(float(np.mean(off)) / n))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert abs(slope + 0.5) < 0.17, slope


@every
def test_draws_depend_on_the_seed_alone(name: str) -> None:
    problem = usual(name)
    one, same, other = problem.draw(50, 3), problem.draw(50, 3), problem.draw(50, 4)
    np.testing.assert_array_equal(one.x, same.x)
    np.testing.assert_array_equal(one.y, same.y)
    assert not np.array_equal(one.x, other.x)
    assert one.x.shape[0] == one.y.shape[0] == 50
    assert len(set(one.y.tolist())) == 2


@every
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_a_parameter_that_is_no_number_or_out_of_range_is_refused(name: str, data: st.DataObject) -> None:
    maker = PROBLEMS[name].load()
    one = data.draw(st.sampled_from([field for field in dataclasses.fields(maker) if field.type == "float"]))
    bad = data.draw(st.sampled_from([math.nan, math.inf, -math.inf, -1e12, 1e12]))
    with pytest.raises(UsageError, match=r"expected .*; "):
        maker(**{one.name: bad})


@every
def test_all_along_its_slide_the_formula_is_the_integral_and_there_is_a_picture(name: str) -> None:
    problem = usual(name)
    slide = problem.slide
    for value in np.linspace(slide.low, slide.high, 13):
        moved = dataclasses.replace(problem, **{slide.name: float(value)})
        assert all(one.agrees for one in moved.quantities(0, 0)), value
        scene = moved.scene()
        assert len(scene.shapes) > 2
        places = [number for shape in scene.shapes for point in shape.points for number in point]
        assert np.isfinite(places).all()
        assert {shape.kind for shape in scene.shapes} <= {"area", "path", "dots"}
