"""Question: the model, the data and the threat that were asked about, made ready, and what tells them from others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import frenemy
from frenemy.attacks.best import look
from frenemy.attacks.others import Others
from frenemy.card import Access
from frenemy.data.examples import Examples
from frenemy.data.find import load
from frenemy.errors import UsageError, nearest
from frenemy.models.answers import Answers
from frenemy.models.build import build
from frenemy.models.files import fingerprint
from frenemy.models.model import Model, device_of
from frenemy.models.still import still
from frenemy.threats.spec import parse
from frenemy.threats.threat import Threat

__all__ = ["Question", "access_named", "likely", "question"]

_FEW: Final = 16
_OTHERS: Final = 2000
"""Examples, at most, from which searches by labels may start."""
_ROOM: Final = 2**26
"""Numbers, at most, that these may hold: a quarter of a GiB."""


@final
@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about.

    Args:
        model: answers as a classifier should.
        name: what to call it.
        examples: the data.
        threat: what may be done to an input.
        device: where the model lives.
    """

    model: Answers
    name: str
    examples: Examples
    threat: Threat
    device: str

    def identity(self) -> dict[str, Any]:
        """What tells model and data from any other, as JSON values."""
        rules = self.examples.rules
        return ({} if rules is None else {"rules": rules.told()}) | {
            "model": self.name,
            "model_sha256": fingerprint(self.model),
            "data": self.examples.name,
            "data_sha256": self.examples.checksum,
            "examples": len(self.examples),
            "frenemy": frenemy.__version__,
        }

    def look(self) -> Question:
        """Ask the model about a few examples; where it gives probabilities, their logarithm is taken from then on."""
        rows = self.examples.x.flatten(1).isfinite().all(1).nonzero().flatten()[:_FEW]
        self.model.soft = False
        if len(rows):
            with still(self.model):
                answers = look(self.model, self.examples.batch(rows, self.device).x, None)
            self.model.soften(answers)
        return self


def question(model: Model | str, data: Examples | str, threat: Threat | str, name: str | None) -> Question:
    """Make ready what was asked about.

    Args:
        model: gives logits; or words that `frenemy.models.build` understands.
        data: the examples, or what `frenemy.load` understands.
        threat: words such as `linf:8/255` take their box from the data.
        name: what to call the model; by default its class, or what the words make of it.
    """
    examples = load(data) if isinstance(data, str) else data
    around = parse(threat, low=examples.low, high=examples.high) if isinstance(threat, str) else threat
    if isinstance(model, str):
        model, called = build(model, examples=examples)
        name = name or called
    answering = model if isinstance(model, Answers) else Answers(model)
    answering.access = Access.GRADIENTS
    return Question(answering, name or type(answering.model).__name__, examples, around, device_of(answering))


def access_named(word: str) -> Access:
    """Read what is to be seen of a model.

    Raises:
        UsageError: it is none of gradients, scores, labels.
    """
    known = {access.value: access for access in Access}
    if word not in known:
        raise UsageError(f"unknown access '{word}'{nearest(word, known)}")
    return known[word]


def likely(examples: Examples) -> Others:
    """The first examples, as points from which a search by labels may start."""
    features = max(1, examples.x[:1].numel())
    batch = examples.batch(slice(0, min(_OTHERS, max(1, _ROOM // features))))
    sound = batch.x.flatten(1).isfinite().all(1)
    return Others(batch.x[sound], batch.y[sound])
