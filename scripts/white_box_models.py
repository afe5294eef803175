"""Train the models of the white-box tables: plain, robust, and with masked gradients, on MNIST and CIFAR-10.

    python scripts/white_box_models.py --data-dir DIR [--device cuda] [NAME ...]

Weights go to runs/white-box/NAME.safetensors; a model whose weights are there is not trained again. On two CPU cores
the robust models take ten minutes (LeNet) to two hours (ResNet; half an hour the brief one, which only speed is
measured on). CIFAR-10 is read in full if it is there; where
only the exact pixels of its first 4,000 training images lie, JPEG copies of all (cifar10_jpeg75_streams.npz) are
trained on, and the exact pixels are kept for testing.
"""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

import frenemy
from frenemy.data.examples import Examples
from frenemy.errors import DataError
from frenemy.models.build import initialise
from frenemy.models.convnets import LeNet
from frenemy.models.files import load_state, save
from frenemy.models.mlp import MLP
from frenemy.models.resnets import ResNet18
from frenemy.training.alphamix import AlphaMix
from frenemy.training.fit import fit
from frenemy.training.pgdat import PGDAT
from frenemy.training.recipe import Recipe
from frenemy.training.regime import Regime
from frenemy.training.standard import Standard

RUNS: Final = Path("runs/white-box")


@dataclass(frozen=True)
class Kind:
    """A model of the tables: architecture, data, the eps it is judged at, and how it is trained.

    `start` names the model whose weights it begins with, `rows` how many training images it sees.
    """

    make: Callable[[], nn.Module]
    data: str
    eps: float
    regime: dict[str, Any] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Standard)
    start: str | None = None
    rows: int | None = None


def narrow() -> nn.Module:
    """Give the ResNet-18 with a quarter of the usual channels."""
    return ResNet18(width=16)


_PGD: Final = PGDAT(steps=15, step_size=0.1)
_TEN: Final = PGDAT(steps=10, step_size=0.2)
_SHORT: Final = PGDAT(steps=7)
_FGSM: Final = AlphaMix(alpha=0.0)
KINDS: Final = {
    "lenet-plain": Kind(LeNet, "mnist", 0.3, {"epochs": 6}),
    "lenet-robust": Kind(LeNet, "mnist", 0.3, {"epochs": 6}, _TEN, "lenet-plain", 10_000),
    "lenet-smooth": Kind(LeNet, "mnist", 0.3, {"epochs": 12}, Standard(smoothing=0.5)),
    "lenet-fgsm": Kind(LeNet, "mnist", 0.3, {"epochs": 8}, _FGSM),
    "mlp-robust": Kind(MLP, "mnist", 0.1, {"epochs": 10, "batch_size": 512}, _PGD),
    "resnet-plain": Kind(narrow, "cifar10", 8 / 255, {"epochs": 8, "batch_size": 512}),
    "resnet-robust": Kind(narrow, "cifar10", 8 / 255, {"epochs": 7, "batch_size": 512}, _SHORT),
    "resnet-brief": Kind(
        narrow,
        "cifar10",
        8 / 255,
        {"epochs": 3, "batch_size": 256, "attack_precision": "bfloat16"},
        _SHORT,
    ),
}


def trained(name: str, device: str = "cpu", data_dir: str | None = None) -> nn.Module:
    """Give the model called `name`, from its weights or by training it."""
    kind, weights = KINDS[name], RUNS / f"{name}.safetensors"
    model = initialise(kind.make(), frenemy.Key(0).fold(name)).to(device)
    if weights.exists():
        load_state(model, weights)
        return model.eval()
    weights.parent.mkdir(parents=True, exist_ok=True)
    if kind.start:
        model.load_state_dict(trained(kind.start, device, data_dir).state_dict())
    train = (
        frenemy.load("mnist", data_dir=data_dir, split="train") if kind.data == "mnist" else cifar(data_dir)
    )

    if kind.rows:
        train = train.take(torch.arange(kind.rows))
    plain = isinstance(kind.recipe, Standard)
    fitted = fit(
        kind.recipe,
        model,
        train,
        key=frenemy.Key(0).fold("training"),
        threat=None if plain else frenemy.Linf(kind.eps),
        regime=Regime(hold_out=1000 if plain else 0, **kind.regime),
    )
    for entry in fitted.history:
        print(f"{name} epoch {entry['epoch']}: loss {entry['losses']['loss']:.4f}", flush=True)
    save(model, weights, {})
    return model


def cifar(data_dir: str | None) -> Examples:
    """Give CIFAR-10's training images, mirrored copies too; JPEG copies where the originals are not all there."""
    examples = frenemy.load("cifar10", data_dir=data_dir, split="train")
    if len(examples) < 50_000:
        root = Path(data_dir or os.environ.get("FRENEMY_DATA", "."))
        copies = root / "cifar10" / "cifar10_jpeg75_streams.npz"
        if not copies.exists():
            raise DataError(f"expected all of CIFAR-10 or {copies}, got {len(examples)} training images")
        examples = jpegs(copies, examples.classes)
    x = torch.cat([examples.x, examples.x.flip(3)])
    return Examples("cifar10 and its mirror", x, torch.cat([examples.y, examples.y]), examples.classes)


def jpegs(file: Path, classes: tuple[str, ...]) -> Examples:
    """Decode the concatenated JPEG files of the training images."""
    from PIL import Image

    with np.load(file) as held:
        stream, ends, y = held["jpeg_train"].tobytes(), held["offset_train"], held["y_train"]
    x = np.stack([np.asarray(Image.open(io.BytesIO(stream[a:b]))) for a, b in pairwise(ends)])
    pixels = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
    return Examples("cifar10 as JPEG", pixels, torch.from_numpy(y).long(), classes)


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=list(KINDS), metavar="NAME", help=", ".join(KINDS))
    parser.add_argument("--data-dir", default=None)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    for name in options.names:
        trained(name, options.device, options.data_dir)


if __name__ == "__main__":
    main()
