"""Subject: the options that say which model is looked at, on which data, under which threat, and where it is kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from frenemy.cli.options import at_least
from frenemy.errors import UsageError

__all__ = ["Source", "Subject", "folder", "usual_threat", "words"]

_THREATS: Final = {
    "digits": "linf:0.15",
    "mnist": "linf:0.2",
    "fashion-mnist": "linf:0.2",
    "fashion_mnist": "linf:0.2",
}
_ELSEWHERE: Final = ("out", "quiet", "device", "batch_size", "time_limit", "data_dir")
"""Options that do not decide the numbers."""


@dataclass(frozen=True)
class Source:
    """Which data are looked at, and where what is found is kept.

    Args:
        data: digits, mnist, fashion-mnist, cifar10, cifar100, a folder of class folders, a .csv or .npz file,
            idx:IMAGES,LABELS.
        examples: only the first so many examples.
        split: which part of the data, test or train.
        data_dir: where data sets lie; else the environment variable FRENEMY_DATA, else the user's cache.
        resize: side to which pictures of a folder are resized.
        target: label column of a table: its name, first, last or its number from 1; the last one by default.
        out: directory for the run and its report; by default one in runs/, named after what is asked.
        quiet: print nothing but errors.
    """

    data: str = "digits"
    examples: int | None = at_least(1, None)
    split: Literal["test", "train"] = "test"
    data_dir: str | None = None
    resize: int | None = at_least(1, None)
    target: str | None = None
    out: str | None = None
    quiet: bool = False


@dataclass(frozen=True)
class Subject(Source):
    """What is looked at.

    Args:
        model: ARCH:FILE.safetensors (see `frenemy list models`), FILE.safetensors, ARCH@SEED for random weights, or
            FILE.py:FACTORY for your own code, which is run; ARCH may have settings in brackets, as
            cifarresnet(depth=20,width=8); lightgbm:FILE.txt, xgboost:FILE.json, onnx:FILE.onnx, hf:DIRECTORY, or http://ADDRESS;
            several are separated by commas; digits-plain and digits-robust are the demonstration models.
        threat: linf:8/255, l2:0.5, l1:12, or exact norms such as sphere-l2:4; by default linf:0.15 for digits,
            linf:0.2 for mnist and fashion-mnist, linf:8/255 for all else.
        mean: what the model subtracts from its inputs, one number or one a channel, separated by commas.
        std: what the model divides its inputs by, likewise.
        output: key, attribute or position of the logits, where the model gives more than one thing.
        partial: load the weights that fit and draw the others at random.
        seed: root of all randomness.
        device: cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.
        batch_size: the most rows in one forward; halved by itself when memory runs out.
    """

    verb: ClassVar[str] = ""

    model: str = "digits-plain,digits-robust"
    threat: str | None = None
    mean: str | None = None
    std: str | None = None
    output: str | None = None
    partial: bool = False
    seed: int = 0
    device: str = "auto"
    batch_size: int = at_least(1, 128)

    @property
    def specs(self) -> list[str]:
        """The models, one by one."""
        return words("model", self.model)

    @property
    def around(self) -> str:
        """The threat that is asked for, or the usual one for the data."""
        return self.threat or usual_threat(self.data)

    def asked(self) -> dict[str, Any]:
        """Every option that decides the numbers, for the record."""
        asked = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in _ELSEWHERE}
        return asked | {"model": ",".join(self.specs), "threat": self.around}

    def place(self, asked: dict[str, Any]) -> Path:
        """The run directory: as asked, or named after data, threat, models, and the options that are not as usual."""
        if self.out:
            return Path(self.out)
        data = str(asked["data"]).rpartition(":")[2]
        parts = [*([self.verb] if self.verb else []), Path(data).stem or data, asked["threat"]]
        parts += [Path(spec).name for spec in self.specs]
        for one in fields(self):
            value = asked.get(one.name, one.default)
            if one.name not in ("model", "data", "threat") and value != one.default:
                parts += [one.name, value] if value is not False else ["no", one.name]
        return folder(parts)


_WORD: Final = r"(?:[^,()]|\((?:[^()]|\([^()]*\))*\)|[()])+"
"""What stands between two commas: brackets are kept whole, two deep; one that is never closed is a letter."""


def usual_threat(data: str) -> str:
    """The threat that is usual for a data set."""
    return _THREATS.get(data.lower(), "linf:8/255")


def folder(parts: Sequence[object]) -> Path:
    """Name a run directory after what was asked; a long name ends in a hash, so that no two are the same."""
    name = re.sub(r"[^A-Za-z0-9.@-]+", "-", "-".join(map(str, parts))).strip("-.")
    if len(name) > 100:
        name = f"{name[:90]}-{hashlib.sha256(name.encode()).hexdigest()[:9]}"
    return Path("runs", name)


def words(name: str, text: str) -> list[str]:
    """Split an option at its commas, but not at those in brackets; each word counts once."""
    found = list(dict.fromkeys(word.strip() for word in re.findall(_WORD, text) if word.strip()))
    if not found:
        raise UsageError(f"expected --{name} to be one or more words, got '{text}'; separate them by commas")
    return found
