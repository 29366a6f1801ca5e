"""The report page: one HTML file without external files, made from page.html.j2, style.css and slider.js."""

import base64
import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prismsr.tools.reporting.crops import Comparison
from prismsr.tools.reporting.curves import Curves, draw_svg
from prismsr.tools.reporting.evaluations import Group, shorten_path
from prismsr.tools.reporting.paper_tables import PaperTable
from prismsr.tools.reporting.tables import describe_scores, make_table

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).resolve().parent
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Story:
    """What the page says before its figures.

    Attributes:
        about: sentences on what was done.
        look: what to look for in the pictures; "": the general advice.
        extras: title, content type, content and sentence of each further picture.
        found: sentences on what was found.
    """

    about: Sequence[str]
    look: str = ""
    extras: Sequence[tuple[str, str, bytes, str]] = ()
    found: Sequence[str] = ()


@dataclass(frozen=True)
class Gallery:
    """The crops of a data set that has `count` images."""

    dataset: str
    count: int
    crops: Sequence[Comparison]

    @property
    def shown(self) -> int:
        """Return how many images have a crop."""
        return len({crop.image for crop in self.crops})

    @property
    def pair(self) -> list[str]:
        """Return the two pictures that the slider shows first: the last method beside GT, where there is a GT."""
        return [panel.method for panel in max(self.crops, key=lambda crop: len(crop.panels)).panels[-2:]]


def read_extras(extras: Sequence[tuple[str, Path, str]], problems: list[str]) -> list[tuple[str, str, bytes, str]]:
    """Read title, picture file and sentence into what `Story` holds; a file that cannot be read is told."""
    found = []
    for title, path, sentence in extras:
        try:
            data = path.read_bytes()
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror})")
            continue
        found.append((title, mimetypes.guess_type(path.name)[0] or "image/png", data, sentence))
    return found


def render_page(
    title: str,
    story: Story,
    groups: Sequence[tuple[Group, Sequence[Comparison]]],
    curves: Curves,
    papers: Sequence[PaperTable],
    problems: Sequence[str],
    refresh: int | None = None,
) -> str:
    """Return the HTML text, equal for equal arguments; each group of evaluations has its crops beside it.

    With `refresh` the page reloads itself after so many seconds.
    """
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=clean,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"base64": encode, "path": shorten_path, "scores": describe_scores, "svg": draw_svg}
    return environment.get_template("page.html.j2").render(
        title=title,
        story=story,
        style=_read_markup("style.css"),
        script=_read_markup("slider.js"),
        pictures=[Gallery(group.dataset, len(group.images), crops) for group, crops in groups if crops],
        groups=[(group, make_table(group)) for group, _ in groups],
        curves=curves,
        papers=papers,
        refresh=refresh,
        problems=list(dict.fromkeys(problems)),
    )


def _read_markup(name: str) -> Markup:
    return Markup((FOLDER / name).read_text(encoding="utf8"))


def clean(value: Any) -> str:
    r"""Return the text with control characters, and bytes of file names that are no text, as \xNN and \udcNN.

    Markup stays Markup, so that it is not escaped again.
    """
    shown = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", str(value))
    text = shown.encode("utf8", "backslashreplace").decode("utf8")
    return Markup(text) if isinstance(value, Markup) else text


def encode(data: bytes) -> str:
    """Return a file's content in base64."""
    return base64.b64encode(data).decode("ascii")
