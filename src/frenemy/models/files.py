"""Weights in files: safetensors only, looked at before anything is read, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterable
from inspect import signature
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from frenemy.errors import ModelError
from frenemy.models.masked import Masked
from frenemy.models.model import Model, modules_of

__all__ = ["LIMIT", "config_of", "fingerprint", "load_state", "matching", "read_config", "save"]

LIMIT = 8 * 2**30
"""Most bytes of weights that are read or built."""

_LONGEST_HEADER = 16 * 2**20
_PICKLES = {".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".tar"}
_BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}
_BYTES |= {"I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "C64": 8}


def config_of(module: nn.Module) -> dict[str, object]:
    """Say how to build `module` again: `{"architecture": name, "settings": {...}}`.

    Its settings are the arguments of its constructor, read from the attributes of the same names. A model with masks
    is its model's config and `{"masks": {...}}`.
    """
    if isinstance(module, Masked):
        return config_of(module.model) | {"masks": module.plain()}
    names = signature(type(module)).parameters
    return {
        "architecture": type(module).__name__,
        "settings": {name: getattr(module, name) for name in names},
    }


def save(module: nn.Module, path: str | Path, config: dict[str, object]) -> None:
    """Write the state of `module` as safetensors, with `config` as JSON in the header.

    The bytes go to a file beside `path`, are forced to the disk and renamed, so that `path` holds the old file or
    the new one and never a part. The same state and config give the same bytes.

    Args:
        module: its parameters and persistent buffers are written.
        path: ends in `.safetensors`; missing folders are made.
        config: what `config_of` gives, or anything that JSON can hold.

    Raises:
        ModelError: `path` has another ending, or JSON cannot hold `config`.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ModelError(f"expected a file name that ends in .safetensors, got '{path}'; rename it")
    try:
        text = json.dumps(config, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"expected a config that JSON can hold, got {config}: {error}; keep plain values"
        ) from error
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in _tensors(module).items()}
    content = safetensors.torch.save(state, metadata={"frenemy": text})
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_config(path: str | Path) -> dict[str, object]:
    """Read the config that `save` wrote; empty for a safetensors file of other origin.

    Raises:
        ModelError: the file cannot be used, as in `load_state`.
    """
    metadata = _header(Path(path)).get("__metadata__")
    text = metadata.get("frenemy", "{}") if isinstance(metadata, dict) else "{}"
    try:
        config = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise _damaged(Path(path), "its config is not JSON") from error
    return config if isinstance(config, dict) else {}


def matching(module: nn.Module, path: str | Path, partial: bool = False) -> list[str]:
    """Say which tensors of `module` the file holds in the right shape, from its header alone.

    Args:
        module: may stand on the meta device.
        path: a safetensors file.
        partial: take what fits, instead of asking for every tensor and no other.

    Raises:
        ModelError: the file cannot be used (see `load_state`), or the names or shapes differ; with `partial`,
            nothing at all fits.
    """
    header = {name: entry for name, entry in _header(Path(path)).items() if name != "__metadata__"}
    wanted = {name: list(tensor.shape) for name, tensor in _tensors(module).items()}
    found = {name: entry["shape"] for name, entry in header.items()}
    fits = [name for name, shape in wanted.items() if found.get(name) == shape]
    shapes = (
        f"{name} {found[name]} for {wanted[name]}" for name in wanted if name in found and name not in fits
    )
    faults = {
        "missing": _few(name for name in wanted if name not in found),
        "unexpected": _few(name for name in found if name not in wanted),
        "of another shape": _few(shapes),
    }
    if (partial and fits) or not any(faults.values()):
        return fits
    told = ", ".join(f"{fault}: {names}" for fault, names in faults.items() if names)
    kind = type(module).__name__
    fix = f"take the settings that {kind} was trained with" if partial else "give --partial to load what fits"
    raise ModelError(f"expected the weights of {kind}, got {Path(path).name} with tensors {told}; {fix}")


