"""Data as users bring them: tables, arrays and folders of pictures, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.unit.cli.conftest import Frenemy
from tests.unit.cli.models_of_users import GOOD

__all__: list[str] = []

X = np.random.default_rng(0).random((30, 1, 8, 8)).astype(np.float32)
Y = np.arange(30) % 10


def saved(**arrays: object) -> str:
    """Write an .npz file; a good one where nothing else is said."""
    np.savez("d.npz", **({"x": X, "y": Y} | arrays))  # type: ignore[arg-type]
    return "d.npz"


def table(rows: list[str]) -> str:
    """Write a table of two features and a label."""
    Path("t.csv").write_text("\n".join(["width,height,kind", *rows]) + "\n")
    return "t.csv"


ROWS = [f"{i},{(i * 7) % 30 - 15},{'ab'[i % 2]}" for i in range(30)]


def test_an_npz_file_is_judged(audit: Frenemy) -> None:
    said = audit("--data", saved())
    assert (said.code, said.err) == (0, "")
    assert "linear@0 on d, linf:0.0313" in said.out


def test_a_table_of_two_classes_is_judged_by_a_factory(audit: Frenemy) -> None:
    Path("net.py").write_text(GOOD.replace("inputs=64, classes=10", "inputs=2, classes=2"))
    data = table(ROWS)
    said = audit(
        "--data", data, "--model", "net.py:make", "--threat", "l2:3", "--mean", "15,0", "--std", "9,9"
    )
    assert (said.code, said.err) == (0, "")
    assert "net.make on t, l2:3" in said.out
    assert audit("--data", f"csv:{data}", "--target", "kind", "--out", "again").code == 0


def test_a_folder_of_pictures_is_judged(audit: Frenemy) -> None:
    for kind, grey in (("cat", 40), ("dog", 200)):
        Path("photos", kind).mkdir(parents=True)
        for place in range(10):
            pixels = np.full((12, 12, 3), grey + place, dtype=np.uint8)
            Image.fromarray(pixels).save(Path("photos", kind, f"{place}.png"))
    said = audit("--data", "photos", "--resize", 8, "--model", "convnet@0")
    assert (said.code, said.err) == (0, "")
    assert "convnet@0 on photos" in said.out


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"y": Y - 1}, "got -1 at example 0"),
        ({"y": Y + 3}, "expected 13 logits"),
        ({"y": Y + 0.5}, "got fractions"),
        ({"y": Y[:-1]}, "29 labels"),
        ({"x": X * 3}, "expected images in [0, 1]"),
        ({"x": X - 5}, "expected images in [0, 1]"),
        ({"x": X * np.nan}, "can be judged"),
        ({"x": np.array([{}], dtype=object)}, "got dtype object"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(audit: Frenemy, arrays: dict[str, object], said: str) -> None:
    Path("net.py").write_text(GOOD)
    assert said in audit("--data", saved(**arrays), "--model", "net.py:make").refusal


@pytest.mark.parametrize(
    ("rows", "words", "said"),
    [
        (["1,2,?", "2,3,a"], "", "got none in line 2"),
        (["1,wide,a", "2,3,b"], "", "got 'wide' in line 2"),
        (["1,2,a", "2,3"], "", "expected 3 columns in line 3 of t.csv, got 2"),
        (ROWS, "--target knid", "expected a column 'knid' in t.csv, got none; did you mean 'kind'?"),
        ([f"{i},1,2" for i in range(30)], "--target width", "name the column of labels with --target"),
        ([], "", "expected rows below the header of t.csv"),
    ],
)
def test_tables_that_do_not_fit_are_refused(audit: Frenemy, rows: list[str], words: str, said: str) -> None:
    assert said in audit("--data", table(rows), *words.split()).refusal


def test_damaged_files_are_refused(audit: Frenemy) -> None:
    Path("d.npz").write_bytes(b"PK no archive")
    assert "expected a whole file, got d.npz" in audit("--data", "d.npz").refusal
    Path("t.csv").write_bytes(b"")
    assert "got no row" in audit("--data", "t.csv").refusal
    Path("empty").mkdir()
    assert "pictures" in audit("--data", "empty").refusal


@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_an_input_that_is_not_finite_is_set_apart_and_the_rest_goes_on(audit: Frenemy, kind: str) -> None:
    x = X.copy()
    x[3, 0, 0, 0] = np.nan
    data = saved(x=x) if kind == "npz" else table([*ROWS[:3], "nan,1,a", *ROWS[4:]])
    said = audit("--data", data, "--objectives", "enemy")
    assert (said.code, said.err) == (0, "")
    with np.load("run/examples.npz") as columns:
        assert np.flatnonzero(columns["set_apart"] != "").tolist() == [3]
        assert columns["set_apart"][3] == "the input is not finite"


RULED = "a,b,c,d,kind\n0,1,1,0,x\n3,2,0,1,y\n1,4,1,0,y\n2,5,0,1,x\n0,1,0,1,x\n3,3,1,0,y\n"


def test_the_report_says_which_columns_of_a_table_could_change(frenemy: Frenemy) -> None:
    Path("rows.csv").write_text(RULED)
    Path("rows.yaml").write_text("fixed: [a]\ninteger: [b]\nonehot: {job: [c, d]}\n")
    words = (
        "--model",
        "linear@0",
        "--data",
        "rows.csv",
        "--threat",
        "linf:1",
        "--effort",
        "quick",
        "--device",
        "cpu",
    )
    said = frenemy("audit", *words, "--steps", 2, "--curve", 0, "--out", "run")
    assert said.code == 0
    told = "could change to whole numbers: b; to another of its group: job (c, d). Held still: a."
    assert told in " ".join(said.out.split())
    assert told in Path("run/report.html").read_text()
    Path("rows.yaml").write_text("fixed: [z]\n")
    assert (
        "expected columns of the table below fixed in rows.yaml, got 'z'" in frenemy("audit", *words).refusal
    )
    Path("rows.yaml").write_text("fixed: [a]\n")
    assert "for a table with rules, got sphere" in frenemy("audit", *words, "--threat", "sphere-l2:1").refusal
    assert "heed it, figures do not" in frenemy("converge", *words[:6], "--examples", 6).refusal
