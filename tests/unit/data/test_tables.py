"""Tables: values in natural units, a box for each feature, and a sentence for what is no table of numbers."""

from __future__ import annotations

import gzip
import math
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frenemy.data.examples import Examples
from frenemy.data.tables import Table
from frenemy.errors import DataError

real = pytest.mark.skipif(
    "FRENEMY_DATA" not in os.environ, reason="FRENEMY_DATA names no folder of real data"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.csv"


def read(file: Path, text: str, target: str = "last") -> Examples:
    file.write_text(text, encoding="utf-8")
    return Table(str(file), target)()


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.floats(width=32, allow_nan=False), st.floats(width=32, allow_nan=False), st.sampled_from("ab")
        ),
        min_size=1,
    ),
    header=st.booleans(),
    separator=st.sampled_from(",;\t"),
    zipped=st.booleans(),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[float, float, str]],
    header: bool,
    separator: str,
    zipped: bool,
) -> None:
    lines = [["u", "v", "kind"]] * header + [[repr(u), repr(v), name] for u, v, name in rows]
    content = "\n".join(separator.join(line) for line in lines).encode()
    file = tmp_path_factory.mktemp("csv") / "t.csv"
    file.write_bytes(gzip.compress(content) if zipped else content)
    columns = [[u for u, _, _ in rows], [v for _, v, _ in rows]]
    if not all(any(map(math.isfinite, column)) for column in columns):
        with pytest.raises(DataError, match="got none at all"):
            Table(str(file))()
        return
    examples = Table(str(file))()
    assert examples.x.tolist() == [[u, v] for u, v, _ in rows]
    assert [examples.classes[label] for label in examples.y] == [name for _, _, name in rows]
    low, high = torch.as_tensor(examples.low), torch.as_tensor(examples.high)
    finite = [list(filter(math.isfinite, column)) for column in columns]
    assert low.tolist() == [min(column) for column in finite]
    assert high.tolist() == [max(column) for column in finite]


def test_missing_numbers_are_kept_as_nan_and_left_out_of_the_box(file: Path) -> None:
    examples = read(file, "a,b,c\n1,?,x\n,5,y\n3,NaN,x\n")
    assert torch.equal(examples.x.nan_to_num(-9), torch.tensor([[1.0, -9.0], [-9.0, 5.0], [3.0, -9.0]]))
    assert torch.as_tensor(examples.low).tolist() == [1, 5]
    assert torch.as_tensor(examples.high).tolist() == [3, 5]


def test_the_target_by_its_place(file: Path) -> None:
    # as the UCI's HIGGS.csv.gz: no header, the label first, and written as a float
    higgs = "1.000000000000000000e+00,0.5,-0.25\n0.000000000000000000e+00,0.75,1.5\n"
    for target in ("first", "1"):
        table = read(file, higgs, target)
        assert table.x.tolist() == [[0.5, -0.25], [0.75, 1.5]]
        assert (table.y.tolist(), table.classes) == ([1, 0], ("0", "1"))
    assert read(file, higgs.replace("e+00", ""), "1").y.tolist() == [1, 0], (
        "a cell of the first row is no name"
    )
    assert read(file, "open,last,rises\n1,2,a\n3,4,b\n").classes == ("a", "b"), "whatever a column is called"
    middle = read(file, "u,kind,v\n1,a,2\n3,b,4\n", "2")
    assert (middle.x.tolist(), middle.classes) == ([[1, 2], [3, 4]], ("a", "b"))
    for target in ("0", "4", "-1", "frist"):
        with pytest.raises(DataError, match="no header; give first, last, or its number from 1 to 3"):
            read(file, higgs, target)


def test_the_target_by_name(file: Path) -> None:
    examples = read(file, "kind,a,b\nx,1,2\ny,3,4\n", "kind")
    assert examples.x.tolist() == [[1, 2], [3, 4]]
    assert examples.classes == ("x", "y")
    with pytest.raises(DataError, match=r"expected a column 'kin' in .*, got none; did you mean 'kind'\?"):
        Table(str(file), "kin")()
    with pytest.raises(DataError, match="got none; the file has no header"):
        read(file, "1,2,0\n3,4,1\n", "kind")


def test_a_cell_of_a_file_without_header_is_no_name(file: Path) -> None:
    with pytest.raises(DataError, match=r"expected a column '7' in .*the file has no header"):
        read(file, "1,7,0\n3,4,1\n", "7")


def test_labels_that_are_numbers_are_sorted_by_value(file: Path) -> None:
    examples = read(file, "1,10\n2,9\n3,2.0\n4,2\n")
    assert examples.classes == ("2", "9", "10")
    assert examples.y.tolist() == [2, 1, 0, 0]


def test_quotes_blank_lines_a_byte_order_mark_and_spaces(file: Path) -> None:
    examples = read(file, '\ufeff\n "a, of", b\n\n1, "x, y"\n 2 ,z \n\n')
    assert examples.x.tolist() == [[1], [2]]
    assert examples.classes == ("x, y", "z")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,b,c\n1,red,x\n2,blue,y\n",
            "expected numbers in column 'b' of .*, got 'red' in line 2; drop the column",
        ),
        ("1,2,x\n\n2,1_0,y\n", "expected numbers in column '2' of .*, got '1_0' in line 3"),
        ("1,2,x\n1,x\n", "expected 3 columns in line 2 of .*, got 2; mend the line"),
        ("1,2,x\n1,2,\n", "expected a label in every row of .*, got none in line 2"),
        ("1,2,?\n1,2,x\n", "expected a label in every row of .*, got none in line 1"),
        ("1,,x\n2,?,y\n", "expected numbers in column '2' of .*, got none at all"),
        ("", "expected rows of at least one feature and a label in .*, got no row"),
        ("1\n2\n", "got one column; check the file and its separator"),
        ("a,b\n", "expected rows below the header of .*, got none"),
        ('1,"x\n', "expected comma-separated values in .*, got unexpected end of data near row 1"),
        (
            "".join(f"{row},{row / 7}\n" for row in range(50)),
            "expected a column of classes in .*, got 50 different",
        ),
    ],
)
def test_what_does_not_fit_is_a_sentence(file: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(file, text)


def test_other_encodings_and_truncated_gzip(file: Path) -> None:
    file.write_bytes(b"1,caf\xe9\n")
    with pytest.raises(DataError, match="expected text in UTF-8 in"):
        Table(str(file))()
    file.write_bytes(gzip.compress(b"1,x\n2,y\n")[:-8])
    with pytest.raises(DataError, match="expected a whole file"):
        Table(str(file))()


def test_the_limit_holds_after_decompression(file: Path) -> None:
    file.write_bytes(gzip.compress(b"1,x\n" * 100_000))
    with pytest.raises(DataError, match="expected at most 1,000 bytes of text"):
        Table(str(file), limit=1000)()
    file.write_bytes(gzip.compress(b"1" * 100_000))
    with pytest.raises(DataError, match="expected at most 1,000 bytes of text"):
        Table(str(file), limit=1000)()


@pytest.mark.data
@real
def test_real_tables() -> None:
    folder = Path(os.environ["FRENEMY_DATA"]) / "tabular"
    sonar = Table(str(folder / "sonar.csv"))()
    assert sonar.x.shape == (208, 60)
    assert sonar.classes == ("M", "R")
    assert sonar.y.bincount().tolist() == [111, 97]
    with pytest.raises(DataError, match=r"expected numbers in column '2' of .*, got 'Private' in line 1"):
        Table(str(folder / "adult-test.csv.gz"))()
