"""Options that need nothing but click, so that commands which start no leg start at once."""

from __future__ import annotations

import click

DEFAULT_DB = "sqlite:///vcpufuzz.db"

db_option = click.option(
    "--db",
    "url",
    metavar="URL",
    envvar="VCPUFUZZ_DB",
    default=DEFAULT_DB,
    show_default=True,
    show_envvar=True,
    help="Where findings are kept: an SQLite file or any SQLAlchemy URL.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
