"""Build: from what a user writes to a model that fits the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from frenemy.catalog import catalog
from frenemy.data.examples import Examples
from frenemy.errors import ModelError
from frenemy.models.answers import Answers
from frenemy.models.build import build, fits, initialise
from frenemy.models.convnets import ConvNet
from frenemy.models.files import config_of, fingerprint, save
from frenemy.models.linear import Linear
from frenemy.models.mlp import MLP
from frenemy.rng import Key


def data(shape: tuple[int, ...] = (1, 8, 8), classes: int = 3) -> Examples:
    names = tuple(f"class {n}" for n in range(classes))
    return Examples("blobs", Key(0).uniform(torch.arange(3), shape), torch.tensor([0, 1, 1]), names)


def refused(spec: str | Path, examples: Examples | None = None, partial: bool = False) -> str:
    with pytest.raises(ModelError) as caught:
        build(str(spec), examples=examples or data(), partial=partial)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_random_weights_come_from_the_seed_alone() -> None:
    first, name = build("MLP@3", examples=data())
    torch.rand(5)
    assert name == "MLP@3"
    assert fingerprint(first) == fingerprint(build("mlp@3", examples=data())[0])
    assert fingerprint(first) != fingerprint(build("mlp@4", examples=data())[0])
    assert not first.training
    assert first(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_weights_of_other_origin_take_their_sizes_from_the_data(tmp_path: Path) -> None:
    module = ConvNet(1, 8, 3)
    save_file(module.state_dict(), tmp_path / "my weights.safetensors")
    model, name = build(f"convnet:{tmp_path}/my weights.safetensors", examples=data())
    assert name == "my-weights"
    x = data().batch().x
    assert torch.equal(model(x), module(x))


def test_a_file_with_a_config_needs_no_architecture(tmp_path: Path) -> None:
    module, path = MLP(64, (5, 4), 3), tmp_path / "w.safetensors"
    save(module, path, config_of(module))
    x = data().batch().x
    for spec in (path, f"mlp:{path}", f"MLP:{path}"):
        model, name = build(str(spec), examples=data())
        assert torch.equal(model(x), module(x))
        assert name == "w"
    assert f"got w.safetensors of MLP; write mlp:{path}" in refused(f"linear:{path}")


def test_the_case_of_an_architecture_does_not_matter(tmp_path: Path) -> None:
    save(Linear(64, 3), tmp_path / "w.safetensors", {"architecture": "LINEAR"})
    for spec in ("", "Linear:", "linear:"):
        assert build(f"{spec}{tmp_path}/w.safetensors", examples=data())[1] == "w"


def test_a_misfit_is_refused_before_it_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[torch.device] = []
    init = nn.Linear.__init__

    def watched(layer: nn.Linear, *sizes: Any) -> None:
        init(layer, *sizes)
        places.append(layer.weight.device)

    save(
        Linear(1, 3), tmp_path / "w.safetensors", {"architecture": "Linear", "settings": {"features": 2**20}}
    )
    monkeypatch.setattr(nn.Linear, "__init__", watched)
    assert "of another shape" in refused(tmp_path / "w.safetensors")
    assert [place.type for place in places] == ["meta"]


def test_a_file_without_a_config_is_asked_for_its_architecture(tmp_path: Path) -> None:
    save_file(Linear(64, 3).state_dict(), tmp_path / "w.safetensors")
    assert f"write ARCH:{tmp_path}/w.safetensors" in refused(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"architecture": "Mlq"}, "unknown architecture 'Mlq'; did you mean 'mlp'"),
        ({"architecture": "MLP", "settings": {"depth": 3}}, "unexpected keyword argument 'depth'"),
        ({"architecture": "MLP", "settings": {"hidden": 7}}, "expected settings that MLP takes"),
        ({"architecture": "MLP", "settings": {"hidden": ["many"]}}, "expected settings that MLP takes"),
        ({"architecture": "MLP", "settings": {"hidden": [-3]}}, "expected settings that MLP takes"),
        ({"architecture": "MLP", "settings": {"hidden": [2**40]}}, "at most 8 GiB"),
        ({"architecture": "ResNet18", "settings": {"width": 2**20}}, "at most 8 GiB"),
        ({"architecture": "LeNet", "settings": {"side": 1}}, "at least 4 x 4"),
        ({"architecture": "MLP", "settings": {"hidden": [2]}}, "of another shape"),
    ],
    ids=range(9),
)
def test_a_hostile_config_costs_nothing(tmp_path: Path, config: dict[str, object], said: str) -> None:
    save(MLP(64, (5,), 3), tmp_path / "w.safetensors", config)
    assert said in refused(tmp_path / "w.safetensors")


def test_partial_draws_the_rest_and_notes_it(tmp_path: Path) -> None:
    module = Linear(64, 3)
    save_file({"layer.bias": module.layer.bias.detach()}, tmp_path / "w.safetensors")
    spec = f"linear:{tmp_path}/w.safetensors"
    assert "missing: layer.weight" in refused(spec)
    model, _ = build(spec, examples=data(), partial=True)
    assert model.notes == ["1 of 2 tensors are not in w.safetensors and are drawn at random: layer.weight"]
    assert torch.equal(model.state_dict()["model.layer.bias"], module.layer.bias)
    assert model.state_dict()["model.layer.weight"].abs().max() <= 1 / 8
    assert fingerprint(model) == fingerprint(build(spec, examples=data(), partial=True)[0])


def test_the_normalisation_goes_inside() -> None:
    plain, _ = build("mlp@0", examples=data())
    scaled, _ = build("mlp@0", examples=data(), mean=[0.5], std=0.25)
    shifted, _ = build("mlp@0", examples=data(), mean=0.5)
    x = data().batch().x
    torch.testing.assert_close(scaled(x), plain((x - 0.5) / 0.25))
    torch.testing.assert_close(shifted(x), plain(x - 0.5))


def test_a_factory_is_built_moved_and_noted(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\n\nclass Net(torch.nn.Linear):\n    def forward(self, x):\n        x -= 1\n"
        "        return {'main': super().forward(x.flatten(1)), 'aux': super().forward(x.flatten(1))}\n\n"
        "def make():\n    return Net(64, 3).double()\n"
    )
    model, name = build(f"{tmp_path}/net.py:make", examples=data(), output="main")
    assert name == "net.make"
    assert model.notes == [
        "the model computes in float64; inputs are cast from float32",
        "the model changes its input in place; it is given a copy",
        "the model answers in float64; its logits are judged in float32",
    ]
    assert "--output NAME" in refused(f"{tmp_path}/net.py:make")
    assert "say which function" in refused(tmp_path / "net.py")
    assert "did you mean 'make'" in refused(f"{tmp_path}/net.py:mak")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("lenot", "unknown architecture 'lenot'; did you mean 'lenet'"),
        ("lenot:w.safetensors", "unknown architecture 'lenot'; did you mean 'lenet'"),
        ("lenot@0", "unknown architecture 'lenot'; did you mean 'lenet'"),
        ("lenet", "write lenet:FILE.safetensors, or lenet@0 for random weights"),
        ("lenet@x", "expected a model as"),
        ("", "expected a model as"),
        ("lenet:gone.safetensors", "'gone.safetensors' which does not exist"),
        ("gone.safetensors", "'gone.safetensors' which does not exist"),
        ("lenet:w.pt", "got the pickle w.pt, which can run code"),
        ("w.pth", "got the pickle w.pth, which can run code"),
        ("net.onnx", r"ends in .safetensors, got 'net.onnx'"),
        ("net.txt:make", "expected a model as"),
        ("gone.py:make", "expected a Python file, got 'gone.py' which does not exist"),
        ("gone.py", "expected FILE.py:FACTORY"),
    ],
)
def test_a_spec_that_cannot_be_read_is_answered(spec: str, said: str) -> None:
    assert said in refused(spec)


def test_every_architecture_is_known_by_name() -> None:
    assert all(name in refused("none of them") for name in catalog("models"))


@pytest.mark.parametrize(
    ("spec", "shape"),
    [("lenet@0", (64,)), ("convnet@0", (1, 8, 9)), ("resnet18@0", (8, 8)), ("lenet@0", (8, 8))],
)
def test_data_of_no_image_shape_are_refused(spec: str, shape: tuple[int, ...]) -> None:
    message = refused(spec, data(shape))
    assert f"got inputs of shape {shape} in blobs" in message
    assert "such as mlp" in message


def test_data_of_another_shape_are_named_with_what_the_model_said(tmp_path: Path) -> None:
    module = MLP(60, (5,), 3)
    save(module, tmp_path / "w.safetensors", config_of(module))
    message = refused(tmp_path / "w.safetensors")
    assert "inputs of shape (1, 8, 8) as in blobs, got RuntimeError: mat1 and mat2 shapes" in message


def test_another_number_of_classes_is_named(tmp_path: Path) -> None:
    module = MLP(64, (5,), 7)
    save(module, tmp_path / "w.safetensors", config_of(module))
    message = refused(tmp_path / "w.safetensors")
    assert "expected 3 logits a row" in message
    assert "got 7;" in message


def test_a_device_that_is_not_here_is_named() -> None:
    with pytest.raises(ModelError, match="expected a device that is here, got 'nowhere'"):
        build("mlp@0", examples=data(), device="nowhere")


def test_asking_leaves_no_trace_and_works_without_rows() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).train()
    before = fingerprint(model)
    fits(model, data())
    fits(model, data().take(slice(0, 0)))
    assert fingerprint(model) == before
    assert all(module.training for module in model.modules())


def test_a_plain_function_may_fit() -> None:
    def sums(x: Tensor) -> Tensor:
        return x.flatten(1)[:, :3]

    fits(sums, data())
    fits(Answers(sums), data())
    with pytest.raises(ModelError, match=r"got shape \(3,\) for one row"):
        fits(lambda x: sums(x)[0], data())


def test_layers_of_other_kinds_are_not_left_as_they_are() -> None:
    with pytest.raises(ModelError, match="got Embedding at '1'"):
        initialise(nn.Sequential(nn.Linear(2, 2), nn.Embedding(3, 2)), Key(0))


def test_equal_layers_at_other_places_differ() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    initialise(nn.Sequential(first, second), Key(0))
    assert not torch.equal(first.weight, second.weight)
    assert not torch.equal(first.weight[0], first.bias)
