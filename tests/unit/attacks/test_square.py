"""Square: a budget to the query, windows that stay in the picture and change something, and no gradient ever."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.elsewhere import PLACE, Elsewhere
from tests.oracles import linear_net, net
from tests.scenes import batch_of, labelled
from torch import Tensor

from frenemy.attacks.active import room
from frenemy.attacks.attack import Found, Status
from frenemy.attacks.pgd import PGD
from frenemy.attacks.square import Square
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.counted import Counted
from frenemy.models.model import Model
from frenemy.objectives.hypocritical import Hypocritical
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.l1 import L1
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import Threat

ENEMY = Untargeted(Margin())
BALLS: list[Threat] = [Linf(0.05), L2(0.3), L1(0.6)]
SHAPES = [(6,), (1, 7, 7), (3, 4, 9), (2, 9, 3), (2, 3), (1, 1, 1, 5), (1,)]
balls = pytest.mark.parametrize("threat", BALLS, ids=lambda threat: type(threat).__name__)


class Notebook:
    """Answers as `model` does, and keeps what it was asked, in order."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.asked: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        assert not x.requires_grad
        assert not torch.is_grad_enabled()
        self.asked.append(x.clone())
        return self.model(x)


def stubborn(x: Tensor) -> Tensor:
    """Class 0 for ever."""
    return torch.tensor([1.0, 0.0, 0.0], dtype=x.dtype).expand(len(x), 3)


def run(model: Model, batch: Batch, threat: Threat, **wanted: object) -> Found:
    attack = Square(**{"queries": 40, **wanted})  # type: ignore[arg-type]
    return attack(model, batch, threat=threat, objective=ENEMY, key=Key(3))


@balls
@pytest.mark.parametrize(("queries", "restarts"), [(1, 1), (2, 1), (3, 2), (2, 5), (30, 1), (31, 4), (32, 4)])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_the_budget_is_spent_to_the_query_and_never_passed(
    threat: Threat, queries: int, restarts: int, batch_size: int | None
) -> None:
    batch, model = batch_of((1, 5, 4), 8), Counted(stubborn)
    found = run(model, batch, threat, queries=queries, restarts=restarts, batch_size=batch_size)
    assert found.queries.tolist() == [queries] * 8
    assert model.counts.forwards == 8 * queries
    assert not found.backwards.any()


@balls
def test_a_row_that_falls_is_asked_about_no_more(threat: Threat) -> None:
    """Rows fall at different times; each has been asked about just as often as its step says."""
    model = net(20, 3, Key(4))
    batch = labelled(batch_of((1, 5, 4), 24), model)
    for batch_size in (None, 7):
        counted = Counted(model)
        found = run(counted, batch, threat, queries=31, batch_size=batch_size, restarts=2)
        fallen = found.status == Status.FOUND
        assert bool(fallen.any())
        assert torch.equal(found.queries[fallen], found.step[fallen] + 1)
        assert bool((found.queries[found.status == Status.ALREADY] == 1).all())
        assert bool((found.queries[found.status == Status.NOT_FOUND] == 31).all())
        assert counted.counts.forwards == int(found.queries.sum())


@balls
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_query_repeats_the_point_before_it(threat: Threat, shape: tuple[int, ...]) -> None:
    """Nothing is accepted after the start, so each proposal is measured against the start itself."""
    model = Notebook(stubborn)
    run(model, batch_of(shape, 5), threat, queries=60)
    clean, start, *later = model.asked
    assert all(len(x) == 5 and x.shape == clean.shape for x in model.asked)
    changed = [(x != start).flatten(1).any(1) for x in later]
    assert bool(torch.stack(changed).all())


