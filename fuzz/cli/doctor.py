"""`vcpufuzz doctor`: which legs this machine offers, and what mends those it does not."""

from __future__ import annotations

import json
from dataclasses import dataclass

import click

from fuzz.cli.errors import Exit
from fuzz.cli.options import json_option
from fuzz.legs import DEFAULT_LEGS, default_kvm, open_leg
from targets.base import fingerprint_hash
from targets.transport import TransportError


@dataclass(frozen=True, slots=True)
class LegReport:
    """One leg as doctor found it. `reason`: what is missing, and the command that mends it."""

    name: str
    kind: str
    available: bool
    fingerprint: dict[str, str]
    reason: str


def examine(name: str) -> LegReport:
    """Start a leg for real and stop it again."""
    kind = name.partition(":")[0]
    try:
        with open_leg(name) as leg:
            return LegReport(name, leg.kind, True, dict(leg.fingerprint), "")
    except TransportError as error:
        return LegReport(name, kind, False, {}, str(error))


@click.command()
@json_option
@click.option("--legs", default=",".join(DEFAULT_LEGS), show_default=True, help="Which to try.")
def doctor(as_json: bool, legs: str) -> int:
    """Start every default leg once; say what is available and what is not.

    Ends with 0 if all are available, else with 3.

    \b
    Example:
      vcpufuzz doctor
    """
    reports = []
    names = (default_kvm() if name == "kvm" else name for name in legs.split(","))
    for name in dict.fromkeys(names):
        reports.append(examine(name))
        if not as_json:
            report = reports[-1]
            word = "available" if report.available else "MISSING"
            click.echo(f"{report.name:<24} {word:<10} {_words(report)}")
    if as_json:
        content = {
            "legs": [
                {
                    "name": r.name,
                    "kind": r.kind,
                    "available": r.available,
                    "fingerprint": r.fingerprint,
                    "reason": r.reason,
                }
                for r in reports
            ]
        }
        click.echo(json.dumps(content, indent=2))
    return Exit.OK if all(r.available for r in reports) else Exit.UNAVAILABLE


def _words(report: LegReport) -> str:
    if not report.available:
        return report.reason
    release = report.fingerprint.get("release", "")
    return f"{fingerprint_hash(report.fingerprint)} {release}".strip()
