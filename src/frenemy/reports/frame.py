"""Frame: what all pages share: a template engine that escapes, style, script, and the policy that allows no other."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

__all__ = ["asset", "clean", "policy", "world"]

_HERE: Final = Path(__file__).parent
_UNFIT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@cache
def asset(name: str) -> str:
    """Read a file that lies beside this one."""
    return (_HERE / name).read_text(encoding="utf-8")


@cache
def world() -> Environment:
    """Give the template engine: all text is escaped, and a name that is missing is an error."""
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["svg"] = Markup
    made.filters["thousands"] = "{:,}".format
    return made


def policy(css: str, js: str) -> str:
    """Write the content security policy of a page: its own style and script by their hash, and images as data."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(css)}'; script-src '{_hash(js)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def clean(text: str) -> str:
    """Replace the characters that no page may hold."""
    return _UNFIT.sub("\ufffd", text)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
