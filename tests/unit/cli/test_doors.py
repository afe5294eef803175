"""The small doors: help, version, list, cite, report; quick, without torch, and clear about what they do not know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Frenemy

import frenemy as package
from frenemy.catalog import catalog
from frenemy.cli.list import FOLDERS

__all__: list[str] = []

_LOOK = """
import sys
from frenemy.cli.main import main
code = main(sys.argv[1:])
print(code, sorted(name for name in sys.modules if name in ("torch", "sklearn", "scipy")), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words", ["", "--help", "--version", "audit --help", "audit --print_config", "list", "cite PGD"]
)
def test_small_doors_open_without_torch(words: str) -> None:
    done = subprocess.run([sys.executable, "-c", _LOOK, *words.split()], capture_output=True, text=True)
    assert done.stderr == "0 []\n"
    assert done.stdout


def test_a_report_is_made_again_without_torch_and_is_the_same(audit: Frenemy) -> None:
    assert audit().code == 0
    files = [
        Path("run", name)
        for name in ("results.json", "table.csv", "table.tex", "searches.csv", "report.html")
    ]
    before = [file.read_bytes() for file in files]
    for file in files:
        file.unlink()
    done = subprocess.run([sys.executable, "-c", _LOOK, "report", "run"], capture_output=True, text=True)
    assert done.stderr == "0 []\n"
    assert done.stdout.split() == [str(file) for file in files]
    assert [file.read_bytes() for file in files] == before


def test_help_names_every_verb(frenemy: Frenemy) -> None:
    said = frenemy()
    assert said == frenemy("--help")
    assert (said.code, said.err) == (0, "")
    assert all(f"\n  {verb} " in said.out for verb in ("audit", "report", "list", "cite"))


def test_version(frenemy: Frenemy) -> None:
    assert frenemy("--version").out == f"frenemy {package.__version__}\n"


def test_an_unknown_verb_is_answered_with_the_nearest(frenemy: Frenemy) -> None:
    assert "unknown command 'adit'; did you mean 'audit'?" in frenemy("adit").refusal


@pytest.mark.parametrize(("word", "folder"), FOLDERS.items())
def test_list_names_every_part(frenemy: Frenemy, word: str, folder: str) -> None:
    said = frenemy("list", word)
    assert (said.code, said.err) == (0, "")
    assert all(part.name in said.out for part in catalog(folder).values())
    assert max(len(line) for line in said.out.splitlines()) <= 80


def test_list_shows_a_part_in_full_in_any_spelling(frenemy: Frenemy) -> None:
    said = frenemy("list", "Logit-Pairing", "pgd").out
    assert (
        "logitpairing(lamb=0.5, alpha=0.5, steps=10, step_size=0.25, start='uniform', forward='joint')"
        in said
    )
    assert "frenemy train logitpairing --preset paper --data mnist" in said
    assert "PGD (attack)" in said
    assert "Sees of the model: gradients." in said
    assert "- returns the best point seen, not the last iterate" in said


def test_list_and_cite_know_what_they_do_not_know(frenemy: Frenemy) -> None:
    assert "'atacks'; did you mean 'attacks'?" in frenemy("list", "atacks").refusal
    assert "'pdg'; did you mean 'pgd'?" in frenemy("cite", "PGD", "pdg").refusal


def test_cite_prints_one_entry_a_name_in_any_spelling(frenemy: Frenemy) -> None:
    said = frenemy("cite", "pgd", "Fashion-MNIST", "hypocritical")
    assert said.out.count("\n}\n") == 3
    assert all(key in said.out for key in ("1706.06083", "1708.07747", "2012.14738"))


@pytest.mark.parametrize("verb", ["list", "cite", "report", "audit"])
def test_every_verb_explains_itself(frenemy: Frenemy, verb: str) -> None:
    for flag in ("--help", "-h"):
        assert frenemy(verb, flag).out.startswith(f"usage: frenemy {verb} ")


def test_audit_help_describes_every_option(frenemy: Frenemy) -> None:
    said = frenemy("audit", "--help")
    for flag in (
        "--effort {quick,standard,thorough}",
        "--attack ATTACK",
        "--step-size STEP_SIZE",
        "--data-dir DATA_DIR",
        "--batch-size BATCH_SIZE",
        "--fast",
        "--precision {float32,bfloat16}",
    ):
        assert f"\n  {flag}" in said.out
    assert "default: 128)" in said.out
    assert all(line.isprintable() for line in said.out.splitlines())
    assert max(len(line) for line in said.out.splitlines()) <= 80


@pytest.mark.parametrize("words", [(), ("a", "b"), ("--all",)])
def test_report_wants_one_directory(frenemy: Frenemy, words: tuple[str, ...]) -> None:
    assert "write: frenemy report DIR" in frenemy("report", *words).refusal


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": 1', '{"format": 1}', '{"format": 99}', "\0", "[" * 9999]
)
def test_a_damaged_audit_is_no_report(audit: Frenemy, frenemy: Frenemy, text: str) -> None:
    Path("run").mkdir()
    for name in ("audit.json", "examples.npz", "pictures.npz"):
        Path("run", name).write_text(text)
    assert "run/audit.json" in frenemy("report", "run").refusal


def test_a_report_of_nothing_says_where_to_look(frenemy: Frenemy) -> None:
    assert "give the directory that `frenemy audit` wrote to" in frenemy("report", "nowhere").refusal


def test_a_closed_pipe_is_no_error() -> None:
    shell = f'"{sys.executable}" -m frenemy list | head -1; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, env={**os.environ, "COLUMNS": "30"}
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[0].strip() == "attacks"


def test_a_poor_terminal_gets_question_marks() -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-m", "frenemy", "list", "threats"], capture_output=True, env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Tram?r" in done.stdout


def test_results_are_strict_json(audit: Frenemy) -> None:
    audit("--objectives", "friend")

    def never(word: str) -> None:
        raise AssertionError(word)

    assert json.loads(Path("run/results.json").read_text(), parse_constant=never)
