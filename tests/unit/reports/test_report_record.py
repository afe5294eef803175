"""What was kept of an audit is what comes back, and results.json is strict."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.unit.reports.audits import bare, crowd, digits, empty, flat, single

from frenemy.errors import RunError
from frenemy.reports.record import FORMAT, load, records, results, save
from frenemy.risks.attempt import Attempt, Cost
from frenemy.risks.estimate import Estimate
from frenemy.risks.result import Audit, Caveat, Curve, Measurement, Picture


def same(left: Any, right: Any) -> bool:
    """Equal in value and in kind; NaN equals NaN, arrays are compared bit for bit."""
    if isinstance(left, np.ndarray):
        equal = left.dtype == right.dtype and left.shape == right.shape
        return bool(equal) and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    if is_dataclass(left):
        return type(left) is type(right) and all(
            same(getattr(left, field.name), getattr(right, field.name)) for field in fields(left)
        )
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[name], right[name]) for name in left)
    if isinstance(left, tuple | list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        return type(right) is float and (left == right or (math.isnan(left) and math.isnan(right)))
    return type(left) is type(right) and bool(left == right)


def test_records_are_flat_strict_and_in_order() -> None:
    audits = (digits(), single())
    made = json.loads(results(audits), parse_constant=pytest.fail)
    assert made == records(audits)
    assert len(made) == sum(len(audit.measurements) + len(audit.attempts) for audit in audits)
    keys = ["model", "data", "measure", "threat", "eps", "objective", "attack"]
    keys += ["value", "low", "high", "n", "seed", "cost", "role", "trust", "tried", "fell"]
    assert all(list(row) == keys for row in made)
    assert list(made[0]["cost"]) == ["forwards", "backwards", "seconds"]
    assert made[0]["value"] == 0.998
    assert {row["role"] for row in made} == {"headline", "curve", "search"}
    fell = [
        (row["measure"], row["tried"], row["fell"], row["value"]) for row in made if row["tried"] is not None
    ]
    assert fell[:2] == [("accuracy_adversarial", 972, 901, 0.071), ("accuracy_adversarial", 71, 40, 0.031)]
    assert {row["fell"] for row in made if row["role"] != "search"} == {None}
    made = [row for row in made if row["role"] != "search"]
    assert made[-1] | {"cost": None, "attack": ""} == {
        "model": "one-example",
        "data": "digits-28 (test)",
        "measure": "risk_hypocritical",
        "threat": "linf",
        "eps": 8 / 255,
        "objective": "hypocritical",
        "attack": "",
        "value": None,
        "low": 0.0,
        "high": 1.0,
        "n": 0,
        "seed": 0,
        "cost": None,
        "role": "headline",
        "trust": "",
        "tried": None,
        "fell": None,
    }


def test_the_same_audits_give_the_same_bytes(tmp_path: Path) -> None:
    assert results((digits(),)) == results((digits(),))
    for out in ("a", "b"):
        save((digits(), flat()), tmp_path / out)
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize(
    "audits",
    [(), (digits(),), (digits(), flat(), bare()), (empty(), single()), (crowd(), empty(), digits("second"))],
    ids=len,
)
def test_audits_by_hand_come_back(tmp_path: Path, audits: tuple[Audit, ...]) -> None:
    paths = save(audits, tmp_path)
    assert sorted(path.name for path in paths) == ["audit.json", "examples.npz", "pictures.npz"]
    assert same(load(tmp_path), audits)


def test_examples_are_one_table_for_numpy(tmp_path: Path) -> None:
    save((digits(), bare(), single()), tmp_path)
    with np.load(tmp_path / "examples.npz") as columns:
        assert {len(columns[name]) for name in columns.files} == {1001}
        assert columns["model"].tolist() == ["standard-cnn"] * 1000 + ["one-example"]


def test_a_column_that_one_audit_lacks_is_filled(tmp_path: Path) -> None:
    short = replace(single(), examples={"index": np.array([7])})
    save((digits(n=9, right=6, left=1), short), tmp_path)
    with np.load(tmp_path / "examples.npz") as columns:
        last = {name: columns[name][-1] for name in columns.files}
    assert (last["index"], last["label"], last["set_apart"]) == (7, -1, "")
    assert np.isnan(last["untargeted_loss"])


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_share = st.floats(0, 1) | st.just(math.nan)
_estimates = st.builds(Estimate, _share, st.floats(0, 1), st.floats(0, 1), st.integers(0, 9))
_costs = st.builds(Cost, st.integers(0), st.integers(0), st.floats(0, 1e9))
_shapes = arrays.array_shapes(min_dims=1, max_dims=3, max_side=4)
_pixels = arrays.arrays(np.float32, st.shared(_shapes, key="shape"))
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_text, inner, max_size=2),
    max_leaves=4,
)
_kinds: dict[str, Any] = {
    "index": np.int64,
    "set_apart": "<U5",
    "x_loss": np.float32,
    "flag": np.bool_,
    "fine": np.float64,
}


@st.composite
def _columns(draw: st.DrawFn) -> dict[str, Any]:
    rows = draw(st.integers(0, 4))
    names = draw(st.lists(st.sampled_from(sorted(_kinds)), unique=True))
    return {name: draw(arrays.arrays(np.dtype(_kinds[name]), rows)) for name in names}


_audits = st.builds(
    Audit,
    model=_text,
    data=_text,
    classes=st.lists(_text, max_size=3).map(tuple),
    threat=_text,
    settings=st.dictionaries(_text, _json, max_size=3),
    versions=st.dictionaries(_text, _text, max_size=2),
    checksum=_text,
    low=st.floats(),
    high=st.floats(),
    measurements=st.lists(
        st.builds(Measurement, _text, _text, st.floats(0), _text, _text, _estimates, _costs, _text),
        max_size=2,
    ).map(tuple),
    curves=st.lists(
        st.builds(
            Curve,
            _text,
            _text,
            _text,
            st.just((0.0, 0.5)),
            st.tuples(_estimates, _estimates),
        ),
        max_size=2,
    ).map(tuple),
    pictures=st.lists(
        st.builds(
            Picture,
            st.integers(0),
            st.integers(0, 9),
            _text,
            st.integers(-1, 9),
            st.integers(-1, 9),
            st.floats(0),
            _pixels,
            _pixels,
        ),
        max_size=2,
    ).map(tuple),
    caveats=st.lists(st.builds(Caveat, _text, _text), max_size=1).map(tuple),
    notes=st.lists(_text, max_size=2).map(tuple),
    examples=_columns(),
    cost=_costs,
    command=_text,
    attempts=st.lists(
        st.builds(Attempt, _text, _text, st.integers(0), st.integers(0), _text, _estimates, _costs, _text),
        max_size=2,
    ).map(tuple),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(_audits, max_size=3).map(tuple))
def test_any_audit_comes_back(audits: Sequence[Audit]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        save(audits, Path(directory))
        assert same(load(Path(directory)), audits)
        json.loads((Path(directory) / "audit.json").read_bytes(), parse_constant=pytest.fail)
        json.loads(results(audits), parse_constant=pytest.fail)


@pytest.mark.parametrize("name", ["audit.json", "examples.npz", "pictures.npz"])
@pytest.mark.parametrize("harm", ["gone", "short", "turned"])
def test_a_harmed_file_is_refused_in_one_sentence(tmp_path: Path, name: str, harm: str) -> None:
    save((digits(),), tmp_path)
    path = tmp_path / name
    data = path.read_bytes()
    if harm == "gone":
        path.unlink()
    elif harm == "short":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.write_bytes(data[::-1])
    with pytest.raises(RunError, match=name.replace(".", r"\.")) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("version", "fix"), [(FORMAT + 1, "update"), (0, "again"), ("x", "again"), (None, "again")]
)
def test_another_version_is_refused(tmp_path: Path, version: Any, fix: str) -> None:
    save((digits(),), tmp_path)
    page = json.loads((tmp_path / "audit.json").read_bytes())
    (tmp_path / "audit.json").write_text(json.dumps(page | {"format": version}), encoding="utf-8")
    with pytest.raises(RunError, match=fix):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("audits", 3),
        ("audits", [{}]),
        ("stacked", {"index": ["|O", [1000]]}),
        ("stacked", {"index": ["<i8", [10**12]]}),
        ("stacked", {"index": ["nonsense", [1000]]}),
        ("stacked", {"index": ["<i8", [-1000]]}),
        ("stacked", []),
        ("sha256", 3),
    ],
)
def test_a_page_that_lies_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    save((digits(),), tmp_path)
    page = json.loads((tmp_path / "audit.json").read_bytes())
    (tmp_path / "audit.json").write_text(json.dumps(page | {name: value}), encoding="utf-8")
    with pytest.raises(RunError, match="damaged"):
        load(tmp_path)
