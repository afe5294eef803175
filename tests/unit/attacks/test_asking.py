"""Asking: every question counted and none past the budget, whatever the walks ask and however they are put together."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from frenemy.attacks.asking import Asking
from frenemy.attacks.attack import Books, Found, Phase, Status
from frenemy.attacks.others import Others
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Walk
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.l2 import L2

FAR = 3.0


class Wall:
    """Two classes on either side of `x_0 = 1`; remembers each call, and which example each row belongs to (`x_1`)."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.calls.append(x[:, 1].round().int().tolist())
        return torch.stack([1 - x[:, 0], x[:, 0] - 1], 1)

    def of(self, row: int) -> int:
        return sum(call.count(row) for call in self.calls)


def scene(rows: int) -> Batch:
    x = torch.stack([torch.zeros(rows), torch.arange(rows).float()], 1).double()
    return Batch(x, torch.zeros(rows, dtype=torch.int64), torch.arange(rows))


def asked(model: Wall, requests: list[list[list[float]]], queries: int, size: int | None = None) -> Found:
    """Each row walks through its own list of requests: distances along the first axis."""

    def walk(site: Site) -> Walk:
        for place, distances in enumerate(requests[site.index]):
            points = site.x + torch.tensor([[d, 0.0] for d in distances], dtype=site.x.dtype)
            answer = yield Phase(1 + place % 4), points
            assert answer.won.tolist() == [d > 1 for d in distances]
            assert bool(answer.loss.isnan().all())

    asking = Asking(queries, size, early_stop=False, scores=False, nearest=True)
    threat = L2(FAR, low=-math.inf, high=math.inf)
    return asking(
        model, scene(len(requests)), threat=threat, objective=Untargeted(Margin()), key=Key(0), walk=walk
    )


@given(
    requests=st.lists(
        st.lists(st.lists(st.floats(0.1, 5), min_size=1, max_size=7), max_size=6),
        min_size=1,
        max_size=5,
    ),
    queries=st.integers(1, 20),
    size=st.sampled_from([1, 3, 64]),
)
@settings(max_examples=60, deadline=None)
def test_the_books_say_what_was_sent(requests: list[list[list[float]]], queries: int, size: int) -> None:
    model = Wall()
    found = asked(model, requests, queries, size)
    books = found.books
    assert books is not None
    assert all(len(call) <= size for call in model.calls)
    for row, wanted in enumerate(requests):
        sent = [d for distances in wanted for d in distances][: queries - 1]
        phases = [1 + place % 4 for place, distances in enumerate(wanted) for _ in distances][: queries - 1]
        assert model.of(row) == 1 + len(sent) == int(found.queries[row])
        assert books.phases[row].tolist() == [1, *(phases.count(phase) for phase in range(1, 5))]
        assert int(books.unsafe[row]) == 1 + sum(d <= 1 for d in sent)
        for mark, distance in zip(Books.marks(queries), books.trace[row].tolist()):
            least = min((d for d in sent[: mark - 1] if d > 1), default=math.inf)
            assert distance == pytest.approx(least)
        near = [d for d in sent if 1 < d <= FAR]
        assert bool(found.success[row]) == bool(near)
        if near:
            assert float(found.x[row, 0]) == pytest.approx(min(near))
            assert int(found.step[row]) == 2 + next(k for k, d in enumerate(sent) if 1 < d <= FAR)
        cut = len(sent) < sum(map(len, wanted)) or (sent and len(sent) == queries - 1)
        lost = not near and queries > 1 and bool(cut) and not any(d > 1 for d in sent)
        assert (found.status[row] == Status.OUT_OF_BUDGET) == lost


def test_marks_begin_at_one_and_end_at_the_budget() -> None:
    for queries in (1, 2, 50, 14000):
        marks = Books.marks(queries)
        assert marks[0] == 1
        assert marks[-1] == queries
        assert len(marks) <= 49
        assert marks == sorted(set(marks))


def test_walks_share_calls() -> None:
    model = Wall()
    asked(model, [[[2.0]] * 10 for _ in range(8)], 100)
    assert [len(call) for call in model.calls] == [8] * 11


def test_scores_are_shown_where_they_are_to_be_and_the_highest_loss_is_kept() -> None:
    batch = scene(1)
    heights = []

    def walk(site: Site) -> Walk:
        for far in (0.2, 0.8, 0.5):
            answer = yield Phase.STEP, site.x + torch.tensor([[far, 0.0]], dtype=site.x.dtype)
            heights.append(float(answer.loss))

    asking = Asking(9, None, early_stop=True, scores=True, nearest=False)
    found = asking(Wall(), batch, threat=L2(0.9), objective=Untargeted(Margin()), key=Key(0), walk=walk)
    assert heights == pytest.approx([2 * (far - 1) for far in (0.2, 0.8, 0.5)])
    assert float(found.x[0, 0]) == pytest.approx(0.8)
    assert found.status.tolist() == [Status.NOT_FOUND]


def test_others_are_given_nearest_first_and_never_the_input_itself() -> None:
    x, y = Key(1).normal(torch.arange(40), (3,)), torch.arange(40) % 4
    others = Others(x, y)
    for towards in (True, False):
        got = others.nearest(x[5], 1, towards, 6)
        able = [k for k in range(40) if (int(y[k]) == 1) == towards and k != 5]
        best = sorted(able, key=lambda k: float((x[k] - x[5]).norm()))[:6]
        assert torch.equal(got, x[best])
    assert repr(others) == repr(Others(x.clone(), y.clone()))
    assert repr(others) != repr(Others(x + 1e-3, y))
    with pytest.raises(UsageError, match="one label an example"):
        Others(x, y[:3])


def test_settings_are_said_to_be_wrong() -> None:
    for change in ({"queries": 0}, {"batch_size": 0}):
        with pytest.raises(UsageError, match="at least 1"):
            dataclasses.replace(Asking(1, 1, False, False, True), **change)  # type: ignore[arg-type]
