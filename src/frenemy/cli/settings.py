"""Settings: the plain YAML that `--config` takes, a name and a value a line."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

import yaml

from frenemy.errors import UsageError, nearest

__all__ = ["entries"]

_LARGEST: Final = 1 << 16
_FIX: Final = "write one option a line, such as steps: 50"


def entries(file: Path, known: Collection[str]) -> dict[str, str | None]:
    """Read the settings in a file, as text: a list becomes words separated by commas, null becomes None.

    No object is made from the YAML and nothing in it is followed: tags have no effect, aliases and nesting are refused.

    Args:
        file: at most 64 KiB of UTF-8; an empty one holds no settings.
        known: the names that may stand in it, spelled with underscores; a hyphen is taken for one.

    Raises:
        UsageError: the file cannot be read, is no plain YAML, or a name in it is unknown or stands twice.
    """
    text = _text(file)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > 2:
                raise UsageError(f"expected plain values in '{file}', got nested ones; {_FIX}")
            if isinstance(event, yaml.AliasEvent):
                raise UsageError(
                    f"expected plain values in '{file}', got the alias *{event.anchor}; write its value"
                )
        root = yaml.compose(text, Loader=yaml.SafeLoader) or yaml.MappingNode("", [])
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f" in line {place.line + 1}" if place else ""
        why = getattr(error, "problem", error)
        raise UsageError(f"expected YAML in '{file}', got something else{where}: {why}; {_FIX}") from error
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(f"expected options in '{file}', got a single value or a list; {_FIX}")
    found: dict[str, str | None] = {}
    for key, value in root.value:
        parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
        if not all(isinstance(node, yaml.ScalarNode) for node in [key, *parts]):
            raise UsageError(f"expected plain values in '{file}', got nested ones; {_FIX}")
        name = str(key.value).replace("-", "_")
        if name not in known:
            raise UsageError(f"unknown option '{name[:40]}' in '{file}'{nearest(name[:40], known)}")
        if name in found:
            raise UsageError(f"expected each option once in '{file}', got '{name}' twice; keep one of them")
        found[name] = None if value.tag.endswith(":null") else ",".join(node.value for node in parts)
    return found


def _text(file: Path) -> str:
    try:
        if file.exists() and not file.is_file():
            raise UsageError(f"expected a YAML file, got '{file}' which is none; give a file")
        with file.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise UsageError(
                f"expected settings of at most 64 KiB, got more in '{file}'; give the right file"
            )
        return content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "its bytes are no UTF-8"
        raise UsageError(f"expected a readable YAML file, got '{file}': {why}; check the path") from error
