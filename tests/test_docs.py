"""The documents: what they show runs, what they name exists, and what exists is named."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest
import torch
from packaging.requirements import Requirement
from tests.shown import shown

import frenemy
from frenemy.catalog import catalog
from frenemy.cli.main import main
from frenemy.models.linear import Linear
from frenemy.objectives.surrogates import Margin
from frenemy.reports.words import ACCURACIES, RISKS
from frenemy.risks.trust import QUESTIONS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "frenemy"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page, each with its language."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def new_files() -> dict[str, str]:
    """The parts that adding.md shows, by the path in their first line."""
    code = [text for language, text in blocks(ROOT / "docs" / "adding.md") if language == "python"]
    return {text.split("\n")[0].removeprefix("# "): text for text in code}


def loaded(path: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import one of the shown parts from a file of its own."""
    file = folder / Path(path).name
    file.write_text(new_files()[path])
    spec = importlib.util.spec_from_file_location(f"shown_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def steps(page: Path) -> list[tuple[str, str]]:
    """What a page shows that can run here: its Python, and audits of a model that its Python wrote."""
    found, written = [], set()
    for language, text in blocks(page):
        if language == "python":
            written |= set(re.findall(r"\A# (\w+\.py)\n", text))
            found.append(("python", text))
        for line in text.splitlines() if language == "sh" else []:
            asked = re.search(r"--model (\w+\.py):", line)
            if line.startswith("frenemy audit") and asked and asked[1] in written:
                found.append(("frenemy", line.removeprefix("frenemy ")))
    return found


LONG = ("audit", "train", "converge", "landscape", "boundary", "pairs", "transfer", "mask")
"""Verbs that work long, and print what they were asked with --print_config."""


def test_what_the_pages_show_runs(tmp_path: Path) -> None:
    pages = [ROOT / "README.md", ROOT / "docs" / "start.md"]
    folders = [tmp_path / page.stem for page in pages]
    for folder in folders:
        folder.mkdir()
    jobs = [{"folder": str(f), "steps": steps(page)} for f, page in zip(folders, pages, strict=True)]
    assert [kind for job in jobs for kind, _ in job["steps"]].count("frenemy") == 1
    for folder, result in zip(folders, shown(jobs), strict=True):
        assert "error" not in result, result["error"]
        assert re.search(r"[\d.]+ \[[\d.]+, [\d.]+\]", result["out"])
        assert list(folder.rglob("report.html"))


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Give what `frenemy` prints, and see that it ends well."""
    capsys.readouterr()
    try:
        code: object = main(words)
    except SystemExit as end:
        code = end.code
    printed = capsys.readouterr()
    assert code in (0, None), f"frenemy {shlex.join(words)}: {printed.err}"
    return printed.out


@every_page
def test_every_command_is_one(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prose, makefile = page.read_text(encoding="utf-8"), (ROOT / "Makefile").read_text()
    lines = [line for language, text in blocks(page) if language == "sh" for line in text.splitlines()]
    commands = [shlex.split(line, comments=True) for line in lines]
    commands += [shlex.split(line) for line in re.findall(r"`(frenemy cite [A-Z]\w+[\w ]+)`", prose)]
    for words in commands:
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), words
        else:
            assert words[0] == "frenemy"
            long = words[1] in LONG and "--help" not in words
            more = ["--print_config"] if long else []
            if words[1] == "theory":  # numbers alone, and the page of all as help: no page is written here
                more = ["--help"] if words[2] == "page" else [] if words[2] == "list" else ["--json"]
            assert said([*words[1:], *more], capsys)
    for target in re.findall(r"`make ([\w-]+)`", prose):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@every_page
def test_every_option_is_one(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = "".join(said([verb, "--help"], capsys) for verb in (*LONG, "theory")).replace("--[no-]", "--")
    known = set(re.findall(r"--[a-z][a-z_-]*", listed))
    known |= {f"--{one.name}" for part in catalog("theory").values() for one in fields(part.load())}
    assert {"--model", "--threat", "--steps", "--out"} <= known
    for line in page.read_text(encoding="utf-8").splitlines():
        script = re.search(r"python ((?:scripts|benchmarks)/\S+\.py)", line)
        named = (ROOT / script[1]).read_text(encoding="utf-8") if script else ""
        for option in re.findall(r"(?<![\w-])--[a-z][a-z_-]*", line):
            assert option in known or option.replace("--no-", "--") in known or f'"{option}"' in named, option


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), f"{page.name} links {target}"


def test_new_parts_need_one_file_each_and_no_other_change(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "frenemy", ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in new_files().items():
        there = tmp_path / Path(path).relative_to("src")
        assert there.parent.is_dir()
        assert not there.exists()
        there.write_text(text)
    for folder, name in (
        ("attacks", "randomguess"),
        ("threats", "brightness"),
        ("objectives", "unsure"),
        ("training", "jitter"),
        ("models", "tanh"),
        ("data", "jsonlines"),
    ):
        assert name not in catalog(folder)
        assert name in catalog(folder, tmp_path / "frenemy")
    rows = "\n".join(f'{{"x": [{n % 7}, {n % 5}, {n % 3}], "y": {n % 2}}}' for n in range(40))
    (tmp_path / "rows.jsonl").write_text(rows)
    line = next(text for language, text in blocks(ROOT / "docs" / "adding.md") if language == "sh")
    command = [sys.executable, "-m", *shlex.split(line), "--steps", "3", "--out", "run"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200
    )
    assert ended.returncode == 0, ended.stderr
    assert "tanh@0 on rows, brightness:0.1" in ended.stdout


def test_the_shown_attack_is_honest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attack = loaded("src/frenemy/attacks/random_guess.py", tmp_path, monkeypatch).RandomGuess(draws=20)
    model, key = Linear(6, 2), frenemy.Key(0)
    with torch.no_grad():
        model.layer.weight.copy_(torch.tensor([[1.0, -2, 0, 3, 0.5, -1], [0.0, 1, 1, -1, 0, 2]]))
        model.layer.bias.zero_()
    index = torch.arange(40)
    batch = frenemy.Batch(key.normal(index, (6,)), index % 2, index)
    threat = frenemy.Linf(0.3, low=-torch.inf, high=torch.inf)
    objective = frenemy.Untargeted(Margin())
    found = attack(model, batch, threat=threat, objective=objective, key=key)
    logits = model(found.x)
    clean = objective.loss(model(batch.x), batch.y)
    most = clean + 0.3 * (model.layer.weight[0] - model.layer.weight[1]).abs().sum()
    assert bool((found.loss <= most + 1e-5).all())
    assert bool((found.loss >= clean - 1e-6).all())
    assert bool(threat.contains(found.x, batch.x, torch.full((40,), 0.3)).all())
    assert torch.equal(found.success, objective.success(logits, batch.y))
    assert 0 < int(found.success.sum()) < 40
    assert int(found.forwards.max()) == 21
    assert int(found.forwards.min()) == 1
    alone = attack(model, batch.rows(slice(7, 8)), threat=threat, objective=objective, key=key)
    assert torch.allclose(alone.x, found.x[7:8])


def test_the_shown_threat_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threat = loaded("src/frenemy/threats/brightness.py", tmp_path, monkeypatch).Brightness(0.2)
    key, index, eps = frenemy.Key(1), torch.arange(50), torch.full((50,), 0.2)
    origin, away = key.uniform(index, (1, 3, 3)), key.fold("away").uniform(index, (1, 3, 3))
    back = threat.retract(away, origin, eps)
    assert bool(threat.contains(back, origin, eps).all())
    assert torch.allclose(threat.retract(back, origin, eps), back, atol=1e-6)
    grid = torch.linspace(-0.2, 0.2, 4001)[:, None, None, None]
    for row in range(10):
        allowed = origin[row] + grid
        allowed = allowed[((allowed >= 0) & (allowed <= 1)).flatten(1).all(1)]
        nearest = (allowed - away[row]).flatten(1).norm(dim=1).min()
        assert float((back[row] - away[row]).norm()) == pytest.approx(float(nearest), abs=1e-4)
    assert bool(threat.contains(threat.sample(origin, index, key, eps), origin, eps).all())
    gained = (threat.steepest(away) * away).flatten(1).sum(1)
    assert torch.allclose(gained, threat.dual_norm(away))
    assert not bool(threat.contains(away, origin, eps).any())


def test_the_shown_objective_wants_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objective = loaded("src/frenemy/objectives/unsure.py", tmp_path, monkeypatch).Unsure()
    logits = torch.tensor([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [torch.nan, 0.0, 0.0]])
    goal = objective.goal(logits, torch.tensor([0, 1, 2]))
    assert objective.success(logits, goal).tolist() == [True, False, False]
    assert float(objective.loss(logits, goal)[0]) == pytest.approx(1.0986123)


def test_every_caveat_is_explained() -> None:
    told = "\n".join(path.read_text() for path in sorted((PACKAGE / "risks").glob("*.py")))
    raised = {*QUESTIONS, *re.findall(r'Finding\(\s*"([^"]+)"', told)}
    explained = set(
        re.findall(r"^\| `([^`]+)` \| .* \| .* \|$", (ROOT / "docs" / "choosing.md").read_text(), re.M)
    )
    objectives = {"enemy", "friend", "reversal"}
    assert raised
    assert raised == {text for text in explained if ":" not in text} - objectives


def test_every_measure_is_explained() -> None:
    text = (ROOT / "README.md").read_text().replace("\\|", "|")
    for word in (*ACCURACIES, *RISKS):
        assert word.name in text
        assert f"{word.letter}_{word.subscript}" in text if word.subscript else f" {word.letter}" in text


def test_every_file_has_its_place_on_the_floor_plan() -> None:
    named = set(re.findall(r"`((?:\w+/)?\w+\.py)`", (ROOT / "docs" / "floor-plan.md").read_text()))
    built = {str(file.relative_to(PACKAGE)) for file in PACKAGE.rglob("*.py")}
    assert named == {file for file in built if not file.endswith("/__init__.py")}


def test_one_version_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version == frenemy.__version__
    assert re.findall(r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_constraints_pin_what_is_asked_for() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {name.lower().replace("_", "-"): v for name, v in (x.split("==") for x in lines if "==" in x)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for asked in map(Requirement, [*project["dependencies"], *project["optional-dependencies"]["dev"]]):
        assert asked.specifier.contains(pinned[asked.name.lower().replace("_", "-")]), asked.name
