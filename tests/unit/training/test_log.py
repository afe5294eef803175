"""The log for TensorBoard: its records, read by their layout, say what the history says."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric.loggers import tensorboard as fabric
from tensorboardX.proto.event_pb2 import Event

from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.models.build import initialise
from frenemy.models.linear import Linear
from frenemy.rng import Key
from frenemy.threats.linf import Linf
from frenemy.training.fit import fit
from frenemy.training.iaat import IAAT
from frenemy.training.log import scalars, tensorboard
from frenemy.training.regime import Regime


def some() -> Examples:
    index = torch.arange(40)
    return Examples("some", Key(0).uniform(index, (1, 2, 3)), index % 2, ("a", "b"), index=index)


def trained(out: Path, epochs: int, logged: Any) -> Any:
    model = initialise(Linear(6, 2), Key(1))
    regime = Regime(epochs=epochs, batch_size=10, hold_out=8)
    return fit(
        IAAT(steps=1), model, some(), key=Key(2), threat=Linf(0.1), regime=regime, out=out, logged=logged
    )


def events(folder: Path) -> Iterator[Event]:
    """Records of a length, its check, the bytes, their check; files in the order in which they were begun."""
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            yield Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]


def read(folder: Path) -> dict[int, dict[str, float]]:
    """What TensorBoard shows, each number once: a later start takes back all from its first step on."""
    found: dict[int, dict[str, float]] = {}
    for event in events(folder):
        if event.HasField("session_log"):
            found = {step: values for step, values in found.items() if step < event.step}
        for value in event.summary.value:
            assert value.tag not in found.setdefault(event.step, {})
            found[event.step][value.tag] = value.simple_value
    return found


def test_the_log_says_what_the_history_says(tmp_path: Path) -> None:
    with tensorboard(tmp_path / "log") as logged:
        history = trained(tmp_path / "run", 3, logged).history
    found = read(tmp_path / "log")
    assert list(found) == [1, 2, 3]
    for entry in history:
        assert found[entry["epoch"]] == pytest.approx(scalars(entry), rel=1e-6)
    assert {"losses/loss", "facts/eps", "held_out/robust", "rate"} <= found[1].keys()


def test_a_training_that_goes_on_writes_its_whole_log_once(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    with tensorboard(tmp_path / "log") as logged:

        def stopping(entry: Any) -> None:
            logged(entry)
            if entry["epoch"] == 2:
                raise Stop

        with pytest.raises(Stop):
            trained(tmp_path / "run", 3, stopping)
    assert list(read(tmp_path / "log")) == [1, 2]
    (first,) = (tmp_path / "log").iterdir()
    first.rename(first.with_name("events.out.tfevents.1.first"))  # files of one second would have one name
    with tensorboard(tmp_path / "log") as logged:
        history = trained(tmp_path / "run", 3, logged).history
    found = read(tmp_path / "log")
    assert {step: found[step]["losses/loss"] for step in found} == pytest.approx(
        {entry["epoch"]: entry["losses"]["loss"] for entry in history}
    )


def test_without_the_library_it_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_TENSORBOARD_AVAILABLE", "_TENSORBOARDX_AVAILABLE"):
        monkeypatch.setattr(fabric, name, False)
    with pytest.raises(UsageError, match=r'pip install "frenemy\[log\]"'), tensorboard(tmp_path):
        pass


def test_what_an_epoch_has_not_is_left_out() -> None:
    entry = {"rate": 0.1, "seconds": 2, "losses": {"loss": 1.0}, "facts": {}}
    assert scalars(entry | {"clean": None, "robust": None, "top": None}) == {
        "rate": 0.1,
        "seconds": 2.0,
        "losses/loss": 1.0,
    }
