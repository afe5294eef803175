"""A small writer of SVG: elements in, the same text out each time; whatever text goes in is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final
from xml.sax.saxutils import escape, quoteattr

__all__ = ["Node", "element", "line", "number", "write"]


@final
@dataclass(frozen=True, slots=True)
class Node:
    """One element: its tag, its attributes in the order they are written, and what it holds."""

    tag: str
    attributes: tuple[tuple[str, str], ...]
    children: tuple[Node | str, ...]


def element(tag: str, *children: Node | str, **attributes: str | float) -> Node:
    """Make an element.

    Args:
        tag: its name.
        children: elements and text, in order.
        attributes: by name; `_` stands for `-` and a closing `_` is dropped, so that `class_` can be written;
            numbers are rounded to two decimals.

    Example:
        >>> write(element("text", "a < b", x=1.5, class_="label"))
        '<text x="1.5" class="label">a &lt; b</text>'
    """
    named = (
        (name.rstrip("_").replace("_", "-"), value if isinstance(value, str) else number(value))
        for name, value in attributes.items()
    )
    return Node(tag, tuple(named), children)


def write(node: Node | str) -> str:
    """Write an element and all it holds as one line of SVG."""
    if isinstance(node, str):
        return escape(_clean(node))
    head = node.tag + "".join(f" {name}={quoteattr(_clean(value))}" for name, value in node.attributes)
    if not node.children:
        return f"<{head}/>"
    return f"<{head}>{''.join(write(child) for child in node.children)}</{node.tag}>"


def number(value: float) -> str:
    """Write a coordinate with at most two decimals and no idle zeros: `3`, `0.5`, `-12.25`."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def line(points: Iterable[tuple[float, float]], *, closed: bool = False) -> str:
    """Write the path through some points, for the attribute `d`."""
    steps = " L".join(f"{number(x)} {number(y)}" for x, y in points)
    return f"M{steps}{' Z' if closed else ''}" if steps else ""


def _clean(text: str) -> str:
    """Replace the characters that no XML document may hold."""
    return "".join(
        c if c in "\t\n" or (c >= " " and not "\ud800" <= c <= "\udfff") else "\ufffd" for c in text
    )
