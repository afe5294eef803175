"""The command line: `frenemy VERB ...`, one file a verb; an error is one sentence and exit code 2."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Final

from frenemy import __version__, heap
from frenemy.cli.blame import blamed
from frenemy.errors import FrenemyError, GoneError, UsageError, nearest

__all__ = ["main"]

_VERBS: Final = {
    "audit": "judge a model against an enemy, a false friend and anybody who wants its answer to flip",
    "train": "train a model by a method of robust training",
    "converge": "draw the loss and the accuracy of a search against its steps",
    "landscape": "draw the loss around the inputs",
    "boundary": "find the nearest points at which a model changes its answer, and what lies between",
    "transfer": "attack one model and judge another, for every two of several",
    "mask": "judge what lies between two models that differ in batch norm alone",
    "pairs": "find the nearest examples of different classes",
    "theory": "show toy problems whose numbers are known exactly",
    "report": "make the tables and the page of a finished audit again",
    "list": "show the attacks, threats, objectives, models, data sets, methods and problems, or one of them in full",
    "cite": "print the BibTeX of what you used",
}


def main(argv: list[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0 for success, 2 for bad input, 3 if some examples could not be judged, 130 after Ctrl-C, 143 after SIGTERM.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait must not take the cores of others
    os.environ.setdefault("GOMP_SPINCOUNT", "400")  # but waking them takes longer than so short a wait
    words = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        with _heeding(signal.SIGTERM):
            code = _run(words)
            sys.stdout.flush()
            return code
    except GoneError as error:
        return _fail(str(error), 3)
    except FrenemyError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _stopped(130)
    except _Terminated:
        return _stopped(143)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if (sentence := blamed(error)) is None:
            raise
        return _fail(sentence)


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if words[0] in ("-V", "--version"):
        print(f"frenemy {__version__}")
        return 0
    verb, rest = words[0], words[1:]
    if verb not in _VERBS:
        raise UsageError(f"unknown command '{verb}'{nearest(verb, _VERBS)}")
    heap.keep()
    code: int = import_module(f"frenemy.cli.{verb}").run(rest)
    return code


class _Terminated(BaseException):
    """SIGTERM came."""


@contextmanager
def _heeding(number: signal.Signals) -> Iterator[None]:
    """Turn a signal into an exception, so that files are closed and the terminal is left clean."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, stop)
    try:
        yield
    finally:
        signal.signal(number, before or signal.SIG_DFL)


def _fail(sentence: str, code: int = 2) -> int:
    plain = "".join(letter if letter.isprintable() else " " for letter in sentence)
    print(f"frenemy: error: {' '.join(plain.split())}", file=sys.stderr)
    return code


def _stopped(code: int) -> int:
    print("frenemy: stopped; finished work is kept: run the same command again to go on", file=sys.stderr)
    return code


def _help() -> str:
    verbs = "\n".join(f"  {verb:10} {what}" for verb, what in _VERBS.items())
    return f"""usage: frenemy COMMAND ...

How does a model behave when someone pushes its inputs?

{verbs}

  frenemy audit                                       the demonstration: two digit classifiers
  frenemy audit --model net.py:make --data mnist --threat linf:0.2
  frenemy COMMAND --help                              all options of a command"""


if __name__ == "__main__":
    sys.exit(main())
