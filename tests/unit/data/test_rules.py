"""The YAML beside a table: what it says, and every way in which it cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from frenemy.data.find import load
from frenemy.data.rules import Rules
from frenemy.errors import DataError

TABLE = "age,income,debts,clerk,nurse,kind\n30,1.5,2,1,0,a\n40,2.5,0,0,1,b\n30,9,1,0,1,a\n"
WHOLE = "fixed: [age]\ninteger: [debts]\nonehot:\n  job: [clerk, nurse]\nbounds:\n  income: [0, 200]\n"


def table(folder: Path, rules: str | bytes, text: str = TABLE) -> str:
    (folder / "people.csv").write_text(text)
    (folder / "people.yaml").write_bytes(rules.encode() if isinstance(rules, str) else rules)
    return str(folder / "people.csv")


def test_the_rules_of_a_table(tmp_path: Path) -> None:
    found = load(table(tmp_path, WHOLE))
    assert found.rules == Rules(
        ("age", "income", "debts", "clerk", "nurse"), (0,), (2,), (("job", (3, 4)),), "people.yaml"
    )
    assert (float(found.low[1]), float(found.high[1])) == (0.0, 200.0)  # type: ignore[index]
    assert found.rules.told() == {
        "any number": ["income"],
        "whole numbers": ["debts"],
        "one of each group": {"job": ["clerk", "nurse"]},
        "held still": ["age"],
    }
    assert "to another of its group: job (clerk, nurse). Held still: age." in found.notes[0]
    assert found.take(slice(0, 1)).rules == found.rules


def test_a_table_without_a_file_has_none_and_a_constant_column_may_be_held_still(tmp_path: Path) -> None:
    path = table(tmp_path, "fixed: [age]", "age,b,kind\n1,1,x\n1,2,y\n")
    found = load(path)
    assert bool((torch.as_tensor(found.low) < torch.as_tensor(found.high)).all())
    (tmp_path / "people.yaml").unlink()
    assert load(path).rules is None
    (tmp_path / "people.yml").write_text("integer: [b]")
    assert load(path).rules == Rules(("age", "b"), integer=(1,), source="people.yml")


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ("", "expected rules by name"),
        ("- a", "expected rules by name"),
        ("fixed: [", "expected YAML in"),
        (b"\xff\xfe\x00", "expected"),
        ("fixd: [age]", "unknown rule 'fixd'"),
        ("fixed: age", "a list of columns below fixed"),
        ("fixed: [[age]]", "a list of columns below fixed"),
        ("fixed: [agee]", "got 'agee'"),
        ("fixed: [kind]", "got 'kind'"),
        ("fixed: [age, income, debts, clerk, nurse]", "a column that may change"),
        ("integer: [income]", "whole numbers in column 'income'"),
        ("onehot: [clerk, nurse]", "names below onehot"),
        ("onehot: {job: [clerk]}", "two columns or more in the group job"),
        ("onehot: {job: [clerk, nurse]}\nfixed: [clerk]", "all or none of them fixed"),
        ("onehot: {job: [clerk, debts]}", "one 1 and else 0 in the columns of job"),
        ("integer: [clerk]\nonehot: {job: [clerk, nurse]}", "'clerk' in several"),
        ("bounds: {income: [5, 1]}", "the smaller first"),
        ("bounds: {income: [0, .inf]}", "the smaller first"),
        ("bounds: {income: 5}", "the smaller first"),
        ("bounds: {income: [0, 2]}", "as people.yaml says, got 1.5 to 9"),
        ("integer: [debts]\nbounds: {debts: [0, 2.5]}", "whole numbers as bounds of debts"),
        ("a: &x [age]\nfixed: *x", "an alias"),
        ("fixed: !!python/object:os.system [age]", "expected YAML"),
        ("# " + "x" * 70000, "at most 64 KiB"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(
    tmp_path: Path, rules: str | bytes, sentence: str
) -> None:
    with pytest.raises(DataError, match="people") as error:
        load(table(tmp_path, rules))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
