# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Elements of HTML and SVG, as a tree that is always well-formed and escapes what it is given."""

from __future__ import annotations

import collections.abc as c
from xml.etree import ElementTree as Tree

Child = Tree.Element | str | None
Attributes = c.Mapping[str, str | int | float | None]


def tag(name: str, attributes: Attributes | None = None, *children: Child) -> Tree.Element:
    """An element. Attributes that are None are left out, and so are children that are."""
    element = Tree.Element(name, {key: _text(value) for key, value in (attributes or {}).items() if value is not None})
    for child in children:
        if isinstance(child, str):
            if len(element):
                element[-1].tail = (element[-1].tail or "") + child
            else:
                element.text = (element.text or "") + child
        elif child is not None:
            element.append(child)
    return element


def scrolled(label: str, *children: Child) -> Tree.Element:
    """A part with scroll bars of its own, which the keyboard reaches, too."""
    return tag("div", {"class": "scroll", "tabindex": 0, "role": "region", "aria-label": label}, *children)


def render(element: Tree.Element) -> str:
    """The element as HTML."""
    return Tree.tostring(element, encoding="unicode", method="html")


def _text(value: str | float) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
