"""Laws of every attack in the folder: what is found for a row is a matter of that row alone."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from tests.oracles import net
from tests.scenes import (
    ATTACKS,
    FEW,
    around,
    batch_of,
    joined,
    kind_of,
    labelled,
    made,
    name_of,
    size_of,
    taken,
)
from torch import Tensor

from frenemy.attacks.attack import Found, Status
from frenemy.data.batch import Batch
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key

pairs = pytest.mark.parametrize(("name", "kind"), FEW)


def _ways() -> list[Any]:
    """Each turn with every choice of `early_stop` and `random_start` that the attack has; no start without the stop."""
    found = []
    for turn in FEW:
        name, kind = name_of(turn), kind_of(turn)
        fields = ATTACKS[name].__dataclass_fields__
        choices = [(True, False) if word in fields else (True,) for word in ("early_stop", "random_start")]
        for early, random in itertools.product(*choices):
            if (early, random) != (True, False) or "early_stop" not in fields:
                marks = getattr(turn, "marks", ())
                found.append(pytest.param(name, kind, early, random, marks=marks))
    return found


WAYS = _ways()


def same(a: Found, b: Found) -> None:
    """The same verdicts, and the same points up to rounding."""
    for word in ("success", "status", "step", "flat"):
        assert torch.equal(getattr(a, word), getattr(b, word)), word
    torch.testing.assert_close(a.loss, b.loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(a.x, b.x, rtol=0, atol=1e-6)
    if a.books and b.books:
        assert torch.equal(a.books.phases, b.books.phases)
        assert torch.equal(a.books.unsafe, b.books.unsafe)
        torch.testing.assert_close(a.books.trace, b.books.trace, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "kind", "early_stop", "random_start"), WAYS)
def test_alone_is_as_in_company(name: str, kind: str, early_stop: bool, random_start: bool) -> None:
    model, wish = net(5, 3, Key(4)), Untargeted(Margin())
    batch = labelled(batch_of((5,), 12), model)
    threat = around(kind, size_of(kind, 5))
    settings: dict[str, Any] = {
        "steps": 4,
        "restarts": 2,
        "early_stop": early_stop,
        "random_start": random_start,
    }

    def run(part: Batch, size: int | None) -> Found:
        attack = made(name, batch_size=size, **settings)
        return attack(model, part, threat=threat, objective=wish, key=Key(6))

    whole = run(batch, None)
    for size in (1, 6, 64):
        same(run(batch, size), whole)
    same(joined([run(batch.rows(slice(n, n + 1)), None) for n in range(4)]), taken(whole, slice(4)))
    order = Key(8).permutation(12)
    mixed = run(batch.rows(order), 4)
    same(mixed, taken(whole, order))
    assert int((whole.status == Status.FOUND).sum()) > 0
    other = made(name, **{**settings, "early_stop": not early_stop})(
        model, batch, threat=threat, objective=wish, key=Key(6)
    )
    assert torch.equal(other.success, whole.success)


@pairs
def test_each_row_may_have_its_own_size(name: str, kind: str) -> None:
    model = net(5, 3, Key(4))
    batch = labelled(batch_of((5,), 12), model)
    sizes = torch.linspace(0.1, 1, 4).double() * size_of(kind, 5)
    attack = made(name, steps=5)

    def run(part: Batch, eps: float | Tensor) -> Found:
        return attack(model, part, threat=around(kind, eps), objective=Untargeted(), key=Key(6))

    whole = run(batch, sizes.repeat(3))
    for place, size in enumerate(sizes.tolist()):
        same(run(batch.rows(slice(place, None, 4)), size), taken(whole, slice(place, None, 4)))
