"""Predictors that are no torch modules, files of other libraries, and veils: the same answers, checked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Perceptron
from tests.oracles import net

from frenemy.card import Access
from frenemy.data.find import load
from frenemy.errors import ModelError, UsageError
from frenemy.models.answers import Answers
from frenemy.models.build import build
from frenemy.models.predictor import Predictor, estimator
from frenemy.models.veiled import Veiled
from frenemy.rng import Key

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)


def test_an_estimator_gives_its_probabilities_as_logits() -> None:
    fitted = LogisticRegression(max_iter=200).fit(X[:300], Y[:300])
    model = estimator(fitted)
    assert model is not None
    assert model.access is Access.SCORES
    logits = model(torch.from_numpy(X[300:330]).reshape(30, 1, 8, 8))
    np.testing.assert_allclose(logits.softmax(1).numpy(), fitted.predict_proba(X[300:330]), atol=1e-6)
    assert not logits.requires_grad
    assert model(torch.zeros(0, 64)).shape == (0, 10)


def test_an_estimator_without_probabilities_gives_scores_or_labels() -> None:
    scored = Perceptron().fit(X[:300], Y[:300] > 4)
    model = estimator(scored)
    assert model is not None
    logits = model(torch.from_numpy(X[300:330]))
    np.testing.assert_allclose(
        (logits[:, 1] - logits[:, 0]).numpy(), scored.decision_function(X[300:330]), rtol=1e-4, atol=1e-4
    )

    class Plain:
        classes_ = np.array(["ham", "spam"])

        def predict(self, rows: Any) -> Any:
            return self.classes_[(rows[:, 0] > 0).astype(int)]

    labelled = estimator(Plain())
    assert labelled is not None
    assert labelled.access is Access.LABELS
    assert labelled(torch.tensor([[1.0], [-1.0]])).tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert Answers(labelled).shown is Access.LABELS
    assert estimator(torch.nn.Linear(2, 2)) is None
    assert estimator(lambda rows: rows) is None


@pytest.mark.parametrize(
    ("gives", "answer", "said"),
    [
        ("probabilities", np.full((3, 2), 0.5), "one answer for each of 4 rows"),
        ("probabilities", np.full((4, 2), 0.7), "sum to 1"),
        ("probabilities", np.tile([1.5, -0.5], (4, 1)), "sum to 1"),
        ("probabilities", np.full((4, 3), 1 / 3), "2 scores a row"),
        ("scores", np.full((4, 2), "much"), "scores that are numbers"),
        ("labels", np.array([0, 1, 2, 0]), r"labels among 0, 1, got '2'"),
        ("labels", np.array(["cat"] * 4), r"labels among 0, 1, got 'cat'"),
    ],
)
def test_answers_that_are_none_are_said_in_a_sentence(gives: str, answer: Any, said: str) -> None:
    model = Predictor(lambda rows: answer, gives, [0, 1])
    with pytest.raises(ModelError, match=said):
        model(torch.zeros(4, 5))


def test_not_a_number_stays_so_for_its_row_alone() -> None:
    answer = np.array([[0.2, 0.8], [np.nan, 0.5], [0.6, 0.4]])
    logits = Predictor(lambda rows: answer, "probabilities", [0, 1])(torch.zeros(3, 2))
    assert logits.isfinite().all(1).tolist() == [True, False, True]


def test_lightgbm_files_answer_as_the_booster_does(tmp_path: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    data = lightgbm.Dataset(X[:600], Y[:600])
    options = {"objective": "multiclass", "num_class": 10, "verbose": -1, "num_threads": 1, "num_leaves": 7}
    booster = lightgbm.train(options, data, num_boost_round=5)
    booster.save_model(tmp_path / "trees.txt")
    examples = load("digits", examples=20)
    model, name = build(f"lightgbm:{tmp_path / 'trees.txt'}", examples=examples)
    x = examples.batch(slice(0, 20)).x
    np.testing.assert_allclose(model(x).softmax(1), booster.predict(x.flatten(1).numpy()), atol=1e-6)
    assert name == "trees"
    (tmp_path / "other.txt").write_text("no trees here")
    with pytest.raises(ModelError, match="expected a LightGBM text model"):
        build(f"lightgbm:{tmp_path / 'other.txt'}", examples=examples)
    with pytest.raises(ModelError, match="does not exist"):
        build("lightgbm:nowhere.txt", examples=examples)


def test_onnx_files_answer_as_the_module_does(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    inner = net(64, 10, Key(3), torch.float32)
    weights = [p.detach().numpy() for p in inner.parameters()]
    nodes, names, last = [onnx.helper.make_node("Flatten", ["x"], ["h0"])], [], "h0"
    for layer, (weight, bias) in enumerate(zip(weights[::2], weights[1::2])):
        names += [
            onnx.numpy_helper.from_array(weight, f"w{layer}"),
            onnx.numpy_helper.from_array(bias, f"b{layer}"),
        ]
        nodes.append(onnx.helper.make_node("Gemm", [last, f"w{layer}", f"b{layer}"], [f"g{layer}"], transB=1))
        last = f"g{layer}"
        if 2 * layer + 2 < len(weights):
            nodes.append(onnx.helper.make_node("Relu", [last], [f"r{layer}"]))
            last = f"r{layer}"
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [info("x", onnx.TensorProto.FLOAT, ["n", 1, 8, 8])],
        [info(last, onnx.TensorProto.FLOAT, ["n", 10])],
        names,
    )
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, tmp_path / "net.onnx")
    examples = load("digits", examples=20)
    model, _ = build(f"onnx:{tmp_path / 'net.onnx'}", examples=examples)
    x = examples.batch(slice(0, 20)).x
    torch.testing.assert_close(model(x), inner(x).detach(), rtol=1e-4, atol=1e-4)
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="expected an ONNX model"):
        build(f"onnx:{tmp_path / 'bad.onnx'}", examples=examples)


def test_a_missing_library_is_said_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.file").write_text("")
    examples = load("digits", examples=2)
    for library, word, extra in (
        ("lightgbm", "lightgbm", "tables"),
        ("xgboost", "xgboost", "tables"),
        ("onnxruntime", "onnx", "onnx"),
    ):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(ModelError, match=rf'not installed; pip install "frenemy\[{extra}\]"'):
            build(f"{word}:{tmp_path / 'a.file'}", examples=examples)


def test_a_veil_shows_no_more_than_it_says() -> None:
    model = net(5, 4, Key(2))
    x = Key(0).uniform(torch.arange(9), (5,), torch.float64).requires_grad_()
    logits = model(x).detach()
    scores = Veiled(model, Access.SCORES)(x)
    assert torch.equal(scores, logits)
    assert not scores.requires_grad
    labels = Veiled(model, Access.LABELS)(x)
    assert torch.equal(labels, torch.nn.functional.one_hot(logits.argmax(1), 4).double())
    top = Veiled(model, Access.SCORES, top=2)(x)
    chance = logits.softmax(1)
    best = chance.topk(2, dim=1)
    torch.testing.assert_close(top.exp().gather(1, best.indices), best.values)
    torch.testing.assert_close(top.exp().sum(1), torch.ones(9).double())
    rest = top.exp().scatter(1, best.indices, 0.0)
    torch.testing.assert_close(rest.amax(1), (1 - best.values.sum(1)) / 2)
    sick = Veiled(lambda x: torch.full((len(x), 3), torch.nan), Access.LABELS)(x)
    assert bool(sick.isnan().all())
    with pytest.raises(UsageError, match="scores or labels"):
        Veiled(model, Access.GRADIENTS)