@balls
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_query_leaves_the_set_and_the_start_uses_it(threat: Threat, shape: tuple[int, ...]) -> None:
    high: Tensor = torch.linspace(0.6, 2.0, math.prod(shape), dtype=torch.float64).reshape(shape)
    boxed = type(threat)(threat.eps, low=-0.1, high=high)  # type: ignore[call-arg]
    batch = batch_of(shape, 6)
    batch = Batch(batch.x * 0.6, batch.y, batch.index)
    eps = torch.full((6,), float(threat.eps), dtype=torch.float64)
    hilly = net(math.prod(shape), 3, Key(2))
    model = Notebook(hilly)
    run(model, batch, boxed, early_stop=False)
    assert all(bool(boxed.contains(x, batch.x, eps).all()) for x in model.asked)
    free = type(threat)(threat.eps, low=-9.0, high=9.0)  # type: ignore[call-arg]
    model = Notebook(stubborn)
    run(model, batch, free)
    for x in model.asked[1:]:
        torch.testing.assert_close(free.norm(x - batch.x), eps, rtol=1e-5, atol=0)


def test_one_feature_is_tried_both_ways() -> None:
    """The best of two corners is exact; the length of one feature can only change its sign."""
    x = torch.full((4, 1), 0.5, dtype=torch.float64)
    batch = Batch(x, torch.zeros(4, dtype=torch.int64), torch.arange(4))
    for threat in BALLS:
        for sign in (1.0, -1.0):
            wide = type(threat)(threat.eps, low=-9.0, high=9.0)  # type: ignore[call-arg]
            way = torch.tensor([[0.0, sign]], dtype=torch.float64)
            found = run(lambda z, way=way: z @ way + torch.tensor([9.0, 0.0]), batch, wide, queries=4)
            torch.testing.assert_close(found.x, x + sign * float(threat.eps))


def test_no_single_flip_improves_on_the_corner_found() -> None:
    """Brute force: late windows are one cell, so what is left at the end is the best of its neighbours."""
    model = net(6, 4, Key(5))
    batch = labelled(batch_of((2, 3), 30), model)
    found = run(model, batch, Linf(0.1, -9.0, 9.0), queries=300, early_stop=False)
    step = (found.x - batch.x).flatten(1)
    corner = ((step.abs() - 0.1).abs() < 1e-6).all(1)
    assert int(corner.sum()) > 20
    for cell in range(6):
        other = step.clone()
        other[:, cell] *= -1
        with torch.no_grad():
            loss = Margin()(model(batch.x + other.reshape(batch.x.shape)), batch.y)
        assert bool((loss <= found.loss + 1e-5)[corner].all())


@balls
def test_the_best_of_all_that_was_asked_comes_back(threat: Threat) -> None:
    model = net(20, 3, Key(4))
    batch = labelled(batch_of((1, 5, 4), 20), model)
    book = Notebook(model)
    found = run(book, batch, threat, early_stop=False, restarts=2)
    losses = torch.stack([Margin()(model(x), batch.y).detach() for x in book.asked])
    best = losses.amax(0)
    torch.testing.assert_close(found.loss.double(), best, rtol=1e-5, atol=1e-6)
    assert torch.equal(found.success, best > 0)
    first = (losses > 0).int().argmax(0)
    assert torch.equal(found.step, first.where(best > 0, torch.tensor(-1)))


@balls
def test_a_model_without_gradients_is_searched_all_the_same(threat: Threat) -> None:
    """NumPy stands behind it: a search by gradients is blind there, and says so."""
    weights = linear_net(12, 2, Key(1), torch.float64).layer.weight.detach().numpy()

    def rounded(x: Tensor) -> Tensor:
        scores = np.round(x.detach().flatten(1).numpy() @ weights.T, 2)
        return torch.from_numpy(scores)

    batch = labelled(batch_of((1, 3, 4), 24), rounded)
    found = run(rounded, batch, threat, queries=200)
    blind = PGD(steps=5, random_start=False)(rounded, batch, threat=threat, objective=ENEMY, key=Key(3))
    assert bool(blind.flat[blind.status == Status.NOT_FOUND].all())
    assert not (blind.status == Status.FOUND).any()
    assert bool((found.status == Status.FOUND).any())
    assert torch.equal(found.success, rounded(found.x).argmax(1) != batch.y)


