"""Factories: take a model from somebody's own Python file."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from torch import nn

from frenemy.errors import ModelError, nearest
from frenemy.models.model import Model
from frenemy.models.predictor import estimator

__all__ = ["from_factory", "with_source"]


def from_factory(path: str | Path, name: str) -> Model:
    """Run the Python file at `path` and take the model that `name` makes, or is.

    A module is taken as it is; anything else is called without arguments. The file runs under a private name;
    its folder is on the search path meanwhile, and neighbours that it imports are forgotten afterwards, so that
    two files may each have a neighbour of the same name. The file is code and runs with all rights of the user.

    Args:
        path: a Python file.
        name: a function or class of that file, or a `torch.nn.Module` or fitted estimator in it.

    Returns:
        A module, or another callable that is taken for a model; a fitted estimator of scikit-learn is wrapped.

    Raises:
        ModelError: there is no such file or name, something in it raises, or what it makes is no model.
    """
    return with_source(path, name)[0]


def with_source(path: str | Path, name: str) -> tuple[Model, bytes]:
    """Take a model as `from_factory` does, and hash the code it came from.

    Returns:
        The model, and SHA-256 over the file and the neighbours that it imported.
    """
    path = Path(path)
    if path.suffix != ".py" or not path.is_file():
        raise ModelError(
            f"expected a Python file, got '{path}' which does not exist or is none; check the path"
        )
    with _beside(path) as sources:
        module = _imported(path)
        names = [known for known in vars(module) if not known.startswith("_")]
        if name not in vars(module):
            hint = nearest(name, names) if names else "; define a function there that returns the model"
            raise ModelError(f"expected {path.name} to define '{name}', got no such name{hint}")
        made = getattr(module, name)
        if not isinstance(made, nn.Module) and estimator(made) is None:
            if not callable(made):
                raise ModelError(
                    f"expected '{name}' of {path.name} to be a function that returns a model, got {_kind(made)}"
                )
            try:
                made = made()
            except (Exception, SystemExit) as error:
                raise ModelError(
                    f"expected {path.name}:{name}() to return a model, got {_said(error)}; "
                    "a factory takes no arguments and returns the model"
                ) from error
    made = estimator(made) or made
    if isinstance(made, type) or not callable(made):
        what = f"the class {made.__name__}" if isinstance(made, type) else _kind(made)
        raise ModelError(
            f"expected {path.name}:{name}() to return a model, got {what}; return a torch.nn.Module or a function"
        )
    digest = hashlib.sha256()
    for source in sorted({path.resolve(), *sources}):
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    model: Model = made
    return model, digest.digest()


def _imported(path: Path) -> ModuleType:
    private = f"_frenemy_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(private, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"expected a Python file, got '{path}' which cannot be imported; check the path")
    module = importlib.util.module_from_spec(spec)
    sys.modules[private] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[private]
        raise ModelError(
            f"expected {path.name} to run, got {_said(error)}; mend it or install what it needs"
        ) from error
    return module


@contextmanager
def _beside(path: Path) -> Iterator[list[Path]]:
    """Let the file find its neighbours; on leaving, forget those it imported and list their files."""
    folder = str(path.resolve().parent)
    before = set(sys.modules)
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    sources: list[Path] = []
    try:
        yield sources
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
        for name in set(sys.modules) - before:
            if _neighbour(name, sys.modules[name], folder):
                sources += [
                    Path(file) for file in (sys.modules[name].__file__,) if file and Path(file).is_file()
                ]
                if folder not in sys.path:
                    del sys.modules[name]


def _neighbour(name: str, module: ModuleType, folder: str) -> bool:
    """Say whether a module came from `folder` itself, as `folder/name.py` or inside `folder/name`."""
    places = [getattr(module, "__file__", None) or "", *map(str, getattr(module, "__path__", ()))]
    inside = [
        Path(place).relative_to(folder).parts[0]
        for place in places
        if Path(place).parent.is_relative_to(folder)
    ]
    return any(first.split(".")[0] == name.split(".")[0] for first in inside)


def _kind(thing: object) -> str:
    return "None" if thing is None else f"a {type(thing).__name__}"


def _said(error: BaseException) -> str:
    """Name an exception and its first line, on one line of readable length."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    said = said if len(said) <= 200 else f"{said[:197]}..."
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
