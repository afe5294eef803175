"""The tables of searches by labels: measured against a recount; nothing is measured twice or retyped."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import frenemy

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "benchmarks")]

import black_box_tables  # noqa: E402
import labelled  # noqa: E402
import rivals  # noqa: E402


class Recount(nn.Module):
    """Two classes divided by a plane; keeps every row that it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.rows.extend(x.clone())
        height = x.sum(1) - 2.0
        return torch.stack([-height, height], 1)


@pytest.mark.parametrize("attack", ["signopt", "hopskipjump", "boundary"])
def test_distances_are_those_of_a_recount_after_exactly_so_many_queries(attack: str) -> None:
    model, marks = Recount(), (1, 37, 120, 301)
    batch = frenemy.Batch(torch.full((1, 8), 0.2), torch.tensor([0]), torch.arange(1))
    row = black_box_tables.measure(attack, model, batch, marks)
    far = [float((x - batch.x[0]).norm()) if x.sum() > 2 else float("inf") for x in model.rows[: marks[-1]]]
    expected = [min(far[:mark]) for mark in marks]
    got = [labelled.at(row, mark)[0] for mark in marks]
    assert got == pytest.approx(expected, abs=1e-4)
    assert row["stand"] == 1


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, asked = frenemy.Batch(torch.full((6, 8), 0.2), torch.zeros(6).long(), torch.arange(6)), list[str]()

    def measure(attack: str, *_: Any) -> dict[str, Any]:
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(attack)
        return {"queries": [9], "distances": [[1.0], [None]], "stand": 2, "microseconds": 1.0}

    monkeypatch.setattr(black_box_tables, "data", lambda name, data_dir: (batch, batch))
    monkeypatch.setattr(black_box_tables, "model_of", lambda name, train: Recount())
    monkeypatch.setattr(black_box_tables, "measure", measure)
    out = tmp_path / "there" / "found.json"
    with pytest.raises(KeyboardInterrupt):
        black_box_tables.run(lambda name: "opt" in name, out, None, 2)
    first = list(asked)
    assert [row["attack"] for row in labelled.read(out)["cells"]] == first
    asked[:] = []
    with pytest.raises(KeyboardInterrupt):
        black_box_tables.run(lambda name: "opt" in name, out, None, 2)
    assert not set(first) & set(asked)
    assert len(labelled.read(out)["cells"]) == 6


def test_means_say_of_how_many_they_are() -> None:
    row = {"queries": [10, 20], "distances": [[None, 2.0], [1.0, 1.0], [3.0, 3.0]]}
    assert labelled.means(row) == ["2.000 ± 1, of 2", "2.000 ± 0.58"]


def test_ratios_compare_point_by_point_and_leave_out_what_found_nothing() -> None:
    ours = {"distances": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]}
    twice = {"distances": [[2.0, 4.0], [6.0, 8.0], [10.0, None]]}
    assert rivals.ratios(twice, ours, 3) == [pytest.approx((2.0, 0.0)), pytest.approx((2.0, 0.0))]
    spread = {"distances": [[2.0, 2.0], [6.0, 4.0], [40.0, 6.0]]}
    (mean, error), _ = rivals.ratios(spread, ours, 3)
    assert mean == pytest.approx(32 ** (1 / 3))
    assert error == pytest.approx(mean * math.log(4) / 3)
    more, base = ({"distances": one["distances"] * 2} for one in (spread, ours))
    assert rivals.ratios(more, base, 3)[0] == pytest.approx((mean, error)), "a start more is no point more"


def test_the_page_is_what_the_results_say() -> None:
    kept = labelled.read(ROOT / "docs/results/black_box.json")
    page = (ROOT / "docs/black-box.md").read_text(encoding="utf-8")
    for name, write in labelled.TABLES.items():
        assert f"<!-- {name} -->\n{write(kept).strip()}\n<!-- end of {name} -->" in page
    assert f"<!-- rivals -->\n{rivals.table(rivals.read()).strip()}\n<!-- end of rivals -->" in page
    assert all(row["stand"] >= 0.95 * row["n"] for row in kept["cells"])
