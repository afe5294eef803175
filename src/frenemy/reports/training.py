"""Training: how a model came about, as a page of curves with the log behind it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from frenemy.files import write_atomic
from frenemy.reports.panel import Line, Panel, drawn
from frenemy.reports.paper import on_paper
from frenemy.reports.sheet import Sheet, sheet

if TYPE_CHECKING:
    from frenemy.training.fit import Fitted

__all__ = ["trained"]

_DASHES: Final = {"none": "solid", "6 3": "dashed", "2 3": "dotted", "8 3 2 3": "dash and dot"}
_SHARES: Final = {"robust": "robust accuracy", "clean": "clean accuracy"}


def trained(
    fitted: Fitted, settings: Mapping[str, str], regime: Mapping[str, Any], out: Path, command: str
) -> tuple[list[str], list[Path]]:
    """Show how a training went.

    Args:
        fitted: what came of it.
        settings: method, model, threat and data, as people write them.
        regime: its settings.
        out: where the files go.
        command: what made them.

    Returns:
        Sentences for the terminal, and the files: training.html and training.json, and .pdf and .png where matplotlib
        is installed.

    Raises:
        RunError: a file cannot be written.
    """
    history = fitted.history
    sentences = [(_verdict(fitted), False), *((alarm, True) for alarm in fitted.alarms)]
    panels = [panel for panel in (_accuracies(history), _losses(history), *_facts(history)) if panel.lines]
    heads = ("epoch", *history[0]["losses"], *history[0]["facts"], "clean %", "robust %", "rate", "seconds")
    page = Sheet(
        title="How did the training go?",
        about=" · ".join(settings.values()),
        sentences=tuple(sentences),
        figures=tuple((panel.title, panel.text, drawn(panel)) for panel in panels),
        caption="what was logged; losses and facts are means over the examples as they were trained on, accuracies are "
        "those of the held-out examples under a short search, for choosing an epoch and not for quoting",
        heads=heads,
        rows=tuple(_row(entry) for entry in history),
        command=command,
        settings=(*settings.items(), *((name, str(value)) for name, value in regime.items())),
    )
    papers = on_paper(panels, out, "training")
    html, plain = out / "training.html", out / "training.json"
    log = {"settings": dict(settings), "regime": dict(regime), "chosen": fitted.epoch}
    log |= {"alarms": list(fitted.alarms), "history": list(history)}
    write_atomic(html, sheet(page, [file.name for file in (plain, *papers)]).encode("utf-8", "replace"))
    write_atomic(plain, json.dumps(log, indent=1, allow_nan=False).encode())
    return [text for text, _ in sentences], [html, plain, *papers]


def _verdict(fitted: Fitted) -> str:
    entry = fitted.history[fitted.epoch - 1]
    which = f"Epoch {fitted.epoch} of {len(fitted.history)}"
    seconds = sum(one["seconds"] for one in fitted.history)
    if entry["robust"] is None:
        return f"{which} is kept, the last; nothing was held out to choose by. It took {seconds:,.0f} s."
    return (
        f"{which} is kept: of the held-out examples it answers {entry['clean']:.1%} rightly, and {entry['robust']:.1%} "
        f"under a short search. It took {seconds:,.0f} s."
    )


def _accuracies(history: Sequence[Mapping[str, Any]]) -> Panel:
    seen = [entry for entry in history if entry["robust"] is not None]
    looks = {"robust": "enemy", "clean": "model"}
    x = np.array([entry["epoch"] for entry in seen], dtype=float)
    lines = [
        Line(x, np.array([100.0 * entry[name] for entry in seen]), _SHARES[name], looks[name])
        for name in ("clean", "robust")
        if seen
    ]
    return Panel(
        "Accuracy on what was held out",
        "Black: as they are; red: under a short PGD.",
        "epoch",
        "%",
        tuple(lines),
        low=0.0,
        high=100.0,
    )


def _losses(history: Sequence[Mapping[str, Any]]) -> Panel:
    names = [name for name in history[0]["losses"] if name != "loss" or len(history[0]["losses"]) > 2]
    return Panel("Losses", _legend(names), "epoch", "nats", tuple(_lines(history, "losses", names)))


def _facts(history: Sequence[Mapping[str, Any]]) -> list[Panel]:
    names = list(history[0]["facts"])
    if not names:
        return []
    lines = tuple(_lines(history, "facts", names))
    return [Panel("What the method did", _legend(names), "epoch", "", lines, low=0.0)]


def _legend(names: Sequence[str]) -> str:
    looks = itertools.cycle(_DASHES.values())
    told = ", ".join(f"{name} ({look})" for name, look in zip(names, looks, strict=False))
    return f"Means over the training examples: {told}."


def _lines(history: Sequence[Mapping[str, Any]], kind: str, names: Sequence[str]) -> list[Line]:
    x = np.array([entry["epoch"] for entry in history], dtype=float)
    return [
        Line(
            x,
            np.array([entry[kind].get(name, np.nan) for entry in history]),
            name,
            "model",
            dash=dash,
        )
        for name, dash in zip(names, itertools.cycle(_DASHES), strict=False)
    ]


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    shares = ["" if entry[name] is None else f"{100 * entry[name]:.1f}" for name in ("clean", "robust")]
    means = [f"{value:.4g}" for kind in ("losses", "facts") for value in entry[kind].values()]
    return (str(entry["epoch"]), *means, *shares, f"{entry['rate']:.3g}", f"{entry['seconds']:.1f}")
