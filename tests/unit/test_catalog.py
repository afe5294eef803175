"""Catalog: what lies in a folder is found, read without import, and refused loudly where it is broken."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import frenemy
from frenemy.card import Access, Card
from frenemy.catalog import catalog, find
from frenemy.errors import CatalogError, UsageError

HOUSE = Path(frenemy.__path__[0])
FOLDERS = sorted({str(file.parent.relative_to(HOUSE)) for file in HOUSE.glob("*/**/*.py")})

GOOD = '''
from typing import ClassVar
import missing_module_that_is_never_imported

class {name}:
    """First line.

    Second line.
    """

    card: ClassVar[Card] = Card(authors="A, B", year=2020, access=Access.SCORES, reach=0.5, deviations=("x",))

class NoPart:
    card: ClassVar[Card]
'''


def _house(root: Path, **files: str) -> Path:
    (root / "parts").mkdir(parents=True)
    for name, text in files.items():
        (root / "parts" / f"{name}.py").write_text(text, encoding="utf-8")
    return root


def test_a_part_is_read_without_importing_its_file(tmp_path: Path) -> None:
    parts = catalog("parts", _house(tmp_path / "house", one=GOOD.format(name="One"), __init__=""))
    assert list(parts) == ["one"]
    part = parts["one"]
    assert (part.name, part.module, part.summary) == ("One", "house.parts.one", "First line.")
    assert part.card == Card(authors="A, B", year=2020, access=Access.SCORES, reach=0.5, deviations=("x",))


def test_a_new_file_is_a_new_part(tmp_path: Path) -> None:
    root = _house(tmp_path, one=GOOD.format(name="One"), two=GOOD.format(name="Two"))
    assert sorted(catalog("parts", root)) == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("class Broken(:\n", "does not parse"),
        ("class P:\n    card: C = Card(title=name())\n", "literal"),
        ("class P:\n    card: C = Card('A')\n", "positional"),
        ("class P:\n    card: C = Card(colour='red')\n", "colour"),
        ("class P:\n    card: C = Card(access=Access.MIND)\n", "MIND"),
        ("class P:\n    card: C = Card(**fields)\n", "literal"),
    ],
)
def test_a_broken_file_or_card_is_an_error_that_names_it(tmp_path: Path, text: str, says: str) -> None:
    root = _house(tmp_path, good=GOOD.format(name="Good"), wrong=text)
    with pytest.raises(CatalogError, match=says) as caught:
        catalog("parts", root)
    assert "wrong" in str(caught.value)


def test_bytes_that_are_no_text_are_an_error(tmp_path: Path) -> None:
    root = _house(tmp_path)
    (root / "parts" / "wrong.py").write_bytes(b'"""\xff\xfe"""')
    with pytest.raises(CatalogError, match=r"wrong\.py"):
        catalog("parts", root)


@pytest.mark.parametrize("twin", ["One", "ONE"])
def test_a_doubled_name_is_an_error_that_names_both_files(tmp_path: Path, twin: str) -> None:
    root = _house(tmp_path, a=GOOD.format(name="One"), b=GOOD.format(name=twin))
    with pytest.raises(CatalogError, match=r"parts\.a and .*parts\.b"):
        catalog("parts", root)


def test_an_unknown_folder_is_answered_with_the_nearest() -> None:
    with pytest.raises(CatalogError, match="did you mean 'threats'"):
        catalog("threat")


def test_parts_are_found_by_name_whatever_the_case_and_wrong_names_get_the_nearest() -> None:
    assert find("threats", "LINF") == find("threats", "linf")
    with pytest.raises(UsageError, match="unknown threat 'linff'; did you mean 'linf'"):
        find("threats", "linff")


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_the_catalog_reads_is_what_python_imports(folder: str) -> None:
    for part in catalog(folder).values():
        loaded = part.load()
        assert loaded.__name__ == part.name
        assert loaded.card == part.card
        assert inspect.getdoc(loaded) == part.text
        assert part.summary != ""
        assert tuple(getattr(loaded, "presets", ())) == part.presets


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_settings_of_a_part_are_those_it_takes(folder: str) -> None:
    for part in catalog(folder).values():
        taken = inspect.signature(part.load()).parameters.values()
        assert [name for name, _ in part.settings] == [one.name for one in taken]
        for (name, said), one in zip(part.settings, taken, strict=True):
            assert (said == "") == (one.default is inspect.Parameter.empty), name
            if said not in ("", "..."):
                assert eval(said) == one.default, name


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_class_with_a_card_is_in_the_catalog(folder: str) -> None:
    parts = catalog(folder).values()
    for file in (HOUSE / folder).glob("*.py"):
        module = ".".join(("frenemy", *file.relative_to(HOUSE).with_suffix("").parts))
        if module not in {part.module for part in parts}:
            continue
        loaded = inspect.getmembers(
            sys.modules.get(module) or __import__(module, fromlist=["*"]), inspect.isclass
        )
        carded = {
            name
            for name, part in loaded
            if part.__module__ == module and isinstance(vars(part).get("card"), Card)
        }
        assert carded == {part.name for part in parts if part.module == module}


def test_listing_imports_neither_the_parts_nor_torch() -> None:
    code = (
        "import sys; from frenemy.catalog import catalog; assert catalog('threats'); "
        "print([name for name in sys.modules if name == 'torch' or name.startswith('frenemy.threats')])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
