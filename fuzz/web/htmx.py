"""htmx, as the package django-htmx brings it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

PACKAGE, FILE = "django_htmx", Path("static", "django_htmx", "htmx-2.min.js")


def htmx_file() -> Path | None:
    """The script; None where it is not installed, and then pages work as without JavaScript.
    The package itself is not imported."""
    spec = find_spec(PACKAGE)
    folders = (spec.submodule_search_locations if spec else None) or ()
    return next((path for path in (Path(one) / FILE for one in folders) if path.is_file()), None)
