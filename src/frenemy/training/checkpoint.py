"""Checkpoint: all that a training is, in one file that is whole or the one before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from frenemy.errors import RunError
from frenemy.files import write_atomic

__all__ = ["part", "read", "write"]


def write(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and JSON as one safetensors file; `path` holds the old checkpoint or the new one.

    Raises:
        RunError: it cannot be written; the old one is as it was.
    """
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps(state, sort_keys=True)
    write_atomic(path, safetensors.torch.save(plain, metadata={"training": text}))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read a checkpoint; None where there is none.

    Raises:
        RunError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            state = json.loads((file.metadata() or {})["training"])
            return {name: file.get_tensor(name) for name in list(file.keys())}, state
    except (safetensors.SafetensorError, OSError, KeyError, ValueError) as error:
        why = str(error).split("\n")[0][:120]
        raise RunError(
            f"expected a whole checkpoint in '{path}', got {why}; delete it to begin anew"
        ) from error


def part(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors under `name.`, by the rest of their names."""
    return {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(f"{name}.")}
