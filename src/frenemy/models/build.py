"""Build: from what a user writes to a model that fits the data."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from frenemy.catalog import Part, catalog
from frenemy.data.examples import Examples
from frenemy.errors import ModelError
from frenemy.models.answers import Answers
from frenemy.models.factory import with_source
from frenemy.models.files import LIMIT, load_state, matching, read_config
from frenemy.models.foreign import foreign
from frenemy.models.masked import Masked, share_of
from frenemy.models.model import Model, device_of
from frenemy.models.scaled import Scaled
from frenemy.models.spec import FORMS, Wanted, architecture, wanted
from frenemy.models.still import still
from frenemy.rng import Key

__all__ = ["build", "fits", "initialise"]

_NAMED = r"\w+(?:\([^@:]*\))?"
"""An architecture, with settings in brackets or without."""


def build(
    spec: str,
    *,
    examples: Examples,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    output: str | None = None,
    partial: bool = False,
    device: torch.device | str = "cpu",
) -> tuple[Answers, str]:
    """Build the model that `spec` names, for these examples, and ask it once.

    Args:
        spec: `ARCH:FILE.safetensors` for weights of an architecture of the catalog; `FILE.safetensors` where the
            file says its architecture; `ARCH@SEED` for random weights; ARCH may have settings in brackets, as
            `cifarresnet(depth=20,width=4)`; `FILE.py:FACTORY` for a model of your own, or for a fitted estimator of
            scikit-learn; `lightgbm:FILE.txt`, `xgboost:FILE.json`, `onnx:FILE.onnx` and `hf:DIRECTORY` (transformers)
            for models of these libraries; an `http://` or `https://` address for one behind it.
        examples: give the shape of an input and the number of classes.
        mean, std: normalisation to put inside the model, in the units of the inputs; 0 and 1 where None.
        output: key, attribute or position of the logits, where the model gives more than one thing.
        partial: load the weights that fit and draw the others at random.
        device: where the model is to stand.

    Returns:
        The model in evaluation mode, with what had to be handled in its `notes`, and a short name for it made of
        letters, digits and `_ . @ -`.

    Raises:
        ModelError: the spec cannot be read, or the model cannot be built, loaded, moved or asked.
    """
    inner, name, notes, source = _resolved(spec, examples, partial)
    if mean is not None or std is not None:
        inner = Scaled(inner, 0.0 if mean is None else mean, 1.0 if std is None else std)
    model = Answers(inner, output)
    if source:
        model.register_buffer("source", torch.tensor(list(source), dtype=torch.uint8), persistent=False)
    for sentence in notes:
        model.note(sentence)
    try:
        model.to(device).eval()
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            f"expected a device that is here, got '{device}': {_first(error)}; try cpu"
        ) from error
    fits(model, examples)
    return model, re.sub(r"[^\w.@-]", "-", name)


def fits(model: Model, examples: Examples) -> None:
    """Ask the model about the first example, and see that it gives one logit for each class.

    Raises:
        ModelError: the model raises on inputs of this shape, or gives another number of classes.
    """
    place = device_of(model)
    shape = tuple(examples.x.shape[1:])
    x = examples.batch(slice(0, 1), place).x if len(examples) else torch.zeros(1, *shape, device=place)
    try:
        with still(model), torch.no_grad():
            logits = model(x)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"expected a model that takes inputs of shape {shape} as in {examples.name}, got "
            f"{type(error).__name__}: {_first(error)}; give the data of the shape that the model was built for"
        ) from error
    got = tuple(getattr(logits, "shape", ()))
    if got != (1, len(examples.classes)):
        raise ModelError(
            f"expected {len(examples.classes)} logits a row, one for each class of {examples.name}, got "
            f"{got[1] if len(got) == 2 else f'shape {got} for one row'}; give the data that the model was built for"
        )


def initialise(module: nn.Module, key: Key) -> nn.Module:
    r"""Draw every weight and bias anew, by key, from the default law of PyTorch.

    `U(-1 / sqrt(fan_in), 1 / sqrt(fan_in))` for the weights and biases of affine maps and convolutions alike,
    which is He's uniform law with `a = sqrt(5)`; normalisation layers get weight 1, bias 0 and fresh statistics.
    A draw depends on the key, the tensor's name and the place in it only; the global generators are untouched.

    Args:
        module: changed in place.
        key: the same key gives the same weights, on any device.

    Returns:
        The module itself.

    Raises:
        ModelError: a layer with parameters is of another kind.
    """
    for name, layer in module.named_modules():
        own = dict(layer.named_parameters(recurse=False))
        if isinstance(layer, nn.Linear | _ConvNd):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            for word, parameter in own.items():
                row = torch.zeros(1, dtype=torch.int64, device=parameter.device)
                draw = key.fold(f"{name}.{word}").uniform(row, tuple(parameter.shape), parameter.dtype)
                with torch.no_grad():
                    parameter.copy_((2 * draw[0] - 1) * bound)
        elif isinstance(layer, _BatchNorm | nn.LayerNorm | nn.GroupNorm):
            layer.reset_parameters()
        elif own:
            raise ModelError(
                f"expected affine maps, convolutions and normalisation layers, got {type(layer).__name__} at "
                f"'{name}'; draw its weights yourself"
            )
    return module


def _resolved(spec: str, examples: Examples, partial: bool) -> tuple[Model, str, list[str], bytes]:
    """Take a spec apart: the model, its short name, what is to be noted, and the hash of its code if it is yours."""
    file, _, factory = spec.rpartition(":")
    if file.endswith(".py"):
        made, source = with_source(file, factory)
        return made, f"{Path(file).stem}.{factory}", [], source
    if spec.endswith(".py"):
        raise ModelError(f"expected FILE.py:FACTORY, got '{spec}'; say which function of it makes the model")
    if seeded := re.fullmatch(rf"({_NAMED})@(-?\d+)", spec):
        kind = wanted(seeded[1])
        settings = kind.settings(examples)
        _construct(kind.part, settings, "meta")
        module = initialise(_construct(kind.part, settings, "cpu"), Key(int(seeded[2])))
        return module, f"{kind.short}@{seeded[2]}", [], b""
    if found := foreign(spec, examples):
        return found
    if named := re.fullmatch(rf"(\w{_NAMED}):(.+)", spec):
        return _loaded(wanted(named[1]), Path(named[2]), examples, partial)
    if Path(spec).suffix and not re.fullmatch(_NAMED, spec):
        if Path(spec).suffix == ".py" or ":" in Path(spec).suffix:
            raise ModelError(f"expected a model as {FORMS}, got '{spec}'")
        return _loaded(None, Path(spec), examples, partial)
    name = wanted(spec).part.name
    raise ModelError(
        f"expected weights for {name}, got none; write {spec}:FILE.safetensors, or {spec}@0 for random weights"
    )


def _loaded(
    kind: Wanted | None, path: Path, examples: Examples, partial: bool
) -> tuple[Model, str, list[str], bytes]:
    config = read_config(path)
    told, settings = config.get("architecture"), config.get("settings")
    if kind is None:
        if not isinstance(told, str):
            raise ModelError(
                f"expected {path.name} to say its architecture, got weights alone; write ARCH:{path} with ARCH one "
                f"of {', '.join(sorted(catalog('models')))}"
            )
        kind = Wanted(architecture(told), told, {})
    elif isinstance(told, str) and told.lower() != kind.part.name.lower():
        raise ModelError(
            f"expected weights of {kind.part.name}, got {path.name} of {told}; write {told.lower()}:{path}"
        )
    if isinstance(settings, dict) and settings:
        known = kind.agreeing(settings, path.name)
    else:
        known = kind.settings(examples)
    matching(_masked(_construct(kind.part, known, "meta"), config.get("masks"), path), path, partial)
    module = _construct(kind.part, known, "cpu")
    if partial:
        initialise(module, Key(0).fold("partial"))
    module = _masked(module, config.get("masks"), path)
    left = load_state(module, path, partial)
    note = f"{len(left)} of {len(module.state_dict())} tensors are not in {path.name} and are drawn at random"
    notes = [f"{note}: {', '.join(left[:5])}"] if left else []
    if isinstance(module, Masked):
        module.wear(module.mask)
        mask = ", ".join(f"{share:.3g}" for share in module.mask.tolist())
        notes.append(
            f"Its batch norm wears the mask ({mask}), p = {share_of(module):.3g}; others were not judged."
        )
    return module, path.stem, notes, b""


def _masked(module: nn.Module, masks: object, path: Path) -> nn.Module:
    """Give a model the masks that its file tells of."""
    if masks is None:
        return module
    known = dict(masks) if isinstance(masks, dict) else {}
    bases, statistics = known.get("bases"), known.get("statistics")
    if type(bases) is not int or not isinstance(statistics, str) or len(known) != 2:
        raise ModelError(
            f"expected {path.name} to tell the bases and the statistics of its masks, got {str(masks)[:80]}; "
            "fetch it again"
        )
    return Masked(module, bases, statistics)


def _construct(part: Part, settings: dict[str, object], place: str) -> nn.Module:
    """Construct on `place`; on "meta" a size that somebody wrote into a file costs no memory yet."""
    try:
        with torch.device(place), torch.random.fork_rng(devices=[]):
            module: nn.Module = part.load()(**settings)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"expected settings that {part.name} takes, got {str(settings)[:200]}: {_first(error)}; mend them"
        ) from error
    size = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    if size > LIMIT:
        raise ModelError(f"expected at most 8 GiB of weights, got {size / 2**30:.1f} for {part.name}")
    return module


def _first(error: BaseException) -> str:
    return (str(error).strip().split("\n") or [""])[0][:200]
