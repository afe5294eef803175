"""Models as users write them: the good are judged, the bad are refused or set apart, and none shows a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.unit.cli.conftest import Frenemy
from tests.unit.cli.models_of_users import written

__all__: list[str] = []


def apart(out: str = "run") -> list[str]:
    """Read why each example was set apart."""
    with np.load(Path(out, "examples.npz"), allow_pickle=False) as columns:
        return [str(why) for why in columns["set_apart"]]


def net(kind: str, folder: Path) -> str:
    """Write a file of one kind and spell its factory."""
    return f"{written(kind, folder)}:make"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("syntax", "expected net.py to run, got SyntaxError"),
        ("import", "expected net.py to run, got RuntimeError: no licence"),
        ("exit", "expected net.py to run, got SystemExit: not today"),
        ("factory", "expected net.py:make() to return a model, got ValueError: no weights"),
        ("arguments", "a factory takes no arguments and returns the model"),
        ("string", "expected net.py:make() to return a model, got a str"),
        ("none", "expected net.py:make() to return a model, got None"),
        ("shape", "expected a model that takes inputs of shape (1, 8, 8) as in digits, got RuntimeError"),
        ("classes", "expected 10 logits a row, one for each class of digits, got 7"),
        ("two", "name the entry that holds the logits with --output NAME"),
        ("shrinks", "expected floating point logits of shape (20, classes)"),
        ("first", "got RuntimeError: the [31msensor; "),
        ("leaves", "the model wants to leave the program"),
    ],
)
def test_a_bad_model_is_refused_in_one_sentence(audit: Frenemy, tmp_path: Path, kind: str, said: str) -> None:
    assert said in audit("--model", net(kind, tmp_path)).refusal


def test_an_unknown_factory_is_answered_with_the_nearest(audit: Frenemy, tmp_path: Path) -> None:
    said = audit("--model", f"{written('good', tmp_path)}:mkae").refusal
    assert "expected net.py to define 'mkae', got no such name; did you mean 'make'?" in said


@pytest.mark.parametrize("kind", ["good", "tuple", "probabilities", "training"])
def test_a_model_that_answers_is_judged(audit: Frenemy, tmp_path: Path, kind: str) -> None:
    said = audit("--model", net(kind, tmp_path), "--mean", 0.5, "--std", 0.5)
    assert (said.code, said.err) == (0, "")
    assert "net.make on digits, linf:0.15" in said.out
    assert ("probabilities. The model returns" in said.out) == (kind == "probabilities")
    assert "random answers" not in said.out
    assert set(apart()) == {""}


def test_the_output_is_named_where_there_are_several(audit: Frenemy, tmp_path: Path) -> None:
    assert audit("--model", net("two", tmp_path), "--output", "a", "--out", "a").code == 0
    assert audit("--model", net("tuple", tmp_path), "--out", "b").code == 0
    one, other = (json.loads(Path(out, "results.json").read_text()) for out in "ab")
    assert [row["value"] for row in one] == [row["value"] for row in other]


def test_examples_at_which_the_model_raises_are_set_apart(audit: Frenemy, tmp_path: Path) -> None:
    assert audit("--model", net("good", tmp_path), "--out", "sound").code == 0
    said = audit("--model", net("some", tmp_path))
    assert (said.code, said.err) == (3, "")
    assert "RuntimeError: too bright" in said.out
    lost = [why == "the model raised an error" for why in apart()]
    assert 0 < sum(lost) < 20
    with np.load("run/examples.npz") as one, np.load("sound/examples.npz") as other:
        kept = ~np.array(lost)
        for name in ("index", "label", "clean_answer", "untargeted_outcome"):
            assert (one[name][kept] == other[name][kept]).all()


def test_a_model_that_gives_up_in_the_middle_shows_no_traceback(audit: Frenemy, tmp_path: Path) -> None:
    for most in range(1, 9):
        file = Path(written("later", tmp_path))
        file.write_text(file.read_text().replace("> 6", f"> {most}"))
        said = audit("--model", f"{file}:make", "--out", f"run{most}")
        assert said.code in (2, 3)
        assert "tired" in (said.refusal if said.code == 2 else said.out)


def test_a_model_without_a_finite_answer_is_not_called_robust(audit: Frenemy, tmp_path: Path) -> None:
    said = audit("--model", net("nan", tmp_path))
    if said.code == 2:
        assert "finite" in said.refusal
    else:
        assert set(apart()) == {"the model's answer is not finite"}
        assert all(row["value"] is None for row in json.loads(Path("run/results.json").read_text()))


def test_models_of_one_name_are_kept_apart(audit: Frenemy, tmp_path: Path) -> None:
    specs = []
    for kind in ("good", "training"):
        (tmp_path / kind).mkdir()
        specs.append(net(kind, tmp_path / kind))
    assert audit("--model", ",".join([*specs, specs[0]])).code == 0
    rows = json.loads(Path("run/results.json").read_text())
    assert list(dict.fromkeys(row["model"] for row in rows)) == ["net.make", "net.make-2"]


def test_a_changed_model_gets_no_old_numbers(audit: Frenemy, tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text("def turn(x):\n    return x\n")
    file = Path(written("good", tmp_path))
    file.write_text(
        "import part\n" + file.read_text().replace("self.flatten(x)", "part.turn(self.flatten(x))")
    )
    spec = f"{file}:make"
    assert audit("--model", spec).code == 0
    assert audit("--model", spec).code == 0
    (tmp_path / "part.py").write_text("def turn(x):\n    return -x\n")
    assert "expected 'run/models/net.make' to hold the same run" in audit("--model", spec).refusal
    assert audit("--model", spec, "--out", "other").code == 0
    one, other = (json.loads(Path(out, "results.json").read_text()) for out in ("run", "other"))
    assert [row["value"] for row in one] != [row["value"] for row in other]


def test_a_fault_of_ours_is_not_hidden(audit: Frenemy, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*words: object, **more: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("frenemy.reports.publish.publish", broken)
    with pytest.raises(ZeroDivisionError):
        audit()
