"""`vcpufuzz agent`: this machine's leg for a campaign that runs elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from fuzz.cli.errors import Exit, UserError
from targets.kvm.remote import address, secret
from targets.kvm.remote.agent import Agent
from targets.kvm.remote.session import Service
from targets.legs import UnknownLeg, transport


@click.command()
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default=str(address.DEFAULT),
    show_default=True,
    help="Where to listen; port 0 takes a free one.",
)
@click.option("--leg", default="kvm:native", show_default=True, help="What to serve.")
@click.option(
    "--secret-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Holds the secret that clients must know; else {secret.VARIABLE}, else a file in"
    " the cache, made when there is none.",
)
def agent(listen: str, leg: str, secret_file: Path | None) -> int:
    """Serve a leg over TCP: a campaign elsewhere uses it as leg kvm:tcp=HOST:PORT.

    Starts the leg once to see that it works. Each client then gets a leg of its own. A
    client has to know the secret, by VCPUFUZZ_SECRET or in its own cache's agent.secret;
    what follows is not encrypted, so let other machines in through a tunnel or a network
    you trust. Ctrl-C, SIGTERM or SIGHUP ends it, and its clients look for it again for five
    minutes; a second signal ends it at once.

    \b
    Example:
      vcpufuzz agent
      vcpufuzz agent --listen 192.0.2.7:7011 --secret-file /etc/vcpufuzz.secret
      vcpufuzz agent --listen '[::1]:7011' --leg kvm:6.12:vhe
    """
    try:
        where = address.parse(listen, any_port=True)
        name, opener = transport(leg)
    except (address.AddressError, UnknownLeg) as error:
        raise UserError(str(error), Exit.USAGE) from None
    key, source = secret.of_agent(secret_file)
    serving = Agent(where, Service(name, opener, key), _say)
    if not serving.is_private:
        _say(
            f"warning: whoever reaches {serving.address} and knows the secret runs guests on"
            " this machine; what is sent can be read on the way."
        )

    def ready(facts: Mapping[str, str]) -> None:
        click.echo(
            f"serving {name} ({facts.get('release', 'no kernel')}) as kvm:tcp={serving.address};"
            f" the secret is in {source}"
        )

    serving.run(ready)
    return Exit.OK


def _say(line: str) -> None:
    click.echo(line, err=True)
