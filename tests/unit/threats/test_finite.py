"""Finite threats: every member against scipy, membership against brute force, and what cannot be in one sentence."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from frenemy.errors import ThreatError
from frenemy.rng import Key
from frenemy.threats.finite import Family, numbered, tolerance
from frenemy.threats.invariances import Invariances
from frenemy.threats.linf import Linf
from frenemy.threats.spatial import Spatial
from frenemy.threats.spec import parse, spell
from frenemy.threats.threat import Threat

MODES = {"zeros": "grid-constant", "border": "nearest", "reflection": "reflect"}
SHAPES = [(1, 8, 8), (3, 7, 5), (2, 4, 9), (1, 1, 6), (1, 1, 1)]
FAMILIES: list[Spatial | Invariances] = [
    Spatial(40, 1.5, 5, 3),
    Spatial(25, 2, 3, 3, padding="border"),
    Invariances(),
]
every = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: spell(family))


def photos(shape: tuple[int, ...], rows: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return Key(seed).uniform(torch.arange(rows), shape, dtype)


def all_of(rows: Tensor, number: int) -> Tensor:
    return torch.full((len(rows),), number)


def ones(x: Tensor) -> Tensor:
    return torch.ones(len(x), dtype=x.dtype)


def outwards(most: float, places: int) -> list[float]:
    """The places of a grid from the middle outwards, the positive one of a pair first."""
    grid = np.linspace(-most, most, places).tolist() if places > 1 else [0.0]
    return sorted(grid, key=lambda value: (round(abs(value), 9), -value))


def parameters(family: Spatial) -> Iterator[tuple[float, float, float]]:
    """Angle, shift right and shift down of every member, in order."""
    shifts = outwards(family.shift, family.shifts)
    return itertools.product(outwards(family.degrees, family.angles), shifts, shifts)


def moved(picture: Tensor, degrees: float, right: float, down: float, mode: str) -> Tensor:
    """One picture turned and then shifted by scipy, as one affine map of (row, column)."""
    height, width = picture.shape[-2:]
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    centre = np.array([[1, 0, (height - 1) / 2], [0, 1, (width - 1) / 2], [0, 0, 1]])
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    push = np.array([[1, 0, down], [0, 1, right], [0, 0, 1]])
    back = np.linalg.inv(push @ centre @ turn @ np.linalg.inv(centre))
    planes = [
        ndimage.affine_transform(plane, back[:2, :2], back[:2, 2], order=1, mode=mode)
        for plane in picture.numpy()
    ]
    return torch.from_numpy(np.stack(planes))


def known(family: Spatial | Invariances, x: Tensor, number: int) -> Tensor:
    """A member of every row by numpy and scipy."""
    if isinstance(family, Spatial):
        angle, right, down = list(parameters(family))[number]
        made = torch.stack([moved(row, angle, right, down, MODES[family.padding]) for row in x])
    elif number == 1:
        turned = ndimage.rotate(x.numpy(), 10, axes=(3, 2), reshape=False, order=1, mode="grid-constant")
        made = torch.from_numpy(turned)
    else:
        rows = x.numpy()
        mean = np.array([row.mean() for row in rows])[:, None, None, None]
        values = [
            rows,
            None,
            1.5 * rows,
            mean + 2 * (rows - mean),
            np.repeat(rows.mean(1)[:, None], rows.shape[1], 1),
        ]
        made = torch.tensor(values[number])
    return made.clamp(*(torch.as_tensor(end, dtype=x.dtype) for end in (family.low, family.high)))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("padding", MODES)
def test_members_are_those_of_scipy(shape: tuple[int, ...], padding: str) -> None:
    x = photos(shape, 2)
    for family in (Spatial(33, 1.5, 5, 3, padding=padding), Spatial(180, 2, 3, 5, padding=padding)):
        for number in range(family.count):
            member = family.member(x, all_of(x, number))
            torch.testing.assert_close(member, known(family, x, number), rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_turning_alone_is_scipys_rotate_and_shifting_alone_its_shift(shape: tuple[int, ...]) -> None:
    x = photos(shape, 2)
    for number, angle in enumerate(outwards(30, 7)):
        turned = ndimage.rotate(x.numpy(), angle, axes=(3, 2), reshape=False, order=1, mode="grid-constant")
        member = Spatial(30, 0, 7, 1).member(x, all_of(x, number))
        torch.testing.assert_close(member, torch.from_numpy(turned), rtol=0, atol=1e-9)
    for number, (right, down) in enumerate(itertools.product(outwards(2.5, 5), repeat=2)):
        shifted = ndimage.shift(x.numpy(), (0, 0, down, right), order=1, mode="grid-constant")
        member = Spatial(0, 2.5, 1, 5).member(x, all_of(x, number))
        torch.testing.assert_close(member, torch.from_numpy(shifted), rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_invariances_are_those_of_the_source(shape: tuple[int, ...]) -> None:
    x, family = photos(shape, 3), Invariances()
    assert family.names == ("identity", "rotation", "brightness", "contrast", "grey")
    for number in range(family.count):
        member = family.member(x, all_of(x, number))
        torch.testing.assert_close(member, known(family, x, number), rtol=0, atol=1e-9)
    assert shape[0] > 1 or torch.equal(family.member(x, all_of(x, 4)), x)


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_every_dtype_is_kept_and_member_0_is_the_picture_bit_for_bit(
    family: Spatial, dtype: torch.dtype
) -> None:
    x = photos((3, 6, 5), 4, dtype)
    made = family.member(x, torch.tensor([1, 2, 3, 4]))
    assert made.dtype == dtype
    assert bool(family.contains(made, x, ones(x)).all())
    x[0, 0, 0, 0], x[1, 2, 5, 4], x[2, 1, 1, 1], x[3] = -0.0, math.nan, 1.0000001, 7.0
    member = family.member(x, all_of(x, 0))
    assert torch.equal(member.view(torch.int16), x.view(torch.int16))
    assert member.data_ptr() != x.data_ptr()


@every
def test_every_row_has_a_number_of_its_own(family: Spatial) -> None:
    x = photos((2, 6, 5), 11)
    number = torch.arange(11) * 7 % family.count
    member = family.member(x, number)
    for row in range(11):
        alone = family.member(x[row : row + 1], number[row : row + 1])
        torch.testing.assert_close(member[row : row + 1], alone, rtol=0, atol=1e-12)
    assert torch.equal(family.member(x.contiguous(memory_format=torch.channels_last), number), member)
    assert family.member(x[:0], number[:0]).shape == (0, 2, 6, 5)


@pytest.mark.parametrize("low", [0.2, -math.inf, torch.tensor([[[0.1]], [[0.3]]], dtype=torch.float64)])
def test_members_stay_in_the_box(low: float | Tensor) -> None:
    x = photos((2, 6, 5), 5).clamp(min=0.3)
    for family in (Spatial(40, 3, 3, 3, low=low), Invariances(low=low)):
        for number in range(family.count):
            member = family.member(x, all_of(x, number))
            assert bool((member >= torch.as_tensor(low, dtype=x.dtype)).all())
            torch.testing.assert_close(member, known(family, x, number), rtol=0, atol=1e-9)
            assert bool(family.contains(member, x, ones(x)).all())
    outside = torch.full_like(x, 1.5)
    assert not Spatial(low=low).contains(outside, outside, ones(x)).any()


@every
@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32),
    kind=st.sampled_from(["photo", "dots", "dark", "flat"]),
    way=st.sampled_from(["member", "other", "dented", "mixed", "swapped"]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_membership_is_that_of_brute_force(
    family: Spatial, seed: int, kind: str, way: str, dtype: torch.dtype
) -> None:
    index, key = torch.arange(6), Key(seed)
    origin = photos((2, 5, 6), 6, dtype, seed)
    if kind == "dots":
        origin = (origin > 0.9).to(dtype)
    elif kind != "photo":
        origin = torch.full_like(origin, 0.0 if kind == "dark" else 0.4)
    draws = (key.fold("number").uniform(index, (2,)) * family.count).long()
    x = family.member(origin, draws[:, 0])
    if way == "other":
        x = key.fold("other").uniform(index, (2, 5, 6), dtype)
    elif way == "dented":
        place = (key.fold("place").uniform(index, ()) * 60).long()
        x.view(6, 60)[index, place] = (x.view(6, 60)[index, place] - 1e-3).abs()
    elif way == "mixed":
        x = (x + family.member(origin, draws[:, 1])) / 2
    elif way == "swapped":
        x = x.flip(0)
    said = family.contains(x, origin, ones(x))
    numbers = torch.arange(family.count).repeat(6)
    members = family.member(origin.repeat_interleave(family.count, 0), numbers)
    nearest = (members.reshape(6, family.count, 2, 5, 6) - x[:, None]).abs().flatten(2).amax(2).amin(1)
    for row in range(6):
        off = float(nearest[row])
        limit = float(tolerance(origin)[row])
        assert bool(said[row]) == (off <= limit)
        assert off <= limit or off > 10 * limit or way == "mixed"


def test_membership_forgives_rounding_and_no_more() -> None:
    """Made in float64 and stored in float32, as on another device; a grey level of 8 bits is far off."""
    family, x = Spatial(), photos((3, 64, 48), 3, torch.float32)
    number = torch.tensor([774, 388, 25])
    exact = family.member(x.double(), number).float()
    assert not torch.equal(exact, family.member(x, number))
    assert bool(family.contains(exact, x, ones(x)).all())
    assert float(tolerance(x).max()) < 0.01 / 255
    exact[:, 1, 30, 20] = (exact[:, 1, 30, 20] - 0.1 / 255).abs()
    assert not family.contains(exact, x, ones(x)).any()
    exact[:, 1, 30, 20] = math.nan
    assert not family.contains(exact, x, ones(x)).any()


@every
def test_draws_are_members_by_key_and_index(family: Spatial) -> None:
    index = torch.arange(40 * family.count)
    x = photos((1, 3, 4), 1).expand(len(index), 1, 3, 4)
    drawn = family.sample(x, index, Key(3), ones(x))
    assert torch.equal(family.sample(x[7:9], index[7:9], Key(3), ones(x[:2])), drawn[7:9])
    assert not torch.equal(family.sample(x, index, Key(4), ones(x)), drawn)
    members = torch.stack([family.member(x[:1], torch.tensor([k]))[0] for k in range(family.count)])
    same = (drawn[:, None] == members).flatten(2).all(2)
    assert bool(same.any(1).all())
    copies = (members[:, None] == members).flatten(2).all(2).sum(1)
    assert bool(((same.sum(0) - 40 * copies).abs() < 5 * (40 * copies).sqrt()).all())


@every
def test_what_is_no_member_goes_back_to_its_origin(family: Spatial) -> None:
    origin = photos((3, 5, 4), 4)
    x = family.member(origin, torch.tensor([1, 2, 3, 4]))
    x[1, 0, 0, 0] += 0.01
    back = family.retract(x, origin, ones(x))
    assert torch.equal(back[1], origin[1])
    assert torch.equal(back[[0, 2, 3]], x[[0, 2, 3]])


@every
def test_a_family_has_no_size_and_no_slope(family: Spatial) -> None:
    assert isinstance(family, Family)
    assert isinstance(family, Threat)
    assert not isinstance(Linf(0.1), Family)
    assert not hasattr(family, "order")
    assert family.eps == 1
    assert family.at(torch.ones(3)) is family
    with pytest.raises(ThreatError, match="expected eps 1"):
        family.at(0.5)
    delta = torch.tensor([[0.0, 0.0], [0.0, 1e-9], [math.nan, 0.0]])
    assert family.norm(delta).tolist() == [0, 1, 1]
    x = photos((1, 2, 2), 2)
    assert not family.empty(x, ones(x)).any()
    for slope in (family.dual_norm, family.steepest, lambda g: family.move(g, g, ones(g))):
        with pytest.raises(ThreatError, match="use grid or worstofk"):
            slope(x)


@every
def test_what_does_not_fit_is_one_sentence(family: Spatial) -> None:
    flat, x = torch.zeros(2, 5), photos((1, 2, 2), 2)
    calls: list[Callable[[], Tensor]] = [
        lambda: family.empty(flat, ones(flat)),
        lambda: family.contains(flat, flat, ones(flat)),
        lambda: family.member(flat, torch.tensor([0, 0])),
    ]
    for call in calls:
        with pytest.raises(ThreatError, match=r"expected pictures .* got shape \(2, 5\)"):
            call()
    for number in ([0, family.count], [-1, 0]):
        with pytest.raises(ThreatError, match=f"expected 2 member numbers from 0 to {family.count - 1}"):
            family.member(x, torch.tensor(number))
    with pytest.raises(ThreatError, match="expected 2 member numbers from 0 to 4, one a row, got shape"):
        numbered(torch.tensor([0]), x, 5)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"degrees": -1.0}, "degrees from 0 to 180"),
        ({"degrees": math.nan}, "degrees from 0 to 180"),
        ({"shift": math.inf}, "a finite shift"),
        ({"angles": 4}, "odd numbers"),
        ({"shifts": 0}, "odd numbers"),
        ({"shifts": -1}, "odd numbers"),
        ({"padding": "zero"}, "did you mean 'zeros'"),
        ({"low": 1.0}, "low to be below high"),
    ],
)
def test_settings_that_make_no_family_are_one_sentence(wrong: dict[str, float], says: str) -> None:
    with pytest.raises(ThreatError, match=says):
        Spatial(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "family", "short"),
    [
        ("spatial:30,3", Spatial(), "spatial:30,3"),
        ("spatial", Spatial(), "spatial:30,3"),
        (" Spatial : 7.5 , 0.25, 3 ", Spatial(7.5, 0.25, 3), "spatial:7.5,0.25,3"),
        ("spatial:1e1,.5,31,5,border", Spatial(10, 0.5, padding="border"), "spatial:10,0.5,31,5,border"),
        ("invariances", Invariances(), "invariances"),
    ],
)
def test_families_are_read_and_written(text: str, family: Threat, short: str) -> None:
    assert parse(text) == family
    assert spell(family) == short
    assert parse(spell(family)) == family
    boxed = parse(text, low=-1.0, high=2.0)
    assert (boxed.low, boxed.high) == (-1.0, 2.0)


@settings(deadline=None)
@given(
    degrees=st.floats(0, 180),
    shift=st.floats(0, 1e9),
    angles=st.integers(0, 99),
    padding=st.sampled_from([*MODES]),
)
def test_reading_undoes_writing(degrees: float, shift: float, angles: int, padding: str) -> None:
    family = Spatial(degrees, shift, 2 * angles + 1, padding=padding)
    assert parse(spell(family)) == family


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("spatial:30,3,2.5", "expected degrees, shift, angles, shifts, padding for spatial, got '30,3,2.5'"),
        ("spatial:1_0", "write spatial:30,3,31,5,zeros"),
        ("spatial:30,3:1", "got '30,3:1'"),
        ("spatial:,3", "got ',3'"),
        ("spatial:-3", "got '-3'"),
        ("spatial:٣", "expected degrees"),
        ("spatial:nan", "expected degrees"),
        ("spatial:1,1,1,1,zeros,1", "expected degrees"),
        ("spatial:30,3,4", "odd numbers"),
        ("spatial:30,3,31,5,blue", "unknown padding 'blue'"),
        ("invariances:10", "expected no settings for invariances, got '10'; write invariances"),
        ("sphere-spatial:30,3", "unknown threat 'sphere-spatial'"),
        ("spatal:30,3", "did you mean 'spatial'"),
    ],
)
def test_what_is_no_family_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(ThreatError, match=says) as caught:
        parse(text)
    assert "\n" not in str(caught.value)
