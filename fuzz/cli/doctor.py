"""`vcpufuzz doctor`: which legs this machine offers, and what mends those it does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click

from fuzz.cli.errors import Exit
from fuzz.cli.options import json_option, resolve_legs
from targets.base import fingerprint_hash
from targets.catalogue import Offer, State, offers
from targets.legs import DEFAULT_LEGS, default_kvm, open_leg
from targets.transport import TransportError


@dataclass(frozen=True, slots=True)
class LegReport:
    """One leg as doctor found it. `reason`: what is missing, and the command that mends it.

    `checked`: it was really started; if not, `available` only says that all it needs is here.
    """

    name: str
    kind: str
    available: bool
    fingerprint: dict[str, str]
    reason: str
    checked: bool


def examine(name: str) -> LegReport:
    """Start a leg for real and stop it again."""
    kind = name.partition(":")[0]
    try:
        with open_leg(name) as leg:
            return LegReport(name, leg.kind, True, dict(leg.fingerprint), "", True)
    except TransportError as error:
        return LegReport(name, kind, False, {}, str(error), True)


def from_offer(offer: Offer) -> LegReport:
    """What is known of a leg that is not started."""
    ready = offer.state is State.READY
    reason = "Not started: all it needs is here." if ready else offer.reason
    return LegReport(offer.name, offer.kind, ready, {}, reason, False)


def _examined(names: list[str], everything: bool) -> Iterator[LegReport]:
    """The legs that are started, one after the other."""
    for name in names:
        yield examine(name)
    if everything:
        for offer in offers():
            if offer.kind == "kvm" and offer.name not in names:
                possible = offer.state in (State.READY, State.DOWNLOAD)
                yield examine(offer.name) if possible else from_offer(offer)


@click.command()
@json_option
@click.option("--legs", help="Start these only; else the default legs are.")
@click.option("--all", "everything", is_flag=True, help="Start every KVM leg: takes minutes.")
def doctor(as_json: bool, legs: str | None, everything: bool) -> int:
    """Start every default leg once; say what is available and what is not.

    Ends with 0 if all legs that were started are available, else with 3. With --json the
    other KVM legs are listed, too, with "checked": false; `vcpufuzz lab legs` shows them.

    \b
    Example:
      vcpufuzz doctor
      vcpufuzz doctor --legs 'kvm:6.12:*'
    """
    chosen = resolve_legs(",".join(DEFAULT_LEGS) if legs is None else legs, None)
    names = list(dict.fromkeys(default_kvm() if name == "kvm" else name for name in chosen))
    reports = []
    for report in _examined(names, everything):
        reports.append(report)
        if not as_json:
            word = "available" if report.available else "MISSING"
            click.echo(f"{report.name:<24} {word:<10} {_words(report)}")
    checked = [report for report in reports if report.checked]
    if as_json:
        told = {report.name for report in reports}
        if legs is None:
            reports += [
                from_offer(offer)
                for offer in offers()
                if offer.kind == "kvm" and offer.name not in told
            ]
        click.echo(json.dumps({"legs": [asdict(report) for report in reports]}, indent=2))
    return Exit.OK if all(report.available for report in checked) else Exit.UNAVAILABLE


def _words(report: LegReport) -> str:
    if not report.available:
        return report.reason
    release = report.fingerprint.get("release", "")
    return f"{fingerprint_hash(report.fingerprint)} {release}{_lacks(report)}".strip()


def _lacks(report: LegReport) -> str:
    """Strangers that a kernel cannot offer because it was built without what they take."""
    strangers = report.fingerprint.get("strangers")
    if strangers is None or "softirq" in strangers.split(","):
        return ""
    return "; disturbs nobody by softirq: kernels of vcpufuzz lab build do"
