"""Hugging Face: what transformers answers after its processor, from a directory; nothing else is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn

import frenemy
from frenemy.errors import ModelError
from frenemy.models.build import build
from frenemy.models.huggingface import huggingface
from frenemy.models.still import still
from frenemy.rng import Key

DIGITS = frenemy.load("digits", examples=12)


def saved(folder: Path, **told: Any) -> nn.Module:
    """A small residual network for the digits, with a processor beside it."""
    small: dict[str, Any] = {
        "embedding_size": 4,
        "hidden_sizes": [4, 8],
        "depths": [1, 1],
        "layer_type": "basic",
    }
    small |= {"num_channels": 1, "num_labels": 10}
    settings = transformers.ResNetConfig(**small)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = transformers.ResNetForImageClassification(settings)
    model.save_pretrained(folder)
    if told:
        (folder / "preprocessor_config.json").write_text(json.dumps(told))
    net: nn.Module = model.eval()
    return net


@pytest.mark.parametrize(
    "told",
    [
        {
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": [0.3],
            "image_std": [0.2],
        },
        {"do_rescale": True, "rescale_factor": 1 / 127.5, "do_normalize": False},
        {"do_rescale": False, "do_normalize": True, "image_mean": [90.0], "image_std": [40.0]},
    ],
)
def test_answers_are_those_after_the_processor(tmp_path: Path, told: dict[str, Any]) -> None:
    theirs = saved(tmp_path, image_processor_type="ViTImageProcessor", do_resize=False, **told)
    model, name = build(f"hf:{tmp_path}", examples=DIGITS)
    x = DIGITS.batch().x
    pixels = np.round(255 * x.numpy()).clip(0, 255)
    value = pixels * (told["rescale_factor"] if told["do_rescale"] else 1.0)
    if told["do_normalize"]:
        value = (value - told["image_mean"][0]) / told["image_std"][0]
    with still(theirs):
        expected = theirs(pixel_values=torch.tensor(value, dtype=torch.float32)).logits
    torch.testing.assert_close(
        model(torch.tensor(pixels / 255, dtype=torch.float32)), expected, rtol=1e-4, atol=1e-4
    )
    assert name == tmp_path.name


def test_an_audit_follows_its_gradients(tmp_path: Path) -> None:
    saved(tmp_path, do_resize=True, size={"height": 224, "width": 224}, do_normalize=False)
    model, _ = build(f"hf:{tmp_path}", examples=DIGITS)
    assert "its processor would bring images to 224 x 224; they are taken as they are" in model.notes
    x = DIGITS.batch().x.requires_grad_()
    with still(model):
        (slope,) = torch.autograd.grad(model(x).square().sum(), x)
    assert bool((slope.flatten(1).abs().amax(1) > 0).all())
    audit = frenemy.audit(model, DIGITS, threat="linf:0.3", effort="quick", curve=0)
    assert audit["accuracy_adversarial"].value <= audit["accuracy_clean"].value


def test_the_inputs_are_as_they_are_without_a_processor(tmp_path: Path) -> None:
    theirs = saved(tmp_path)
    model, _ = build(f"hf:{tmp_path}", examples=DIGITS)
    assert "no processor lies beside the model; inputs are not normalised" in model.notes
    x = Key(0).uniform(torch.arange(3), (1, 8, 8))
    assert torch.equal(model(x), theirs(pixel_values=x).logits)


def test_what_is_no_classifier_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"got: .*hf download"):
        huggingface(str(tmp_path / "nowhere"))
    (tmp_path / "config.json").write_text('{"model_type": "bert", "vocab_size": 3}')
    with pytest.raises(ModelError, match="expected an image classifier"):
        huggingface(str(tmp_path))
    folder = tmp_path / "offset"
    saved(folder, rescale_offset=True)
    with pytest.raises(ModelError, match="got one with an offset"):
        huggingface(str(folder))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    model = saved(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        huggingface(str(tmp_path))
