"""What the pages share: the template environment, what to say where it cannot be had, and their files."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgecv.errors import UsageError
from edgecv.files import write_text, writing
from edgecv.reports.wording import plain

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

SCRIPT = "page.js"


class Written(NamedTuple):
    """The files of a report, and a sentence for the user when the page could not be made here."""

    paths: tuple[Path, ...]
    note: str | None


def write_files(folder: Path, texts: Mapping[str, str], html: str, page: Callable[[], str]) -> Written:
    """Write `texts` by their names into a folder, and the page as `html` where it can be made.

    Older ones are replaced, other files left alone. The page comes last: what was measured is kept whatever
    becomes of the drawing. Raises EdgecvError when the disk refuses.
    """
    with writing(folder / html):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / html).unlink(missing_ok=True)  # it would show the numbers of an older run
    for name, text in texts.items():
        write_text(folder / name, text)
    paths = tuple(folder / name for name in texts)
    try:
        write_text(folder / html, page())
    except UsageError as error:
        return Written(paths, f"no {html}: {error}")
    return Written((*paths, folder / html), None)


def require_packages(instead: str = "") -> None:
    """Raise UsageError when the `report` extra is missing; `instead` is what else the user may do."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401  the plots import it where they use it
    except ImportError as error:
        message = 'the page needs jinja2 and matplotlib: pip install "edgecv[report]"'
        raise UsageError(f"{message}, or {instead}" if instead else message) from error


def render_page(template: str, *, sortable: bool = False, **values: Any) -> str:
    """One HTML page that needs nothing beside itself.

    sortable: tables of the class `sortable` can be sorted. It takes a script, the only one that the page's
    own policy then lets run, by its hash.
    """
    environment = _environment()
    script = environment.get_template(SCRIPT).render() if sortable else ""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(**values, script=script, script_sha256=digest)


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edgecv.reports", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["plain"] = plain
    environment.filters["data_uri"] = jpeg_uri
    environment.filters["breakable"] = breakable
    return environment


def breakable(text: str) -> Markup:
    """A name that may end a line after a slash, a dot or an underscore, as a phone makes it do."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"(?<=\w)([/_](?=\w)|\.(?=[^\W\d]))", r"\1<wbr>", str(escape(text))))


def jpeg_uri(jpeg: bytes) -> str:
    """A JPEG inside an address."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
