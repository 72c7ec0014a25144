"""Make the seeds that use what no other seed does: `python tests/make_seeds.py`.

Each rule that a machine of PROFILES can reach is used by one, as `corpus/seeds/uses-RULE.case`;
each is as small as what it is there for lets it be. For whoever adds a rule; tests/test_seeds.py
says when it is due.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import wrap

import click

from corpus.case import Case
from corpus.store import kept_cases
from corpus.text import format_case
from corpus.wire import Stranger
from fuzz.followup.minimise import Minimizer
from fuzz.generate.strangers import Beside
from fuzz.oracle.conformance import judge
from fuzz.worker.steering import Steering
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.rules import RULES
from targets.spec.rules.needs import reachable

FOLDER = Path(__file__).parents[1] / "corpus" / "seeds"
PROFILES = (
    Profile(),
    Profile(features=0xFF, kernel=(7, 2)),
    Profile(kernel=(7, 2), mode="protected", fpmr=True),
    Profile(vqs=0b1011, features=0x35, el0_32bit=False),
    Profile(
        features=0x1F,
        kernel=(0, 0),
        host_thread=False,
        pauth=False,
        mte=0,
        gic=False,
        lacks=frozenset({"sve2", "bf16", "i8mm", "pauth", "mte"}),
    ),
    Profile(kernel=(6, 1), mte=1),
    Profile(
        strangers=frozenset({"thread", "signal", "step"}), threads=True, two_vms=True, svqs=0x808B
    ),
)
WITHOUT = {
    **dict.fromkeys(
        ("psci.suspend", "psci.cpu-off", "psci.waits"), "costs a KVM leg half a second each time"
    ),
    **dict.fromkeys(
        ("self.reading", "self.set-order", "self.split-run", "self.writing-back", "legs.agree"),
        "is about several runs",
    ),
    "run.late-init-in-protected-mode": "is what machines panic of, so that it is in corpus/known",
    "gic.any-id": "is what 6.1 warns of, so that it is in corpus/known",
    "exception.no-memory-at-vectors": "takes an INIT between the parts of another thread's run",
    "ending.ok": "is about how a machine ends",
}
"""Rules that no seed has to use, and why."""
BESIDE = Beside(tuple(Stranger), threads=True, sme=True)
RUNS, SECONDS = 600, 10.0


def wanted() -> set[str]:
    """The rules that seeds have to use."""
    here = {rule for rule in RULES if any(reachable(rule, profile) for profile in PROFILES)}
    return here - set(WITHOUT)


def used(cases: Iterable[Case]) -> set[str]:
    """The rules that cases use, on any of the machines."""
    return {rule for case in cases for profile in PROFILES for rule in rules_of(case, profile)}


def rules_of(case: Case, profile: Profile) -> frozenset[str]:
    """The rules that a case uses on a machine."""
    return judge(case, ModelTarget(profile).run(case), profile).rules


def cover(missing: set[str], cases: int, seed: int) -> Iterator[tuple[frozenset[str], Case]]:
    """Few cases that use what can be met of `missing`, each as small as its share lets it be;
    takes that from `missing`."""
    steering, rng = Steering(seed), random.Random(seed)
    met: list[tuple[frozenset[str], Case, Profile]] = []
    for _ in range(cases):
        profile = rng.choice(PROFILES)
        case = steering.child(el2_share=0.2, beside=BESIDE)
        trace = ModelTarget(profile).run(case)
        steering.note(case, (trace,), 0)
        rules = judge(case, trace, profile).rules & missing
        if rules:
            met.append((rules, case, profile))
    while missing:
        rules, case, profile = max(met, key=lambda one: len(one[0] & missing))
        share = rules & missing
        if not share:
            return
        minimal = _minimal(case, share, profile)
        missing -= rules_of(minimal, profile)
        yield share, minimal


def _minimal(case: Case, share: frozenset[str], profile: Profile) -> Case:
    def still(candidate: Case) -> bool:
        return share <= rules_of(candidate, profile)

    return Minimizer(still, RUNS, SECONDS).minimize(case)


def write(share: frozenset[str], case: Case) -> None:
    """A file for one of them."""
    rules = sorted(share)
    about = wrap(f"Uses {', '.join(rules)}.", 98, break_on_hyphens=False)
    head = "".join(f"# {line}\n" for line in about)
    name = f"uses-{rules[0].replace('.', '-')}.case"
    (FOLDER / name).write_text(head + format_case(case))


@click.command()
@click.option("--cases", default=20_000, show_default=True, help="Looked at, at most.")
@click.option("--seed", default=1, show_default=True)
def main(cases: int, seed: int) -> None:
    """Add seeds for what none uses yet."""
    missing = wanted() - used(kept_cases("seeds"))
    click.echo(f"{len(missing)} of {len(wanted())} rules are used by no seed")
    for share, case in cover(missing, cases, seed):
        write(share, case)
        click.echo(f"a case of {len(case.ops)} ops uses {len(share)} more")
    for rule in sorted(missing):
        click.echo(f"not met: {rule}")
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
