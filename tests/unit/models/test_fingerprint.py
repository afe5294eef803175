"""Fingerprint: what it sees of a model and what it does not."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from frenemy.models.counted import Counted
from frenemy.models.files import fingerprint
from frenemy.models.model import Model


def test_the_fingerprint_sees_weights_and_not_moods() -> None:
    conv, norm = nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4)
    module = nn.Sequential(conv, norm)
    first = fingerprint(module)
    module.eval().requires_grad_(False)
    conv.weight.data = conv.weight.data.contiguous(memory_format=torch.channels_last)
    assert not conv.weight.is_contiguous()
    assert fingerprint(module) == first
    assert norm.running_mean is not None
    norm.running_mean[2] += 1
    assert fingerprint(module) != first
    norm.running_mean[2] -= 1
    assert fingerprint(module) == first
    assert fingerprint(module.double()) != first


def holding(name: str, tensor: Tensor) -> nn.Module:
    module = nn.Module()
    module.register_buffer(name, tensor)
    return module


def test_the_fingerprint_sees_classes_names_shapes_and_dtypes() -> None:
    weight = torch.zeros(2, 2)
    models: list[Model] = [
        *(nn.Sequential(nn.ReLU()), nn.Sequential(nn.Tanh()), nn.ReLU(), Counted(nn.ReLU())),
        *(holding("a", weight), holding("b", weight), holding("a", weight.reshape(4))),
        *(holding("a", weight.to(torch.bfloat16)), torch.sin, torch.cos),
    ]
    assert len({fingerprint(model) for model in models}) == len(models)
    assert [fingerprint(model) for model in models] == [fingerprint(model) for model in models]


def test_the_fingerprint_takes_scalars_and_empty_tensors() -> None:
    for tensor in (torch.empty(0, 3), torch.tensor(1), torch.tensor(True)):
        assert len(fingerprint(holding("a", tensor))) == 64
