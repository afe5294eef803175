"""What can go wrong, as one small tree.

Every message is a sentence: what was expected, what came, and the usual fix.

    FrenemyError
    ├── UsageError          a word, number or file the user gave cannot be used (command line: exit code 2)
    │   ├── DataError       a data set is missing, damaged, or does not fit
    │   ├── ModelError      a model cannot be built or loaded, or does not answer as a classifier
    │   ├── ThreatError     a threat is malformed, or its set is empty for an example
    │   └── RunError        a run directory cannot be used
    ├── DivergedError       a training's loss is not finite; the last checkpoint is kept
    ├── GoneError           a model answers no more; what was found is kept (command line: exit code 3)
    └── CatalogError        a part in a folder of the library is broken or doubled
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CatalogError",
    "DataError",
    "DivergedError",
    "FrenemyError",
    "GoneError",
    "ModelError",
    "RunError",
    "ThreatError",
    "UsageError",
    "nearest",
]


class FrenemyError(Exception):
    """Any error that frenemy raises on purpose."""


class UsageError(FrenemyError):
    """Something the user gave cannot be used."""


class DataError(UsageError):
    """A data set is missing, damaged, or does not fit the request."""


class ModelError(UsageError):
    """A model cannot be built or loaded, or does not answer as a classifier."""


class ThreatError(UsageError):
    """A threat is malformed, or allows nothing for some example."""


class RunError(UsageError):
    """A run directory cannot be written, is in use, or belongs to another audit."""


class DivergedError(FrenemyError):
    """A training's loss is not finite; no weight has moved by it."""


class GoneError(FrenemyError):
    """A model that did answer answers no more, such as one behind an address; asking on is in vain."""


class CatalogError(FrenemyError):
    """A part of the library is broken, doubled or does not say what it is."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Say what `word` was probably meant to be: `; did you mean 'mnist'?`, followed by all that is known."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else ";"
    return f"{hint} known: {', '.join(names)}"
