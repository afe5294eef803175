"""Answers: what models give back, and what becomes of it."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from frenemy.errors import ModelError
from frenemy.models.answers import Answers, like_probabilities

Pair = namedtuple("Pair", ["hidden", "logits"])
X = torch.linspace(-1, 1, 12).reshape(4, 3)


def logits_of(x: Tensor) -> Tensor:
    return torch.stack([x.sum(1), (x * x).sum(1)], 1)


WAYS: dict[str, Any] = {
    "tensor": lambda z: z,
    "tuple": lambda z: (z,),
    "list": lambda z: [z],
    "tuple with a loss": lambda z: (z.sum(), z),
    "tuple with an image": lambda z: (z, z[:, :, None]),
    "dict": lambda z: {"logits": z, "features": z * 2},
    "dict of one": lambda z: {"scores": z},
    "ordered dict": lambda z: OrderedDict(loss=z.sum(), out=z),
    "named tuple": lambda z: Pair(z * 2, z),
    "object": lambda z: SimpleNamespace(loss=None, logits=z),
}


@pytest.mark.parametrize("way", WAYS)
def test_logits_are_found_and_gradients_flow(way: str) -> None:
    model = Answers(lambda x: WAYS[way](logits_of(x)))
    x = X.clone().requires_grad_()
    assert torch.equal(model(x), logits_of(X))
    (gradient,) = torch.autograd.grad(model(x).sum(), x)
    torch.testing.assert_close(gradient, 1 + 2 * X)
    assert bool(model.notes) == (way not in ("tensor",))


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("1", lambda z: (2 * z, z)),
        ("main", lambda z: {"main": z, "aux": 2 * z}),
        ("hidden", lambda z: Pair(z, 2 * z)),
        ("head", lambda z: SimpleNamespace(logits=2 * z, head=z)),
    ],
)
def test_a_named_output_is_taken(output: str, answer: Any) -> None:
    assert torch.equal(Answers(lambda x: answer(logits_of(x)), output)(X), logits_of(X))


@pytest.mark.parametrize(
    ("answer", "came"),
    [
        (lambda z: (z, 2 * z), "a tuple of 0: a float32 tensor of shape"),
        (lambda z: {"a": z, "b": z}, "a dict of a: a float32 tensor of shape"),
        (lambda z: {"a": z.sum()}, r"a dict of a: a float32 tensor of shape \(\)"),
        (lambda z: None, "got None"),
        (lambda z: "cat", "got a str"),
        (lambda z: z.detach().numpy(), "got a ndarray"),
        (lambda z: [], "got a list"),
        (lambda z: z.argmax(1), r"at least 2 classes, got a int64 tensor of shape \(4,\)"),
        (lambda z: z.long(), "got a int64 tensor"),
        (lambda z: z[:, :1], r"got a float32 tensor of shape \(4, 1\)"),
        (lambda z: z[:, 0], r"got a float32 tensor of shape \(4,\)"),
        (lambda z: z[:3], r"got a float32 tensor of shape \(3, 2\)"),
        (lambda z: z[:, :, None], r"got a float32 tensor of shape \(4, 2, 1\)"),
        (lambda z: SimpleNamespace(logits=3), "got a int"),
    ],
)
def test_anything_else_is_named_with_the_fix(answer: Any, came: str) -> None:
    with pytest.raises(ModelError, match=came) as caught:
        Answers(lambda x: answer(logits_of(x)))(X)
    assert "--output NAME" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda z: {"main": z, "aux": z}, "did you mean 'main'"),
        (lambda z: (z, z), "known: 0, 1"),
        (lambda z: SimpleNamespace(main=z), "did you mean 'main'"),
        (lambda z: z, "leave --output out"),
        (lambda z: {"mian": "cat"}, "got a str in 'mian'"),
    ],
)
def test_a_wrong_output_name_is_answered(answer: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Answers(lambda x: answer(logits_of(x)), "mian")(X)


def test_what_cannot_be_called_is_no_model() -> None:
    with pytest.raises(ModelError, match="can be called with a batch of inputs, got a dict"):
        Answers({"weights": X})


class InPlace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x.sub_(0.5).div_(0.25)
        return logits_of(x)


@pytest.mark.parametrize("wants", [False, True])
def test_a_model_that_works_in_place_does_no_harm(wants: bool) -> None:
    x = X.clone().requires_grad_(wants)
    model = Answers(InPlace())
    scaled = (X - 0.5) / 0.25
    for _ in range(2):
        torch.testing.assert_close(model(x), logits_of(scaled))
    assert torch.equal(x.detach(), X)
    assert x._version == 0
    assert model.notes == ["the model changes its input in place; it is given a copy"]
    if wants:
        (gradient,) = torch.autograd.grad(model(x).sum(), x)
        torch.testing.assert_close(gradient, (1 + 2 * scaled) / 0.25)


def test_changes_behind_autograd_do_no_harm() -> None:
    def sly(x: Tensor) -> Tensor:
        x.detach().numpy()[:] = 0
        return logits_of(x)

    x = X.clone()
    Answers(sly)(x)
    assert torch.equal(x, X)


def test_inference_mode_works() -> None:
    with torch.inference_mode():
        assert torch.equal(Answers(logits_of)(X.clone()), logits_of(X))


@pytest.mark.parametrize(
    ("asked", "weights", "given"),
    [
        (torch.float32, torch.float32, torch.float32),
        (torch.float32, torch.float64, torch.float32),
        (torch.float64, torch.float64, torch.float64),
        (torch.float64, torch.float32, torch.float32),
        (torch.float32, torch.bfloat16, torch.float32),
    ],
)
def test_precisions_meet(asked: torch.dtype, weights: torch.dtype, given: torch.dtype) -> None:
    inner = nn.Linear(3, 2).to(weights)
    model, x = Answers(inner), X.to(asked).requires_grad_()
    logits = model(x)
    assert logits.dtype == given
    assert torch.equal(logits, inner(X.to(weights)).to(given))
    (gradient,) = torch.autograd.grad(logits.sum(), x)
    assert gradient.dtype == asked
    assert bool(model.notes) == (asked != weights)


def test_a_model_cut_off_from_its_input_is_noted() -> None:
    model = Answers(lambda x: logits_of(x.detach()))
    model(X.clone().requires_grad_())
    assert model.notes == ["no gradient flows from the logits to the input"]


def test_notes_are_kept_once_and_cannot_be_changed_from_outside() -> None:
    model = Answers(logits_of)
    model.note("a")
    model.note("a")
    model.notes.append("b")
    assert model.notes == ["a"]


def test_exceptions_of_the_model_pass_unchanged() -> None:
    def broken(x: Tensor) -> Tensor:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        Answers(broken)(X)


def test_probabilities_pass_as_their_logarithm() -> None:
    """Equal to log softmax of the logits behind them, and finite where a probability is 0."""
    logits = torch.tensor([[1.0, -2.0, 0.5], [300.0, 0.0, -300.0]])
    answers = Answers(lambda x: logits.softmax(1))
    answers.soft = True
    torch.testing.assert_close(answers(torch.zeros(2, 3))[0], logits.log_softmax(1)[0])
    assert answers(torch.zeros(2, 3)).isfinite().all()


@pytest.mark.parametrize(
    ("rows", "like"),
    [
        ([[0.2, 0.8], [1.0, 0.0]], True),
        ([[0.2, 0.8], [1.0, 0.1]], False),
        ([[-0.5, 1.5]], False),
        ([], False),
    ],
)
def test_probabilities_are_told_by_their_range_and_their_sum(rows: list[list[float]], like: bool) -> None:
    assert like_probabilities(torch.tensor(rows).reshape(-1, 2)) is like
