"""A model that does not belong to its data is named; one that does, however bad, is left in peace."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from torch import nn

from frenemy.data.digits import Digits
from frenemy.models.build import initialise
from frenemy.models.mlp import MLP
from frenemy.risks.audit import audit
from frenemy.risks.plausible import about_fit
from frenemy.rng import Key

QUICK: Final[dict[str, Any]] = {"threat": "linf:0.1", "effort": "quick", "curve": 0}


@given(some.permutations(range(5)), some.integers(0, 2**32 - 1))
def test_classes_in_another_order_are_named_one_by_one(order: list[int], seed: int) -> None:
    """The renumbering that is told is the one that was made, whichever it was; one fixed point is no disorder."""
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(5), 40)
    lucky = draw.random(200) < 0.9
    answers = np.where(lucky, np.array(order)[labels], draw.integers(0, 5, 200))
    said = {finding.name: finding.seen for finding in about_fit(labels, answers, tuple("abcde"))}
    moved = [f"{to} for {k} ({'abcde'[k]})" for k, to in enumerate(order) if to != k]
    if len(moved) == 5:
        assert said["classes out of order"].endswith(f"it says {', '.join(moved)}.")
    if not moved:
        assert said == {}


@given(some.integers(2, 12), some.integers(50, 400), some.integers(0, 2**32 - 1))
def test_answers_without_rhyme_are_at_chance_and_in_no_order(classes: int, n: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    labels, answers = draw.integers(0, classes, (2, n))
    names = {finding.name for finding in about_fit(labels, answers, ("c",) * classes)}
    assert "classes out of order" not in names
    right, commonest = (labels == answers).mean(), np.bincount(labels).max() / n
    if right <= commonest:
        assert names == {"answers at chance"}


@pytest.mark.parametrize(("share", "one"), [(0.8, 1), (0.5, 0), (0.9, 1)])
def test_one_answer_for_all_is_at_chance_and_no_other_order(share: float, one: int) -> None:
    labels = (np.arange(200) >= 200 * share).astype(np.int64)
    found = about_fit(labels, np.full(200, one), ("no", "yes"))
    assert [finding.name for finding in found] == ["answers at chance"]


def test_few_examples_or_few_of_each_class_tell_nothing() -> None:
    labels = np.arange(49) % 5
    assert about_fit(labels, labels + 1, tuple("abcdef")) == []
    many = np.arange(300)
    names = [finding.name for finding in about_fit(many, many[::-1].copy(), ("c",) * 300)]
    assert names == ["answers at chance"]


def test_an_audit_says_so(plain: nn.Module) -> None:
    examples = Digits("test")().take(slice(0, 120))
    turned = audit(lambda x: plain(x).roll(1, 1), examples, **QUICK)
    assert {"answers at chance", "classes out of order"} <= {caveat.name for caveat in turned.caveats}
    random = audit(initialise(MLP(64, (24,), 10), Key(3)), examples, **QUICK)
    assert "answers at chance" in {caveat.name for caveat in random.caveats}
    honest = audit(plain, examples, **QUICK)
    assert not {"answers at chance", "classes out of order"} & {caveat.name for caveat in honest.caveats}
