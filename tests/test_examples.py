"""The examples: each runs, stays short, and shows what it says it shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.shown import shown

EXAMPLES = Path(__file__).parents[1] / "examples"

Run = Callable[[str], str]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What every example prints, each run in an empty folder."""
    files = sorted(EXAMPLES.glob("*.py"))
    folders = [str(tmp_path_factory.mktemp(file.stem)) for file in files]
    jobs = [{"folder": f, "steps": [["script", str(file)]]} for f, file in zip(folders, files, strict=True)]
    results = zip(files, folders, shown(jobs), strict=True)
    return {file.stem: result | {"folder": folder} for file, folder, result in results}


@pytest.fixture
def run(outputs: dict[str, dict[str, str]]) -> Run:
    """Give what an example printed."""

    def done(name: str) -> str:
        assert "error" not in outputs[name], outputs[name]["error"]
        return outputs[name]["out"]

    return done


def shares(text: str) -> list[float]:
    """The estimates in a text, in per cent; each must lie in its interval."""
    found = [tuple(map(float, numbers)) for numbers in re.findall(r"([\d.]+) \[([\d.]+), ([\d.]+)\]", text)]
    assert all(low <= value <= high for value, low, high in found)
    return [value for value, _, _ in found]


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda file: file.stem)
def test_an_example_is_short_and_has_its_own_test(file: Path) -> None:
    assert len(file.read_text().splitlines()) < 60
    assert f'run("{file.stem}")' in Path(__file__).read_text()


def test_there_are_eight() -> None:
    assert len(list(EXAMPLES.glob("*.py"))) == 8


def test_your_model_is_flattered_and_broken(run: Run) -> None:
    clean, enemy, friend, flips = shares(run("audit_your_model"))
    assert enemy < clean <= friend
    assert flips >= clean - enemy


def test_random_weights_look_right_with_a_friend(run: Run) -> None:
    found = shares(run("false_friend"))
    clean, friend = set(found[::2]), found[1::2]
    assert len(clean) == 1
    assert clean.pop() < 50 < 90 < friend[-1]
    assert friend == sorted(friend)


def test_largest_norm_falls_and_exact_norm_is_no_worse(run: Run) -> None:
    largest, exact = run("exact_norm").split("exact norm")
    falling = shares(largest)
    assert len(falling) == 5
    assert falling == sorted(falling, reverse=True)
    assert all(there >= up_to for up_to, there in zip(falling, shares(exact), strict=True))


def test_one_attack_reports_every_example(run: Run) -> None:
    lines = run("one_attack").splitlines()
    rows = [
        re.fullmatch(r"example +\d+, a (\d): (\w+) +at distance ([\d.]+) after (\d+) q.*", r) for r in lines
    ]
    assert len(rows) == 8
    for row in rows:
        assert row is not None
        assert float(row[3]) <= 1.5
        assert 1 <= int(row[4]) <= 1 + 2 * 21
        if row[2] == "ALREADY":
            assert (float(row[3]), int(row[4])) == (0.0, 1)
    assert {"FOUND"} <= {row[2] for row in rows if row}


def test_table_counts_what_turns(run: Run) -> None:
    clean, enemy, friend, flips = shares(run("table"))
    assert enemy < clean < friend
    assert flips == pytest.approx(friend - enemy, abs=0.11), "with two classes a flip is a break or a mend"


def test_report_is_written_where_it_says(run: Run, outputs: dict[str, dict[str, str]]) -> None:
    folder = Path(outputs["write_report"]["folder"])
    files = [folder / line for line in run("write_report").splitlines()]
    assert {file.name for file in files} >= {"report.html", "results.json", "table.csv", "examples.npz"}
    assert all(file.stat().st_size > 100 for file in files)


def test_points_that_transfer_do_more_than_random_ones(run: Run) -> None:
    enemy, friend = (shares(text) for text in run("transfer_matrix").split("hypocritical"))
    assert len(enemy) == len(friend) == 4 * 3
    (narrow, from_narrow), (from_wide, wide) = enemy[:2], enemy[3:5]
    by_chance = max(enemy[9:11])
    assert min(narrow, wide, from_narrow, from_wide) > by_chance


def test_a_server_says_how_to_start_it(run: Run) -> None:
    assert "--serve" in run("predict_server")
