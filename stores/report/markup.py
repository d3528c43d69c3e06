"""Markup that cannot be forgotten to be escaped: text becomes `Html` only through `element`."""

from html import escape

_VOID = frozenset({"br", "hr", "img", "input", "meta", "circle", "line", "path", "rect"})


class Html(str):
    """Markup that is ready to be written; a plain `str` is text, and is escaped on its way."""

    __slots__ = ()


def text(value: object) -> Html:
    """Return `value` as markup: `Html` as it is, anything else as escaped text.

    Example:
        >>> text("<b>")
        '&lt;b&gt;'
    """
    return value if isinstance(value, Html) else Html(escape(str(value)))


def join(*children: object) -> Html:
    """Return the children in a row, each escaped unless it is markup."""
    return Html("".join(text(child) for child in children))


def element(name: str, /, *children: object, **attributes: object) -> Html:
    """Return one HTML or SVG element.

    Args:
        name: Tag name.
        children: Text or markup inside it.
        attributes: Attribute values, escaped. `class_` means `class`, and an underscore in
            a name means a hyphen. None leaves the attribute out.

    Example:
        >>> element("p", "2 < 3", class_="note")
        '<p class="note">2 &lt; 3</p>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID and not children:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def _value(value: object) -> str:
    """Coordinates need no more than a hundredth of a pixel."""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)