@balls
def test_a_random_model_ends_without_nan(threat: Threat) -> None:
    noise = iter(range(10_000))

    def moody(x: Tensor) -> Tensor:
        draw = Key(next(noise)).normal(torch.arange(len(x)), (2,), x.dtype)
        return x.flatten(1)[:, :2] + draw

    batch = batch_of((1, 4, 4), 12)
    found = run(moody, batch, threat, early_stop=False)
    assert bool(found.x.isfinite().all())
    assert bool((found.queries == 40).all())


@balls
def test_a_constant_model_and_labels_all_wrong(threat: Threat) -> None:
    batch = batch_of((1, 4, 4), 5)
    found = run(stubborn, batch, threat)
    assert bool((found.status == Status.NOT_FOUND).all())
    assert bool(found.x.isfinite().all())
    assert not found.flat.any()
    wrong = run(stubborn, Batch(batch.x, batch.y + 1, batch.index), threat)
    assert bool((wrong.status == Status.ALREADY).all())
    assert bool((wrong.queries == 1).all())
    friend = Square(queries=9)(
        stubborn,
        Batch(batch.x, batch.y + 1, batch.index),
        threat=threat,
        objective=Hypocritical(),
        key=Key(0),
    )
    assert bool((friend.status == Status.NOT_FOUND).all())


@pytest.mark.parametrize("wish", [Untargeted(Margin()), Hypocritical(Margin())], ids=["enemy", "friend"])
def test_the_margin_is_climbed_the_right_way(wish: Untargeted | Hypocritical) -> None:
    model = net(16, 2, Key(6))
    batch = labelled(batch_of((1, 4, 4), 30), model)
    found = Square(queries=60, early_stop=False)(model, batch, threat=Linf(0.1), objective=wish, key=Key(0))
    with torch.no_grad():
        before = wish.loss(model(batch.x), wish.goal(model(batch.x), batch.y))
    assert float((found.loss > before).double().mean()) > 0.9


SETTINGS: list[Callable[[], Square]] = [
    lambda: Square(queries=0),
    lambda: Square(restarts=0),
    lambda: Square(batch_size=0),
    lambda: Square(ahead=0),
    lambda: Square(ahead=17),
    lambda: Square(p_init=0.0),
    lambda: Square(p_init=1.5),
    lambda: Square(p_init=math.nan),
]


@pytest.mark.parametrize("make", SETTINGS)
def test_settings_out_of_range_are_refused(make: Callable[[], Square]) -> None:
    with pytest.raises(UsageError, match="expected"):
        make()


def test_a_sphere_is_refused() -> None:
    with pytest.raises(UsageError, match="Square can search"):
        run(stubborn, batch_of((4,), 2), Sphere(L2(0.1)))


def rowwise(x: Tensor) -> Tensor:
    """Answers of a row that do not hang on how many rows are asked about, to the last bit."""
    flat = x.flatten(1)
    weights = torch.linspace(-1, 1, flat.shape[1] * 3, dtype=x.dtype).reshape(3, -1).cos()
    bent = (5 * flat + weights[0]).sin()
    return torch.stack([(bent * row).cumsum(1)[:, -1] for row in weights], 1)


@balls
@pytest.mark.parametrize("shape", [(1, 5, 4), (3, 4, 9), (6,)], ids=str)
@pytest.mark.parametrize("wanted", [{}, {"early_stop": False}, {"restarts": 3}, {"batch_size": 5}], ids=str)
def test_asking_ahead_changes_nothing_but_what_is_asked_in_vain(
    threat: Threat, shape: tuple[int, ...], wanted: dict[str, object]
) -> None:
    batch = labelled(batch_of(shape, 9), rowwise)
    one = run(rowwise, batch, threat, queries=120, **wanted)
    model = Counted(rowwise)
    many = run(model, batch, threat, queries=120, ahead=6, **wanted)
    for name in ("x", "loss", "success", "status", "step"):
        torch.testing.assert_close(getattr(many, name), getattr(one, name), rtol=0, atol=0)
    assert model.counts.forwards == int(many.forwards.sum())
    assert bool((many.forwards >= one.forwards).all())


