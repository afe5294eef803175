"""Log: the epochs of a training as numbers by name, for TensorBoard and its like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from frenemy.errors import UsageError

__all__ = ["Logged", "scalars", "tensorboard"]

Logged: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Told of each epoch's entry of the history, as it ends."""


def scalars(entry: Mapping[str, Any]) -> dict[str, float]:
    """Flatten an epoch's entry: `losses/clean`, `facts/eps`, `held_out/robust`, `rate`, `seconds`.

    What an epoch has not, such as accuracies where nothing is held out, is left out. For MLflow:
    `logged=lambda entry: mlflow.log_metrics(scalars(entry), entry["epoch"])`.
    """
    found = {name: entry[name] for name in ("rate", "seconds")}
    for group in ("losses", "facts"):
        found |= {f"{group}/{name}": value for name, value in entry[group].items()}
    found |= {f"held_out/{name}": entry[name] for name in ("clean", "robust", "top")}
    return {name: float(value) for name, value in found.items() if value is not None}


@contextmanager
def tensorboard(out: Path) -> Iterator[Logged]:
    """Write the epochs into `out` as TensorBoard reads them, in the place of what an earlier start wrote there.

    Raises:
        UsageError: neither tensorboard nor tensorboardX is installed.
    """
    from lightning_fabric.loggers.tensorboard import TensorBoardLogger

    try:
        logger = TensorBoardLogger(out.parent, name=out.name, version="", purge_step=0)
    except ModuleNotFoundError as error:
        raise UsageError(
            'neither tensorboard nor tensorboardX is installed; pip install "frenemy[log]"'
        ) from error

    def logged(entry: Mapping[str, Any]) -> None:
        logger.log_metrics(scalars(entry), entry["epoch"])
        logger.save()

    try:
        yield logged
    finally:
        logger.finalize("success")
