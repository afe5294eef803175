"""What transfers between models, against closed forms on linear models and against counts by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.oracles import linear_net
from torch import Tensor, nn

from frenemy.card import Access
from frenemy.data.examples import Examples
from frenemy.errors import DataError, UsageError
from frenemy.models.linear import Linear
from frenemy.risks.transfer import RANDOM, transfer
from frenemy.risks.views import Transfer
from frenemy.rng import Key
from frenemy.threats.linf import Linf
from frenemy.threats.sphere import Sphere

EPS = 0.4
WIDE = {"low": -50.0, "high": 50.0}
SHORT = "pgd(steps=5,step_size=0.5)"
"""Reaches every corner, from wherever it starts."""


def rows(count: int = 60) -> Examples:
    x = Key(3).normal(torch.arange(count), (6,))
    return Examples("rows", x, (x[:, 0] > 0).long(), ("no", "yes"), low=-50.0, high=50.0)


def nets() -> dict[str, Linear]:
    return {f"net{n}": linear_net(6, 2, Key(n)) for n in (1, 2, 3)}


@pytest.mark.parametrize("exact", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_on_linear_models_every_cell_is_known(exact: bool) -> None:
    """The worst point of a linear source lies in the corner that its weights show, whoever is judged there."""
    data, models = rows(), nets()
    ball = Linf(EPS, **WIDE)
    found = transfer(models, data, threat=Sphere(ball) if exact else ball, attack=SHORT)
    assert [one.objective for one in found] == ["untargeted", "hypocritical"]
    for one, towards in zip(found, (-1.0, 1.0), strict=True):
        assert one.models == tuple(models)
        assert one.sources == (*models, RANDOM)
        assert (one.apart, len(one.index)) == (0, 60)
        for s, source in enumerate(models.values()):
            w = (source.layer.weight[1] - source.layer.weight[0]).detach()
            corner = data.x + towards * EPS * torch.outer(2.0 * data.y - 1, w.sign())
            for t, target in enumerate(models.values()):
                with torch.no_grad():
                    clean, there = target(data.x).argmax(1) == data.y, target(corner).argmax(1) == data.y
                open_ = clean if towards < 0 else ~clean
                turned = open_ & (there != clean)
                assert np.array_equal(one.clean[t], clean.numpy())
                assert np.array_equal(one.right[s, t], there.numpy())
                assert one.rate(s, t).n == int(open_.sum())
                assert one.rate(s, t).value == pytest.approx(float(turned.sum() / open_.sum()))
                assert one.accuracy(s, t).value == pytest.approx(float(there.float().mean()))
            assert one.carried(s, s).value in (1.0, pytest.approx(np.nan, nan_ok=True))
            assert not one.carried(len(models), s).defined, "nobody was attacked for random points"


@given(st.integers(1, 3), st.integers(1, 12), st.booleans(), st.data())
def test_shares_are_those_of_a_count_by_hand(
    models: int, count: int, friend: bool, data: st.DataObject
) -> None:
    flags = st.lists(st.booleans(), min_size=count, max_size=count)
    clean = [data.draw(flags) for _ in range(models)]
    right = [[data.draw(flags) for _ in range(models)] for _ in range(models + 1)]
    names = tuple("abc"[:models])
    wish = "hypocritical" if friend else "untargeted"
    sources = (*names, RANDOM)
    one = Transfer(
        names, sources, sources, "", "", wish, np.arange(count), np.array(clean), np.array(right), 0, (), {}
    )
    for s in range(models + 1):
        for t in range(models):
            among = [i for i in range(count) if clean[t][i] != friend]
            hit = [i for i in among if right[s][t][i] == friend]
            rate = one.rate(s, t)
            assert rate.n == len(among)
            assert not among or rate.value == pytest.approx(len(hit) / len(among))
            if s < models:
                fell = [i for i in among if clean[s][i] != friend and right[s][s][i] == friend]
                assert one.carried(s, t).n == len(fell)
                assert not fell or one.carried(s, t).value == pytest.approx(
                    len([i for i in fell if i in hit]) / len(fell)
                )


class Tells(nn.Module):
    """A model that counts its rows, shows no more than it says, and raises at one value if it is told to."""

    def __init__(self, inner: nn.Module, access: Access = Access.GRADIENTS, bad: float = torch.inf) -> None:
        super().__init__()
        self.inner, self.access, self.bad, self.rows = inner, access, bad, 0

    def forward(self, x: Tensor) -> Tensor:
        """Answer, or raise."""
        self.rows += len(x)
        if bool((x.flatten(1)[:, 0] == self.bad).any()):
            raise RuntimeError("no")
        logits: Tensor = self.inner(x)
        return logits


def test_a_run_that_was_stopped_goes_on_and_says_the_same(tmp_path: Path) -> None:
    data = rows(10)

    def asked() -> tuple[dict[str, Tells], list[Transfer]]:
        models = {name: Tells(net) for name, net in nets().items()}
        return models, transfer(models, data, threat=Linf(EPS, **WIDE), attack=SHORT, out=tmp_path)

    class Stop(BaseException):
        pass

    def stop(what: str, share: float) -> None:
        if what.startswith("net2, "):
            raise Stop

    with pytest.raises(Stop):
        transfer(
            {name: Tells(net) for name, net in nets().items()},
            data,
            threat=Linf(EPS, **WIDE),
            attack=SHORT,
            out=tmp_path,
            progress=stop,
        )
    _, first = asked()
    models, again = asked()
    assert all(model.rows <= 1 for model in models.values()), "only whether a gradient flows is asked anew"
    fresh = transfer(nets(), data, threat=Linf(EPS, **WIDE), attack=SHORT, batch_size=7)
    for one, two, three in zip(first, again, fresh, strict=True):
        assert np.array_equal(one.right, two.right)
        assert np.array_equal(one.right, three.right)


@pytest.mark.slow
def test_who_shows_too_little_is_judged_only_or_searched_otherwise() -> None:
    data, (net, other, _) = rows(12), nets().values()
    models = {"open": net, "shut": Tells(other, Access.LABELS)}
    (named,) = transfer(models, data, threat=Linf(EPS, **WIDE), objectives=["enemy"], attack="pgd(steps=3)")
    assert named.sources == ("open", RANDOM)
    assert "shut shows too little for pgd(steps=3): judged only." in named.notes
    (usual,) = transfer(models, data.take(slice(0, 2)), threat=Linf(EPS, **WIDE), objectives=["enemy"])
    assert usual.sources == ("open", "shut", RANDOM)
    assert usual.attacks[0].startswith("PGD(steps=50")
    assert usual.attacks[1].startswith("HopSkipJump(")
    with pytest.raises(UsageError, match="expected a model that fgsm can search, got none"):
        transfer({"a": models["shut"], "b": models["shut"]}, data, threat=Linf(EPS, **WIDE), attack="fgsm")


def test_an_example_at_which_any_model_fails_counts_nowhere() -> None:
    data, (net, other, _) = rows(12), nets().values()
    data.x[5] = torch.nan
    models = {"sound": net, "moody": Tells(other, bad=float(data.x[2, 0]))}
    for one in transfer(models, data, threat=Linf(EPS, **WIDE), attack=SHORT):
        assert one.index.tolist() == [0, 1, 3, 4, 6, 7, 8, 9, 10, 11]
        assert one.apart == 2
        assert one.right.shape == (3, 2, 10)


def test_what_cannot_be_used_is_refused() -> None:
    data, (net, other, _) = rows(4), nets().values()
    with pytest.raises(UsageError, match="two models or more"):
        transfer({"a": net}, data)
    with pytest.raises(UsageError, match="none called 'random points'"):
        transfer({"a": net, RANDOM: other}, data)
    with pytest.raises(UsageError, match="expected enemy or friend, got reversal"):
        transfer({"a": net, "b": other}, data, objectives=["reversal"])
    with pytest.raises(UsageError, match="expected one attack"):
        transfer({"a": net, "b": other}, data, attack="pgd,fgsm")
    here, there = (Tells(m, bad=float(data.x[row, 0])) for m, row in ((net, 0), (other, 1)))
    with pytest.raises(DataError, match="that every model can be judged on"):
        transfer({"a": here, "b": there}, data.take(slice(0, 2)), threat=Linf(EPS, **WIDE), attack="fgsm")
