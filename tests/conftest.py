"""Before any test: what goes into the floors of tensors is checked against its annotation, shape included.

And PyTorch's generator is set anew for each, so that weights a test draws do not hang on which tests ran before it.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

__all__: list[str] = []

_ROOT = str(Path(__file__).parents[1])
if _ROOT not in sys.path:
    sys.path.append(_ROOT)

importlib.import_module("tests.checked")
_FLOORS = ("rng", "models", "threats", "objectives", "attacks", "training")
install_import_hook([f"frenemy.{floor}" for floor in _FLOORS], "tests.checked.checked")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """The same weights in whatever order and company a test runs."""
    torch.manual_seed(0)
