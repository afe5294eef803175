"""The folder is the registry: a part is found by lying in its folder with a `card`.

Cards are read from the syntax tree, so that listing the parts imports none of them (and not torch); `load`
imports the one that is asked for. A file that cannot be parsed, a card that is no literal, a name that stands
twice: each is an error, never skipped.
"""

from __future__ import annotations

import ast
import importlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, final

from frenemy.card import Access, Card
from frenemy.errors import CatalogError, UsageError, nearest

__all__ = ["Part", "catalog", "find"]

_ROOT = Path(__file__).parent


@final
@dataclass(frozen=True, slots=True)
class Part:
    """A class that carries a card, as its file has it.

    Args:
        name: of the class.
        module: where it stands.
        text: its docstring.
        card: its card.
        settings: what it takes, by name, each with its default as it is written: empty where there is none, and
            `...` where it is no literal.
        presets: data sets for which it has settings of a paper.
    """

    name: str
    module: str
    text: str
    card: Card
    settings: tuple[tuple[str, str], ...] = ()
    presets: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return self.text.split("\n")[0]

    def load(self) -> Any:
        """Import the part's module and return the class."""
        return getattr(importlib.import_module(self.module), self.name)


@cache
def catalog(folder: str, root: Path = _ROOT) -> dict[str, Part]:
    """Find all parts directly inside `folder` (such as `"attacks"` or `"attacks/sequence"`), by lower-case name.

    Raises:
        CatalogError: the folder does not exist, a file does not parse, a card is not made of literals, or two
            parts share a name.
    """
    place = root / folder
    if not place.is_dir():
        raise CatalogError(f"expected a folder of parts, got '{folder}'{nearest(folder, _folders(root))}")
    parts: dict[str, Part] = {}
    for file in sorted(place.glob("*.py")):
        for part in _read(file, root):
            if part.name.lower() in parts:
                other = parts[part.name.lower()].module
                raise CatalogError(
                    f"expected one part called '{part.name}', got two: {other} and {part.module}"
                )
            parts[part.name.lower()] = part
    return parts


def find(folder: str, name: str, root: Path = _ROOT) -> Part:
    """Find one part by name, without regard to case; a wrong name is answered with the nearest right one."""
    parts = catalog(folder, root)
    if name.lower() not in parts:
        kind = folder.rstrip("s").replace("/", " ")
        raise UsageError(f"unknown {kind} '{name}'{nearest(name.lower(), parts)}")
    return parts[name.lower()]


def _folders(root: Path) -> list[str]:
    return [path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("_")]


def _read(file: Path, root: Path) -> list[Part]:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise CatalogError(
            f"expected a Python file, got {file.name} which does not parse: {error}"
        ) from error
    module = ".".join((root.name, *file.relative_to(root).with_suffix("").parts))
    found = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and (call := _card_of(node)) is not None:
            card, text = _evaluate(call, f"{module}.{node.name}"), ast.get_docstring(node) or ""
            found.append(Part(node.name, module, text, card, _settings(node), _presets(node)))
    return found


def _settings(node: ast.ClassDef) -> tuple[tuple[str, str], ...]:
    """What its `__init__` takes; for a dataclass, its fields."""
    for line in node.body:
        if isinstance(line, ast.FunctionDef) and line.name == "__init__":
            plain, named = line.args.args[1:], line.args.kwonlyargs
            first = [None] * (len(plain) - len(line.args.defaults))
            values = [*first, *line.args.defaults, *line.args.kw_defaults]
            return tuple(
                (word.arg, _written(value)) for word, value in zip([*plain, *named], values, strict=True)
            )
    fields = [line for line in node.body if isinstance(line, ast.AnnAssign)]
    return tuple(
        (ast.unparse(line.target), _written(line.value))
        for line in fields
        if not ast.unparse(line.annotation).startswith("ClassVar")
    )


def _presets(node: ast.ClassDef) -> tuple[str, ...]:
    """The keys of its `presets`."""
    for line in node.body:
        named = isinstance(line, ast.AnnAssign) and ast.unparse(line.target) == "presets"
        if named and isinstance(line, ast.AnnAssign) and isinstance(line.value, ast.Dict):
            return tuple(ast.literal_eval(key) for key in line.value.keys if key is not None)
    return ()


def _written(value: ast.expr | None) -> str:
    if value is None:
        return ""
    return "..." if any(isinstance(node, ast.Name) for node in ast.walk(value)) else ast.unparse(value)


def _card_of(node: ast.ClassDef) -> ast.Call | None:
    for line in node.body:
        named = (
            isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.target.id == "card"
        )
        if named and isinstance(line, ast.AnnAssign) and isinstance(line.value, ast.Call):
            return line.value
    return None


def _evaluate(call: ast.Call, where: str) -> Card:
    try:
        fields = {word.arg or "": _literal(word.value) for word in call.keywords}
        if call.args:
            raise ValueError("positional arguments")
        return Card(**fields)
    except (ValueError, TypeError, KeyError) as error:
        raise CatalogError(
            f"expected the card of {where} to be Card(name=literal, ...), got something else ({error}); "
            "write its arguments by name and as literals"
        ) from error


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Access":
        return Access[node.attr]
    return ast.literal_eval(node)
