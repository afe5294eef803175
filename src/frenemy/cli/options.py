"""Options: flags and YAML from one frozen dataclass; what is wrong with them is said in one sentence."""

from __future__ import annotations

import math
from argparse import ArgumentError
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, TypeVar, final, get_args, get_origin, get_type_hints

import docstring_parser
from jsonargparse import ActionYesNo, ArgumentParser
from jsonargparse.typing import NonNegativeInt, PositiveInt, restricted_number_type

from frenemy.cli.settings import entries
from frenemy.errors import UsageError, nearest

__all__ = ["at_least", "read"]

_T = TypeVar("_T")
_FINITE: Final = restricted_number_type("NonNegativeFinite", float, [(">=", 0), ("<", math.inf)])
_NUMBERS: Final = {(int, None): int, (int, 0): NonNegativeInt, (int, 1): PositiveInt, (float, 0): _FINITE}
_WHAT: Final = {int: "a whole number", float: "a finite number", bool: "true or false"}


def at_least(low: Literal[0, 1], default: Any) -> Any:
    """Declare a number with a default and the least value that it takes."""
    return field(default=default, metadata={"low": low})


def read(settings: type[_T], argv: list[str], verb: str, epilog: str = "") -> _T | None:
    """Read the options of a verb from left to right, flags and `--config FILE.yaml`; the last word counts.

    Args:
        settings: frozen dataclass; each field has a default, is a bool, str, int, `Literal` of texts, float of 0 or
            more, or one of these or None, and is described in the docstring.
        argv: the words after the verb.
        verb: its name.
        epilog: what stands below the help.

    Returns:
        The settings; None where `--help` or `--print-config` has been answered.

    Raises:
        UsageError: an option is unknown, or its value is missing or wrong; or a file is no plain YAML.
    """
    told = docstring_parser.parse(settings.__doc__ or "")
    usage = f"frenemy {verb} [--OPTION VALUE ...]"
    parser = ArgumentParser(
        usage=usage, description=told.short_description, exit_on_error=False, print_config="--print-config"
    )
    parser.add_argument("--config", action="config", metavar="FILE", help="YAML file with any of the options")
    options = _options(settings)
    for word in told.params:
        options[word.arg_name].add(parser, (word.description or "").rstrip("."))
    if "--help" in argv or "-h" in argv:
        print(f"{parser.format_help()}\n{epilog}".rstrip())
        return None
    words = _words(argv, options, verb)
    found = parser.parse_args([])
    for name in sorted(words, key="print_config".__eq__):
        flag, _, text = words[name].partition("=")
        try:
            found = parser.parse_args([words[name]], namespace=found)
        except SystemExit:
            return None
        except ArgumentError as error:
            if text and name in options:
                raise options[name].wrong(text) from error
            got = f"'{text}'" if text else "none"
            raise UsageError(
                f"expected a value after {flag}, got {got}; see frenemy {verb} --help"
            ) from error
    return settings(**{name: found[name] for name in options})


@final
@dataclass(frozen=True, slots=True)
class _Option:
    """One option: its flag, type and default, and the least value it takes."""

    flag: str
    kind: Any
    default: Any
    low: Any

    def add(self, parser: ArgumentParser, told: str) -> None:
        """Let a parser know it."""
        more: dict[str, Any] = {"default": self.default, "help": told}
        if self.kind is bool:
            switch = parser.add_argument(self.flag, action=ActionYesNo(no_prefix="no-"), nargs="?", **more)
            switch.metavar = "yes|no"
        else:
            number = self.kind in (int, float)
            parser.add_argument(
                self.flag, type=_NUMBERS[self.kind, self.low] if number else self.kind, **more
            )

    def wrong(self, text: str) -> UsageError:
        """Say what was expected instead of a text."""
        if get_origin(self.kind) is Literal:
            return UsageError(
                f"unknown {self.flag[2:]} '{text[:80]}'{nearest(text[:80], get_args(self.kind))}"
            )
        what = _WHAT.get(self.kind, "given") + (f" of {self.low} or more" if self.low is not None else "")
        usual = "leave it out" if self.default is None else f"the default is {str(self.default).lower()}"
        return UsageError(f"expected {self.flag} to be {what}, got '{text[:80]}'; {usual}")


def _options(settings: type) -> dict[str, _Option]:
    found = {}
    hints = get_type_hints(settings)
    for one in fields(settings):
        parts = get_args(hints[one.name])
        kind = parts[0] if NoneType in parts else hints[one.name]
        found[one.name] = _Option(
            f"--{one.name.replace('_', '-')}", kind, one.default, one.metadata.get("low")
        )
    return found


def _words(argv: list[str], options: dict[str, _Option], verb: str) -> dict[str, str]:
    """Give the last word on each option, as `--flag=value` or `--flag`; a file stands for the options in it."""
    known = {"--config": "config", "--print-config": "print_config"}
    known |= {option.flag: name for name, option in options.items()}
    known |= {f"--no-{name}": name for name, option in options.items() if option.kind is bool}
    given: list[str] = []
    for word in argv:
        if given and not word.startswith("--") and "=" not in given[-1]:
            given[-1] += f"={word}"
        else:
            given.append(word)
    words: dict[str, str] = {}
    for word in given:
        flag, equals, text = word.partition("=")
        flag = flag.replace("_", "-")
        if flag not in known:
            hint = nearest(flag, known).partition(" known:")[0]
            raise UsageError(f"unknown option '{flag[:40]}'{hint} see frenemy {verb} --help")
        words[known[flag]] = flag + equals + text
        for name, value in entries(Path(text), options).items() if flag == "--config" and equals else ():
            words[name] = f"{options[name].flag}={value}"
            if value is None and options[name].default is None:
                del words[name]
            elif value is None:
                raise options[name].wrong("null")
    return words
