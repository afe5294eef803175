"""`frenemy mask`, as people type it: what lies between two models, a page with a slider, and a run that goes on."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch
from tests.unit.cli.conftest import Frenemy
from torch import nn

from frenemy.data.digits import Digits
from frenemy.data.examples import Examples
from frenemy.models.build import build, initialise
from frenemy.models.cifarresnets import CIFARResNet
from frenemy.models.files import config_of, save
from frenemy.models.linear import Linear
from frenemy.models.masked import Masked, Worn
from frenemy.models.masks import encoded
from frenemy.models.norms import norm_parameters
from frenemy.rng import Key
from frenemy.threats.linf import Linf
from frenemy.training.fit import fit
from frenemy.training.pgdat import PGDAT
from frenemy.training.regime import Regime
from frenemy.training.standard import Standard

SMALL = (
    *("--device", "cpu", "--examples", 20, "--threat", "linf:0.1"),
    *("--attack", "pgd(steps=3,loss=margin)", "--points", 3),
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small net trained plainly, and with its batch norm fine-tuned by PGD."""
    place, data = tmp_path_factory.mktemp("pair"), Digits("train")().take(slice(0, 400))
    model = initialise(CIFARResNet(1, 10, 8, 4), Key(0))
    files = place / "plain" / "model.safetensors", place / "tuned" / "model.safetensors"
    regime = Regime(epochs=4, batch_size=50, optimiser="sgd", rate=0.1)
    save(fit(Standard(), model, data, key=Key(0), regime=regime).model, files[0], config_of(model))
    regime = Regime(epochs=1, batch_size=50, optimiser="sgd", rate=0.1, only="norms")
    fit(PGDAT(steps=2), model, data, key=Key(0), threat=Linf(0.1), regime=regime)
    save(model, files[1], config_of(model))
    return files


def test_what_lies_between_two_models(frenemy: Frenemy, pair: tuple[Path, Path]) -> None:
    said = frenemy("mask", *pair, *SMALL)
    assert (said.code, said.err) == (0, "")
    assert "p = 0: " in said.out
    assert "An enemy who may choose among these 3 masks" in " ".join(said.out.split())
    (out,) = Path("runs").glob("mask-digits-linf-0.1-plain-model.safetensors-tuned-model.safetensors*")
    found = json.loads((out / "results.json").read_text())
    assert [one["p"] for one in found["masks"]] == [0, 0.5, 1]
    assert found["masks"][1]["mask"] == [0.5, 0.5]
    assert found["models"]["statistics"] == "between"
    rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert [row["p"] for row in rows] == ["0", "0.5", "1", "worst"]
    for row, one in zip(rows, found["masks"], strict=False):
        assert float(row["clean"]) == pytest.approx(100 * one["clean"]["value"], abs=1e-3)
        assert float(row["robust_high"]) == pytest.approx(100 * one["robust"]["high"], abs=1e-3)
    assert found["worst"]["value"] <= min(one["robust"]["value"] for one in found["masks"])
    examples = Digits("test")().take(slice(0, 20))
    for one, file in zip(found["masks"][::2], pair, strict=True):
        assert one["clean"]["value"] == pytest.approx(right(build(str(file), examples=examples)[0], examples))
    both = build(str(out / "model.safetensors"), examples=examples)[0]
    for p, file in zip((0.0, 1.0), pair, strict=True):
        logits = Worn(both, encoded(p, 2))(examples.batch().x)
        assert torch.equal(logits, build(str(file), examples=examples)[0](examples.batch().x))
    jobs = {file: file.stat().st_mtime_ns for file in out.glob("models/*/jobs/*")}
    assert jobs
    page = (out / "mask.html").read_text()
    assert page.count('class="stop cards"') == 3
    assert frenemy("mask", *pair, *SMALL, "--quiet").out == ""
    assert {file: file.stat().st_mtime_ns for file in out.glob("models/*/jobs/*")} == jobs
    assert (out / "mask.html").read_text().replace(" --quiet<", "<") == page
    other = frenemy("mask", *pair, *SMALL, "--statistics", "first", "--out", out)
    assert "statistics was between and is first" in other.refusal
    drawn(page)


