"""What the sources show of training on their toy problems, on a smaller scale."""

from __future__ import annotations

import numpy as np
import pytest

from frenemy.papers.alternation import alternation
from frenemy.papers.directions import directions
from frenemy.papers.margins import margins
from frenemy.papers.weights import weights
from frenemy.theory.disc import Disc
from frenemy.theory.separable import Separable


def test_plain_adversarial_training_alternates_where_sense_settles() -> None:
    """001, Figure 6: PGD-AT gives up one cluster, then the other, for ever; SENSE stays at the line that errs least."""
    found = alternation(iterations=160)
    last = found.angles["PGD-AT"][-20:]
    assert (last[::2] > 30).all() or (last[::2] < -30).all()
    assert (np.sign(last[::2]) != np.sign(last[1::2])).all()
    assert found.spread["SENSE"] < 0.1 < 30 < found.spread["PGD-AT"]
    assert np.abs(found.angles["SENSE"]).max() < 2
    assert found.risk["SENSE"] < 1e-3
    assert found.risk["PGD-AT"] > 0.2


def test_the_weight_goes_to_the_feature_that_cannot_be_flipped() -> None:
    """003, Figure 9."""
    found = weights(n=1_000, iterations=150)
    plain, hard = "standard training", "adversarial training"
    assert found.first[hard][-1] > 10 * found.first[plain][-1]
    assert abs(found.weak[hard][-1]) < 0.2 * found.weak[plain][-1]
    assert found.natural[plain] > 0.99
    assert found.adversarial[plain] < 0.01
    assert found.natural[hard] == pytest.approx(0.95, abs=0.005)
    assert found.adversarial[hard] == pytest.approx(0.95, abs=0.005)


def test_an_enemy_beyond_the_margin_spoils_the_line() -> None:
    """004, Figure 4.1."""
    plain, small, large = margins(iterations=200).values()
    assert plain.natural == small.natural == small.adversarial == 0
    assert large.natural > 0.02
    assert large.adversarial > 0.1


def test_the_distance_to_the_border_is_that_of_the_disc_and_jumps_for_trees() -> None:
    """004, Figure 2.3, which calls both continuous."""
    found = directions(count=720, n=800)
    np.testing.assert_allclose(found.distance["disc"], Disc().border(found.angles), atol=1e-9)
    assert found.jump["disc"] < 0.005
    assert found.jump["small net"] < 0.02
    assert found.jump["trees"] > 0.04


def test_the_same_seed_gives_the_same_lines() -> None:
    one, same, other = (margins(seed=seed, iterations=20) for seed in (3, 3, 4))
    for name, line in one.items():
        np.testing.assert_array_equal(line.weights, same[name].weights)
        assert not np.array_equal(line.weights, other[name].weights)
    assert Separable().draw(60, 3).x.shape == (60, 2)
