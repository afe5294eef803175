"""A few inputs, what was done to them, and what the model said: as images, or as the features that moved most."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from frenemy.reports.png import address, image
from frenemy.reports.svg import element, write
from frenemy.reports.words import class_name, size
from frenemy.risks.result import Audit, Picture

__all__ = ["Answer", "Change", "Shown", "gallery", "unit"]

_SMALL = 96
_FEATURES = 6


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said: the name of the class, and whether it is right."""

    name: str
    right: bool


@final
@dataclass(frozen=True, slots=True)
class Change:
    """One feature that moved: its name, its value before and after, the difference, and a bar of it."""

    feature: str
    before: str
    after: str
    difference: str
    bar: str


@final
@dataclass(frozen=True, slots=True)
class Shown:
    """One picture, ready for the page.

    Args:
        objective: `untargeted` or `hypocritical`.
        index: place of the example in its data set.
        label: name of its class.
        before, after: the model's answers.
        distance: size of the perturbation.
        story: which search found it, at which step, and with how much to spare; or by how much it failed.
        images: original, perturbation and perturbed input as addresses of PNG data; empty for flat inputs.
        pixelated: whether the images are so small that their pixels should be shown as squares.
        factor: how many times the perturbation is enlarged around mid-grey; empty if there is none to show.
        changes: the features that moved most; empty for images.
        moved: how many features moved at all.
    """

    objective: str
    index: int
    label: str
    before: Answer
    after: Answer
    distance: str
    story: str
    images: tuple[str, ...]
    pixelated: bool
    factor: str
    changes: tuple[Change, ...]
    moved: int


def gallery(audit: Audit, rank: str = "") -> dict[str, tuple[Shown, ...]]:
    """Make the pictures of an audit ready, those of the enemy and those of the false friend, in their order.

    Args:
        audit: the audit.
        rank: `easiest` or `hardest` for the examples that are shown because they are; else the usual ones.
    """
    return {
        objective: tuple(
            _show(audit, picture)
            for picture in audit.pictures
            if (picture.objective, picture.rank) == (objective, rank)
        )
        for objective in ("untargeted", "hypocritical")
    }


def unit(audit: Audit) -> str:
    """Say what one number of an input is called: `pixel` or `feature` by its pictures, else `input value`."""
    if not audit.pictures:
        return "input value"
    return "pixel" if any(image(picture.clean) is not None for picture in audit.pictures) else "feature"


def _show(audit: Audit, picture: Picture) -> Shown:
    clean, perturbed = image(picture.clean), image(picture.perturbed)
    delta = np.nan_to_num(picture.perturbed.astype(np.float64) - picture.clean.astype(np.float64))
    most = float(np.abs(delta).max(initial=0.0))
    images: tuple[str, ...] = ()
    factor = ""
    if clean is not None and perturbed is not None and (change := image(delta)) is not None:
        low, high = _bounds(audit, clean)
        scale = (high - low) / (2 * most) if most > 0 else 0.0
        layers = (clean - low, change * scale + (high - low) / 2, perturbed - low)
        images = tuple(address(layer / (high - low)) for layer in layers)
        factor = _times(scale) if most > 0 else ""
    return Shown(
        objective=picture.objective,
        index=picture.index,
        label=class_name(audit.classes, picture.label),
        before=_answer(audit, picture, picture.before),
        after=_answer(audit, picture, picture.after),
        distance=size(picture.distance) if math.isfinite(picture.distance) else "–",
        story=_story(picture),
        images=images,
        pixelated=clean is not None and max(clean.shape[:2]) <= _SMALL,
        factor=factor,
        changes=() if images else _changes(picture, delta.ravel(), most),
        moved=int(np.count_nonzero(delta)),
    )


def _story(picture: Picture) -> str:
    if not picture.attack:
        return ""
    if not picture.spare >= 0:
        short = f", {-picture.spare:.3g} logits short" if math.isfinite(picture.spare) else ""
        return f"stood; the nearest miss{short}, by {picture.attack}" + _least(picture)
    when = f" at step {picture.step}" if picture.step >= 0 else ""
    return f"fell to {picture.attack}{when}, {picture.spare:.3g} logits to spare" + _least(picture)


def _least(picture: Picture) -> str:
    """Where another search got by with less, or needed more."""
    if not math.isfinite(picture.least) or math.isclose(picture.least, picture.distance, rel_tol=1e-2):
        return ""
    return f"; the least known to do it is {size(picture.least)}"


def _answer(audit: Audit, picture: Picture, number: int) -> Answer:
    return Answer(class_name(audit.classes, number), number == picture.label)


def _bounds(audit: Audit, clean: NDArray[np.float64]) -> tuple[float, float]:
    if math.isfinite(audit.low) and math.isfinite(audit.high) and audit.low < audit.high:
        return audit.low, audit.high
    low, high = float(clean.min()), float(clean.max())
    return (low, high) if low < high else (low, low + 1.0)


def _times(factor: float) -> str:
    return f"{factor:.0f}" if factor >= 10 else f"{factor:.2g}"


def _changes(picture: Picture, delta: NDArray[np.float64], most: float) -> tuple[Change, ...]:
    before, after = np.ravel(picture.clean), np.ravel(picture.perturbed)
    order = np.argsort(-np.abs(delta), kind="stable")[:_FEATURES]
    return tuple(
        Change(
            feature=f"feature {place}",
            before=f"{before[place]:.4g}",
            after=f"{after[place]:.4g}",
            difference=f"{delta[place]:+.3g}",
            bar=_bar(float(delta[place]) / most),
        )
        for place in order
        if delta[place] != 0
    )


def _bar(length: float) -> str:
    """A bar to the right of the middle for what grew, to the left for what shrank; `length` in [-1, 1]."""
    width = 48 * abs(length)
    parts = (
        element("rect", class_="track", x=49.5, y=0, width=1, height=8),
        element("rect", class_="moved", x=50 if length > 0 else 50 - width, y=2, width=width, height=4),
    )
    return write(
        element(
            "svg", *parts, class_="bar", viewBox="0 0 100 8", preserveAspectRatio="none", aria_hidden="true"
        )
    )
