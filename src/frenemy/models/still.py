"""Hold a model still while it is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from frenemy.models.model import Model, modules_of
from frenemy.models.packed import packing

__all__ = ["still"]


@contextmanager
def still(model: Model) -> Iterator[None]:
    """Put `model` in evaluation mode without parameter gradients; undo exactly that on leaving.

    Every submodule gets its own mode back and every parameter its own `requires_grad`, also when the body
    raises. Buffers such as batch-norm statistics do not move, since evaluation mode reads them only. A plain
    function is left as it is.
    """
    modules = modules_of(model)
    modes = [(module, module.training) for module in modules]
    parameters = {id(p): p for module in modules for p in module.parameters(recurse=False)}
    wanted = [(p, p.requires_grad) for p in parameters.values()]
    try:
        for module, _ in modes:
            module.training = False
        for parameter, _ in wanted:
            parameter.requires_grad_(False)
        with packing():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, grad in wanted:
            parameter.requires_grad_(grad)
