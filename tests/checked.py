"""The type checker behind the import hook: an int may stand where a float is expected, as for mypy."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

__all__ = ["checked"]

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
