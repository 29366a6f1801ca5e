"""HTML as a tree of elements, so that every text and attribute is escaped by the writer and none by hand."""

import base64
import re
from xml.etree import ElementTree

Element = ElementTree.Element
Child = Element | str | None

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def element(tag: str, *children: Child, **attributes: str | float | bool | None) -> Element:
    """An element with its text and children in order.

    Args:
        tag: name.
        children: elements and texts; None is left out.
        attributes: `class_` is `class`, other underscores are hyphens; True is an attribute without a value, None and
            False are left out.
    """
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None and value is not False:
            key = name.rstrip("_").replace("_", "-")
            made.set(key, key if value is True else clean(str(value)))
    for child in children:
        append(made, child)
    return made


def append(parent: Element, child: Child) -> None:
    """Put a text or an element behind what is there."""
    if child is None:
        return
    if isinstance(child, Element):
        parent.append(child)
    elif len(parent):
        parent[-1].tail = (parent[-1].tail or "") + clean(child)
    else:
        parent.text = (parent.text or "") + clean(child)


def clean(text: str) -> str:
    """The text with control characters, and bytes of file names that are no text, written as \\xNN and \\udcNN."""
    shown = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
    return shown.encode("utf8", "backslashreplace").decode("utf8")


def data_uri(kind: str, data: bytes) -> str:
    """The file's content as an address: `kind` is its media type, such as image/webp."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def document(root: Element) -> str:
    """The page's text.

    Raises:
        ValueError: a style or script would end early, since their text cannot be escaped.
    """
    for inline in (*root.iter("style"), *root.iter("script")):
        if "</" in (inline.text or ""):
            raise ValueError(f"the text of <{inline.tag}> must not hold '</'")
    return "<!DOCTYPE html>\n" + ElementTree.tostring(root, encoding="unicode", method="html") + "\n"
