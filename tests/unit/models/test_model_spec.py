"""Architectures with settings in brackets, as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from frenemy.data.examples import Examples
from frenemy.errors import ModelError
from frenemy.models.build import build
from frenemy.models.cifarresnets import CIFARResNet
from frenemy.models.files import config_of, fingerprint, save
from frenemy.rng import Key

NARROW = {
    "smallcnn": {"width": 4},
    "capacitycnn": {"capacity": 2},
    "cifarresnet": {"depth": 14, "width": 2},
    "preactresnet18": {"width": 2},
    "wideresnet": {"depth": 16, "widen": 2, "width": 2},
    "vgg16": {"width": 2},
}
every = pytest.mark.parametrize("name", NARROW)


def data(shape: tuple[int, ...] = (1, 28, 28), rows: int = 3) -> Examples:
    x, y = Key(0).uniform(torch.arange(rows), shape), torch.arange(rows) % 3
    return Examples("blobs", x, y, ("a", "b", "c"))


def refused(spec: str, examples: Examples | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        build(spec, examples=examples or data())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@every
def test_settings_stand_in_brackets(name: str, tmp_path: Path) -> None:
    settings = ", ".join(f"{word}={value}" for word, value in NARROW[name].items())
    model, short = build(f"{name}({settings})@4", examples=data())
    assert short == "-".join((name, *(f"{word}{value}" for word, value in NARROW[name].items()))) + "@4"
    inner = model.get_submodule("model")
    assert {word: getattr(inner, word) for word in NARROW[name]} == NARROW[name]
    save(inner, tmp_path / "w.safetensors", config_of(inner))
    for spec in ("", f"{name}:", f"{name}({settings}):"):
        again, _ = build(f"{spec}{tmp_path}/w.safetensors", examples=data())
        assert fingerprint(again) == fingerprint(model)


def test_settings_say_the_sizes_of_weights_of_other_origin(tmp_path: Path) -> None:
    module = CIFARResNet(1, 3, 8, 3).eval()
    save(module, tmp_path / "w.safetensors", {})
    model, name = build(f"cifarresnet(depth=8,width=3):{tmp_path}/w.safetensors", examples=data())
    assert name == "w"
    assert torch.equal(model(data().x), module(data().x))
    assert "of another shape" in refused(f"cifarresnet(depth=8):{tmp_path}/w.safetensors")
    save(module, tmp_path / "w.safetensors", config_of(module))
    said = refused(f"cifarresnet(depth=14,width=3):{tmp_path}/w.safetensors")
    assert said == (
        "expected depth of CIFARResNet to be 8 as in w.safetensors, got 14; leave the brackets out"
    )


def test_a_list_and_a_name_with_capitals_are_read() -> None:
    model, short = build("MLP(hidden=(5, 4))@0", examples=data())
    assert short == "MLP-hidden5x4@0"
    assert fingerprint(model) == fingerprint(build("mlp( hidden=[5,4] )@0", examples=data())[0])


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            "cifarresnet(depth=21)@0",
            "expected depth of CIFARResNet to be 6n + 2 from 8 to 1202, got 21; take 20, 32",
        ),
        ("cifarresnet(depth=2)@0", "6n + 2 from 8 to 1202, got 2;"),
        ("cifarresnet(depth=6000002)@0", "6n + 2 from 8 to 1202, got 6000002;"),
        (
            "wideresnet(depth=20)@0",
            "expected depth of WideResNet to be 6n + 4 from 10 to 1000, got 20; take 16",
        ),
        ("wideresnet(widen=0)@0", "expected widen of WideResNet to be at least 1, got 0"),
        ("vgg16(width=-2)@0", "expected width of VGG16 to be at least 1, got -2"),
        ("resnet18(width=0)@0", "expected width of ResNet18 to be at least 1, got 0"),
        ("convnet(width=0)@0", "expected width of ConvNet to be at least 1, got 0"),
        ("preactresnet18(width=1048576)@0", "at most 8 GiB"),
        ("capacitycnn(capacity=0)@0", "expected capacity of CapacityCNN to be 1 to 16, got 0; take 4"),
        ("capacitycnn(capacity=9999999999)@0", "to be 1 to 16, got 9999999999"),
        ("vgg16(widht=2)@0", "unknown setting 'widht' of VGG16; did you mean 'width'?"),
        ("linear(width=2)@0", "unknown setting 'width' of Linear; it has none"),
        ("vgg16(width=2.5)@0", "expected width of VGG16 to be int, got '2.5'"),
        ("vgg16(width=wide)@0", "expected width of VGG16 to be int, got"),
        ("vgg16(width=true)@0", "expected width of VGG16 to be int, got 'True'"),
        (
            "vgg16(2)@0",
            "expected names of architectures, got 'vgg16(2)'; write lenet, or cifarresnet(depth=20",
        ),
        ("vgg16(width=)@0", "expected names of architectures"),
        ("vgg16(width=2),lenet(x=1)@0", "expected one architecture, got 'vgg16(width=2),lenet(x=1)'"),
        ("vgg61(width=2)@0", "unknown architecture 'vgg61'; did you mean 'vgg16'"),
        ("vgg16(width=2)", "write vgg16(width=2):FILE.safetensors, or vgg16(width=2)@0 for random weights"),
        ("vgg16(width=2.5)", "expected width of VGG16 to be int, got '2.5'"),
        ("vgg16(width=2):gone.safetensors", "'gone.safetensors' which does not exist"),
        ("vgg16(classes=3)@0", "VGG16 that are not read off the data, got classes=3; leave classes out"),
        ("vgg16(channels=1,width=2)@0", "got channels=1; leave channels out"),
        ("smallcnn(side=28)@0", "got side=28; leave side out"),
        ("mlp(features=4)@0", "got features=4; leave features out"),
        ("mlp(hidden=7)@0", "expected hidden of MLP to be"),
    ],
)
def test_wrong_settings_are_refused_by_a_sentence(spec: str, said: str) -> None:
    assert said in refused(spec)