def right(model: nn.Module, examples: Examples) -> float:
    batch = examples.batch()
    with torch.no_grad():
        return float((model(batch.x).argmax(1) == batch.y).double().mean())


def drawn(page: str) -> None:
    """Each mask has its needle and its points, inside the drawing, and every point says what it is."""
    for start in range(2):
        parts = page.split('<svg viewBox="0 0 420 290"')
        svg = ET.fromstring('<svg viewBox="0 0 420 290"' + parts[1 + start].split("</svg>")[0] + "</svg>")
        points = list(svg.iter("circle"))
        assert {point.attrib["data-stop"] for point in points} == {"0", "1", "2"}
        for point in points:
            assert 0 <= float(point.attrib["cx"]) <= 420
            assert 0 <= float(point.attrib["cy"]) <= 290
            assert (point[0].text or "").startswith("p = ")


def test_a_model_with_masks_of_its_own_is_judged_under_each(
    frenemy: Frenemy, pair: tuple[Path, Path]
) -> None:
    examples = Digits("test")().take(slice(0, 20))
    plain = build(str(pair[0]), examples=examples)[0].model
    assert isinstance(plain, nn.Module)
    masked = Masked(plain, 3)
    with torch.no_grad():
        for parameter in norm_parameters(masked):
            parameter.mul_(torch.tensor([[1.0], [0.0], [1.0]]))
    save(masked, "own.safetensors", config_of(masked))
    assert frenemy("mask", "own.safetensors", *SMALL, "--out", "own").code == 0
    found = json.loads(Path("own/results.json").read_text())
    numbers = [one["clean"]["value"] for one in found["masks"]]
    assert numbers[0] == numbers[2] == pytest.approx(right(plain, examples))
    assert numbers[1] < 0.4 < numbers[0]
    assert [one["mask"] for one in found["masks"]] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert not Path("own/model.safetensors").exists()


def test_normalisation_is_part_of_both_models(frenemy: Frenemy, pair: tuple[Path, Path]) -> None:
    more = ("--mean", 0.5, "--std", 0.5, "--points", 1, "--examples", 10, "--out", "scaled")
    assert frenemy("mask", *pair, *SMALL[:-2], *more).code == 0
    found = json.loads(Path("scaled/results.json").read_text())
    examples = Digits("test")().take(slice(0, 10))
    model = build(str(pair[0]), examples=examples, mean=0.5, std=0.5)[0]
    assert found["masks"][0]["clean"]["value"] == pytest.approx(right(model, examples))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "expected the weights of two models after frenemy mask, or of one with masks, got 0 words"),
        ("A B A", "got 3 words"),
        ("A", "expected a model with masks, got"),
        ("A A", "expected two models that differ in batch norm, got the same twice"),
        ("A other.safetensors", "got 'stem.0.weight' with 100% of its numbers changed"),
        ("A none.safetensors", "got 'none.safetensors' which does not exist"),
        ("A B --attack pgd(loss=ce)", "expected more than plain steps on cross-entropy"),
        ("A B --attack fgsm(loss=ce),pgd(loss=ce)", "expected more than plain steps on cross-entropy"),
        ("A B --statistics mean", "unknown statistics 'mean'"),
        ("A B --points 0", "expected --points to be a whole number of 1 or more"),
        ("A B --model lenet", "expected weights of LeNet, got model.safetensors of CIFARResNet"),
        ("A B --effort hard", "unknown effort 'hard'"),
        ("flat.safetensors flat.safetensors", "expected a model with batch norm, got Linear without any"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(
    frenemy: Frenemy, pair: tuple[Path, Path], line: str, said: str
) -> None:
    other, flat = initialise(CIFARResNet(1, 10, 8, 4), Key(5)), initialise(Linear(64, 10), Key(0))
    save(other, "other.safetensors", config_of(other))
    save(flat, "flat.safetensors", config_of(flat))
    names = {"A": str(pair[0]), "B": str(pair[1])}
    words = [names.get(word, word) for word in line.split()]
    given = [str(word) for word in SMALL]
    cut = next((k for k, word in enumerate(words) if word.startswith("--")), len(words))
    assert said in frenemy("mask", *words[:cut], *given, *words[cut:]).refusal
