"""Substitute: what is asked, when, and what is learned of it, against the algorithm by hand and the teacher itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.oracles import linear_net
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from frenemy.data.digits import Digits
from frenemy.data.examples import Examples
from frenemy.errors import ModelError, UsageError
from frenemy.models.answers import Answers
from frenemy.models.build import initialise
from frenemy.models.counted import Counted
from frenemy.models.files import config_of, save
from frenemy.models.mlp import MLP
from frenemy.models.predictor import Predictor
from frenemy.risks.transfer import transfer
from frenemy.rng import Key
from frenemy.threats.linf import Linf
from frenemy.training import substitute
from frenemy.training.engine import Engine
from frenemy.training.fit import fit
from frenemy.training.memory import Memory
from frenemy.training.pose import Pose
from frenemy.training.recipe import Views
from frenemy.training.regime import Regime
from frenemy.training.standard import Standard
from frenemy.training.substitute import Substitute

STEP = 0.15


def some(rows: int = 8) -> Examples:
    index = torch.arange(30, 30 + rows)
    return Examples("some", Key(4).uniform(index, (6,)), index % 3, ("a", "b", "c"), index=index)


def taught(monkeypatch: pytest.MonkeyPatch, teacher: Any) -> Counted:
    """Let every teacher be this one, and count what it is asked."""
    counted = Counted(teacher)
    monkeypatch.setattr(substitute, "build", lambda spec, examples: (Answers(counted), spec))
    return counted


def seen(recipe: Substitute, model: nn.Module, memory: Memory, rows: slice = slice(None)) -> Views:
    batch = some().batch(rows)
    with Pose(model)() as posed:
        return recipe.views(posed, batch, threat=Linf(0.1), memory=memory, key=Key(0))


def remembering(recipe: Substitute) -> Memory:
    memory = Memory(some().index)
    recipe.remember(memory, some(), 4)
    return memory


@pytest.mark.parametrize("gives", ["labels", "scores"])
def test_points_and_answers_are_those_of_the_algorithm(gives: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For an affine model the slope of a logit is a row of its weights, so that every point is known."""
    teacher, model = linear_net(6, 3, Key(1)), linear_net(6, 3, Key(2))
    counted = taught(monkeypatch, teacher)
    recipe = Substitute(teacher="any", gives=gives, rounds=2, every=2, step=STEP)
    memory, x = remembering(recipe), some().x
    weight = model.layer.weight.detach()
    points: list[Tensor] = [x]
    with torch.no_grad():
        for _ in range(2):
            way = weight[teacher(points[-1]).argmax(1)].sign()
            points.append((points[-1] + STEP * way).clamp(0, 1))
        logits = [teacher(point) for point in points]
    for epoch in range(6):
        memory.epoch = epoch
        views, rounds = seen(recipe, model, memory), 1 + min(epoch // 2, 2)
        assert len(views.x) == rounds
        for number, (point, answer) in enumerate(zip(points[:rounds], logits, strict=False)):
            torch.testing.assert_close(views.x[f"point {number}"], point)
            said = answer.softmax(1) if gives == "scores" else one_hot(answer.argmax(1), 3).float()
            torch.testing.assert_close(views.labels[f"point {number}"], said)
        assert counted.counts.forwards == 8 * rounds
        assert float(views.facts["asked"].mean()) == (1.0 if epoch in (0, 2, 4) else 0.0)
        terms = recipe.terms(model, some().batch(), views, memory)
        assert sum(term.weight for term in terms.values()) == pytest.approx(1)
    expected = cross_entropy(model(points[2]), views.labels["point 2"], reduction="none")
    torch.testing.assert_close(terms["point 2"].loss, expected)


def test_a_row_that_missed_a_round_catches_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of one row may be left out of an epoch; it gets the points of the others afterwards."""
    counted = taught(monkeypatch, linear_net(6, 3, Key(1)))
    recipe, model = Substitute(teacher="any", rounds=2, every=1, step=STEP), linear_net(6, 3, Key(2))
    always, late = remembering(recipe), remembering(recipe)
    for epoch in range(3):
        always.epoch = late.epoch = epoch
        whole = seen(recipe, model, always)
        if epoch != 1:
            behind = seen(recipe, model, late)
    for name, x in whole.x.items():
        assert torch.equal(x, behind.x[name])
    assert behind.facts["asked"].tolist() == [2.0] * 8
    assert counted.counts.forwards == 2 * 8 * 3


def test_without_a_teacher_the_labels_are_its_answers() -> None:
    data = Digits("train")().take(slice(0, 60))
    regime = Regime(epochs=2, batch_size=20)

    def trained(recipe: Any) -> nn.Module:
        return fit(recipe, initialise(MLP(64, (8,), 10), Key(1)), data, key=Key(2), regime=regime).model

    one, other = trained(Substitute()), trained(Standard())
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name])


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A perceptron that knows the digits."""
    model = initialise(MLP(64, (32,), 10), Key(1))
    fitted = fit(Standard(), model, Digits("train")(), key=Key(2), regime=Regime(epochs=15, rate=3e-3))
    file = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save(fitted.model, file, config_of(fitted.model))
    return file


def test_attacks_on_what_it_taught_reach_the_teacher(teacher: Path) -> None:
    """From 200 examples and 800 questions for labels, points turn the teacher that random points leave alone."""
    data = Digits("train")().take(slice(0, 200))
    recipe = Substitute(teacher=str(teacher), rounds=3, every=10, step=0.1)
    own = initialise(MLP(64, (24,), 10), Key(5))
    fitted = fit(recipe, own, data, key=Key(6), regime=Regime(epochs=50, batch_size=32, rate=3e-3))
    assert sum(entry["facts"]["asked"] for entry in fitted.history) == 4
    assert fitted.history[-1]["facts"]["agrees"] > 0.97
    from frenemy.models.build import build

    test = Digits("test")().take(slice(0, 150))
    models = {"teacher": build(str(teacher), examples=test)[0], "substitute": fitted.model}
    found = transfer(models, test, threat="linf:0.2", objectives=("untargeted",))[0]
    assert found.sources == ("teacher", "substitute", "random points")
    passed, random = found.rate(1, 0), found.rate(2, 0)
    assert passed.low > random.high
    assert passed.value > 0.4


def test_a_teacher_without_gradients_teaches(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("a", "b", "c")
    taught(monkeypatch, Predictor(lambda rows: [names[int(9 * row[0]) % 3] for row in rows], "labels", names))
    memory = remembering(Substitute(teacher="any", rounds=1, every=1))
    views = seen(Substitute(teacher="any"), linear_net(6, 3, Key(2)), memory)
    expected = (9 * some().x[:, 0]).long() % 3
    assert torch.equal(views.labels["point 0"].argmax(1), expected)


def test_processes_agree_on_numbers_of_any_shape() -> None:
    """Each row comes from the process that touched it; what nobody touched stays."""
    before = torch.arange(12.0).reshape(6, 2)
    touched = [torch.tensor([k in rows for k in range(6)]) for rows in ((0, 3), (1,))]
    own = [torch.where(mark[:, None], before + 100 * (rank + 1), before) for rank, mark in enumerate(touched)]
    other = iter([touched[1].float()[:, None], torch.where(touched[1][:, None], own[1], 0.0)])
    rows = own[0].clone()
    where = Engine(torch.device("cpu"), rank=0, world=2, summed=lambda tensor: tensor + next(other))
    where.agree(rows, touched[0])
    expected = before + torch.tensor([100.0, 200, 0, 100, 0, 0])[:, None]
    assert torch.equal(rows, expected)


@pytest.mark.parametrize(
    ("settings", "kind", "sentence"),
    [
        ({"gives": "logits"}, UsageError, "unknown answers 'logits'"),
        ({"rounds": -1}, UsageError, "rounds of 0 or more"),
        ({"every": 0}, UsageError, "every of 1 or more"),
        ({"step": -0.1}, UsageError, "expected step to be from 0"),
        ({"teacher": "no.safetensors"}, ModelError, "which does not exist"),
    ],
)
def test_what_cannot_be_used_is_refused(settings: dict[str, Any], kind: type, sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        remembering(Substitute(**settings))


def test_scores_cannot_be_had_of_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = Predictor(lambda rows: [0] * len(rows), "labels", (0, 1, 2))
    monkeypatch.setattr(substitute, "build", lambda spec, examples: (Answers(labels), spec))
    with pytest.raises(UsageError, match="write gives=labels"):
        remembering(Substitute(teacher="any", gives="scores"))
