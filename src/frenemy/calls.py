"""Calls: parts as people write them, `pgd`, `pgd(steps=100, restarts=5)`, `trades(beta=6)`, `resnet20(width=4)`."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import msgspec

from frenemy.errors import UsageError, nearest

__all__ = ["Call", "calls", "fitting", "setting"]

_LONGEST: Final = 2000
_HYPHEN: Final = r"""('[^']*'|"[^"]*")|(?<=[A-Za-z_])-(?=[A-Za-z_])"""
"""One inside a word; what stands in quotes is found first, and stays as it is."""
_WORDS: Final = {"true": True, "yes": True, "false": False, "no": False, "none": None, "null": None}


@final
@dataclass(frozen=True, slots=True)
class Call:
    """A name and the settings in its brackets; a value may be a call itself."""

    name: str
    settings: dict[str, Any]


def calls(text: str, kind: str, fix: str, known: Callable[[str], bool] = lambda name: False) -> list[Call]:
    """Read names with settings in brackets, separated by commas. Nothing is run.

    Args:
        text: what somebody wrote.
        kind: what the names are of, for what is said if they are wrong.
        fix: how to write it, likewise.
        known: whether a bare word among the values is a call too, and not just a word.

    Returns:
        The calls in order; names are in lower case and without `-` and `_`.

    Raises:
        UsageError: the text is too long, or is not made of names, brackets and plain values.
    """
    plain = re.sub(_HYPHEN, lambda found: found[1] or "_", text.strip().rstrip(","))
    try:
        if len(plain) > _LONGEST or not plain:
            raise SyntaxError
        body = ast.parse(f"({plain},)", mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _wrong(text, kind, fix) from error
    reader = _Reader(text, kind, fix, known)
    return [reader.call(node) for node in (body.elts if isinstance(body, ast.Tuple) else [])]


def fitting(what: str, name: str, value: Any, hint: Any) -> Any:
    """See that a value is of the kind of its setting, and make it so where nothing is lost (1 for 1.0).

    Raises:
        UsageError: it is not.
    """
    try:
        return msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError as error:
        kind = str(getattr(hint, "__name__", hint)) if isinstance(hint, type) else str(hint)
        raise UsageError(
            f"expected {name} of {what} to be {kind}, got '{value}'; leave it out for the usual one"
        ) from error
    except TypeError:
        return value


def setting(what: str, name: str | None, names: list[str]) -> None:
    """See that a part has a setting.

    Raises:
        UsageError: it has none of that name.
    """
    if name not in names:
        raise UsageError(f"unknown setting '{name}' of {what}{nearest(str(name), names)}")


@final
@dataclass(frozen=True, slots=True)
class _Reader:
    """Turns a syntax tree into calls and plain values."""

    text: str
    kind: str
    fix: str
    known: Callable[[str], bool]

    def call(self, node: ast.expr) -> Call:
        """A name, or a name with settings."""
        name, words = (node.func, node.keywords) if isinstance(node, ast.Call) else (node, [])
        if not isinstance(name, ast.Name) or (isinstance(node, ast.Call) and node.args):
            raise _wrong(self.text, self.kind, self.fix)
        return Call(_plain(name.id), {str(word.arg): self._value(word.value) for word in words})

    def _value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, ast.Name):
            if node.id.lower() in _WORDS:
                return _WORDS[node.id.lower()]
            return self.call(node) if self.known(_plain(node.id)) else node.id
        if isinstance(node, ast.Tuple | ast.List):
            return tuple(self._value(part) for part in node.elts)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            above, below = self._value(node.left), self._value(node.right)
            if isinstance(above, int | float) and isinstance(below, int | float) and below:
                return above / below
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
            raise UsageError(
                f"expected plain values in '{self.text[:80]}', got something else; {self.fix}"
            ) from error


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _wrong(text: str, kind: str, fix: str) -> UsageError:
    return UsageError(f"expected names of {kind}s, got '{text[:80]}'; {fix}")
