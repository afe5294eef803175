"""Settings: the plain YAML that `--config` takes, a name and a value a line."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

import yaml

from frenemy.errors import UsageError, nearest

__all__ = ["entries"]

_LARGEST: Final = 1 << 16
_FIX: Final = "write one option a line, such as steps: 50"
_DEEPEST: Final = 8
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z_0-9-]*|[+-]?[0-9.][0-9.eE+/-]*")


def entries(file: Path, known: Collection[str], calls: Collection[str] = ()) -> dict[str, str | None]:
    """Read the settings in a file, as text: a list becomes words separated by commas, null becomes None.

    Under a name of `calls` a mapping such as `{name: pgd, steps: 100}` becomes `pgd(steps=100)`.

    No object is made from the YAML: tags have no effect, aliases and nesting are refused.

    Args:
        file: at most 64 KiB of UTF-8; an empty one holds no settings.
        known: the names that may stand in it, spelled with underscores; a hyphen is taken for one.
        calls: the names under which mappings may stand.

    Raises:
        UsageError: the file cannot be read, is no plain YAML, or a name in it is unknown or stands twice.
    """
    found: dict[str, str | None] = {}
    try:
        root = _plain(file)
    except OSError as error:
        raise _wrong(file, "a readable YAML file", str(error.strerror), "check the path") from error
    except UnicodeDecodeError as error:
        raise _wrong(file, "YAML", "bytes that are no UTF-8", "save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"something else in line {mark.line + 1}" if mark else "something else"
        raise _wrong(file, "YAML", f"{where}: {getattr(error, 'problem', error)}") from error
    for key, value in root.value:
        parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
        name = key.value.replace("-", "_") if isinstance(key, yaml.ScalarNode) else ""
        plain = all(isinstance(node, yaml.ScalarNode) for node in [key, *parts])
        if not plain and name not in calls:
            raise _wrong(file, "plain values", "nested ones")
        if name not in known:
            raise UsageError(f"unknown option '{name[:40]}' in '{file}'{nearest(name[:40], known)}")
        if name in found:
            raise _wrong(file, "each option once", f"'{name}' twice", "keep one of them")
        texts = [node.value if isinstance(node, yaml.ScalarNode) else _call(file, node) for node in parts]
        found[name] = None if value.tag.endswith(":null") else ",".join(texts)
    return found


def _call(file: Path, node: yaml.Node) -> str:
    """Write a mapping as a call, a list as a tuple, and a word as it stands."""
    if isinstance(node, yaml.MappingNode):
        pairs = [(key.value, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]
        names = [value.value for key, value in pairs if key == "name" and isinstance(value, yaml.ScalarNode)]
        if len(names) != 1 or len(pairs) != len(node.value):
            raise _wrong(
                file, "a name in every mapping", "one without", "write such as {name: pgd, steps: 100}"
            )
        rest = ",".join(f"{key}={_call(file, value)}" for key, value in pairs if key != "name")
        return f"{names[0]}({rest})"
    if isinstance(node, yaml.SequenceNode):
        return "(" + "".join(f"{_call(file, part)}," for part in node.value) + ")"
    text = str(node.value)
    return text if _WORD.fullmatch(text) else repr(text)


def _plain(file: Path) -> yaml.MappingNode:
    """Read a file and compose its YAML, which has no aliases and few brackets within brackets."""
    if file.exists() and not file.is_file():
        raise _wrong(file, "a YAML file", "a folder or a device", "give a file")
    with file.open("rb") as stream:
        content = stream.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise _wrong(file, "settings of at most 64 KiB", "more", "give the right file")
    text, depth = content.decode("utf-8-sig"), 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise _wrong(file, "plain values", f"the alias *{event.anchor}", "write its value")
        if depth > _DEEPEST:
            raise _wrong(file, "plain values", "nested ones")
    root = yaml.compose(text, Loader=yaml.SafeLoader) or yaml.MappingNode("", [])
    if not isinstance(root, yaml.MappingNode):
        raise _wrong(file, "options", "a single value or a list")
    return root


def _wrong(file: Path, expected: str, got: str, fix: str = _FIX) -> UsageError:
    return UsageError(f"expected {expected} in '{file}', got {got}; {fix}")
