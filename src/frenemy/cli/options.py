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
from yaml.constructor import SafeConstructor

from frenemy.cli.settings import entries
from frenemy.errors import UsageError, nearest

__all__ = ["at_least", "calls", "read"]

_T = TypeVar("_T")
_FINITE: Final = restricted_number_type("NonNegativeFinite", float, [(">=", 0), ("<", math.inf)])
_NUMBERS: Final = {(int, None): int, (int, 0): NonNegativeInt, (int, 1): PositiveInt, (float, 0): _FINITE}
_WHAT: Final = {int: "a whole number", float: "a finite number", bool: "true or false"}
_OF_THREAT: Final = ("--eps", "--norm")
"""Options of other libraries that are said in the threat here."""


def at_least(low: Literal[0, 1], default: Any) -> Any:
    """Declare a number with a default and the least value that it takes."""
    return field(default=default, metadata={"low": low})


def calls() -> Any:
    """Declare a text, None by default, that YAML may also write as mappings: `{name: pgd, steps: 100}`."""
    return field(default=None, metadata={"calls": True})


def read(settings: type[_T], argv: list[str], verb: str, epilog: str = "") -> _T | None:
    """Read the options of a verb from left to right, flags and `--config FILE.yaml`; the last word counts.

    Args:
        settings: frozen dataclass; each field has a default, is a bool, str, int, `Literal` of texts, float of 0 or
            more, or one of these or None, and is described in the docstring, or in that of a dataclass it extends.
        argv: the words after the verb.
        verb: its name.
        epilog: what stands below the help.

    Returns:
        The settings; None where `--help` or `--print-config` has been answered.

    Raises:
        UsageError: an option is unknown, or its value is missing or wrong; or a file is no plain YAML.
    """
    told = docstring_parser.parse(settings.__doc__ or "")
    lines = [docstring_parser.parse(base.__doc__ or "") for base in reversed(settings.__mro__[:-1])]
    parser = ArgumentParser(
        exit_on_error=False, print_config="--print-config", description=told.short_description
    )
    parser.usage = f"frenemy {verb} [--OPTION VALUE ...]"
    parser.add_argument("--config", action="config", metavar="FILE", help="YAML file with any of the options")
    options = _options(settings)
    for name, text in {one.arg_name: one.description or "" for part in lines for one in part.params}.items():
        options[name].add(parser, text.rstrip("."))
    if "--help" in argv or "-h" in argv:
        print(f"{parser.format_help()}\n{epilog}".replace(" \b", "").rstrip())
        return None
    fix = f"see frenemy {verb} --help"
    words = _words(argv, options, fix)
    found = parser.parse_args([])
    for name in sorted(words, key="print_config".__eq__):
        flag, equals, text = words[name].partition("=")
        try:
            found = parser.parse_args([words[name]], namespace=found)
        except SystemExit:
            return None
        except ArgumentError as error:
            if equals and name in options:
                raise options[name].wrong(text) from error
            got = f"'{text[:80]}'" if equals else "none"
            raise UsageError(f"expected a value after {flag}, got {got}; {fix}") from error
    return settings(**{name: found[name] for name in options})


@final
@dataclass(frozen=True, slots=True)
class _Option:
    """One option: its flags, type and default, the least value it takes, and whether YAML may write mappings."""

    flags: tuple[str, ...]
    kind: Any
    default: Any
    low: Any
    calls: bool

    def add(self, parser: ArgumentParser, told: str) -> None:
        """Let a parser know it."""
        more: dict[str, Any] = {"default": self.default, "help": told}
        if self.kind is bool:
            switch = parser.add_argument(
                self.flags[0], action=ActionYesNo(no_prefix="no-"), nargs="?", **more
            )
            switch.metavar, switch.type = "yes|no", lambda text: SafeConstructor.bool_values[text.lower()]
        else:
            kind = _NUMBERS[self.kind, self.low] if self.kind in (int, float) else self.kind
            parser.add_argument(self.flags[0], type=kind, **more)

    def wrong(self, text: str) -> UsageError:
        """Say what was expected instead of a text."""
        text, flag = text[:80], self.flags[0]
        if get_origin(self.kind) is Literal:
            return UsageError(f"unknown {flag[2:]} '{text}'{nearest(text, get_args(self.kind))}")
        what = _WHAT.get(self.kind, "given") + (f" of {self.low} or more" if self.low is not None else "")
        usual = "leave it out" if self.default is None else f"the default is {str(self.default).lower()}"
        return UsageError(f"expected {flag} to be {what}, got '{text}'; {usual}")


def _options(settings: type) -> dict[str, _Option]:
    found = {}
    hints = get_type_hints(settings)
    for one in fields(settings):
        hint = hints[one.name]
        kind = get_args(hint)[0] if NoneType in get_args(hint) else hint
        flags = [prefix + one.name.replace("_", "-") for prefix in ("--", "--no-")]
        found[one.name] = _Option(
            tuple(flags[: 1 + (kind is bool)]),
            kind,
            one.default,
            one.metadata.get("low"),
            one.metadata.get("calls", False),
        )
    return found


def _words(argv: list[str], options: dict[str, _Option], fix: str) -> dict[str, str]:
    """Give the last word on each option, as `--flag=value` or `--flag`; a file stands for the options in it."""
    known = {flag: name for name, option in options.items() for flag in option.flags}
    known |= {"--config": "config", "--print-config": "print_config"}
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
            if flag in _OF_THREAT and "--threat" in known:
                hint = "; it is part of the threat: --threat linf:0.1;"
            raise UsageError(f"unknown option '{flag[:40]}'{hint} {fix}")
        if flag != "--config" or not equals:
            words[known[flag]] = flag + equals + text
            continue
        made = [name for name, option in options.items() if option.calls]
        for name, value in entries(Path(text), options, made).items():
            if value is not None:
                words[name] = f"{options[name].flags[0]}={value}"
            elif options[name].default is None:
                words.pop(name, None)
            else:
                raise options[name].wrong("null")
    return words
