"""Factories: models from somebody's own file, and every way in which that goes wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from frenemy.errors import ModelError
from frenemy.models.factory import from_factory

NET = (
    "import torch\n\nclass Net(torch.nn.Linear):\n    def __init__(self):\n        super().__init__(3, 2)\n\n"
)


def file(folder: Path, text: str, name: str = "net.py") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def refused(path: Path, name: str) -> str:
    before, modules = list(sys.path), set(sys.modules)
    with pytest.raises(ModelError) as caught:
        from_factory(path, name)
    assert sys.path == before
    assert not {m for m in set(sys.modules) - modules if not m.startswith("_frenemy_")}
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("def make():\n    return Net()\n", "make"),
        ("", "Net"),
        ("net = Net()\n", "net"),
        ("def make(width=3):\n    return Net().forward\n", "make"),
    ],
)
def test_a_model_is_made(tmp_path: Path, text: str, name: str) -> None:
    path = sys.path.copy()
    assert from_factory(file(tmp_path, NET + text), name)(torch.zeros(4, 3)).shape == (4, 2)
    assert sys.path == path


def test_dataclasses_with_late_annotations_work(tmp_path: Path) -> None:
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import ClassVar\n"
        "@dataclass\nclass Net:\n    a: ClassVar[int] = 1\n    b: float = 2.0\n"
        "    def __call__(self, x):\n        return x * self.b\n"
    )
    made = from_factory(file(tmp_path, text), "Net")
    assert torch.equal(made(torch.ones(1)), torch.full((1,), 2.0))


def test_neighbours_are_found_and_then_forgotten(tmp_path: Path) -> None:
    for folder, width in (("a", 2), ("b", 3)):
        file(tmp_path / folder, f"WIDTH = {width}\n", "layers.py")
        (tmp_path / folder / "pack").mkdir()
        file(tmp_path / folder / "pack", f"OTHER = {width}\n", "inner.py")
        late = "def make():\n    from pack.inner import OTHER\n    return torch.nn.Linear(WIDTH, OTHER)\n"
        made = from_factory(
            file(tmp_path / folder, f"import torch\nfrom layers import WIDTH\n{late}"), "make"
        )
        assert isinstance(made, nn.Linear)
        assert made.weight.shape == (width, width)
        assert not {"layers", "pack", "pack.inner"} & set(sys.modules)


def test_modules_from_elsewhere_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "lib"
    file(elsewhere, "class Net:\n    def __call__(self, x):\n        return x\n", "elsewhere_of_test.py")
    monkeypatch.syspath_prepend(str(elsewhere))
    try:
        from_factory(file(tmp_path, "from elsewhere_of_test import Net\n"), "Net")
        assert "elsewhere_of_test" in sys.modules
    finally:
        sys.modules.pop("elsewhere_of_test", None)


def test_a_name_that_is_not_there_is_answered_with_the_nearest(tmp_path: Path) -> None:
    path = file(tmp_path, NET + "def make_model():\n    return Net()\n")
    assert "did you mean 'make_model'" in refused(path, "make_modle")
    assert "define a function" in refused(file(tmp_path, "", "empty.py"), "make")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def make(:\n", "got SyntaxError: "),
        ("import no_such_module_here\n", "got ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("raise ValueError('one\\ntwo')\n", "got ValueError: one;"),
        ("raise SystemExit(2)\n", "got SystemExit: 2;"),
        ("raise ValueError('x' * 5000)\n", "xxx...;"),
        ("def make():\n    raise KeyError('here')\n", "got KeyError: 'here';"),
        ("def make():\n    raise RuntimeError\n", "got RuntimeError;"),
        ("def make():\n    import sys; sys.exit('bye')\n", "got SystemExit: bye;"),
        (
            "def make(x):\n    return x\n",
            "missing 1 required positional argument: 'x'; a factory takes no arguments",
        ),
        ("def make():\n    pass\n", "got None; return a torch.nn.Module"),
        ("def make():\n    return {'a': 1}\n", "got a dict; return"),
        ("import torch\ndef make():\n    return torch.nn.ReLU\n", "got the class ReLU; return"),
        ("make = 3\n", "a function that returns a model, got a int"),
    ],
    ids=range(13),
)
def test_what_goes_wrong_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(file(tmp_path, text), "make")


def test_a_file_that_is_missing_or_no_python_is_named(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "net.py", "make")
    assert "expected a Python file" in refused(file(tmp_path, NET, "net.txt"), "Net")
    (tmp_path / "folder.py").mkdir()
    assert "expected a Python file" in refused(tmp_path / "folder.py", "Net")


def test_an_interruption_passes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        from_factory(file(tmp_path, "raise KeyboardInterrupt\n"), "make")
