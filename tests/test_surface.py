"""The public surface: what each module offers, that it is told in words, and that its examples run.

After a wanted change, `python -m tests.test_surface` writes `tests/surface.json` anew.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import json
from pathlib import Path
from typing import Final

import pytest

__all__ = ["surface"]

ROOT: Final = Path(__file__).parents[1] / "src"
RECORD: Final = Path(__file__).with_name("surface.json")
MODULES: Final = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.glob("frenemy/**/*.py"))
}
every: Final = pytest.mark.parametrize("name", MODULES)


def declared(path: Path) -> list[str] | None:
    """Read `__all__` from the syntax tree, so that nothing is imported."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if (
            isinstance(target, ast.Name)
            and target.id == "__all__"
            and isinstance(node, ast.Assign | ast.AnnAssign)
        ):
            names: list[str] = ast.literal_eval(node.value) if node.value is not None else []
            return names
    return None


def defined(path: Path) -> set[str]:
    """List the names without underscore that a module makes itself."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def surface() -> dict[str, list[str]]:
    """Give the public names of every module that has any."""
    told = {name: declared(path) for name, path in MODULES.items()}
    return {name: names for name, names in told.items() if names}


def rank(name: str) -> tuple[int, str]:
    """Order names as isort does: CONSTANTS, Classes, functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def test_the_surface_is_the_one_on_record() -> None:
    assert surface() == json.loads(RECORD.read_text()), (
        "if this is wanted, run `python -m tests.test_surface`"
    )


@every
def test_all_is_there_sorted_and_complete(name: str) -> None:
    names = declared(MODULES[name])
    assert names is not None or MODULES[name].name == "__init__.py", "a module needs __all__"
    assert names is None or names in (sorted(set(names)), sorted(set(names), key=rank))
    if name != "frenemy":
        assert set(names or ()) == defined(MODULES[name])


@every
def test_every_public_name_is_explained_and_its_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    for word in getattr(module, "__all__", ()):
        thing = getattr(module, word)
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__module__ == name:
            told = (thing.__doc__ or "").strip()
            assert told, f"{name}.{word} has no docstring"
            assert not told.startswith(f"{word}("), f"{name}.{word} has the docstring of its dataclass"
            for method, member in vars(thing).items() if inspect.isclass(thing) else ():
                if not method.startswith("_") and inspect.isfunction(member):
                    assert member.__doc__, f"{name}.{word}.{method} has no docstring"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        said: list[str] = []
        result = runner.run(test, out=said.append)
        assert result.failed == 0, "".join(said)


def test_examples_are_found() -> None:
    module = importlib.import_module("frenemy.attacks.pgd")
    assert sum(len(test.examples) for test in doctest.DocTestFinder().find(module)) >= 5


if __name__ == "__main__":
    RECORD.write_text(json.dumps(surface(), indent=1) + "\n")
