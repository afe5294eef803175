"""Audits made by hand, as an audit would bring them back: usual ones and ones at the edge."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frenemy.risks.attempt import Attempt, Cost
from frenemy.risks.estimate import Estimate, proportion
from frenemy.risks.result import Audit, Caveat, Curve, Measurement, Picture

__all__ = ["NUMERALS", "bare", "crowd", "digits", "empty", "flat", "named", "single"]

NUMERALS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_EPS = tuple(level / 255 for level in (0, 1, 2, 4, 8, 12, 16, 24, 32))


def _canvas(number: int) -> NDArray[np.float32]:
    """A ring, a bar, a cross or a block, on 28 x 28 pixels."""
    rows, columns = np.mgrid[0:28, 0:28].astype(np.float64)
    far = np.hypot(rows - 14, columns - 13.5 - number % 3)
    shapes = (
        np.clip(3.2 - np.abs(far - 8), 0, 1),
        np.clip(3.5 - np.abs(columns - 14 + (rows - 14) / 5), 0, 1) * (np.abs(rows - 14) < 10),
        np.clip(2.8 - np.minimum(np.abs(rows - columns), np.abs(rows + columns - 28)), 0, 1) * (far < 11),
        np.clip(8.5 - np.maximum(np.abs(rows - 14), np.abs(columns - 14)), 0, 1),
    )
    canvas: NDArray[np.float32] = shapes[number % len(shapes)].astype(np.float32)[None]
    return canvas


def _noise(number: int) -> NDArray[np.float32]:
    rows, columns = np.mgrid[0:28, 0:28]
    waves = np.sin(1.7 * rows + number) * np.cos(2.3 * columns - number)
    signs: NDArray[np.float32] = np.sign(waves).astype(np.float32)[None]
    return signs


def _pictures(count: int) -> tuple[Picture, ...]:
    pictures = []
    for number in range(2 * count):
        enemy = number < count
        label, other = (3 * number) % 10, (3 * number + 5) % 10
        clean = _canvas(number)
        perturbed = np.clip(clean + np.float32(8 / 255) * _noise(number), 0, 1).astype(np.float32)
        before, after = (label, other) if enemy else (other, label)
        objective = "untargeted" if enemy else "hypocritical"
        pictures.append(Picture(17 * number, label, objective, before, after, 8 / 255, clean, perturbed))
    return tuple(pictures)


def _measurements(hits: dict[str, tuple[int, int]]) -> tuple[Measurement, ...]:
    acts = {"nat": "none", "clea": "none", "adve": "untargeted", "hypo": "hypocritical", "reve": "reversal"}
    made = []
    for measure, (count, n) in hits.items():
        objective = next(value for key, value in acts.items() if f"_{key}" in measure)
        clean = objective == "none"
        attack = "none" if clean else "PGD, 50 steps of eps/10, 20 restarts, cross-entropy then margin"
        cost = Cost(n, 0, 0.4) if clean else Cost(51 * n, 50 * n, 42.25)
        eps = 0.0 if clean else 8 / 255
        threat = "none" if clean else "linf"
        made.append(Measurement(measure, threat, eps, objective, attack, proportion(count, n), cost))
    return tuple(made)


def _attempts(n: int, right: int, left: int) -> tuple[Attempt, ...]:
    after = left + (right - left) // 23
    counted, cost = "accuracy_adversarial", Cost(51 * n, 50 * n, 21.5)
    words = ("PGD(steps=50, restarts=20) on ce", "PGD(steps=50, restarts=20) on margin")
    return (
        Attempt("untargeted", words[0], right, right - after, counted, proportion(after, n), cost),
        Attempt("untargeted", words[1], after, after - left, counted, proportion(left, n), cost),
        Attempt(
            "hypocritical", "BIM", 0, 0, "accuracy_hypocritical", proportion(0, 0), Cost(), "not applicable"
        ),
        Attempt(
            "reversal",
            "Square(queries=200)",
            n,
            1,
            "risk_reversible",
            proportion(n - left, n),
            Cost(9, 0, 0.1),
        ),
    )


def _curves(n: int, clean: float, slope: float) -> tuple[Curve, ...]:
    curves = []
    for objective, goal in (("untargeted", 0.0), ("hypocritical", 1.0)):
        for kind in ("largest", "exact"):
            shares = [goal + (clean - goal) * math.exp(-slope * eps * 255) for eps in _EPS]
            if kind == "exact":
                shares = [0.93 * s + 0.07 * clean for s in shares]
            points = tuple(proportion(round(n * s), n) for s in shares)
            curves.append(Curve(objective, kind, "linf", _EPS, points))
    return tuple(curves)


def _examples(n: int, classes: int, wrong: int) -> dict[str, NDArray[Any]]:
    index = np.arange(n, dtype=np.int64)
    label = (index * 7) % classes
    clean = np.where(index % max(n // max(wrong, 1), 1) == 0, (label + 1) % classes, label)
    right = clean == label
    outcome = np.where(right, np.where(index % 9 == 2, "not_found", "found"), "already")
    loss = np.where(index % 9 == 2, np.nan, np.sqrt(index + 1.0) / 3).astype(np.float32)
    return {
        "index": index,
        "label": label,
        "clean_answer": clean,
        "set_apart": np.where(index == 5, "not finite", ""),
        "untargeted_outcome": outcome,
        "untargeted_answer": np.where(outcome == "not_found", label, (label + 2) % classes),
        "untargeted_loss": loss,
        "untargeted_distance": np.full(n, 8 / 255, np.float32),
        "untargeted_queries": 51 + index % 40,
        "hypocritical_outcome": np.where(right, "already", "found"),
        "hypocritical_answer": label,
        "hypocritical_loss": np.full(n, np.nan, np.float32),
        "hypocritical_distance": np.where(right, 0.0, 8 / 255).astype(np.float32),
        "hypocritical_queries": np.where(right, 1, 12),
    }


def digits(model: str = "standard-cnn", *, n: int = 1000, right: int = 972, left: int = 31) -> Audit:
    """An image model with everything an audit can bring back."""
    wrong = n - right
    turned, flipped = wrong - 2, wrong - 1
    hits = {
        "accuracy_hypocritical": (right + turned, n),
        "accuracy_clean": (right, n),
        "accuracy_adversarial": (left, n),
        "risk_natural": (wrong, n),
        "risk_adversarial": (n - left, n),
        "risk_adversarial_on_correct": (right - left, right),
        "risk_hypocritical": (turned, wrong),
        "risk_hypocritical_changed": (turned, wrong),
        "risk_reversible": (right - left + flipped, n),
        "risk_reversible_on_wrong": (flipped, wrong),
    }
    measurements = _measurements(hits)
    curves = _curves(n, right / n, 0.35)
    points = tuple(
        Measurement("accuracy_adversarial", "linf", eps, "untargeted", "PGD", e, Cost(), "curve")
        for eps, e in zip(curves[0].eps, curves[0].accuracy, strict=True)
    )
    return Audit(
        model=model,
        data="digits-28 (test)",
        classes=NUMERALS,
        threat="linf:8/255",
        settings={
            "model": f"models/{model}.safetensors",
            "data": "digits-28",
            "slice": [0, n],
            "threat": "linf:8/255",
            "objectives": ["untargeted", "hypocritical", "reversal"],
            "attack": {"name": "pgd", "steps": 50, "restarts": 20},
            "confidence": 0.95,
            "seed": 0,
        },
        versions={
            "frenemy": "0.1.0",
            "torch": "2.9.1",
            "numpy": "2.4.6",
            "python": "3.11.7",
            "device": "cpu",
        },
        checksum="9f" * 32,
        low=0.0,
        high=1.0,
        measurements=measurements + points,
        curves=curves,
        pictures=_pictures(3),
        caveats=(
            Caveat(
                "masked gradients",
                "For 12 of 1000 inputs the first gradient is exactly zero. The search saw no slope there, so the "
                "accuracy under an enemy may be too high; try an attack that needs labels only.",
            ),
            Caveat(
                "few wrong inputs", f"Only {wrong} inputs are misclassified; risks among them are uncertain."
            ),
        ),
        notes=("the model was in training mode; it was judged in evaluation mode and put back",),
        examples=_examples(n, 10, wrong),
        cost=Cost(104_000, 100_000, 127.15),
        command=f"frenemy audit models/{model}.safetensors --data digits-28 --threat linf:8/255 --seed 0",
        attempts=_attempts(n, right, left),
    )


def empty() -> Audit:
    """No example could be judged: every number is undefined."""
    whole = digits("nothing-judged")
    nothing = Estimate(math.nan, 0.0, 1.0, 0)
    return replace(
        whole,
        measurements=tuple(replace(m, estimate=nothing) for m in whole.measurements),
        curves=tuple(replace(c, accuracy=(nothing,) * len(c.eps)) for c in whole.curves),
        pictures=(),
        examples={name: column[:0] for name, column in whole.examples.items()},
    )


def bare() -> Audit:
    """Only an enemy was asked for: no false friend, no curves, no pictures, no caveats, no columns."""
    whole = digits("enemy-only")
    wanted = {"accuracy_clean", "accuracy_adversarial", "risk_natural", "risk_adversarial"}
    kept = tuple(m for m in whole.measurements if m.measure in wanted and m.role == "headline")
    return replace(
        whole, measurements=kept, curves=(), pictures=(), caveats=(), notes=(), examples={}, attempts=()
    )


def single() -> Audit:
    """One example, which the model gets right."""
    whole = digits("one-example")
    hits = {"accuracy_clean": (1, 1), "accuracy_adversarial": (0, 1), "risk_hypocritical": (0, 0)}
    return replace(
        whole,
        measurements=_measurements(hits),
        curves=_curves(1, 1.0, 1.0),
        examples=_examples(1, 10, 1),
        attempts=_attempts(1, 1, 0),
    )


def crowd() -> Audit:
    """A hundred classes with long names, and a model with a very long name."""
    classes = tuple(f"class {number}: {'a very long description of it ' * 3}" for number in range(100))
    whole = digits("a-very-long-name-of-a-model-without-any-place-to-break-it" * 4)
    return replace(whole, classes=classes, examples=_examples(300, 100, 30))


def flat() -> Audit:
    """A table of 30 features instead of images, with one picture that did not move."""
    clean = np.linspace(-2, 2, 30, dtype=np.float32)
    moved = (clean + 0.2 * np.sin(np.arange(30))).astype(np.float32)
    pictures = (
        Picture(4, 1, "untargeted", 1, 0, 0.2, clean, moved),
        Picture(9, 0, "hypocritical", 1, 0, 0.0, clean, clean),
    )
    whole = digits("trees-on-a-table")
    return replace(whole, data="tumours", classes=("benign", "malignant"), pictures=pictures, low=-math.inf)


def named(text: str) -> Audit:
    """Everything that a user may name is called `text`."""
    whole = digits(text, n=40, right=30, left=5)
    return replace(
        whole,
        data=text,
        classes=(text,) * 10,
        threat=text,
        settings={text: text, "model": text, "seed": 0},
        versions={text: text},
        checksum=text,
        measurements=tuple(replace(m, attack=text) for m in whole.measurements),
        curves=tuple(replace(c, threat=text) for c in whole.curves),
        caveats=(Caveat(text, text),),
        attempts=tuple(replace(one, attack=text, objective=text, measure=text) for one in whole.attempts),
        notes=(text,),
        examples=dict(whole.examples) | {"set_apart": np.full(len(whole.examples["index"]), text)},
        command=text,
    )