def test_asking_ahead_fills_forwards_of_few_rows() -> None:
    """A row that nothing helps asks for as many forwards as its queries fill, and for nothing in vain."""
    batch, notebook = batch_of((1, 5, 4), 2), Notebook(stubborn)
    found = run(notebook, batch, Linf(0.05), queries=401, ahead=4)
    assert found.forwards.tolist() == pytest.approx([401, 401], abs=3)
    sizes = [len(asked) for asked in notebook.asked]
    assert max(sizes) == 8
    assert sizes.count(8) >= 60


@pytest.mark.parametrize(
    ("rows", "kept", "expected"), [(1, 0.0, 4), (1, 0.29, 2), (1, 1.0, 1), (30, 0.0, 2), (65, 0.0, 1)]
)
def test_how_far_it_asks_ahead_hangs_on_the_room_and_on_what_is_kept(
    rows: int, kept: float, expected: int
) -> None:
    assert Square(ahead=4)._many(rows, kept, 64, 0.3) == expected
    assert Square(ahead=4)._many(rows, kept, rows, 0.3) == 1


def test_forwards_should_be_wider_where_many_rows_take_the_time_of_few() -> None:
    assert [room(torch.zeros(rows, 2), 64) for rows in (3, 300)] == [64, 64]
    with Elsewhere():
        assert [room(torch.zeros(rows, 2).to(PLACE), 64) for rows in (3, 300)] == [256, 300]


@pytest.mark.parametrize(("size", "most"), [(None, 240), (20, 20)])
def test_forwards_elsewhere_are_wide_but_no_wider_than_asked(size: int | None, most: int) -> None:
    batch, notebook = batch_of((1, 5, 4), 20), Notebook(lambda x: stubborn(x.cpu()).to(PLACE))
    with Elsewhere():
        there = Batch(*(one.to(PLACE) for one in (batch.x, batch.y * 0, batch.index)))
        run(notebook, there, Linf(0.05), queries=400, ahead=16, batch_size=size)
    assert max(len(asked) for asked in notebook.asked) == most


@balls
def test_asking_far_ahead_where_forwards_are_wide_changes_nothing(threat: Threat) -> None:
    """On a device that takes many rows in the time of few, hundreds of rows ask sixteen times each."""
    batch = labelled(batch_of((3, 4, 9), 9), rowwise)
    single = Notebook(rowwise)
    one = run(single, batch, threat, queries=120)
    with Elsewhere():
        there = Batch(*(one.to(PLACE) for one in (batch.x, batch.y, batch.index)))
        notebook = Notebook(lambda x: rowwise(x.cpu()).to(PLACE))
        many = run(notebook, there, threat, queries=120, ahead=16)
        found = {name: getattr(many, name).cpu() for name in ("x", "loss", "success", "status", "step")}
    for name, values in found.items():
        torch.testing.assert_close(values, getattr(one, name), rtol=0, atol=0)
    assert len(notebook.asked) < 0.75 * len(single.asked)


def test_a_point_without_answer_ends_a_row_when_its_turn_has_come() -> None:
    """Asked ahead or not, the row leaves with what it had before."""

    def model(x: Tensor) -> Tensor:
        logits = rowwise(x)
        return torch.where((logits[:, :1] > 2.5), torch.nan, logits)

    batch = labelled(batch_of((1, 5, 4), 9), rowwise)
    found = [run(model, batch, L2(0.3), queries=120, early_stop=False, ahead=ahead) for ahead in (1, 6)]
    assert (found[0].status == Status.NOT_FINITE).any() or bool((found[0].forwards < 120).any())
    for name in ("x", "loss", "success", "status", "step"):
        torch.testing.assert_close(getattr(found[1], name), getattr(found[0], name), rtol=0, atol=0)
