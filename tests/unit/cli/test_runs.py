"""Runs that are stopped, doubled, changed or shown on a terminal: nothing is lost, nothing is mixed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Frenemy
from tests.unit.cli.models_of_users import written

from frenemy.ledger import open_ledger

__all__: list[str] = []

SMALL = ("--examples", "20", "--steps", "1", "--curve", "0", "--out", "run")


def command(*words: str) -> list[str]:
    """Spell a small audit for another process."""
    return [sys.executable, "-m", "frenemy", "audit", *SMALL, *words]


def listening() -> None:
    """Take Ctrl-C as usual, also where the tests themselves run in the background of a shell."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def begun(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Audit a slow model in another process, until its first job is done."""
    words = command("--model", f"{written('slow', folder)}:make")
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, preexec_fn=listening, **pipes) as running:
        try:
            while not list(Path("run").glob("models/*/jobs/*.npz")) and running.poll() is None:
                time.sleep(0.01)
            yield running
        finally:
            running.kill()


def numbers(out: str = "run") -> list[object]:
    """Read what was measured."""
    rows = json.loads(Path(out, "results.json").read_text())
    return [(row["measure"], row["value"], row["low"], row["high"], row["cost"]["forwards"]) for row in rows]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_run_that_is_stopped_goes_on(
    frenemy: Frenemy, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with begun(tmp_path) as running:
        running.send_signal(number)
        out, err = running.communicate(timeout=60)
    assert running.returncode == code
    assert (out, err) == (
        "",
        "frenemy: stopped; finished work is kept: run the same command again to go on\n",
    )
    assert not Path("run/results.json").exists()
    assert not list(Path("run").rglob("*.part"))
    done = {job: job.stat().st_mtime_ns for job in Path("run").glob("models/*/jobs/*.npz")}
    assert done
    words = command("--model", f"{tmp_path / 'net.py'}:make")[3:]
    assert frenemy(*words).code == 0
    assert all(job.stat().st_mtime_ns == before for job, before in done.items())
    assert frenemy(*words, "--out", "whole").code == 0
    assert numbers() == numbers("whole")


def test_a_killed_run_goes_on_and_leaves_no_litter(frenemy: Frenemy, tmp_path: Path) -> None:
    with begun(tmp_path) as running:
        running.kill()
        running.wait()
    Path("run/models/net.make/jobs/.0123456789abcdef.part").write_bytes(b"half")
    Path("run/.0123456789abcdef.part").write_bytes(b"half")
    assert frenemy(*command("--model", f"{tmp_path / 'net.py'}:make")[3:]).code == 0
    assert not list(Path("run").rglob("*.part"))


def test_a_second_run_on_one_directory_is_refused(frenemy: Frenemy, tmp_path: Path) -> None:
    with begun(tmp_path) as running:
        said = frenemy(*command("--model", f"{tmp_path / 'net.py'}:make")[3:])
        assert "expected 'run' to be free, got a run that is still writing to it" in said.refusal
        assert running.poll() is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--steps 2", "steps was 1 and is 2"),
        ("--model linear@1", "model was linear@0 and is linear@1"),
        ("--threat l2:1", "threat was linf:0.15 and is l2:1"),
        ("--mean 0.5", "mean was None and is 0.5"),
        ("--no-fast", "fast was True and is False"),
    ],
)
def test_the_directory_of_another_audit_is_refused(audit: Frenemy, words: str, said: str) -> None:
    assert audit("--quiet").code == 0
    before = {file: file.read_bytes() for file in Path("run").rglob("*") if file.is_file()}
    refusal = audit(*words.split()).refusal
    assert "expected 'run' to hold the same run, got another one" in refusal
    assert said in refusal
    assert {file: file.read_bytes() for file in Path("run").rglob("*") if file.is_file()} == before
    assert audit("--quiet", "--batch-size", 3, "--device", "cpu", "--effort", "quick").code == 0


@pytest.mark.parametrize("text", ["[]", "{", "1", "\xff", "[" * 9999])
def test_a_damaged_run_is_refused(audit: Frenemy, text: str) -> None:
    assert audit("--quiet").code == 0
    Path("run/run.json").write_bytes(text.encode("latin-1"))
    assert "expected 'run/run.json' to describe a run, got damaged JSON" in audit().refusal


def test_a_damaged_job_is_done_again(audit: Frenemy) -> None:
    assert audit("--quiet").code == 0
    before = numbers()
    for place, job in enumerate(sorted(Path("run").glob("models/*/jobs/*.npz"))):
        content = job.read_bytes()
        job.write_bytes(content[: len(content) // 2] if place % 2 else b"\0" * len(content))
    assert audit("--quiet").code == 0
    assert numbers() == before


def test_a_directory_of_other_things_is_left_as_it_is(audit: Frenemy) -> None:
    Path("run/mine").mkdir(parents=True)
    for name in ("run/mine/.0123456789abcdef.part", "run/.song.part", "run/notes.txt"):
        Path(name).write_text("mine")
    assert audit("--quiet").code == 0
    for name in ("run/mine/.0123456789abcdef.part", "run/.song.part", "run/notes.txt"):
        assert Path(name).read_text() == "mine"


def test_a_run_in_which_nothing_was_finished_is_forgotten(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "run", {"steps": -1}):
        pass
    with open_ledger(tmp_path / "run", {"steps": 1}) as ledger:
        ledger.result({"job": 1}, dict)
    assert json.loads((tmp_path / "run/run.json").read_text()) == {"steps": 1}


def test_the_handler_of_signals_is_put_back(audit: Frenemy) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert audit("--quiet").code == 0
    audit("--bogus")
    assert signal.getsignal(signal.SIGTERM) is before


def on_terminal(words: list[str]) -> tuple[int, str]:
    """Run on a terminal of 80 columns; give the exit code and all that was written to it."""
    child, screen = pty.fork()
    if child == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 80, 0, 0))
        os.environ |= {"TERM": "xterm"}
        os.environ.pop("COLUMNS", None)
        os.execv(words[0], words)
    shown = b""
    with contextlib.suppress(OSError):
        while part := os.read(screen, 65536):
            shown += part
    os.close(screen)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_terminal_shows_progress_and_is_left_clean(tmp_path: Path) -> None:
    code, shown = on_terminal(command("--model", f"{written('slow', tmp_path)}:make"))
    assert code == 0
    assert re.search(r"net\.make: an enemy .*?\d+%.*?\d:\d\d:\d\d.* left", shown)
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is hidden"
    end = shown[shown.rindex("\x1b[?25h") :]
    erased = end.index("\x1b[1A\x1b[2K")
    assert erased < end.index("adversarial risk")
    assert "%" in end
    assert "left" not in end
    rest = re.sub(r"\x1b\[[0-9;]*[mAKl]|\x1b\[\?25h", "", end).replace("\r", "")
    assert max(map(len, rest.splitlines())) <= 80
    assert rest.rstrip().endswith("report: run/report.html")
