"""Options: what is printed is taken back, the last word counts, and a wrong one is refused by name."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.cli.conftest import Frenemy

from frenemy.cli.options import at_least, read
from frenemy.cli.settings import entries
from frenemy.errors import UsageError

__all__: list[str] = []


@dataclass(frozen=True)
class Some:
    """Do something.

    Args:
        word: any text.
        step_size: a number.
        count: how many.
        most: how many at most.
        kind: which one.
        fast: quickly.
        loud: noisily.
        place: where.
    """

    word: str = "a"
    step_size: float = at_least(0, 0.5)
    count: int = at_least(1, 3)
    most: int | None = at_least(1, None)
    kind: Literal["red", "blue"] = "red"
    fast: bool = True
    loud: bool = False
    place: str | None = None


def some(*words: str) -> Some:
    """Read words that are all right."""
    found = read(Some, list(words), "some")
    assert found is not None
    return found


def refusal(*words: str) -> str:
    """Read words that are refused."""
    with pytest.raises(UsageError) as caught:
        read(Some, list(words), "some")
    return str(caught.value)


def written(text: str | bytes) -> str:
    """Write a settings file."""
    Path("c.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return "c.yaml"


def test_nothing_said_is_the_default() -> None:
    assert some() == Some()


def test_flags_take_hyphens_underscores_and_equals_signs() -> None:
    assert some("--step-size", "0.25") == some("--step_size=0.25") == Some(step_size=0.25)
    assert some("--no-fast", "--loud") == some("--fast=no", "--loud=true") == Some(fast=False, loud=True)
    assert some("--fast", "off", "--loud", "--count", "2") == Some(fast=False, loud=True, count=2)
    assert some("--place", "-0.5,0.1", "--word=--word") == Some(place="-0.5,0.1", word="--word")
    assert some("--place", "null", "--word=#x") == Some(place="null", word="#x")
    assert some("--place=[1, 2]", "--word", "{a: b}") == Some(place="[1, 2]", word="{a: b}")


def test_the_last_word_counts(tmp_path: Path) -> None:
    file = written("count: 7\nword: b\n")
    assert some("--config", file) == Some(word="b", count=7)
    assert some("--config", file, "--count", "9") == Some(word="b", count=9)
    assert some("--count", "9", f"--config={file}") == Some(word="b", count=7)
    assert some("--fast", "--no-fast", "--count", "1", "--count", "2") == Some(fast=False, count=2)
    assert some("--no-fast", "--fast") == some("--no-fast", "--config", written("fast: yes")) == Some()


def test_yaml_takes_lists_nulls_and_switches() -> None:
    file = written("place: [0.5, -1]\nmost: null\nfast: off\nstep-size: 1e-2\n# remark\n")
    assert some("--most", "3", "--config", file) == Some(place="0.5,-1", fast=False, step_size=0.01)
    assert some("--config", written("")) == Some()
    assert some("--config", written("word: no\nplace: 0.5\nkind: blue")) == Some(
        "no", place="0.5", kind="blue"
    )
    assert some("--config", written("place: 'null'\nword: ''")) == Some("", place="null")


words = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    st.builds(
        Some,
        word=words,
        step_size=st.floats(0, 1e9),
        count=st.integers(1),
        most=st.none() | st.integers(1),
        kind=st.sampled_from(["red", "blue"]),
        fast=st.booleans(),
        loud=st.booleans(),
        place=st.none() | words,
    )
)
def test_what_is_printed_is_taken_back(capsys: pytest.CaptureFixture[str], asked: Some) -> None:
    flags = [f"--{name}={value}" for name, value in asdict(asked).items() if value is not None]
    capsys.readouterr()
    assert read(Some, [*flags, "--print_config"], "some") is None
    assert some("--config", written(capsys.readouterr().out)) == asked


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--cuont", "3"], "unknown option '--cuont'; did you mean '--count'? see frenemy some --help"),
        (["--step-sise", "3"], "did you mean '--step-size'?"),
        (["--zzz"], "unknown option '--zzz'; see frenemy some --help"),
        (["count"], "unknown option 'count'; did you mean '--count'?"),
        (["--count", "3", "4"], "unknown option '4'"),
        (["--"], "unknown option '--'"),
        (["--coun", "3"], "unknown option '--coun'; did you mean '--count'?"),
        (["--no-count"], "unknown option '--no-count'"),
        (["--count"], "expected a value after --count, got none"),
        (["--count", "--fast"], "expected a value after --count, got none"),
        (
            ["--count", "many"],
            "expected --count to be a whole number of 1 or more, got 'many'; the default is 3",
        ),
        (["--count", "0"], "of 1 or more, got '0'"),
        (["--count", "1.0"], "got '1.0'"),
        (["--count", "9" * 5000], "expected --count to be a whole number"),
        (["--most", "0"], "got '0'; leave it out"),
        (["--step-size", "nan"], "expected --step-size to be a finite number of 0 or more, got 'nan'"),
        (["--step-size=-1"], "got '-1'"),
        (["--step-size", "inf"], "got 'inf'"),
        (["--kind", "bule"], "unknown kind 'bule'; did you mean 'blue'? known: blue, red"),
        (["--fast=maybe"], "expected --fast to be true or false, got 'maybe'; the default is true"),
        (["--loud", "7"], "expected --loud to be true or false, got '7'; the default is false"),
        (["--no-fast=maybe"], "got 'maybe'"),
        (["--print-config=x"], "expected a value after --print-config, got 'x'"),
        (["--config"], "expected a value after --config"),
        (["--config", "nowhere.yaml"], "expected a readable YAML file in 'nowhere.yaml', got No such file"),
        (["--config", "."], "expected a YAML file in '.', got a folder or a device"),
        (["--config", "/dev/zero"], "expected a YAML file in '/dev/zero'"),
        (["--config", "count: 5"], "expected a readable YAML file in 'count: 5'"),
    ],
)
def test_a_wrong_flag_is_refused_by_name(flags: list[str], said: str) -> None:
    assert said in refusal(*flags)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cuont: 3", "unknown option 'cuont' in 'c.yaml'; did you mean 'count'?"),
        ("count: many", "expected --count to be a whole number of 1 or more, got 'many'"),
        ("count: null", "expected --count to be a whole number of 1 or more, got 'null'; the default is 3"),
        ("word: null", "expected --word to be given, got 'null'; the default is a"),
        ("kind: ~", "unknown kind 'null'; known: blue, red"),
        ("fast:", "expected --fast to be true or false, got 'null'; the default is true"),
        ("fast: maybe", "expected --fast to be true or false, got 'maybe'"),
        ("step_size: .nan", "expected --step-size to be a finite number of 0 or more, got '.nan'"),
        ("step_size: .inf", "got '.inf'"),
        ("count: -1", "of 1 or more, got '-1'"),
        ("print_config: x", "unknown option 'print_config'"),
        ("no_fast: true", "unknown option 'no_fast' in 'c.yaml'; did you mean 'fast'?"),
        ("count: [1, 2]", "got '1,2'"),
        ("count: 1\ncount: 2", "expected each option once in 'c.yaml', got 'count' twice"),
        ("step-size: 1\nstep_size: 2", "got 'step_size' twice"),
        ("config: c.yaml", "unknown option 'config'"),
        ("word: &a [x]\nplace: *a", "got the alias *a; write its value"),
        ("a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]", "got the alias *a"),
        ("<<: {count: 1}", "nested"),
        ("word: {a: b}", "nested"),
        ("word: [[1]]", "nested"),
        ("? [a]\n: 1", "nested"),
        ("[" * 30000, "nested"),
        ("[a]", "expected options in 'c.yaml', got a single value or a list"),
        ("hello", "expected options in 'c.yaml'"),
        ("word: [1", "expected YAML in 'c.yaml', got something else in line 1"),
        ("word: a\n---\nword: b", "another document"),
        ("word: !!python/object/apply:os.system [touch evil]\ncount: x", "expected --count"),
        ("word: " + "y" * 70000, "expected settings of at most 64 KiB"),
        (b"\xff\xfe\x00", "got bytes that are no UTF-8"),
        (b"word: \x00", "expected YAML in 'c.yaml'"),
    ],
)
def test_a_wrong_file_is_refused_by_name(text: str | bytes, said: str) -> None:
    assert said in refusal("--config", written(text))
    assert not Path("evil").exists()


def test_a_tag_makes_no_object() -> None:
    file = written("word: !!python/object/apply:os.system [touch evil]")
    assert entries(Path(file), ["word"]) == {"word": "touch evil"}
    assert not Path("evil").exists()


def test_help_comes_from_the_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    assert read(Some, ["--count", "0", "-h"], "some", "that is all") is None
    out = capsys.readouterr().out
    assert out.startswith("usage: frenemy some [--OPTION VALUE ...]\n\nDo something.\n")
    assert "  --count COUNT         how many (type: PositiveInt, default: 3)\n" in out
    assert re.search(r"\n  --fast.*, --no-fast \[yes\|no\]\n +quickly \(type: bool, default: True\)\n", out)
    assert out.endswith("\n\nthat is all\n")


def test_audit_takes_back_what_it_prints(frenemy: Frenemy) -> None:
    said = frenemy("audit", "--steps", 7, "--mean", "-0.5,0.1", "--print_config")
    assert (said.code, said.err) == (0, "")
    written(said.out)
    assert frenemy("audit", "--config", "c.yaml", "--print_config").out == said.out
    again = frenemy("audit", "--config", "c.yaml", "--steps", 8, "--print-config").out
    assert again == said.out.replace("steps: 7", "steps: 8")


@pytest.mark.parametrize(
    "text",
    [
        "curve: null",
        "steps: .nan",
        "step_size: -.inf",
        "a: &a [x]\nb: [*a]",
        "stpes: 1",
        'steps: "\\e[31m\\n"',
        '"\\e[31m\\n": 1',
        "- \x1b",
        "[" * 9999,
    ],
)
def test_a_wrong_file_is_one_line_on_standard_error(frenemy: Frenemy, text: str) -> None:
    assert "; " in frenemy("audit", "--config", written(text)).refusal
