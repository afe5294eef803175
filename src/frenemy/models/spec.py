"""Spec: an architecture as people write it, `lenet`, `cifarresnet(depth=20, width=4)`, and what its data add."""

from __future__ import annotations

import inspect
import math
import typing
from dataclasses import dataclass
from typing import Any, Final, final

from frenemy.calls import calls, fitting, setting
from frenemy.catalog import Part, catalog
from frenemy.data.examples import Examples
from frenemy.errors import ModelError, UsageError, nearest

__all__ = ["FORMS", "Wanted", "architecture", "wanted"]

FORMS: Final = (
    "ARCH:FILE.safetensors, FILE.safetensors, FILE.py:FACTORY, ARCH@SEED, lightgbm:FILE.txt, xgboost:FILE.json, "
    "onnx:FILE.onnx, hf:DIRECTORY or http://ADDRESS"
)
_FIX: Final = "write lenet, or cifarresnet(depth=20,width=8) with settings"
_OF_THE_DATA: Final = ("channels", "side", "classes", "features")


@final
@dataclass(frozen=True, slots=True)
class Wanted:
    """An architecture and the settings that somebody gave it.

    Args:
        part: the architecture.
        text: its name as it was written, without the brackets.
        given: the settings in the brackets, each of the kind that the constructor asks for.
    """

    part: Part
    text: str
    given: dict[str, Any]

    @property
    def short(self) -> str:
        """A name for files and tables: `cifarresnet-depth20-width4`."""
        return "-".join((self.text, *(f"{name}{_plain(value)}" for name, value in self.given.items())))

    def settings(self, examples: Examples) -> dict[str, Any]:
        """Everything for the constructor: what was given, and what is read off the data.

        Raises:
            ModelError: the architecture takes images, and the data are none.
        """
        return self.given | _read(self.part, examples)

    def agreeing(self, told: dict[str, Any], file: str) -> dict[str, Any]:
        """Give back the settings that a file of weights tells, unless others were given.

        Raises:
            ModelError: a setting was given that is another in the file.
        """
        for name, value in self.given.items():
            if name in told and _plain(told[name]) != _plain(value):
                raise ModelError(
                    f"expected {name} of {self.part.name} to be {told[name]} as in {file}, got {value}; leave the "
                    "brackets out"
                )
        return self.given | told


def architecture(name: str) -> Part:
    """Find an architecture by name, without regard to case.

    Raises:
        ModelError: there is none of that name.
    """
    known = catalog("models")
    if name.lower() not in known:
        raise ModelError(
            f"expected a model as {FORMS}, got the unknown architecture '{name}'{nearest(name.lower(), known)}"
        )
    return known[name.lower()]


def wanted(text: str) -> Wanted:
    """Read `ARCH` or `ARCH(SETTING=VALUE, ...)`. Nothing is built.

    Args:
        text: what somebody wrote before `@` or `:`.

    Returns:
        The architecture with its settings; those left out keep their defaults.

    Raises:
        ModelError: there is no such architecture or setting, a value is of another kind, or a setting is given that
            the data decide.
    """
    name, bracket, _ = text.partition("(")
    part = architecture(name.strip())
    if not bracket:
        return Wanted(part, name.strip(), {})
    kind = part.load()
    hints = typing.get_type_hints(kind.__init__)
    names = [word for word in inspect.signature(kind).parameters if word not in _OF_THE_DATA]
    given = {}
    try:
        read = calls(text, "architecture", _FIX)
        if len(read) != 1:
            raise ModelError(f"expected one architecture, got '{text[:80]}'; {_FIX}")
        for word, value in read[0].settings.items():
            if word in _OF_THE_DATA:
                raise ModelError(
                    f"expected settings of {part.name} that are not read off the data, got {word}={value}; leave "
                    f"{word} out"
                )
            if not names:
                raise ModelError(
                    f"unknown setting '{word}' of {part.name}; it has none, leave the brackets out"
                )
            setting(part.name, word, names)
            given[word] = fitting(part.name, word, value, hints[word])
    except ModelError:
        raise
    except UsageError as error:
        raise ModelError(str(error)) from error
    return Wanted(part, name.strip(), given)


def _read(part: Part, examples: Examples) -> dict[str, object]:
    """Read off the data what the constructor asks of it."""
    names = inspect.signature(part.load()).parameters
    shape = tuple(examples.x.shape[1:])
    known: dict[str, object] = {"features": math.prod(shape), "classes": len(examples.classes)}
    if "channels" in names or "side" in names:
        if len(shape) != 3 or ("side" in names and shape[1] != shape[2]):
            what = "square images" if "side" in names else "images"
            raise ModelError(
                f"expected {what} (channels, height, width) for {part.name}, got inputs of shape {shape} in "
                f"{examples.name}; take an architecture that flattens, such as mlp"
            )
        known |= {"channels": shape[0], "side": shape[2]}
    return {name: value for name, value in known.items() if name in names}


def _plain(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
