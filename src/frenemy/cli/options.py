"""Options: command-line flags and YAML from one frozen dataclass, refused in one sentence."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_type_hints

import docstring_parser
import yaml
from jsonargparse import ActionYesNo, ArgumentParser

from frenemy.errors import UsageError

__all__ = ["read"]

_T = TypeVar("_T")
_LARGEST = 1 << 20


class _Parser(ArgumentParser):
    """A parser whose complaints are our errors."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong in one sentence."""
        lines = [line.strip(" -|") for line in re.sub(r"\x1b\[[0-9;]*m", "", message).splitlines()]
        raise UsageError(": ".join(line.rstrip(":") for line in lines if line) + "; see --help")


def read(settings: type[_T], argv: list[str], verb: str, about: str) -> _T:
    """Read the options of a verb: defaults from the dataclass, then `--config FILE.yaml`, then flags.

    Raises:
        UsageError: an option is unknown or has the wrong type, or the file is no plain YAML.
    """
    for before, word in zip(["", *argv], argv):
        if before == "--config" or word.startswith("--config="):
            _check(Path(word.removeprefix("--config=")))
    parser = _Parser(prog=f"frenemy {verb}", description=about, default_env=False)
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    words = {
        word.arg_name: word.description for word in docstring_parser.parse(settings.__doc__ or "").params
    }
    types = get_type_hints(settings)
    for field in fields(settings):  # type: ignore[arg-type]
        flag, kind = f"--{field.name.replace('_', '-')}", types[field.name]
        how: dict[str, Any] = {"action": ActionYesNo(no_prefix="no-")} if kind is bool else {"type": kind}
        parser.add_argument(flag, default=field.default, help=words[field.name], **how)
    options: dict[str, Any] = parser.parse_args(argv).as_dict()
    options.pop("config", None)
    return settings(**options)


def _check(file: Path) -> None:
    """Refuse what a settings file has no need of: great size, aliases (which can blow up), anything unparsable."""
    try:
        if file.stat().st_size > _LARGEST:
            raise UsageError(
                f"expected settings of at most 1 MiB, got {file.stat().st_size} bytes in '{file}'"
            )
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"expected a readable YAML file, got '{file}': {error}") from error
    try:
        events = list(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise UsageError(
            f"expected YAML in '{file}', got something else: {' '.join(str(error).split())}"
        ) from error
    if any(isinstance(event, yaml.AliasEvent) for event in events):
        raise UsageError(f"expected plain values in '{file}', got a YAML alias (*name); write the value out")
