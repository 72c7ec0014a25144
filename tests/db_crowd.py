"""Two campaigns, a person, a reader and the web on one database at the same time: nothing is
lost, and nobody hears of a lock. Run as a script, for as many seconds as one likes:

    python tests/db_crowd.py sqlite:///crowd.db 600
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx2
from test_db_store import KVM, MODEL, RECORD, SIGNATURE
from web_rig import served, token_of

from db.filters import BucketFilter, Order
from db.queries import SampleView
from db.records import NotFound, Status
from db.store import Store

KINDS = 7
"""Signatures that the campaigns find, in turn."""


def campaign(store: Store, end: float) -> dict[str, int]:
    """What a campaign writes: findings, sightings, how far it is."""
    number = store.begin_campaign(1, [MODEL, KVM], {})
    done = {"findings": 0, "sightings": 0}
    while time.monotonic() < end or not done["findings"]:
        signature = replace(SIGNATURE, register_class=f"r{done['findings'] % KINDS}")
        store.add_finding(number, replace(RECORD, signature=signature))
        done["findings"] += 1
        store.count_again(signature, 3)
        done["sightings"] += 3
        store.update_campaign(number, dict(done), SampleView(done["findings"], dict(done)))
    store.end_campaign(number, dict(done), "time")
    return done


def person(store: Store, end: float) -> dict[str, int]:
    """Notes, owners, and changes that are taken back."""
    done = {"notes": 0, "undone": 0}
    while time.monotonic() < end or not done["undone"]:
        try:
            bucket = store.buckets(limit=1)[0].id
        except IndexError:
            time.sleep(0.05)
            continue
        store.add_note(bucket, f"note {done['notes']}", "ada")
        done["notes"] += 1
        store.set_status(bucket, Status.CONFIRMED, "ada")
        store.set_status(bucket, Status.NEW, "ada")
        mine = (one.id for one in store.history(bucket, 50) if one.actor == "ada")
        store.undo(next(mine), "ada")
        done["undone"] += 1
        time.sleep(0.05)
    return done


def reader(store: Store, end: float) -> dict[str, int]:
    """What a page in a browser asks, all the time."""
    done = {"pages": 0}
    while time.monotonic() < end or not done["pages"]:
        for bucket in store.buckets(BucketFilter(), Order.WEIGHT, 50):
            lines = store.finding_lines(bucket.id, 5)
            # One statement after another: what was counted later is there, too.
            assert store.bucket(bucket.id).count >= bucket.count
            assert lines
        store.overview()
        store.running()
        done["pages"] += 1
    return done


def web(url: str, seconds: float) -> dict[str, int]:
    """The server, and somebody who reads its pages, writes notes and changes their mind."""
    done = {"pages": 0, "notes": 0}
    with served(url) as (address, _), httpx2.Client(base_url=address, timeout=120) as client:

        def page(where: str) -> str:
            answer = client.get(where)
            assert answer.status_code == 200, answer.text
            done["pages"] += 1
            return str(answer.text)

        def post(where: str, **values: str) -> str:
            form = {"token": token_of(page("buckets")), **values}
            answer = client.post(where, data=form, follow_redirects=True)
            assert answer.status_code == 200, answer.text
            return str(answer.text)

        end = time.monotonic() + seconds
        while time.monotonic() < end or not done["notes"]:
            bucket = _found(r'href="/buckets/(\d+)"', page("") + page("buckets"))
            if not bucket:
                time.sleep(0.2)
                continue
            assert "noted" in post(f"buckets/{bucket}/note", note=f"web note {done['notes']}")
            done["notes"] += 1
            told = post(f"buckets/{bucket}/assign", owner=f"eve{done['notes']}", link="")
            undo = _found(_UNDO_IN_NOTICE, told)
            if undo:  # unless another change came between
                client.post(
                    "undo", data={"token": _found(r'"token" value="([^"]+)"', told), "change": undo}
                )
            page(f"buckets/{bucket}")
            page("history")
    return done


_UNDO_IN_NOTICE = r'class="notice" role="status">(?:(?!</div>).)*?name="change" value="(\d+)"'
"""Not further down the page, where changes of others can be taken back, too."""


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.DOTALL)
    return match[1] if match else ""


ROLES = {"campaign": campaign, "person": person, "reader": reader}


def crowd(url: str, seconds: float) -> list[dict[str, int]]:
    """Run them all, each in a process of its own; what each says it did. Raises
    AssertionError for what one of them says of trouble."""
    Store.open(url).close()
    roles = ("campaign", "campaign", "person", "reader", "web")
    script = str(Path(__file__).resolve())
    running = [
        subprocess.Popen(
            [sys.executable, script, url, str(seconds), role],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for role in roles
    ]
    results = [process.communicate() for process in running]
    for process, (_, said) in zip(running, results, strict=True):
        assert (process.returncode, said) == (0, "")
    return [json.loads(told) for told, _ in results]


def lost(url: str, results: list[dict[str, int]]) -> list[str]:
    """What was written and is not there."""
    findings = sum(one.get("findings", 0) for one in results)
    seen = findings + sum(one.get("sightings", 0) for one in results)
    notes = sum(one.get("notes", 0) for one in results)
    with Store.open(url) as store:
        buckets = store.buckets()
        there = {
            "findings": (findings, sum(len(store.finding_lines(b.id)) for b in buckets)),
            "sightings": (seen, sum(bucket.count for bucket in buckets)),
            "votes": (findings, sum(b.votes["kvm:6.12"]["deviated"] for b in buckets)),
            "notes": (notes, sum(len(bucket.notes) for bucket in buckets)),
            "samples": (
                findings,
                sum(len(store.samples(one.id)) for one in store.campaigns()),
            ),
        }
    return [f"{word}: {a} written, {b} there" for word, (a, b) in there.items() if a != b]


def main() -> None:
    """Run as a script: all of it, or, with a role, one of them."""
    url, seconds, *role = sys.argv[1:]
    if role == ["web"]:
        print(json.dumps(web(url, float(seconds))))
        return
    if role:
        with Store.open(url) as store:
            try:
                print(json.dumps(ROLES[role[0]](store, time.monotonic() + float(seconds))))
            except NotFound as error:  # pragma: no cover (would be a fault of this script)
                sys.exit(str(error))
        return
    results = crowd(url, float(seconds))
    print(json.dumps({"did": results, "lost": lost(url, results)}, indent=2))


if __name__ == "__main__":
    main()
