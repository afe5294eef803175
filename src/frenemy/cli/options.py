"""Options: flags and YAML from one frozen dataclass; what is wrong with them is said in one sentence."""

from __future__ import annotations

import math
import shutil
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, TypeVar, final, get_args, get_origin, get_type_hints

import docstring_parser
import yaml

from frenemy.cli.settings import entries
from frenemy.errors import UsageError, nearest

__all__ = ["at_least", "read"]

_T = TypeVar("_T")
_SWITCH: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_ALWAYS: Final = {
    "--config FILE": "YAML file with any of these options; the word that comes last counts",
    "--print_config": "print all options as YAML that --config takes, and do nothing else",
    "--help": "show this",
}


def at_least(low: float, default: Any) -> Any:
    """Declare a field with a default and the least value that it takes."""
    return field(default=default, metadata={"low": low})


def read(settings: type[_T], argv: list[str], verb: str, epilog: str = "") -> _T | None:
    """Read the options of a verb from left to right, flags and `--config FILE.yaml`; the last word counts.

    Args:
        settings: frozen dataclass; each field has a default, is a bool, int, float, str or `Literal` of texts, or one
            of these or None, and is described in the docstring.
        argv: the words after the verb.
        verb: its name.
        epilog: what stands below the help.

    Returns:
        The settings; None where `--help` or `--print_config` has been answered.

    Raises:
        UsageError: an option is unknown, or its value is missing or wrong; or a file is no plain YAML.
    """
    options = _options(settings)
    if "--help" in argv or "-h" in argv:
        print(_help(settings, options.values(), verb, epilog))
        return None
    texts, printing = _scanned(argv, options, verb)
    values = {name: options[name].value(text) for name, text in texts.items()}
    asked = settings(**values)
    if printing:
        shown = {name: getattr(asked, name) for name in options}
        yaml.safe_dump(shown, sys.stdout, sort_keys=False, allow_unicode=True)
        return None
    return asked


@final
@dataclass(frozen=True, slots=True)
class _Option:
    """One option: its name, default and type, whether it may be None, and the least value it takes."""

    name: str
    default: Any
    kind: Any
    empty: bool
    low: float | None

    @property
    def flag(self) -> str:
        """The flag, with its value: `--steps N`."""
        flag = f"--{self.name.replace('_', '-')}"
        if self.kind is bool:
            return flag.replace("--", "--[no-]") if self.default else flag
        if get_origin(self.kind) is Literal:
            return f"{flag} {'|'.join(get_args(self.kind))}"
        return f"{flag} {({int: 'N', float: 'X'}).get(self.kind, self.name.upper())}"

    def value(self, text: str | None) -> Any:
        """Turn text into a value.

        Raises:
            UsageError: it is of another type, or too small.
        """
        if text is None and self.empty:
            return None
        if text is None:
            raise self._wrong("given", "null")
        if get_origin(self.kind) is Literal:
            if text not in get_args(self.kind):
                raise UsageError(f"unknown {self.name} '{text}'{nearest(text, get_args(self.kind))}")
            return text
        if self.kind is bool:
            if text.lower() not in _SWITCH:
                raise self._wrong("true or false", text)
            return _SWITCH[text.lower()]
        return text if self.kind is str else self._number(text)

    def _number(self, text: str) -> float:
        what = "a whole number" if self.kind is int else "a finite number"
        bound = what if self.low is None else f"{what} of {self.low} or more"
        try:
            number: float = self.kind(text)
        except ValueError as error:
            raise self._wrong(bound, text) from error
        if number != number or abs(number) == math.inf or (self.low is not None and number < self.low):
            raise self._wrong(bound, text)
        return number

    def _wrong(self, what: str, text: str) -> UsageError:
        usual = "leave it out" if self.default is None else f"the default is {str(self.default).lower()}"
        name = f"--{self.name.replace('_', '-')}"
        return UsageError(f"expected {name} to be {what}, got '{text[:80]}'; {usual}")


def _options(settings: type) -> dict[str, _Option]:
    hints = get_type_hints(settings)
    found = {}
    for one in fields(settings):
        parts = () if get_origin(hints[one.name]) is Literal else get_args(hints[one.name])
        kind = next((part for part in parts if part is not NoneType), hints[one.name])
        low = one.metadata.get("low")
        found[one.name] = _Option(one.name, one.default, kind, NoneType in parts, low)
    return found


def _scanned(argv: list[str], options: dict[str, _Option], verb: str) -> tuple[dict[str, str | None], bool]:
    """Give the text of each option that was named, and whether to print them."""
    texts: dict[str, str | None] = {}
    printing, words = False, list(reversed(argv))
    while words:
        word = words.pop()
        flag, equals, text = word.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        switch = name.removeprefix("no_")
        if not flag.startswith("--"):
            raise UsageError(
                f"expected an option such as --steps 50, got '{word}'; see frenemy {verb} --help"
            )
        if name == "print_config":
            printing = True
        elif switch in options and options[switch].kind is bool and (name == switch or not equals):
            texts[switch] = text if equals else str(name == switch)
        elif name in options or name == "config":
            if not equals and (not words or words[-1].startswith("--")):
                raise UsageError(f"expected a value after {flag}, got none; see frenemy {verb} --help")
            text = text if equals else words.pop()
            texts |= entries(Path(text), options) if name == "config" else {name: text}
        else:
            hint = nearest(name, [*options, "config", "print_config"]).partition(" known:")[0]
            hint = hint.replace("_", "-").replace(" '", " '--")
            raise UsageError(f"unknown option '{flag}'{hint} see frenemy {verb} --help")
    return texts, printing


def _help(settings: type, options: Iterable[_Option], verb: str, epilog: str) -> str:
    told = docstring_parser.parse(settings.__doc__ or "")
    words = {word.arg_name: " ".join((word.description or "").split()).rstrip(".") for word in told.params}
    lines = [
        f"usage: frenemy {verb} [--OPTION VALUE ...]",
        "",
        *textwrap.wrap(told.short_description or ""),
        "",
    ]
    shown = {}
    for option in options:
        usual = "" if option.default is None or option.kind is bool else f" (default: {option.default})"
        shown[option.flag] = words[option.name] + usual
    width = min(shutil.get_terminal_size().columns, 100)
    for flag, text in (shown | _ALWAYS).items():
        body = textwrap.wrap(text, max(width - 25, 20), break_on_hyphens=False, break_long_words=False)
        first = f"  {flag:20}  " if len(flag) <= 20 else f"  {flag}\n{'':24}"
        lines.append(first + f"\n{'':24}".join(body))
    return "\n".join([*lines, *(["", epilog] if epilog else [])])
