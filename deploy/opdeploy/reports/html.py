"""One HTML file that stands alone: the shared layout and style, filled by jinja2, which escapes every value.

`templates/page.html.j2` is the layout that other pages extend; its policy lets the browser load nothing at all.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from opdeploy import __version__

ENVIRONMENT = Environment(
    loader=PackageLoader("opdeploy.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def page(template: str, **values: Any) -> str:
    """A page of `templates/`, with these values in it."""
    return ENVIRONMENT.get_template(template).render(values, tool=__version__)
