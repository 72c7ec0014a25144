"""A small database with something of everything, and visitors to its pages."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from starlette.testclient import TestClient
from test_db_store import KVM, MINIMAL, ORIGINAL, RECORD, SIGNATURE

from corpus.text import parse_case
from corpus.trace import Ending, Trace
from db.blocks import FunctionRecord, ReachedRecord
from db.queries import SampleView
from db.records import CellRecord, Earlier, FindingRecord, IncidentRecord, LegRecord, RetestRecord
from db.store import Store
from fuzz.followup.cause import at_face_value
from fuzz.followup.signature import signature
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Diverge
from fuzz.web.access import access
from fuzz.web.app import application
from targets.kvm.remote.address import Address
from targets.legs import open_leg

VCPUFUZZ = str(Path(sys.executable).with_name("vcpufuzz"))
HERE = Address("127.0.0.1", 7012)
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}\x1b[31m\u202e"
"""What a guest, a kernel or a file may say."""
MUTANT = "mutant:asimd-keeps-tail"
_RUN = "set v0 cpacr_el1 0xff*\nset v0 zcr_el1 1\nrun v0 {\n    movi v3.2d, #0\n}\nread-all v0\n"
CASE = parse_case(f"create v0\ninit v0\nfinalize v0\nset v0 z3 0xab*\n{_RUN}")
LONGER = parse_case(f"create v0\ninit v0\nfinalize v0\nset v0 z3 0xab*\nset v0 z4 0xcd*\n{_RUN}")
LAB = LegRecord("kvm:6.12:vhe", "kvm", {"release": "6.12.57", "mode": "vhe", "lab.qemu": "10.0"})
FUNCTIONS = (
    FunctionRecord(0, 100, "kvm_arm_set_reg", "arch/arm64/kvm/guest.c"),
    FunctionRecord(100, 100, "kvm_arm_get_reg<b>", "arch/arm64/kvm/guest.c"),
    FunctionRecord(400, 60, "kvm_reset_vcpu", "arch/arm64/kvm/reset.c"),
)


def fill(url: str) -> None:
    """B1: two findings of a mutant, traced and judged; B2: hostile words wherever there is room
    for some; B3: lenient, run again and tried on every leg; B4: proposed as the same as B3."""
    with Store.open(url) as store:
        legs, found = _mutants()
        first = store.begin_campaign(7, legs, {"time": "2m", "legs": ["model", MUTANT]})
        store.add_finding(first, found)
        store.add_finding(first, replace(found, minimal=LONGER, op_index=8))
        store.update_campaign(first, {"cases": 10}, SampleView(1000, {"cases": 10, "rules": 5}))
        store.update_campaign(first, {"cases": 90}, SampleView(5000, {"cases": 90, "rules": 9}))
        store.end_campaign(first, {"cases": 100, "executions": {MUTANT: 100}}, "time")
        second = store.begin_campaign(8, [replace(KVM, fingerprint={HOSTILE: HOSTILE}), LAB], {})
        store.add_finding(second, _hostile())
        lenient = replace(SIGNATURE, rule="errno-order", legs="every kvm")
        other = replace(lenient, register_class="p")
        store.add_finding(second, replace(RECORD, signature=lenient, strict=False, traces={}))
        store.add_finding(second, replace(RECORD, signature=other, original=ORIGINAL, traces={}))
        store.propose_same(4, 3, "one rule, one register class", "legs")
        store.add_retest(5, [RetestRecord("kvm:6.12", 2, 3, "it did", KVM)])
        store.set_matrix(5, [CellRecord("kvm:6.12:vhe", "shows", "as before", LAB)])
        store.add_note(2, HOSTILE, HOSTILE)
        store.assign(2, "ada", owner=HOSTILE, link="javascript:alert(1)")
        store.assign(1, "ada", owner="ada", link="https://tracker.example/1?a=1&b=2")
        store.add_incident(
            second, IncidentRecord(LAB.name, "panic", HOSTILE, f"[1.0] Oops {HOSTILE}\n", MINIMAL)
        )
        store.set_functions(second, LAB.name, FUNCTIONS)
        store.add_reached(second, LAB.name, [ReachedRecord(MINIMAL, 1500, [0, 8, 104])])


@cache
def _mutants() -> tuple[tuple[LegRecord, ...], FindingRecord]:
    """What a mutant really does, beside the model."""
    with ExitStack() as stack:
        target = stack.enter_context(open_leg(MUTANT))
        model = stack.enter_context(open_leg("model"))
        trace = target.run(CASE)
        verdict = judge(CASE, trace, target.profile)
        assert isinstance(verdict, Diverge)
        record = replace(
            RECORD,
            signature=signature(verdict.oracle, at_face_value(CASE, verdict), MUTANT),
            minimal=CASE,
            original=LONGER,
            deviating=(MUTANT,),
            op_index=verdict.op_index,
            expected=verdict.expected,
            observed=verdict.observed,
            reproduced=(3, 3),
            traces={MUTANT: trace, "model": model.run(CASE)},
        )
        return (
            LegRecord("model", "model", model.fingerprint),
            LegRecord(MUTANT, "mutant", target.fingerprint),
        ), record


def _hostile() -> FindingRecord:
    words = SIGNATURE.parts[:3]
    return replace(
        RECORD,
        signature=replace(SIGNATURE, rule=f"{words[2]}{HOSTILE}", legs=HOSTILE),
        expected=HOSTILE,
        observed=HOSTILE,
        explanation=HOSTILE,
        preceding=(Earlier(ORIGINAL),),
        traces={"kvm:6.12": Trace((), Ending.HOST_LOG, f"[1.0] WARNING: {HOSTILE}\n")},
    )


def visitor(url: str, **how: str | bytes) -> TestClient:
    """Somebody at this machine. `how`: as `access` takes it."""
    app = application(url, access(HERE, **how))  # type: ignore[arg-type]
    return TestClient(app, base_url=f"http://{HERE}", follow_redirects=False)


def token(client: TestClient, page: str = "/buckets") -> str:
    """What a form of a page carries."""
    return token_of(client.get(page).text)


def token_of(page: str) -> str:
    """The same of a page that is there."""
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found, page
    return found[1]


@contextmanager
def served(url: str, *args: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The server as people start it; its address, and the process."""
    command = [VCPUFUZZ, "web", "--db", url, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            told = process.stdout.readline()
            found = re.match(r"(http://127\.0\.0\.1:\d+/) shows what was found", told)
            assert found, told or process.communicate()
            yield found[1], process
        finally:
            process.kill()
