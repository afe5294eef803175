"""Plans: names become attacks, an effort is a list of them, and what does not fit is said in a sentence."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frenemy.attacks.apgd import APGD
from frenemy.attacks.autoattack import AutoAttack
from frenemy.attacks.bim import BIM
from frenemy.attacks.deepfool import DeepFool
from frenemy.attacks.fgsm import FGSM
from frenemy.attacks.pgd import PGD
from frenemy.attacks.restarts import Restarts
from frenemy.attacks.square import Square
from frenemy.attacks.worst_of import WorstOf
from frenemy.card import Access, Card
from frenemy.catalog import catalog
from frenemy.errors import UsageError
from frenemy.objectives.surrogates import SURROGATES, Margin
from frenemy.risks.efforts import EFFORTS
from frenemy.risks.named import asked
from frenemy.risks.plan import Plan, plan
from frenemy.risks.search import Search, able, chooses, spelled
from frenemy.threats.spec import parse

WISHES = ("untargeted", "hypocritical", "reversal")


def planned(attacks: Any = None, threat: str = "linf:0.1", **more: Any) -> Plan:
    usual: dict[str, Any] = {"effort": "standard", "losses": None, "settings": {}, "wishes": WISHES}
    return plan(attacks, threat=parse(threat), **{**usual, "shape": (1, 4, 4), **more})


def attacks(found: Plan, wish: str = "untargeted") -> list[Any]:
    return [search.attack for search in found.searches[wish]]


def test_names_become_attacks_with_their_settings() -> None:
    (one,) = asked("pgd(steps=7, step_size=1/8, random_start=no, batch_size=None)")
    assert one.attack == PGD(steps=7, step_size=0.125, random_start=False)
    (other,) = asked(" PGD( step-size = .5 ,loss=margin) ")
    assert (other.attack, other.loss) == (PGD(step_size=0.5), "margin")
    assert [type(each.attack).__name__ for each in asked("mi-fgsm, bim,FGSM")] == ["MIFGSM", "BIM", "FGSM"]
    (worst,) = asked("worstof(attacks=(bim, fgsm()), early_stop=no)")
    assert worst.attack == WorstOf((BIM(), FGSM()), early_stop=False)
    (again,) = asked("restarts(attack=pgd(steps=3),times=4)")
    assert again.attack == Restarts(PGD(steps=3), 4)


@pytest.mark.parametrize("name", catalog("attacks"))
def test_every_attack_of_the_catalog_can_be_asked_for(name: str) -> None:
    (one,) = asked(name)
    assert repr(one.attack) == repr(catalog("attacks")[name].load()())
    assert spelled(one.attack).startswith(type(one.attack).__name__)


@given(
    st.builds(
        PGD,
        steps=st.integers(0, 999),
        step_size=st.floats(0, 9, allow_subnormal=False),
        restarts=st.integers(1, 9),
        random_start=st.booleans(),
    )
)
def test_a_repr_is_taken_back(attack: PGD) -> None:
    assert asked(repr(attack))[0].attack == attack


@given(st.text(max_size=30))
def test_any_text_is_attacks_or_a_sentence(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert asked(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pgd(5)", "write pgd, or pgd"),
        ("pgd(**{})", "unknown setting 'None'"),
        ("(lambda: 0)()", "expected names of attacks"),
        ("__import__('os')", "expected names of attacks"),
        ("pgd(steps=__import__('os'))", "expected names of attacks"),
        ("pgd(steps=9**9)", "expected plain values"),
        ("pgd(steps=1.5)", "expected steps of pgd to be int, got '1.5'"),
        ("pgd(early_stop=1)", "expected early_stop of pgd to be bool, got '1'"),
        ("pgd(batch_size=x)", "batch_size of pgd"),
        ("restarts(times=0)", "expected times to be at least 1"),
        ("worstof(attacks=())", "expected attacks to be one attack or more"),
        ("(" * 3000, "expected names of attacks"),
        ("pgd," * 900, "expected names of attacks"),
    ],
)
def test_what_is_no_attack_is_said(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(").replace("*", r"\*")):
        asked(text)


def test_instances_searches_and_names_may_be_mixed() -> None:
    found = planned(["fgsm", BIM(steps=3), Search(PGD(steps=2), "kl")], losses=["ce"])
    assert found.searches["untargeted"] == (
        Search(FGSM(), "ce"),
        Search(BIM(steps=3), "ce"),
        Search(PGD(steps=2), "kl"),
    )
    assert found.searches["reversal"] == found.searches["untargeted"]
    assert found.effort is None


@pytest.mark.parametrize("wrong", [PGD, 3, None, [PGD], [None], object()])
def test_what_is_no_attack_instance_is_said(wrong: Any) -> None:
    with pytest.raises(UsageError, match="expected an attack such as PGD"):
        asked(wrong)


def test_losses_go_to_attacks_that_take_one() -> None:
    found = planned("pgd,deepfool,square,pgd(loss=dlr)", losses=["kl", "ce"])
    assert [(type(s.attack).__name__, s.loss) for s in found.searches["hypocritical"]] == [
        ("PGD", "kl"),
        ("PGD", "ce"),
        ("DeepFool", None),
        ("Square", None),
        ("PGD", "dlr"),
    ]
    assert isinstance(Search(Square()).wish("untargeted").surrogate, Margin)  # type: ignore[attr-defined]
    assert chooses(Restarts(Square()))
    assert not chooses(WorstOf())
    with pytest.raises(UsageError, match="expected an attack that takes losses, got deepfool"):
        planned("deepfool", losses=["ce"])


def test_settings_go_to_named_attacks_that_left_them_open() -> None:
    found = planned("pgd,pgd(steps=3,loss=ce),fgsm", settings={"steps": 9, "restarts": 2}, losses=["margin"])
    assert attacks(found) == [PGD(steps=9, restarts=2), PGD(steps=3, restarts=2), FGSM()]
    with pytest.raises(UsageError, match="expected an attack whose restarts may be set, got fgsm"):
        planned("fgsm", settings={"restarts": 2})
    with pytest.raises(UsageError, match="expected an attack whose steps may be set, got pgd"):
        planned(PGD(), settings={"steps": 2})
    quick = planned(effort="quick", settings={"steps": 3, "step_size": 0.5})
    assert attacks(quick) == [PGD(steps=3, step_size=0.5)] * 2


def test_the_same_search_is_run_once() -> None:
    assert attacks(planned("bim,bim(steps=40),bim(loss=ce)")) == [BIM(), BIM()]


def test_efforts_grow() -> None:
    quick, standard, thorough = (planned(effort=effort) for effort in EFFORTS)
    assert attacks(quick) == [PGD(steps=20)] * 2
    assert attacks(standard)[:3] == [*[PGD(steps=50)] * 2, APGD(steps=50)]
    assert attacks(standard)[3:] == [DeepFool(early_stop=True), Square(queries=200)]
    assert attacks(standard, "hypocritical") == attacks(standard, "reversal") == [PGD(steps=50)] * 2
    assert attacks(thorough, "reversal") == [PGD(steps=100, restarts=5)] * 2
    assert len(attacks(thorough)) > 4
    assert quick.effort == "quick"
    with pytest.raises(UsageError, match="unknown effort 'quik'; did you mean 'quick'"):
        planned(effort="quik")


def test_an_ensemble_is_opened_into_its_parts() -> None:
    found = planned("autoattack(steps=5,queries=9)", classes=5)
    inner = AutoAttack(steps=5, queries=9).parts(5)
    assert attacks(found) == [WorstOf((part,)) for part in inner]
    names = [search.name for search in found.searches["untargeted"]]
    assert names[0] == "AutoAttack: APGD(steps=5, restarts=1) on ce"
    assert names[1] == "AutoAttack: APGD(steps=5, restarts=1) on dlr, towards classes 1 to 4"
    towards = AutoAttack(steps=5, queries=9).parts(5, towards=True)
    assert attacks(found, "hypocritical") == [WorstOf((part,)) for part in towards]
    assert all(search.ensemble for search in found.searches["untargeted"])
    whole = AutoAttack(version="rand")
    assert attacks(planned(whole)) == [whole]


def test_an_attack_that_cannot_search_the_threat_is_refused_by_name_and_left_out_of_an_effort() -> None:
    with pytest.raises(UsageError, match=r"can search sphere, got deepfool; these can: .*pgd"):
        planned("deepfool", threat="sphere-l2:1")
    with pytest.raises(UsageError, match="can search sphere, got restarts"):
        planned(Restarts(DeepFool()), threat="sphere-l2:1")
    found = planned(threat="sphere-l2:1")
    assert attacks(found) == [*[PGD(steps=50)] * 2, APGD(steps=50)]
    assert found.left_out == ("DeepFool", "Square")
    assert not able(WorstOf((PGD(), DeepFool())), parse("sphere-l2:1"))
    assert able(WorstOf((PGD(), APGD())), parse("sphere-l2:1"))


@pytest.mark.parametrize(
    ("text", "said"),
    [("pgd(steps=-1)", "steps >= 0"), ("bim(step_size=-1)", "step_size"), ("square(queries=0)", "queries")],
)
def test_a_wrong_setting_is_said_before_anything_is_asked_of_a_model(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        planned(text)


def test_without_gradients_scores_are_left() -> None:
    threat = parse("linf:0.1")
    left = planned("pgd,square(queries=5)").seeing(Access.SCORES, threat, {})
    assert attacks(left) == [Square(queries=5)]
    assert left.idle is not None
    assert [search.name for search in left.idle["untargeted"]] == [
        "PGD(steps=40, restarts=1) on ce",
        "PGD(steps=40, restarts=1) on margin",
    ]
    for effort, queries in {"quick": 200, "standard": 1000, "thorough": 5000}.items():
        assert attacks(planned(effort=effort).seeing(Access.SCORES, threat, {})) == [Square(queries=queries)]
    with pytest.raises(
        UsageError,
        match=r"needs no gradient, .* to be had from this model, got PGD.*; choose one of .*square",
    ):
        planned("pgd").seeing(Access.SCORES, threat, {})
    sphere = planned(threat="sphere-l2:1").seeing(Access.SCORES, parse("sphere-l2:1"), {})
    assert attacks(sphere) == [*[PGD(steps=50)] * 2, APGD(steps=50)]
    assert sphere.idle is not None
    assert not sphere.idle["untargeted"]
    assert attacks(planned(Restarts(Square(), 2)).seeing(Access.SCORES, threat, {})) == [
        Restarts(Square(), 2)
    ]


def test_curves_are_drawn_by_the_nearest_or_the_first() -> None:
    ball, sphere = parse("l2:1"), parse("sphere-l2:1")
    found = planned("pgd(restarts=3),deepfool", threat="l2:1")
    assert found.curve("untargeted", ball) == Search(DeepFool())
    assert found.curve("untargeted", sphere) == Search(PGD(), "ce")
    assert planned("autoattack").curve("untargeted", ball) == Search(PGD(steps=50), "ce")
    assert planned("deepfool").curve("untargeted", sphere) is None
    assert planned().curve("untargeted", ball) == Search(PGD(steps=50), "ce")


def test_a_loss_that_is_undefined_is_known_to_be_replaced() -> None:
    for classes, wanted in ((2, True), (3, False)):
        assert Search(PGD(), "dlr").replaced(classes) == wanted
        assert not Search(PGD(), "ce").replaced(classes)
    for classes, wanted in ((2, True), (3, True), (4, False)):
        found = planned("autoattack", classes=classes)
        assert any(search.replaced(classes) for search in found.searches["untargeted"]) == wanted
    assert set(SURROGATES) >= {"ce", "margin"}


def test_any_attack_may_be_spelled() -> None:
    @dataclass(frozen=True)
    class Needy:
        word: str
        plane: torch.Tensor
        card: ClassVar[Card] = Card()

        def __call__(self, *words: Any, **more: Any) -> Any:
            raise NotImplementedError

    text = spelled(Needy("x", torch.zeros(2)))
    assert text.startswith("Needy(word=x, plane=tensor")
    assert (
        spelled(dataclasses.replace(PGD(), schedule="cosine")) == "PGD(steps=40, schedule=cosine, restarts=1)"
    )
