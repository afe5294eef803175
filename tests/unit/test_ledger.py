"""The ledger: work that was finished is not done again, and what is damaged is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frenemy.errors import RunError
from frenemy.ledger import Arrays, Ledger, canonical, open_ledger

SETTINGS: dict[str, Any] = {"model": "m", "steps": 3, "losses": ["ce", "margin"], "eps": 0.1}
JOB: dict[str, Any] = {**SETTINGS, "rows": [1, 2, 3]}
RESULT: Arrays = {
    "logits": np.arange(12, dtype=np.float32).reshape(3, 4),
    "broken": np.array([True, False, True]),
}


class Worker:
    """Does the job, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Arrays:
        self.times += 1
        return dict(RESULT)


def same(found: Arrays) -> bool:
    return found.keys() == RESULT.keys() and all(
        np.array_equal(found[n], RESULT[n]) and found[n].dtype == RESULT[n].dtype for n in RESULT
    )


def test_a_job_is_done_once(tmp_path: Path) -> None:
    worker = Worker()
    for turn in range(3):
        with open_ledger(tmp_path / "new" / "run", SETTINGS) as ledger:
            assert same(ledger.result(JOB, worker))
            assert same(ledger.result(dict(reversed(JOB.items())), worker))
            assert ledger.reused == (1 if turn == 0 else 2)
    assert worker.times == 1


def test_another_job_is_another_file(tmp_path: Path) -> None:
    worker = Worker()
    with open_ledger(tmp_path, SETTINGS) as ledger:
        for change in ({}, {"rows": [1, 2]}, {"steps": 4}, {"eps": 0.10000001}, {"more": None}):
            ledger.result({**JOB, **change}, worker)
    assert worker.times == 5
    assert len(list((tmp_path / "jobs").glob("*.npz"))) == 5


def test_without_a_folder_nothing_is_kept() -> None:
    worker = Worker()
    with open_ledger(None, SETTINGS) as ledger:
        ledger.result(JOB, worker)
        ledger.result(JOB, worker)
        assert ledger.reused == 0
    assert worker.times == 2


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_result_is_worked_out_again(tmp_path: Path, data: st.DataObject) -> None:
    """Cut anywhere, or with a byte changed before the zip's end record: it says the same, or is done again."""
    for old in tmp_path.glob("*.npz"):
        old.unlink()
    Ledger(tmp_path).result(JOB, Worker())
    (file,) = tmp_path.glob("*.npz")
    whole = file.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 23))
    if data.draw(st.booleans()):
        file.write_bytes(whole[:place])
    else:
        other = data.draw(st.integers(1, 255)) ^ whole[place]
        file.write_bytes(whole[:place] + bytes([other]) + whole[place + 1 :])
    worker, ledger = Worker(), Ledger(tmp_path)
    assert same(ledger.result(JOB, worker))
    assert worker.times + ledger.reused == 1
    assert same(ledger.result(JOB, worker))
    assert worker.times <= 1


def test_a_result_that_lost_an_array_is_worked_out_again(tmp_path: Path) -> None:
    """A bit of the directory of the zip may be wrong: no array may be missing for that, or bear another name."""
    Ledger(tmp_path).result(JOB, Worker())
    (file,) = tmp_path.glob("*.npz")
    whole = file.read_bytes()
    for place in range(whole.index(b"PK\x01\x02"), len(whole) - 22):
        for bit in (0, 7):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            assert same(Ledger(tmp_path).result(JOB, Worker())), (place, bit)


def test_a_result_under_the_name_of_another_job_is_not_taken(tmp_path: Path) -> None:
    ledger, worker = Ledger(tmp_path), Worker()
    ledger.result(JOB, worker)
    (first,) = tmp_path.glob("*.npz")
    content = first.read_bytes()
    ledger.result({**JOB, "rows": [9]}, worker)
    (other,) = set(tmp_path.glob("*.npz")) - {first}
    other.write_bytes(content)
    ledger.result({**JOB, "rows": [9]}, worker)
    assert worker.times == 3


def test_work_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> Arrays:
        raise KeyError("no")

    with pytest.raises(KeyError), open_ledger(tmp_path, SETTINGS) as ledger:
        ledger.result(JOB, fail)
    assert list((tmp_path / "jobs").iterdir()) == []
    with open_ledger(tmp_path, SETTINGS):
        pass


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with open_ledger(tmp_path, SETTINGS):
        with pytest.raises(RunError, match="still writing"), open_ledger(tmp_path, SETTINGS):
            pass
        with open_ledger(tmp_path / "beside", SETTINGS):
            pass
    with open_ledger(tmp_path, SETTINGS):
        pass


def test_a_directory_belongs_to_one_set_of_settings_once_work_is_done(tmp_path: Path) -> None:
    with open_ledger(tmp_path, SETTINGS):
        pass
    with open_ledger(tmp_path, {**SETTINGS, "steps": 9}) as ledger:
        ledger.result(JOB, Worker())
    with pytest.raises(RunError, match="steps was 9 and is 3"), open_ledger(tmp_path, SETTINGS):
        pass
    with open_ledger(tmp_path, {**SETTINGS, "steps": 9}):
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_description_is_an_error(tmp_path: Path, content: bytes) -> None:
    with open_ledger(tmp_path, SETTINGS) as ledger:
        ledger.result(JOB, Worker())
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RunError, match="damaged JSON"), open_ledger(tmp_path, SETTINGS):
        pass


@pytest.mark.parametrize("where", ["out", "jobs", "lock"])
def test_something_in_the_way_is_said_in_a_sentence(tmp_path: Path, where: str) -> None:
    out = tmp_path / "run"
    if where == "lock":
        (out / "lock").mkdir(parents=True)
    else:
        path = out if where == "out" else out / "jobs"
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    with pytest.raises(RunError, match="give another directory with --out"), open_ledger(out, SETTINGS):
        pass


def test_only_our_own_leftovers_are_swept(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    ours = [tmp_path / f".{'0a' * 8}.part", jobs / f".{'ff' * 8}.part"]
    theirs = [tmp_path / ".mine.part", tmp_path / "notes.part", jobs / "x.npz.part"]
    for file in (*ours, *theirs):
        file.write_text("half")
    with open_ledger(tmp_path, SETTINGS):
        pass
    assert not any(file.exists() for file in ours)
    assert all(file.exists() for file in theirs)


def test_descriptions_are_written_in_one_way() -> None:
    assert canonical({"b": 1, "a": [0.5, None, "ä"]}) == '{"a":[0.5,null,"\\u00e4"],"b":1}'
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical({"eps": float("nan")})
