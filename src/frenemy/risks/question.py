"""Question: the model, the data and the threat that were asked about, made ready, and what tells them from others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import frenemy
from frenemy.data.examples import Examples
from frenemy.data.find import load
from frenemy.models.answers import Answers
from frenemy.models.files import fingerprint
from frenemy.models.model import Model, device_of
from frenemy.threats.spec import parse
from frenemy.threats.threat import Threat

__all__ = ["Question", "question"]


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
        return {
            "model": self.name,
            "model_sha256": fingerprint(self.model),
            "data": self.examples.name,
            "data_sha256": self.examples.checksum,
            "examples": len(self.examples),
            "frenemy": frenemy.__version__,
        }


def question(model: Model, data: Examples | str, threat: Threat | str, name: str | None) -> Question:
    """Make ready what was asked about.

    Args:
        model: gives logits.
        data: the examples, or what `frenemy.load` understands.
        threat: words such as `linf:8/255` take their box from the data.
        name: what to call the model; its class by default.
    """
    examples = load(data) if isinstance(data, str) else data
    around = parse(threat, low=examples.low, high=examples.high) if isinstance(threat, str) else threat
    answering = model if isinstance(model, Answers) else Answers(model)
    return Question(answering, name or type(answering.model).__name__, examples, around, device_of(answering))
