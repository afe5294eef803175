"""JSMA: the best pair by going through all pairs, steps by hand, whole budgets, bounded memory; the laws in L0."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import scenes
from tests.laws import test_attack_care as care
from tests.laws import test_attacks as laws
from tests.laws import test_attacks_alone as alone
from tests.oracles import linear_net, net
from tests.scenes import batch_of, labelled
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from frenemy.attacks import jsma
from frenemy.attacks.attack import Found, Status
from frenemy.attacks.fmn import FMN
from frenemy.attacks.jsma import JSMA
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.counted import Counted
from frenemy.models.linear import Linear
from frenemy.objectives.targeted import Targeted
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.l0 import L0
from frenemy.threats.l2 import L2

sizes = st.integers(-3, 3)
features = st.lists(st.tuples(sizes, sizes, st.booleans()), min_size=1, max_size=9)


def every_pair(rows: list[tuple[int, int, bool]], alone: bool) -> tuple[int, list[int] | None]:
    """The greatest product by going through all coordinates and pairs, the first of equals, alone before in pairs."""
    free = [place for place, row in enumerate(rows) if row[2]]
    chosen, best = None, 0
    for p, q in [(p, p) for p in free] + [(p, q) for p in free for q in free if p < q and not alone]:
        first, second = (rows[p][k] + (rows[q][k] if p != q else 0) for k in (0, 1))
        if min(first, second) > 0 and first * second > best:
            best, chosen = first * second, [p, q]
    return best, chosen


@settings(deadline=None)
@given(
    batch=st.lists(features, min_size=1, max_size=3),
    alone=st.booleans(),
    room=st.sampled_from([1, 7, 1 << 20]),
)
def test_the_best_pair_is_the_best_of_all_and_does_not_see_its_neighbours(
    batch: list[list[tuple[int, int, bool]]], alone: bool, room: int
) -> None:
    width = max(map(len, batch))
    rows = [row + [(0, 0, False)] * (width - len(row)) for row in batch]
    a, b = (torch.tensor([[float(cell[k]) for cell in row] for row in rows]).double() for k in (0, 1))
    free = torch.tensor([[cell[2] for cell in row] for row in rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsma, "_ROOM", room)
        patch.setattr(jsma, "_FEW", 4 if room > 7 else 1)
        pair, some = jsma._best_pair(a, b, free, torch.full((len(rows),), alone))
    for place, row in enumerate(rows):
        best, chosen = every_pair(row, alone)
        assert bool(some[place]) == (chosen is not None)
        if chosen:
            p, q = pair[place].tolist()
            first, second = (t[place, p] + (t[place, q] if p != q else 0) for t in (a, b))
            assert float(first * second) == best
        one = slice(place, place + 1)
        again, _ = jsma._best_pair(a[one], b[one], free[one], torch.tensor([alone]))
        assert torch.equal(again[0], pair[place])


def test_equal_pairs_are_taken_in_order() -> None:
    ones = torch.ones(2, 300)
    pair, some = jsma._best_pair(ones, ones, ones.bool(), torch.tensor([False, True]))
    assert bool(some.all())
    assert pair.tolist() == [[0, 1], [0, 0]]


def lines(*weights: list[float]) -> Linear:
    """Logits with these slopes, and no bias but one that puts class 0 first at the input of zeros."""
    model = Linear(len(weights[0]), len(weights))
    with torch.no_grad():
        model.layer.weight.copy_(torch.tensor(weights))
        model.layer.bias.copy_(torch.tensor([1.0] + [0.0] * (len(weights) - 1)))
    return model


def search(model: Any, x: list[float], wish: Any, eps: float, **given_: Any) -> Found:
    batch = Batch(torch.tensor([x]), torch.tensor([0]), torch.arange(1))
    return JSMA(**given_)(model, batch, threat=L0(eps), objective=wish, key=Key(0))


def test_steps_by_hand() -> None:
    """Towards class 2 the products of pairs are (1 + .4)(.6 + .1) = .98 and less; away from 0 others are greater."""
    model = lines([0.0, -0.2, -0.5, 0.0], [-0.6, 0.1, 0.1, 0.0], [1.0, 0.3, 0.4, 0.0])
    a, b = [1.0, 0.3, 0.4], [0.6, 0.1, 0.4]
    products = {(p, q): (a[p] + a[q]) * (b[p] + b[q]) for p in range(3) for q in range(p)}
    assert max(products, key=lambda pair: products[pair]) == (2, 0)
    towards = search(model, [0.0] * 4, Targeted(2), 4)
    assert towards.x.tolist() == [[1.0, 0.0, 1.0, 0.0]]
    assert (int(towards.step), int(towards.forwards), int(towards.backwards)) == (1, 3, 2)
    away = search(model, [0.0] * 4, Untargeted(), 4)
    assert away.x.tolist() == [[0.0, 1.0, 1.0, 0.0]]


def test_falling_coordinates_fall() -> None:
    model = lines([0.0, 0.5, 0.0], [0.0, -1.0, 0.0])
    down = search(model, [0.5, 0.5, 0.5], Untargeted(), 3, theta=-1.0)
    up = search(model, [0.5, 0.5, 0.5], Untargeted(), 3)
    assert (down.x.tolist(), bool(up.success)) == ([[0.5, 0.0, 0.5]], False)
    assert int(up.step) == -1


@pytest.mark.parametrize("theta", [1.0, 0.3])
@pytest.mark.parametrize("eps", [0.0, 1.0, 2.0, 3.0, 5.0])
def test_the_budget_is_spent_and_never_passed(theta: float, eps: float) -> None:
    """Class 1 rises by 1 a coordinate, and stands 10 too low: every coordinate of the budget goes to its end."""
    model = lines([-1.0] * 8, [1.0] * 8)
    with torch.no_grad():
        model.layer.bias[0] = 100.0
    asked: list[Tensor] = []

    def watched(x: Tensor) -> Tensor:
        asked.append(x.detach().clone())
        answer: Tensor = model(x)
        return answer

    search(watched, [0.0] * 8, Untargeted(), eps, theta=theta)
    assert all(int((x != 0).sum()) <= eps for x in asked)
    assert asked[-1].sort(1, descending=True).values[0].tolist() == [1.0] * int(eps) + [0.0] * (8 - int(eps))


def test_enough_of_a_linear_map_is_changed() -> None:
    """In two classes of opposite slopes, saliency is the square of the slope's sum: the best pairs are the top ones."""
    index = torch.arange(40)
    weight = Key(5).normal(torch.arange(1), (12,), torch.float64)[0]
    x = Key(5).fold("x").uniform(index, (12,), torch.float64) * 0.01

    def model(x: Tensor) -> Tensor:
        height = x @ weight - 2.5
        return torch.stack([-height, height], 1)

    gains = weight.clamp(min=0).sort(descending=True).values
    needed = 2.5 - x @ weight
    least = (gains.cumsum(0) <= needed[:, None]).sum(1) + 1
    found = JSMA()(
        model, Batch(x, torch.zeros_like(index), index), threat=L0(12.0), objective=Untargeted(), key=Key(0)
    )
    changed = (found.x != x).sum(1)
    assert bool(found.success.all())
    assert bool(((changed >= least) & (changed <= least + 2)).all())


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the greatest number of bytes of a tensor that any operation returned."""

    most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        held = [t.untyped_storage().nbytes() for t in tree_leaves(out) if isinstance(t, Tensor)]
        self.most = max([self.most, *held])
        return out


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("slopes", ["normal", "opposite", "equal"])
def test_no_tensor_of_all_pairs_is_ever_made(shape: tuple[int, ...], slopes: str) -> None:
    """A table of all pairs of 3 x 32 x 32 has 38 MB a row; eight rows get by with less than 10 MB a tensor."""
    count = math.prod(shape)
    model = linear_net(count, 2 if slopes == "opposite" else 3, Key(1))
    with torch.no_grad():
        if slopes == "opposite":
            model.layer.weight[1] = model.layer.weight[0] + 0.01 * model.layer.weight[1]
        if slopes == "equal":
            model.layer.weight[:] = torch.tensor([[-1.0], [1.0], [0.5]])
            model.layer.bias[:] = torch.tensor([2.0 * count, 0.0, 0.0])
    batch = batch_of(shape, 8, torch.float32)
    batch = Batch(batch.x, model(batch.x).argmax(1), batch.index)
    with Largest() as seen:  # type: ignore[no-untyped-call]
        found = JSMA(steps=3)(model, batch, threat=L0(40.0), objective=Untargeted(), key=Key(0))
    assert int(found.backwards.max()) > 0
    assert seen.most < 10 * 2**20


LAWS: list[tuple[Any, dict[str, Any]]] = [
    (alone.test_alone_is_as_in_company, {"early_stop": True, "random_start": False}),
    (alone.test_alone_is_as_in_company, {"early_stop": False, "random_start": False}),
    (alone.test_each_row_may_have_its_own_size, {}),
    (laws.test_no_rows_give_no_rows, {}),
    (laws.test_size_nought_gives_the_input_back_bit_for_bit, {}),
    (laws.test_the_point_is_in_the_set_and_the_report_is_true, {"shape": (7,), "classes": 2}),
    (laws.test_the_point_is_in_the_set_and_the_report_is_true, {"shape": (1, 2, 4), "classes": 3}),
    (care.test_all_wrong_and_one_wrong, {}),
    (care.test_a_gradient_that_is_not_finite_is_called_flat, {}),
    (care.test_a_model_without_slope_is_called_flat, {"way": "constant"}),
    (care.test_a_model_without_slope_is_called_flat, {"way": "no gradient path"}),
    (care.test_an_answer_that_is_not_finite_harms_only_its_own_row, {"bad": math.nan}),
    (care.test_gradients_are_taken_whatever_the_caller_switched_off, {"dtype": torch.float32}),
    (care.test_inputs_may_lie_in_memory_as_they_like, {}),
    (care.test_not_finite_on_the_way_ends_the_search_of_that_row, {}),
]


@pytest.mark.parametrize("attack", [JSMA, FMN])
@pytest.mark.parametrize(("law", "settings_"), LAWS, ids=lambda part: getattr(part, "__name__", None))
def test_the_laws_of_attacks_hold_in_this_set_too(
    attack: type, law: Any, settings_: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = attack.__name__.lower()
    monkeypatch.setitem(scenes.ATTACKS, name, attack)
    monkeypatch.setitem(scenes._MAKERS, "l0", L0)
    for module in (laws, alone, care):
        monkeypatch.setattr(module, "size_of", lambda kind, features: 0.5 * features)
    law(name, "l0", **settings_)


@pytest.mark.parametrize("fails_at", [None, 1, 2, 4])
@pytest.mark.parametrize("attack", [JSMA, FMN])
def test_no_trace_is_left(attack: type, fails_at: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scenes.ATTACKS, attack.__name__.lower(), attack)
    monkeypatch.setitem(scenes._MAKERS, "l0", L0)
    monkeypatch.setattr(care, "around", lambda kind, eps: L0(8.0))
    monkeypatch.setattr(care, "ball_of", lambda name: "l0")
    care.test_no_trace_is_left_on_the_model_or_on_any_generator(attack.__name__.lower(), fails_at)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-math.inf, math.inf), (0.0, 255.0)])
def test_theta_is_a_share_of_the_box(low: float, high: float) -> None:
    model = net(6, 3, Key(9))
    batch = labelled(batch_of((2, 3), 16), model)
    threat = L0(4.0, low=low, high=high)
    counted = Counted(model)
    found = JSMA(theta=0.5)(counted, batch, threat=threat, objective=Untargeted(), key=Key(2))
    step = 0.5 * ((high - low) if math.isfinite(high) else 1.0)
    moves = (found.x - batch.x)[(found.x != batch.x) & (found.x < high)] / step
    torch.testing.assert_close(moves, moves.round())
    assert bool((found.status == Status.FOUND).any())
    assert int(found.backwards.sum()) == counted.counts.backwards


def test_settings_that_make_no_search_are_refused() -> None:
    for theta in (0.0, math.inf, math.nan):
        with pytest.raises(UsageError, match="expected a finite theta"):
            JSMA(theta=theta)
    model, batch = net(6, 3, Key(4)), batch_of((6,), 2)
    with pytest.raises(UsageError, match="can search"):
        JSMA()(model, batch, threat=L2(1.0), objective=Untargeted(), key=Key(0))
    with pytest.raises(UsageError, match="expected steps"):
        JSMA(steps=-1)(model, batch, threat=L0(1.0), objective=Untargeted(), key=Key(0))
