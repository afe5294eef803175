"""Foreign: models of other libraries, and models behind an address, by what a user writes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

from frenemy.data.examples import Examples
from frenemy.errors import ModelError
from frenemy.models.http import endpoint
from frenemy.models.huggingface import huggingface
from frenemy.models.model import Model
from frenemy.models.onnxfile import onnx_file
from frenemy.models.scaled import Scaled
from frenemy.models.trees import lightgbm_file, xgboost_file

__all__ = ["foreign"]

_READERS: Final = {"lightgbm": lightgbm_file, "xgboost": xgboost_file, "onnx": onnx_file}
"""What reads a file, by the word before it."""


def foreign(spec: str, examples: Examples) -> tuple[Model, str, list[str], bytes] | None:
    """Take `lightgbm:FILE`, `xgboost:FILE`, `onnx:FILE`, `hf:DIRECTORY` or an address; None for any other spec.

    Returns:
        The model, a short name, what is to be noted, and the hash of its file where its weights do not show.

    Raises:
        ModelError: there is no such file, or it cannot be read.
    """
    if spec.startswith(("http://", "https://")):
        return (
            endpoint(spec, examples.classes, tuple(examples.x.shape[1:])),
            spec.split("//")[1].rstrip("/"),
            [],
            b"",
        )
    named = re.fullmatch(r"(\w+):(.+)", spec)
    if named is not None and named[1] == "hf":
        model, mean, std, notes = huggingface(named[2])
        return Scaled(model, mean, std), Path(named[2]).name, notes, b""
    if named is None or named[1] not in _READERS:
        return None
    path = Path(named[2])
    if not path.is_file():
        raise ModelError(
            f"expected a file after {named[1]}:, got '{path}' which does not exist; check the path"
        )
    made = _READERS[named[1]](path, examples.classes)
    return made, path.stem, [], hashlib.sha256(path.read_bytes()).digest()
