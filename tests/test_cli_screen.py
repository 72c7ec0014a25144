"""A campaign's snapshot on the screen, as lines, as a sentence and as JSON."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from fuzz.campaign.status import (
    BucketStatus,
    CampaignStatus,
    LegStatus,
    Reruns,
    clock,
    headline,
    plain_line,
)
from fuzz.cli.screen import PlainScreen, dashboard, print_summary, write_json
from fuzz.output import OutputError

LEGS = (
    LegStatus("model", "running", 1234, 41.0),
    LegStatus("kvm:6.12:vhe:vq=1,2,4", "restarting", 1200, 40.5, 2),
)
BUCKETS = (
    BucketStatus("known one", True, 9, "emulator:keep", new=False, id=1),
    BucketStatus("errno-order: finalize", False, 230, "kvm:6.12", id=2),
    BucketStatus("zreg-after-run: get z", True, 12, "kvm:6.12", id=3),
)
STATUS = CampaignStatus(
    elapsed=30.0,
    cases=1234,
    seed=7,
    workers=2,
    time_budget=120.0,
    cases_per_second=41.5,
    legs=LEGS,
    corpus=56,
    rules_hit=61,
    rules_total=88,
    features=812,
    discarded=4,
    infra_errors=1,
    restarts=2,
    divergences=251,
    buckets=BUCKETS,
    events=("0:10 kvm:6.12 restarted", "0:20 new bucket: zreg-after-run"),
)


def _drawn(status: CampaignStatus, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    with console.capture() as capture:
        console.print(dashboard(status, width, height))
    return capture.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(60, 24), (80, 24), (160, 45), (100, 30), (132, 24)])
@pytest.mark.parametrize("legs", [1, 2, 5, 20])
@pytest.mark.parametrize("buckets", [0, 3, 40])
@pytest.mark.parametrize("events", [0, 2, 60])
def test_the_dashboard_fits_its_terminal(
    width: int, height: int, legs: int, buckets: int, events: int
) -> None:
    status = replace(
        STATUS,
        legs=(LEGS * 20)[:legs],
        buckets=(BUCKETS * 20)[:buckets],
        events=tuple(f"event {n} " + "long " * 40 for n in range(events)),
    )
    lines = _drawn(status, width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    if events:
        assert lines[-1].startswith(f"event {events - 1} ")


def test_the_dashboard_shows_what_matters() -> None:
    lines = _drawn(STATUS, 80, 24)
    screen = "\n".join(lines)
    for part in (
        *("seed 7, 2 workers", "0:30 of 2:00", "25%", "1,234", "41.5", "61/88", "812"),
        *("251", "3 (2 new)", "1 (2 restarts)", "kvm:6.12:vhe:vq=1,2,4", "restarting"),
        *("0:20 new bucket: zreg-after-run", "lenient", "230"),
    ):
        assert part in screen
    order = [screen.index(title) for title in ("zreg-after-run: get z", "errno-order", "known one")]
    assert order == sorted(order)


def test_what_matters_fits_sixty_columns() -> None:
    screen = "\n".join(_drawn(STATUS, 60, 24))
    for part in (
        "divergences  251",
        "3 (2 new)",
        "1 (2 restarts)",
        "kvm:6.12:vhe:vq=1,2,4",
        "40.5",
    ):
        assert part in screen


def test_markup_in_names_is_shown_as_it_is() -> None:
    odd = replace(
        STATUS,
        legs=(LegStatus("[red]leg[/red]"),),
        buckets=(BucketStatus("[/x] title", True, 1, "[b]"),),
        events=("[/nope]",),
    )
    screen = "\n".join(_drawn(odd, 160, 30))
    for text in ("[red]leg[/red]", "[/x] title", "[b]", "[/nope]"):
        assert text in screen


def test_a_campaign_without_budget_has_no_bar() -> None:
    status = replace(STATUS, time_budget=None)
    assert status.progress is None
    assert "runs until Ctrl-C" in "\n".join(_drawn(status, 80, 24))


def test_progress_is_that_of_the_budget_nearest_its_end() -> None:
    assert STATUS.progress == 0.25
    assert replace(STATUS, case_budget=2468).progress == 0.5
    assert replace(STATUS, elapsed=999.0).progress == 1.0


def test_times_are_short() -> None:
    assert [clock(s) for s in (0.0, 62.9, 3723.0)] == ["0:00", "1:02", "1:02:03"]


def test_the_plain_line_looks_like_libfuzzers() -> None:
    line = plain_line(STATUS)
    assert line.startswith("#1234\tpulse  ft: 812 rules: 61 corp: 56 case/s: 41.5 div: 251 ")
    assert "buckets: 3 new: 2" in line
    assert line.endswith("time: 0:30 exec/s: model=41.0 kvm:6.12:vhe:vq=1,2,4=40.5")


def test_plain_lines_come_at_intervals_and_events_once(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainScreen(10.0) as screen:
        for second in range(25):
            events = tuple(f"event {n}" for n in range(second))[-3:]
            screen.update(CampaignStatus(elapsed=float(second), cases=second, events=events))
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("\t")[0] for line in lines if "pulse" in line] == ["#0", "#10", "#20"]
    told = [line.partition("\t")[2] for line in lines if "pulse" not in line]
    assert told == [f"event {n}" for n in range(24)]


def test_the_end_tells_what_is_new_in_full_and_the_rest_in_a_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    known, lenient, strict = BUCKETS
    strict = replace(
        strict, suspect="kernel", explanation="z1 = 0, observed 1 (bytes 16..31)", same_as=2
    )
    recorded = [replace(known, id=9 + n, status="known", suspect="lab CPU") for n in range(10)]
    buckets = (known, lenient, strict, *recorded)
    print_summary(replace(STATUS, elapsed=120.0, cases=6000, buckets=buckets))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "6000 cases in 2:00 (50.0/s), 61 rules hit, corpus of 56, "
        "251 divergences, 13 buckets (2 new, 10 recorded)"
    )
    assert lines[1:4] == [
        "B3  NEW, strict, suspect: kernel, seen 12 times, probably the same as B2",
        "    zreg-after-run: get z",
        "    z1 = 0, observed 1 (bytes 16..31)",
    ]
    assert lines[5].startswith("B2  NEW, lenient, suspect: kvm:6.12, seen 230 times")
    table = lines.index("BUCKET  NEW  CLASS   SEEN  SUSPECT        TITLE")
    assert lines[table + 1].split()[:2] == ["B1", "strict"]
    assert lines[-2].startswith("10 recorded: 10 of the lab's CPU; ")
    assert lines[-1] == "`vcpufuzz triage show B3` tells more."


def test_many_new_buckets_do_not_flood_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    many = tuple(replace(BUCKETS[2], id=n) for n in range(1, 31))
    print_summary(replace(STATUS, buckets=many))
    out = capsys.readouterr().out
    assert out.count("NEW, strict") == 6
    assert out.count("zreg-after-run: get z") == 30


def test_the_end_tells_what_was_run_again(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(replace(STATUS, reruns=Reruns(1)))
    assert "1 stored bucket ran again in spare time, none" in capsys.readouterr().out
    print_summary(replace(STATUS, reruns=Reruns(3, (1, 7))))
    assert "3 stored buckets ran again in spare time, fixed by now: B1, B7." in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(("width", "height"), [(60, 24), (80, 24), (160, 45)])
def test_the_dashboard_tells_known_defects_in_a_line(width: int, height: int) -> None:
    known = replace(BUCKETS[0], title="recorded-title", status="known", suspect="emulator")
    status = replace(STATUS, buckets=(*[known] * 22, BUCKETS[2]), legs=LEGS[:1])
    screen = "\n".join(_drawn(status, width, height))
    assert "22 recorded: 22 of VIXL" in screen
    assert "recorded-title" not in screen
    assert "zreg-after-run" in screen
    only = "\n".join(_drawn(replace(status, buckets=(known,)), width, height))
    assert "nothing new" in only
    assert "1 recorded: 1 of VIXL" in only


def test_the_end_of_a_clean_campaign(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(CampaignStatus(elapsed=0.0, cases=1))
    assert capsys.readouterr().out == (
        "1 case in 0:00 (0.0/s), 0 rules hit, corpus of 0, 0 divergences, 0 buckets (0 new)\n"
    )
    assert headline(replace(STATUS, cases=0)).startswith("0 cases in 0:30 (0.0/s)")


def test_json_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_json(path, {"cases": 1234})
    assert json.loads(path.read_text()) == {"cases": 1234}
    before = path.read_text()
    with pytest.raises(TypeError):
        write_json(path, {"cases": object()})
    assert path.read_text() == before
    assert os.listdir(tmp_path) == ["out.json"]
    with pytest.raises(OutputError, match=r"no/out\.json: no such file or directory"):
        write_json(tmp_path / "no" / "out.json", {})


_DEMO = """
from fuzz.cli.screen import open_screen
from fuzz.campaign.status import CampaignStatus
with open_screen() as screen:
    screen.update(CampaignStatus(elapsed=1.0, cases=5))
print(type(screen).__name__)
"""


@pytest.mark.parametrize(
    ("term", "kind"), [("xterm-256color", "LiveScreen"), ("dumb", "PlainScreen")]
)
def test_the_dashboard_needs_a_terminal_that_can(term: str, kind: str) -> None:
    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"this machine has no pseudo-terminals: {error}")
    root = Path(__file__).parents[1]
    env = {**os.environ, "TERM": term, "PYTHONUTF8": "1", "COLUMNS": "80", "LINES": "24"}
    subprocess.run([sys.executable, "-c", _DEMO], check=True, cwd=root, stdout=theirs, env=env)
    os.close(theirs)
    output = b""
    while True:
        try:
            output += os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    text = output.decode()
    assert text.rstrip().endswith(kind)
    # The second screen is entered and left again, exactly when the dashboard is used.
    assert [code in text for code in ("\x1b[?1049h", "\x1b[?1049l")] == [kind == "LiveScreen"] * 2
