"""A run that was killed goes on where it was, and comes to the same numbers."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from torch import nn

from frenemy.data.digits import Digits
from frenemy.data.examples import Examples
from frenemy.errors import RunError
from frenemy.models.build import initialise
from frenemy.models.mlp import MLP
from frenemy.reports.publish import publish
from frenemy.risks.audit import audit
from frenemy.risks.result import Audit
from frenemy.rng import Key
from frenemy.threats.linf import Linf

QUICK: Final[dict[str, Any]] = {"threat": "linf:0.1", "effort": "quick", "steps": 5, "curve": 2}
LONG: Final[dict[str, Any]] = {"threat": "linf:0.02", "effort": "quick", "steps": 10, "curve": 4, "seed": 3}
SCRIPT: Final = """
import json, sys
from frenemy.data.digits import Digits
from frenemy.models.build import initialise
from frenemy.models.mlp import MLP
from frenemy.risks.audit import audit
from frenemy.rng import Key
from frenemy.threats.linf import Linf
audit(initialise(MLP(64, (24,), 10), Key(1)), Digits("test")(), out=sys.argv[1], **json.loads(sys.argv[2]))
"""


def columns(found: Audit, out: Path) -> dict[str, bytes]:
    """The bytes of the table and of each column, as they are published; seconds do not stand in them."""
    publish([found], out)
    with np.load(io.BytesIO((out / "examples.npz").read_bytes()), allow_pickle=False) as stored:
        arrays = {name: stored[name].tobytes() for name in stored.files}
    return {**arrays, "table.csv": (out / "table.csv").read_bytes()}


def jobs(out: Path) -> dict[str, tuple[int, int]]:
    """Identity and time of each finished job's file."""
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in (out / "jobs").glob("*.npz")}


