"""Spec: what people write becomes the threat they mean, or one sentence."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frenemy.catalog import catalog
from frenemy.errors import ThreatError
from frenemy.threats.l1 import L1
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.spec import parse, spell
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import Threat

SETS = {name: part.load() for name, part in catalog("threats").items() if name != "sphere"}
BALLS = [name for name, threat in SETS.items() if hasattr(threat, "order")]
NAMES = [*BALLS, *(f"sphere-{name}" for name in BALLS if SETS[name].order >= 1)]


@pytest.mark.parametrize(
    ("text", "threat"),
    [
        ("linf:8/255", Linf(8 / 255)),
        ("l2:0.5", L2(0.5)),
        ("l1:12", L1(12.0)),
        ("sphere-l2:4", Sphere(L2(4.0))),
        ("sphere-linf:.3", Sphere(Linf(0.3))),
        ("sphere-l1:1e1", Sphere(L1(10.0))),
        (" L2 : 1.5/3.0 ", L2(0.5)),
        ("linf:0", Linf(0.0)),
    ],
)
def test_a_spec_reads_as_the_threat_it_means(text: str, threat: Threat) -> None:
    assert parse(text) == threat


def test_the_box_is_passed_on() -> None:
    high = torch.tensor([1.0, 2.0])
    threat = parse("sphere-l2:1", low=-1.0, high=high)
    assert threat.low == -1.0
    assert threat.high is high


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None)
@given(eps=st.floats(0, 1e6))
def test_spelling_and_parsing_are_inverse(name: str, eps: float) -> None:
    threat = parse(f"{name}:{eps}")
    assert spell(threat) == name
    assert threat.eps == eps
    assert parse(f"{spell(threat)}:{threat.eps}") == threat


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("linff:1", "did you mean 'linf'"),
        ("sphere-l22:1", "did you mean 'sphere-l2'"),
        ("sphere:1", "unknown threat 'sphere'"),
        ("", "unknown threat ''"),
        ("8/255", "unknown threat '8/255'"),
        ("linf", "expected a size after 'linf'"),
        ("linf:", "expected a size after 'linf'"),
        ("l2:-1", "0 or larger"),
        ("l2:nan", "0 or larger"),
        ("l2:inf", "0 or larger"),
        ("l2:1e999", "finite"),
        ("l2:1/0", "number or a fraction"),
        ("l2:1/0.0", "number or a fraction"),
        ("l2:1/2/3", "number or a fraction"),
        ("l2:/2", "number or a fraction"),
        ("l2:one", "number or a fraction"),
        ("l2:1_0", "number or a fraction"),
        ("l2:0x10", "number or a fraction"),
        ("l2:٣", "number or a fraction"),
        ("l2:1:2", "number or a fraction"),
    ],
)
def test_what_is_no_threat_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(ThreatError, match=says.replace("/", r"\/")) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(text=st.text(max_size=12).filter(lambda text: ":" not in text))
def test_garbage_raises_nothing_else(text: str) -> None:
    with pytest.raises(ThreatError):
        parse(text)
    with pytest.raises(ThreatError):
        parse(f"l2:{text}x")
