"""Templates of HTML, and elements of HTML and SVG from Python: text that is not an element is escaped."""

import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from gnnrl.report.limits import show_limit
from gnnrl.report.names import STAGES, count, plural, score

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Content-Security-Policy of every page: no script, and no request."""

_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1b1f24}.m{fill:#5c6670;font-size:12px}.grid{stroke:#c5ccd3}"
    ".point{fill:#5c6670;fill-opacity:.6}.point.rise{fill:#2670b0;fill-opacity:1}"
    ".best{fill:none;stroke:#2670b0;stroke-width:2.2}.before{fill:none;stroke:#5c6670;stroke-width:1.6}"
    ".dense{stroke:#5c6670;stroke-dasharray:3 4}"
)


@cache
def templates() -> Environment:
    """Load the templates of the page and the card."""
    found = Environment(
        autoescape=lambda name: name is None or not name.endswith(".md"),
        loader=PackageLoader("gnnrl.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals |= {"policy": POLICY, "plural": plural, "STAGES": STAGES}
    found.filters |= {"limit": show_limit, "breakable": breakable, "count": count, "score": score}
    return found


@cache
def style() -> Markup:
    """Return the style sheet, which holds no text of a record."""
    loader = templates().loader
    assert loader is not None
    return Markup(loader.get_source(templates(), "style.css")[0])


def fill(template: str, **values: object) -> str:
    """Fill in a template."""
    return templates().get_template(template).render(style=style(), **values)


def element(name: str, *children: object, **attributes: object) -> Markup:
    """Make an element.

    Args:
        attributes: `class_` stands for class, `stroke_width` for stroke-width; None is left out, numbers are rounded
            to a hundredth, which is finer than a pixel.
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _text(value))
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(escape(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, inner)


def picture(width: float, height: float, *children: object, label: str, class_: str = "") -> Markup:
    """Make an SVG picture that scales with its container and says to a screen reader what it shows."""
    return element(
        "svg",
        *children,
        viewBox=f"0 0 {_text(width)} {_text(height)}",
        width=width,
        height=height,
        role="img",
        aria_label=label,
        class_=class_ or None,
    )


def standalone(width: float, height: float, *children: object, label: str) -> str:
    """Make an SVG file: a picture on white ground with its own colours, which every viewer understands."""
    ground = element("rect", width=width, height=height, fill="#ffffff", rx=6)
    drawn = picture(width, height, element("style", Markup(_STYLE)), ground, *children, label=label)
    return str(drawn).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def breakable(name: str) -> Markup:
    """Let a name break before its dots and slashes, and after 16 characters without one."""
    return Markup("<wbr>").join(re.findall(r"[./]?[^./]{1,16}|[./]", name))


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
