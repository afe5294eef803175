"""Frame: what all pages share: a template engine that escapes, style, script, and the policy that allows no other."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

__all__ = ["framed"]

_HERE: Final = Path(__file__).parent
_UNFIT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@cache
def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


@cache
def _template(name: str) -> Template:
    world = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    world.filters["svg"] = Markup
    world.filters["coded"] = _coded
    world.filters["thousands"] = "{:,}".format
    return world.get_template(name)


def framed(name: str, **values: Any) -> str:
    """Fill in a template, which is put into the frame: all text is escaped, and a name that is missing is an error.

    The content security policy allows the page its own style and script, by their hash, and images as data; no more.
    """
    css, js = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(css)}'; script-src '{_hash(js)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    text = _template(name).render(policy=policy, css=Markup(css), js=Markup(js), **values)
    return _UNFIT.sub("\ufffd", text)


def _coded(text: str) -> Markup:
    """Escape a text, and show what stands between two backquotes as code."""
    parts = str(escape(text)).split("`")
    whole = len(parts) % 2 == 1
    return Markup("".join(f"<code>{p}</code>" if k % 2 and whole else p for k, p in enumerate(parts)))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
