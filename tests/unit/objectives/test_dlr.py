"""DLR and targeted DLR against a loop over sorted logits, and where they are not defined."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from frenemy.objectives.surrogates import DLR, SURROGATES, Margin, SoftMargin, TargetedDLR, answer, surrogate
from frenemy.rng import Key

law = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32)


def drawn(seed: int, rows: int, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, labels, and targets that are other classes."""
    key, index = Key(seed), torch.arange(rows)
    logits = 4 * key.fold("z").normal(index, (classes,), torch.float64)
    y = (key.fold("y").uniform(index, ()) * classes).long()
    return logits, y, (y + 1 + (key.fold("t").uniform(index, ()) * (classes - 1)).long()) % classes


def slowly(logits: Tensor, y: int) -> float:
    """Equation 6, term by term."""
    z: list[float] = logits.tolist()
    ordered = sorted(z, reverse=True)
    return -(z[y] - max(v for k, v in enumerate(z) if k != y)) / (ordered[0] - ordered[2])


def slowly_towards(logits: Tensor, y: int, target: int) -> float:
    """Equation 7, term by term."""
    z: list[float] = logits.tolist()
    ordered = sorted(z, reverse=True)
    return -(z[y] - z[target]) / (ordered[0] - (ordered[2] + ordered[3]) / 2)


@law
@given(seed=seeds, classes=st.integers(3, 12))
def test_it_is_the_paper_s_ratio(seed: int, classes: int) -> None:
    logits, y, target = drawn(seed, 8, classes)
    loss = DLR()(logits, y)
    for n in range(8):
        assert float(loss[n]) == pytest.approx(slowly(logits[n], int(y[n])), rel=1e-12)
    right = logits.argmax(1) == y
    assert torch.equal(loss < 0, right)
    assert bool((loss >= -1).all())
    assert bool((loss[right] <= 0).all())
    if classes > 3:
        steered = TargetedDLR()(logits, torch.stack([y, target], 1))
        for n in range(8):
            expected = slowly_towards(logits[n], int(y[n]), int(target[n]))
            assert float(steered[n]) == pytest.approx(expected, rel=1e-12)


@law
@given(seed=seeds, shift=st.floats(-50, 50), factor=st.floats(0.01, 100))
def test_neither_shift_nor_scale_changes_it(seed: int, shift: float, factor: float) -> None:
    logits, y, target = drawn(seed, 8, 5)
    moved, pair = factor * logits + shift, torch.stack([y, target], 1)
    torch.testing.assert_close(DLR()(moved, y), DLR()(logits, y), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(TargetedDLR()(moved, pair), TargetedDLR()(logits, pair), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("classes", [3, 4, 10])
def test_the_gradient_is_its_slope_whether_the_label_is_on_top_or_not(classes: int) -> None:
    logits, _, _ = drawn(5, 6, classes)
    order = logits.argsort(1, descending=True)
    for rank in range(classes):
        y, target = order[:, rank], order[:, (rank + 1) % classes]
        asked = logits.clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda z, y=y: DLR()(z, y), asked)
        if classes > 3:
            pair = torch.stack([y, target], 1)
            assert torch.autograd.gradcheck(lambda z, pair=pair: TargetedDLR()(z, pair), asked)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ties_give_finite_losses_and_gradients(dtype: torch.dtype) -> None:
    """All equal; the first three equal, with the label among them or not; a very small lead."""
    rows = [[1.0] * 5, [2.0, 2.0, 2.0, 0.0, -1.0], [2.0, 2.0, 2.0, 2.0, -1.0], [1e-30, 0.0, 0.0, 0.0, -9.0]]
    for label in range(5):
        asked = torch.tensor(rows, dtype=dtype, requires_grad=True)
        y = torch.full((4,), label)
        pair = torch.stack([y, (y + 1) % 5], 1)
        for loss in (DLR()(asked, y), TargetedDLR()(asked, pair)):
            (gradient,) = torch.autograd.grad(loss.sum(), asked)
            assert loss.isfinite().all()
            assert gradient.isfinite().all()
    asked = torch.tensor(rows[:1], dtype=dtype, requires_grad=True)
    for flat, slope in ((DLR()(asked, torch.tensor([0])), Margin()(asked, torch.tensor([0]))),):
        (ours,), (plain,) = torch.autograd.grad(flat.sum(), asked), torch.autograd.grad(slope.sum(), asked)
        torch.testing.assert_close(ours / ours.abs().max(), plain / plain.abs().max())


@pytest.mark.parametrize("classes", [2, 3])
def test_with_too_few_classes_the_margin_stands_in_and_says_so(classes: int) -> None:
    logits, y, target = drawn(9, 8, classes)
    lead = (logits.gather(1, target[:, None]) - logits.gather(1, y[:, None])).squeeze(1)
    assert TargetedDLR().undefined(classes)
    torch.testing.assert_close(TargetedDLR()(logits, torch.stack([y, target], 1)), lead)
    assert DLR().undefined(classes) == (classes == 2)
    if classes == 2:
        torch.testing.assert_close(DLR()(logits, y), Margin()(logits, y))
    assert not DLR().undefined(10)
    assert not TargetedDLR().undefined(10)


def test_a_distribution_stands_for_its_top_class_and_a_pair_for_its_label() -> None:
    logits, y, target = drawn(9, 8, 5)
    clean = drawn(10, 8, 5)[0]
    torch.testing.assert_close(DLR()(logits, clean), DLR()(logits, clean.argmax(1)))
    assert torch.equal(answer(torch.stack([y, target], 1)), y)
    assert torch.equal(answer(clean), clean.argmax(1))
    assert torch.equal(answer(y), y)


def test_it_has_a_name_and_the_targeted_one_has_none() -> None:
    assert surrogate("DLR") == DLR()
    assert sorted(SURROGATES) == ["ce", "dlr", "kl", "margin"]


@law
@given(st.lists(st.floats(-30, 30), min_size=2, max_size=6), st.integers(0, 5))
def test_the_soft_margin_is_the_lead_of_all_others_together(values: list[float], label: int) -> None:
    """Against a sum of exponentials; never below the margin, and at most the logarithm of the others' number above."""
    y = label % len(values)
    logits = torch.tensor([values], dtype=torch.float64)
    others = [value for place, value in enumerate(values) if place != y]
    soft = float(SoftMargin()(logits, torch.tensor([y])))
    hard = float(Margin()(logits, torch.tensor([y])))
    assert soft == pytest.approx(math.log(sum(map(math.exp, others))) - values[y], abs=1e-9)
    assert hard - 1e-9 <= soft <= hard + math.log(len(others)) + 1e-9
