"""What the pages share: the template environment, and what to say where it cannot be had."""

from __future__ import annotations

from typing import Any

from edgecv.errors import UsageError
from edgecv.reports.table import plain


def require_packages(instead: str = "") -> None:
    """Raise UsageError when the `report` extra is missing; `instead` is what else the user may do."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401  the plots import it where they use it
    except ImportError as error:
        message = 'the page needs jinja2 and matplotlib: pip install "edgecv[report]"'
        raise UsageError(f"{message}, or {instead}" if instead else message) from error


def render_page(template: str, **values: Any) -> str:
    """One HTML page that needs nothing beside itself."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edgecv.reports", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["plain"] = plain
    return environment.get_template(template).render(**values)
