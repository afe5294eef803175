"""The floor plan: imports go downwards, leaves do not know each other, files stay small."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1] / "src" / "frenemy"
FILES: Final = sorted(path for path in ROOT.rglob("*.py"))
FLOORS: Final = (
    ("errors", "types", "rng", "card", "catalog", "calls", "files", "ledger", "heap"),
    ("data",),
    ("models", "threats", "objectives", "theory"),
    ("attacks",),
    ("risks", "training"),
    ("reports",),
    ("papers",),
    ("cli",),
)
LEVEL: Final = {name: level for level, names in enumerate(FLOORS) for name in names}
SHARED: Final = {
    "attacks": {
        *("attack", "best", "active", "fence", "slope", "ascent", "approach", "climb", "faces", "hinge"),
        *("windows", "bumps", "moves", "lengths", "tries", "runs", "patience", "merging", "confirmed"),
        *("asking", "walk", "site", "others", "border", "waves", "wander", "ray", "descent", "retreat"),
    },
    "objectives": {"objective", "surrogates"},
    "threats": {"threat", "slack", "finite"},
    "models": {
        "model",
        "still",
        "timed",
        "veiled",
        "predictor",
        "sizes",
        "masks",
        "norms",
        "masked",
        "layout",
        "packed",
        "onednn",
        "fixednorm",
        "convolution",
        "deferred",
    },
    "theory": {"problem", "intervals", "features", "scene"},
    "data": {"batch", "examples", "archive", "box", "pickles", "places", "rules"},
}
ASSEMBLERS: Final = {"models/build.py", "models/foreign.py", "data/find.py", "attacks/autoattack.py"}
FORBIDDEN: Final = {"utils", "common", "helpers", "misc"}
every: Final = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))


def place(file: Path) -> tuple[str, ...]:
    """Name a file as a path inside the package: `("attacks", "pgd")`."""
    return file.relative_to(ROOT).with_suffix("").parts


def imported(file: Path) -> list[tuple[str, ...]]:
    """List what a file takes from the package; an import relative to itself counts as none of its floors."""
    found: list[tuple[str, ...]] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}:{node.lineno} imports relative to itself"
            names = [
                f"{node.module}.{a.name}" if node.module == "frenemy" else str(node.module)
                for a in node.names
            ]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found += [tuple(name.split(".")[1:]) for name in names if name.split(".")[0] == "frenemy"]
    return [path for path in found if path and path != ("__version__",)]


@every
def test_imports_go_downwards_only(file: Path) -> None:
    here = place(file)
    if here[0] in ("__init__", "__main__"):
        return
    for there in imported(file):
        floor, other = here[0], there[0]
        assert other in LEVEL, f"{'/'.join(here)} imports {'.'.join(there)}, which stands on no floor"
        assert LEVEL[other] < LEVEL[floor] or other == floor or LEVEL[floor] == 0 == LEVEL[other], (
            f"{'/'.join(here)} imports {'.'.join(there)}, which does not stand below it"
        )


@every
def test_a_leaf_knows_no_neighbour(file: Path) -> None:
    floor, name = place(file)[0], place(file)[-1]
    if floor not in SHARED or name == "__init__" or f"{floor}/{name}.py" in ASSEMBLERS:
        return
    for there in imported(file):
        known = there[0] != floor or there[1] in SHARED[floor]
        assert known, f"{floor}/{name}.py imports its neighbour {'.'.join(there)}"


@every
def test_no_global_generator_is_at_hand(file: Path) -> None:
    if place(file) == ("rng",):
        return  # makes generators of its own
    tree = ast.parse(file.read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names}
    assert not {"manual_seed", "rand", "randn", "randint", "randperm", "default_rng"} & used
    assert "random" not in names


@every
def test_a_file_is_small_and_says_what_it_is(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 250
    assert not FORBIDDEN & set(place(file))
    assert ast.get_docstring(tree), "a module needs a docstring"
