"""`vcpufuzz web`: what was found, in a browser."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from fuzz.cli.errors import Exit, UserError, debugging
from fuzz.cli.plain_options import db_option
from fuzz.web.access import AccessError, access
from fuzz.web.server import ServerError, serve
from targets.kvm.remote import address, secret

DEFAULT = address.Address("127.0.0.1", 7012)


@click.command()
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default=str(DEFAULT),
    show_default=True,
    help="Where to listen; port 0 takes a free one.",
)
@click.option(
    "--password-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Holds the password that visitors must know; only its owner may read it.",
)
@click.option(
    "--trust-proxy-header",
    "user_header",
    metavar="NAME",
    default="",
    help="The header in which a proxy says who a visitor is.",
)
@click.option(
    "--host",
    "names",
    multiple=True,
    metavar="NAME",
    help="What else browsers call this server; may be given several times.",
)
@db_option
def web(
    url: str, listen: str, password_file: Path | None, user_header: str, names: tuple[str, ...]
) -> int:
    """Show what was found in a browser, and take decisions there.

    Only this machine can reach it, unless --listen says otherwise; then it needs a password, or
    a proxy in front that names its users and lets nobody else through. Changes are in the
    audit log, under the name of who made them. Ctrl-C or SIGTERM ends it.

    \b
    Example:
      vcpufuzz web
      vcpufuzz web --db found.db --listen 127.0.0.1:8000
      vcpufuzz web --listen 192.0.2.7:7012 --password-file /etc/vcpufuzz.password
      vcpufuzz web --listen '[::]:7012' --trust-proxy-header X-Remote-User --host fuzz.example
    """
    try:
        where = address.parse(listen, any_port=True)
        password = secret.read(password_file) if password_file else b""
        who = access(where, password, user_header, names)
    except (address.AddressError, AccessError) as error:
        raise UserError(str(error), Exit.USAGE) from None
    logging.basicConfig(level=logging.DEBUG if debugging() else logging.WARNING)
    for handler in logging.root.handlers:
        handler.setFormatter(_Sentences("vcpufuzz: %(message)s"))
    try:
        serve(where, url, who, _say)
    except ServerError as error:
        raise UserError(str(error)) from None
    return Exit.OK


class _Sentences(logging.Formatter):
    """Tells of an error what it is, and only who debugs sees where it was."""

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        if error is None or debugging():
            return super().format(record)
        said = " ".join(f"{record.getMessage()}: {type(error).__name__}: {error}".split())
        return super().format(logging.makeLogRecord({"msg": said}))


def _say(where: address.Address) -> None:
    click.echo(f"http://{where}/ shows what was found; Ctrl-C ends it.")
