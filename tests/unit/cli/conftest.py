"""The command line as a test calls it: in this process, in an empty directory, with an empty cache."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pytest

from frenemy.cli.main import main

__all__ = ["Frenemy", "Said"]

_ROOT = str(Path(__file__).parents[3])
if _ROOT not in sys.path:
    sys.path.append(_ROOT)


@final
@dataclass(frozen=True, slots=True)
class Said:
    """What a call came to: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The one sentence of a refusal, which is all that a refused call may say."""
        assert self.code == 2
        assert self.out == ""
        assert self.err.startswith("frenemy: error: ")
        assert self.err.count("\n") == 1
        assert self.err.endswith("\n")
        assert self.err[:-1].isprintable()
        return self.err


Frenemy = Callable[..., Said]
"""Call `frenemy` with some words."""


@pytest.fixture(autouse=True)
def _alone(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    if request.node.get_closest_marker("data") is None:
        monkeypatch.delenv("FRENEMY_DATA", raising=False)


@pytest.fixture
def frenemy(capsys: pytest.CaptureFixture[str]) -> Frenemy:
    """Call the command line here."""

    def call(*words: object) -> Said:
        capsys.readouterr()
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return call


@pytest.fixture
def audit(frenemy: Frenemy) -> Frenemy:
    """Call a small audit of 20 digits on the CPU; what is named again overrides it."""
    small = (
        "--model",
        "linear@0",
        "--device",
        "cpu",
        "--examples",
        20,
        "--steps",
        1,
        "--curve",
        0,
        "--out",
        "run",
    )
    return lambda *words: frenemy("audit", "--effort", "quick", *small, *words)
