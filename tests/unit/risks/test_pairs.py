"""The nearest examples of different classes, against every distance worked out by scipy."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from frenemy.data.examples import Examples
from frenemy.data.find import load
from frenemy.errors import DataError, UsageError
from frenemy.risks.pairs import nearest_pairs
from frenemy.risks.views import Pairs

METRICS = {"l2": "euclidean", "l1": "cityblock", "linf": "chebyshev"}
every_norm = pytest.mark.parametrize("norm", METRICS)


def labelled(x: np.ndarray, y: np.ndarray, classes: int) -> Examples:
    """Examples whose places are not 0, 1, 2, ..."""
    rows = torch.from_numpy(x.astype(np.float32))
    names = tuple(f"class {label}" for label in range(classes))
    return Examples("some", rows, torch.from_numpy(y), names, index=1000 - 7 * torch.arange(len(x)))


def held(examples: Examples, norm: str) -> Pairs:
    """Look for the nearest pairs, and hold what is found against all distances."""
    found, y = nearest_pairs(examples, norm), examples.y.numpy()
    x = examples.batch().x.flatten(1).double().numpy()
    far = cdist(x, x, METRICS[norm])
    row = {int(place): k for k, place in enumerate(examples.index)}
    near = 2e-6
    apart = np.where(y[:, None] != y[None], far, math.inf)
    np.testing.assert_allclose(found.gap, apart.min(1), rtol=near)
    others = np.array([row[int(place)] for place in found.other])
    np.testing.assert_allclose(far[np.arange(len(y)), others], found.gap, rtol=1e-12)
    assert (y[others] != y).all()
    for a in range(len(examples.classes)):
        for b in range(len(examples.classes)):
            block = far[y == a][:, y == b]
            if a == b or not block.size:
                assert found.distance[a, b] == math.inf
                assert found.pair[a, b].tolist() == [-1, -1]
                continue
            np.testing.assert_allclose(found.distance[a, b], block.min(), rtol=near)
            i, j = (row[int(place)] for place in found.pair[a, b])
            assert (y[i], y[j]) == (a, b)
            np.testing.assert_allclose(far[i, j], found.distance[a, b], rtol=1e-12)
    return found


@every_norm
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_they_are_the_nearest(norm: str, data: st.DataObject) -> None:
    """On grids full of ties, on clouds, far from the origin, at sizes whose squares overflow or vanish, flat or not."""
    n, d, classes = (data.draw(st.integers(*ends)) for ends in ((2, 40), (1, 30), (2, 5)))
    draws = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    y = draws.integers(0, classes, n)
    y[:2] = data.draw(st.permutations(range(classes)))[:2]
    grid = draws.integers(0, 3, (n, d)).astype(float)
    x = data.draw(
        st.sampled_from([grid, grid / 255, draws.normal(size=(n, d)), 1e4 + draws.normal(size=(n, d))])
    )
    x = x * data.draw(st.sampled_from([1.0, 1e25, 1e-25]))
    held(labelled(x.reshape(n, 1, d) if data.draw(st.booleans()) else x, y, classes), norm)


@every_norm
def test_more_rows_than_a_block_and_more_features_than_groups(norm: str) -> None:
    draws = np.random.default_rng(5)
    y = draws.integers(0, 2, 2_400)
    held(labelled(draws.uniform(size=(2_400, 300)) + 0.02 * y[:, None], y, 2), norm)


@every_norm
def test_on_digits(norm: str) -> None:
    found = held(load("digits", split="train"), norm)
    assert [found.distance[pair] for pair in found.order] == sorted(
        found.distance[pair] for pair in found.order
    )
    assert len(found.order) == 45


def test_what_follows_from_the_gaps() -> None:
    """On a line: 0 and 3 of one class, 1 and 7 of the other; up to half the least distance no balls overlap."""
    found = held(labelled(np.array([[0.0], [3.0], [1.0], [7.0]]), np.array([0, 0, 2, 2]), 3), "l2")
    assert found.gap.tolist() == [1, 2, 1, 4]
    assert found.radius == 0.5
    assert [found.pseudo(eps) for eps in (0.99, 1, 2, 4)] == [0, 2, 3, 4]
    assert [found.crossed(eps) for eps in (0.99, 1)] == [0, 1]
    assert found.order == ((0, 2),)


def test_the_same_input_with_two_labels() -> None:
    found = held(labelled(np.ones((2, 4)), np.array([1, 0]), 2), "l1")
    assert found.radius == 0
    assert found.pseudo(0) == 2


def test_what_cannot_be_compared_is_refused() -> None:
    two = np.array([0, 1])
    with pytest.raises(UsageError, match=r"unknown norm 'l3'.*l2"):
        nearest_pairs(labelled(np.eye(2), two, 2), "l3")
    with pytest.raises(DataError, match="examples of two classes or more in some, got 1; take more"):
        nearest_pairs(labelled(np.eye(2), np.array([1, 1]), 2))
    with pytest.raises(DataError, match="finite inputs in some"):
        nearest_pairs(labelled(np.array([[0.0], [math.nan]]), two, 2))


def test_the_page_tells_what_was_measured_on_mnist() -> None:
    docs = Path(__file__).parents[3] / "docs"
    page = (docs / "pairs.md").read_text()
    for found in json.loads((docs / "results" / "mnist_pairs.json").read_text()):
        least = found["pairs"][0]
        assert found["n"] == 60_000
        assert found["least"] == least["distance"] == min(pair["distance"] for pair in found["pairs"])
        assert "{}, {}".format(*least["examples"]) in page
        if found["norm"] == "l2":
            two = [pair for pair in found["pairs"] if pair["classes"] in (["4", "9"], ["6", "7"])]
            rows = ["| {:.3f} | {}, {} |".format(pair["distance"], *pair["examples"]) for pair in two]
            assert [row in page for row in rows] == [True, True]


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif("FRENEMY_DATA" not in os.environ, reason="FRENEMY_DATA names no folder of real data")
def test_the_pairs_of_mnist() -> None:
    """002, Section 1.2 and Figure 2: 2.399 at the least, 2.830 between 4 and 9, 5.485 between 6 and 7."""
    found = nearest_pairs(load("mnist", split="train"))
    assert f"{found.distance.min():.3f}" == "2.399"
    assert f"{found.distance[4, 9]:.3f}" == "2.830"
    assert f"{found.distance[6, 7]:.3f}" == "5.485"
