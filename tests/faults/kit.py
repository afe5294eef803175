"""What the cases share: where they are written down, a small honest model, and an audit of it to compare with."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from torch import nn

from frenemy.cli.main import main
from frenemy.data.digits import Digits
from frenemy.data.examples import Examples
from frenemy.errors import FrenemyError
from frenemy.models.build import initialise
from frenemy.models.mlp import MLP
from frenemy.risks.audit import audit
from frenemy.risks.result import Audit
from frenemy.rng import Key
from frenemy.training.fit import fit
from frenemy.training.regime import Regime
from frenemy.training.standard import Standard

__all__ = [
    "CASES",
    "NOT_YET",
    "QUICK",
    "Case",
    "apart",
    "case",
    "few",
    "honest",
    "plain",
    "refused",
    "said",
    "same",
]

QUICK: Final[dict[str, Any]] = {"threat": "linf:0.1", "effort": "quick", "steps": 3, "curve": 0}

NOT_YET: Final = {
    35: "ONNX and trees as named models: no case here, see tests/unit/models/test_predictor.py",
    46: "workers of a sweep: not built",
    49: "training on several devices: no case here, see tests/unit/training/test_parts.py",
    50: "models behind HTTP: no case here, see tests/unit/models/test_http.py",
}
"""Cases of the plan that are not counted: the part is not built, or its faults are tested elsewhere."""


@dataclass(frozen=True)
class Case:
    """One case: its number in the plan, what happens, and what must then be true.

    Args:
        number: as in the plan.
        promise: in words; the docstring of the function.
        run: raises where the promise is broken; gives what became of the fault: `fixed`, `flagged`, `refused`,
            `nothing lost`, each with a word more if need be.
    """

    number: int
    promise: str
    run: Callable[[Path], str]


CASES: Final[list[Case]] = []


def case(number: int) -> Callable[[Callable[[Path], str]], Callable[[Path], str]]:
    """Write a case down."""

    def keep(run: Callable[[Path], str]) -> Callable[[Path], str]:
        CASES.append(Case(number, (run.__doc__ or "").strip().rstrip("."), run))
        CASES.sort(key=lambda one: one.number)
        return run

    return keep


@cache
def plain() -> nn.Module:
    """A perceptron that gets some nine digits in ten right."""
    model = initialise(MLP(64, (24,), 10), Key(1))
    regime = Regime(epochs=3, batch_size=64, rate=3e-3)
    return fit(Standard(), model, Digits("train")(), key=Key(2), regime=regime).model


@cache
def few() -> Examples:
    """The first 60 test digits."""
    return Digits("test")().take(slice(0, 60))


@cache
def honest() -> Audit:
    """The audit that nothing went wrong in."""
    return audit(plain(), few(), **QUICK)


def same(found: Audit, rows: Any = slice(None), other: Audit | None = None) -> None:
    """See that the verdicts of these rows are those of the honest audit."""
    for wish in ("untargeted", "hypocritical", "reversal"):
        mine, theirs = (a.examples[f"{wish}_outcome"][rows] for a in (found, other or honest()))
        assert mine.tolist() == theirs.tolist(), wish


def apart(found: Audit) -> list[int]:
    """Positions of the examples that were set apart."""
    return np.flatnonzero(found.examples["set_apart"] != "").tolist()


@contextmanager
def refused(*words: str) -> Iterator[None]:
    """See that the body is refused in one sentence with a fix, and with these words."""
    try:
        yield
    except FrenemyError as error:
        text = str(error)
        assert "\n" not in text, text
        assert all(word in text for word in words), text
        return
    raise AssertionError("it was not refused")


def said(*argv: object) -> tuple[int, str, str]:
    """Call the command line here: exit code, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in argv])
    return code, out.getvalue(), err.getvalue()