def test_what_was_deleted_is_done_again_and_nothing_else(
    plain: nn.Module, few: Examples, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    whole = columns(audit(plain, few, out=out, **QUICK), tmp_path / "a")
    before = jobs(out)
    assert len(before) >= 8
    gone = sorted(before)[::3]
    for name in gone:
        (out / "jobs" / name).unlink()
    cut = sorted(before)[1]
    file = out / "jobs" / cut
    file.write_bytes(file.read_bytes()[:-30])
    assert columns(audit(plain, few, out=out, **QUICK), tmp_path / "b") == whole
    after = jobs(out)
    assert after.keys() == before.keys()
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {*gone, cut}
    assert columns(audit(plain, few, **QUICK), tmp_path / "c") == whole


def test_a_finished_run_asks_the_model_almost_nothing(
    plain: nn.Module, few: Examples, tmp_path: Path
) -> None:
    """Only whether it has gradients, answers alike in all company and takes none itself; and the cost is as it was."""
    first = audit(plain, few, out=tmp_path, **QUICK)
    asked: list[int] = []
    hook = plain.register_forward_pre_hook(lambda module, args: asked.append(len(args[0])))
    again = audit(plain, few, out=tmp_path, **QUICK)
    hook.remove()
    assert asked == [1, 32, 32, 1, 3, 28, 2, 32]
    assert again.cost == first.cost


def test_another_batch_size_may_take_over(plain: nn.Module, few: Examples, tmp_path: Path) -> None:
    first = audit(plain, few, out=tmp_path, batch_size=9, **QUICK)
    before = jobs(tmp_path)
    again = audit(plain, few, out=tmp_path, batch_size=64, **QUICK)
    assert jobs(tmp_path) == before
    assert again.measurements == first.measurements


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 6}, "attacks was"),
        ({"threat": "linf:0.2"}, "threat was linf:0.1 and is linf:0.2"),
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"name": "other"}, "model was MLP and is other"),
        ({"fast": False}, "fast was True and is False"),
    ],
)
def test_a_directory_of_another_audit_is_refused(
    plain: nn.Module, few: Examples, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    settings = {**QUICK, "curve": 0}
    first = audit(plain, few.take(slice(0, 9)), out=tmp_path, **settings)
    assert first["risk_natural"].n == 9
    with pytest.raises(RunError, match=said):
        audit(plain, few.take(slice(0, 9)), out=tmp_path, **{**settings, **change})


def test_other_weights_or_data_are_another_audit(plain: nn.Module, few: Examples, tmp_path: Path) -> None:
    settings = {**QUICK, "curve": 0}
    audit(plain, few.take(slice(0, 9)), out=tmp_path, **settings)
    with pytest.raises(RunError, match="data_sha256"):
        audit(plain, few.take(slice(1, 10)), out=tmp_path, **settings)
    with pytest.raises(RunError, match="model_sha256"):
        audit(initialise(MLP(64, (24,), 10), Key(5)), few.take(slice(0, 9)), out=tmp_path, **settings)


def test_another_box_is_other_work(plain: nn.Module, few: Examples, tmp_path: Path) -> None:
    """Also where the boxes differ in one number among many, far behind the point that is printed."""
    settings = {**QUICK, "curve": 0}
    high = torch.full((1, 8, 8), 1.25)
    audit(plain, few, out=tmp_path, **{**settings, "threat": Linf(0.1, 0.0, high)})
    before = jobs(tmp_path)
    high[0, 4, 4] += 1e-6
    audit(plain, few, out=tmp_path, **{**settings, "threat": Linf(0.1, 0.0, high)})
    after = jobs(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(after) == 2 * len(before) - 1, "only the clean answers are shared"


def test_two_runs_at_once_are_refused(plain: nn.Module, few: Examples, tmp_path: Path) -> None:
    refused: list[str] = []

    def tell(what: str, share: float) -> None:
        with pytest.raises(RunError, match="still writing") as error:
            audit(plain, few, out=tmp_path, **QUICK)
        refused.append(str(error.value))

    audit(plain, few, out=tmp_path, progress=tell, **{**QUICK, "curve": 0})
    assert refused


def test_a_file_in_the_way_is_said_before_anything_is_searched(
    plain: nn.Module, few: Examples, tmp_path: Path
) -> None:
    out = tmp_path / "taken"
    out.write_text("mine")
    with pytest.raises(RunError, match="give another directory"):
        audit(plain, few, out=out, **QUICK)
    assert out.read_text() == "mine"


def test_progress_goes_from_nothing_to_all(plain: nn.Module, few: Examples) -> None:
    told: list[tuple[str, float]] = []
    audit(plain, few, progress=lambda what, share: told.append((what, share)), **QUICK)
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert {"an enemy", "a false friend", "a reversal", "curve: an enemy"} <= {what for what, _ in told}


def killed(out: Path, after: int) -> bool:
    """Start the long audit and kill it once `after` more jobs are finished; say whether it was still running."""
    began = len(jobs(out)) if out.exists() else 0
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(out), json.dumps(LONG)])
    deadline = time.monotonic() + 120
    while process.poll() is None and len(jobs(out) if out.exists() else ()) < began + after:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    alive = process.poll() is None
    if alive:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return alive


@pytest.mark.parametrize("moments", [(2,), pytest.param((2, 1, 4, 1, 1, 5, 2), marks=pytest.mark.slow)])
def test_a_killed_run_comes_to_the_same_numbers(tmp_path: Path, moments: tuple[int, ...]) -> None:
    model, examples = initialise(MLP(64, (24,), 10), Key(1)), Digits("test")()
    out = tmp_path / "run"
    alive = [killed(out, after) for after in moments]
    assert any(alive)
    done = jobs(out)
    found = columns(audit(model, examples, out=out, **LONG), tmp_path / "a")
    assert {name: jobs(out)[name] for name in done} == done
    assert columns(audit(model, examples, **LONG), tmp_path / "b") == found
    assert not list(out.glob("**/*.part"))