def load_state(module: nn.Module, path: str | Path, partial: bool = False) -> list[str]:
    """Load a safetensors file into `module`; nothing of it moves if anything is wrong.

    Pickles are never opened. The header is checked first: declared sizes against the file and against 8 GiB,
    shapes against the module. Numbers are cast to the dtype of the module.

    Args:
        module: whose parameters and persistent buffers are overwritten.
        path: a safetensors file.
        partial: load what fits by name and shape and leave the rest of the module as it is.

    Returns:
        Names of the module's tensors that were left as they were.

    Raises:
        ModelError: the file is missing, a pickle, empty, truncated, damaged or too large; names or shapes
            differ; a weight is not finite.
    """
    path = Path(path)
    names = matching(module, path, partial)
    own = _tensors(module)
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            state = {name: file.get_tensor(name).to(own[name].dtype) for name in names}
    except (safetensors.SafetensorError, OSError, RuntimeError) as error:
        raise _damaged(path, str(error).split("\n")[0]) from error
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            raise _damaged(path, f"its header gives two shapes for '{name}'")
        if count := _not_finite(tensor):
            raise ModelError(
                f"expected finite weights, got {count} that are not in '{name}' of {path.name}; train the model again"
            )
    module.load_state_dict(state, strict=False)
    return [name for name in own if name not in state]


def fingerprint(model: Model) -> str:
    """Hash what a model is: SHA-256 over the classes of its modules and over its parameters and buffers.

    Names, shapes, dtypes and bytes count; training mode, gradients, device and memory format do not. The code
    of the classes is not seen, and a plain function shows its qualified name only.
    """
    digest = hashlib.sha256(type(model).__name__.encode())
    if not isinstance(model, nn.Module):
        digest.update(str(getattr(model, "__qualname__", "")).encode())
    digest.update(json.dumps([type(module).__name__ for module in modules_of(model)]).encode())
    if isinstance(model, nn.Module):
        tensors = [
            *model.named_parameters(remove_duplicate=False),
            *model.named_buffers(remove_duplicate=False),
        ]
        for name, tensor in sorted(tensors, key=lambda pair: pair[0]):
            digest.update(json.dumps([name, list(tensor.shape), str(tensor.dtype)]).encode())
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)}


def _not_finite(tensor: Tensor) -> int:
    return int((~(tensor.float() if tensor.element_size() == 1 else tensor).isfinite()).sum())


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")


def _damaged(path: Path, why: str) -> ModelError:
    size = path.stat().st_size
    return ModelError(
        f"expected a whole safetensors file, got {path.name} of {size} bytes: {why}; fetch it again"
    )


def _header(path: Path) -> dict[str, dict[str, object]]:
    if path.suffix.lower() in _PICKLES:
        raise ModelError(
            f"expected safetensors, got the pickle {path.name}, which can run code when it is opened; convert it "
            f"where you trust it: safetensors.torch.save_file(torch.load('{path.name}', weights_only=True), "
            f"'{path.stem}.safetensors')"
        )
    if path.suffix.lower() != ".safetensors":
        raise ModelError(f"expected a file name that ends in .safetensors, got '{path}'; convert the weights")
    if not path.is_file():
        raise ModelError(f"expected a safetensors file, got '{path}' which does not exist; check the path")
    with path.open("rb") as file:
        size, start = os.fstat(file.fileno()).st_size, file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(size - 8, _LONGEST_HEADER):
            raise _damaged(path, "it is empty" if not start else f"its header cannot be {length} bytes long")
        text = file.read(length)
    try:
        header = json.loads(text)
        tensors = [(name, entry) for name, entry in header.items() if name != "__metadata__"]
        sizes = {name: math.prod(entry["shape"]) * _BYTES[entry["dtype"]] for name, entry in tensors}
        spans = {name: entry["data_offsets"][1] - entry["data_offsets"][0] for name, entry in tensors}
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise _damaged(path, "its header does not describe tensors") from error
    lies = [name for name in sizes if sizes[name] != spans[name] or sizes[name] < 0]
    if lies or sum(sizes.values()) > size - 8 - length:
        raise _damaged(path, f"it declares more or less than it holds{f' in {_few(lies)}' if lies else ''}")
    if sum(sizes.values()) > LIMIT:
        raise ModelError(
            f"expected at most 8 GiB of weights, got {sum(sizes.values()) / 2**30:.1f} in {path.name}"
        )
    return dict(header)
