"""HTML and SVG as trees, so that text is always escaped: there is no way to write markup from a string."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element, tostring

Child = Element | str | None | Iterable["Element | str | None"]


def node(tag: str, *children: Child, **attributes: str | float | None) -> Element:
    """One element. Names of attributes lose a last underscore (`class_`), other underscores become hyphens;
    an attribute that is None is left out, a number is written with at most one decimal.
    """
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None:
            text = value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
            made.set(name.rstrip("_").replace("_", "-"), clean(text))
    extend(made, *children)
    return made


def extend(parent: Element, *children: Child) -> None:
    """Append elements and text; None is nothing, an iterable stands for its entries."""
    for child in children:
        if isinstance(child, str):
            if len(parent):
                parent[-1].tail = (parent[-1].tail or "") + clean(child)
            else:
                parent.text = (parent.text or "") + clean(child)
        elif isinstance(child, Element):
            parent.append(child)
        elif child is not None:
            extend(parent, *child)


def clean(text: str) -> str:
    """The text without control characters, which HTML forbids, and without halves of characters."""
    kept = "".join(c if c >= " " or c in "\n\t" else "�" for c in text)
    return kept.encode("utf-8", "replace").decode("utf-8")


def document(root: Element) -> bytes:
    """The bytes of an HTML page."""
    return b"<!doctype html>\n" + tostring(root, encoding="unicode", method="html").encode("utf-8")
