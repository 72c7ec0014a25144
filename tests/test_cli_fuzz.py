"""The fuzzing commands as a user calls them: real processes, real exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

import corpus.store
from corpus.store import ROOT
from db.records import CampaignView
from db.store import Store

pytestmark = pytest.mark.slow

FOUNDING = ROOT / "seeds" / "tail-may-vanish.case"
MODELS = "model,model:zero"


def vcpufuzz(*args: str, cwd: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("vcpufuzz")), *args]
    env = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False
    )


def wait_for_campaign(folder: Path) -> None:
    """Until a campaign in `folder` has begun to run cases."""
    url = f"sqlite:///{folder}/vcpufuzz.db"
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        time.sleep(0.2)
        if Store.exists(url):
            campaigns: Sequence[CampaignView] = ()
            with suppress(RuntimeError), Store.read(url) as store:  # it may be half made
                campaigns = store.campaigns()
            if campaigns and campaigns[0].statistics.get("cases"):
                return
    pytest.fail("the campaign did not begin")


def is_one_sentence(text: str) -> bool:
    return "Traceback" not in text and len(text.strip().splitlines()[-1]) < 400


@pytest.mark.parametrize(
    ("mutant", "most"), [("asimd-keeps-tail", 8), ("finalize-twice", 4), ("reinit-keeps-z", 6)]
)
def test_a_seeded_defect_is_found_stored_minimised_and_reproduced(
    mutant: str, most: int, tmp_path: Path
) -> None:
    db = f"sqlite:///{tmp_path}/x.db"
    leg = f"mutant:{mutant}"
    done = vcpufuzz(
        *("run", "--time", "60s", "--seed", "7", "--db", db, "--json", "out.json"),
        *("--legs", f"model,{leg}", "--cases", "250"),
        cwd=tmp_path,
    )
    assert done.returncode == 77, done.stderr
    totals = json.loads((tmp_path / "out.json").read_text())
    assert totals["divergences"] > 0
    with Store.open(db) as store:
        buckets = store.buckets()
        assert buckets
        findings = [f for b in buckets for f in store.findings(b.id)]
    assert min(len(f.minimal.ops) for f in findings) <= most
    assert all(f.deviating == (leg,) for f in findings)
    again = vcpufuzz("repro", f"F{findings[0].id}", "--db", db, cwd=tmp_path)
    assert again.returncode == 77
    assert f"diverges again on {leg}" in again.stdout
    other = vcpufuzz("repro", f"F{findings[0].id}", "--legs", "model", "--db", db, cwd=tmp_path)
    assert other.returncode == 0
    assert f"does not show on model; seen on {leg}, which did not run." in other.stdout


def test_totals_add_up(tmp_path: Path) -> None:
    done = vcpufuzz(
        *("run", "--cases", "150", "--seed", "3", "--legs", MODELS, "--json", "out.json"),
        *("--workers", "2", "--corpus", "kept"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    totals = json.loads((tmp_path / "out.json").read_text())
    for key in ("cases", "cases_per_second", "executions", "rules_hit", "corpus"):
        assert totals[key], key
    for key in ("discarded", "infra_errors", "divergences", "buckets"):
        assert key in totals
    assert set(totals["executions"].values()) == {totals["cases"]}
    assert totals["cases"] >= 150
    assert list((tmp_path / "kept").iterdir())


def test_ctrl_c_ends_with_a_summary(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("vcpufuzz")), "run", "--legs", MODELS]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    wait_for_campaign(tmp_path)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"\d+ cases in", out)
    with Store.open(f"sqlite:///{tmp_path}/vcpufuzz.db") as store:
        assert store.campaigns()[0].reason == "interrupted"


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("vcpufuzz")), "run", "--legs", MODELS]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    wait_for_campaign(tmp_path)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    killed = children.read_text().split()
    os.kill(int(killed[0]), signal.SIGKILL)
    deadline = time.monotonic() + 60
    while children.read_text().split() in (killed, []) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=90)
    assert process.returncode == 130, out
    assert "SIGKILL" in out
    assert "restarting" in out


def test_exec_and_diff_agree_on_the_founding_case(tmp_path: Path) -> None:
    done = vcpufuzz("exec", str(FOUNDING), "--legs", MODELS, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    legs = json.loads(done.stdout)["legs"]
    assert {leg["verdict"] for leg in legs.values()} == {"agree"}
    side = vcpufuzz("diff", str(FOUNDING), "--legs", MODELS, cwd=tmp_path)
    assert side.returncode == 0, side.stderr
    for words in ("(keeps)", "(clears)", "permitted", "[16..255]=00", "mrs x1, zcr_el1"):
        assert words in side.stdout
    assert side.stdout.count("agree") == 2


def test_diff_marks_what_is_wrong(tmp_path: Path) -> None:
    case = tmp_path / "twice.case"
    case.write_text("create v0\ninit v0\nfinalize v0\nfinalize v0\n")
    done = vcpufuzz("diff", str(case), "--legs", "model,mutant:finalize-twice", cwd=tmp_path)
    assert done.returncode == 77
    assert "<-- not permitted" in done.stdout
    assert "finalize.twice" in done.stdout


@pytest.mark.lab
def test_replay_knows_regressions_known_ones_and_gone_ones(tmp_path: Path) -> None:
    recorded = (Path(corpus.store.__file__).parent / "known" / "vixl-fscale-large.case").read_text()
    heads = [line for line in recorded.splitlines() if line.startswith("# diverges:")]
    folder = tmp_path / "cases"
    folder.mkdir()
    kept = folder / "one.case"
    legs = ("--legs", "model,emulator:keep")
    kept.write_text("".join(x for x in recorded.splitlines(True) if x.strip() not in heads))
    assert vcpufuzz("replay", "cases", *legs, cwd=tmp_path).returncode == 1
    kept.write_text(recorded)
    done = vcpufuzz("replay", "cases", *legs, "--junit", "j.xml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "known" in done.stdout
    assert "isa.fscale" in (tmp_path / "j.xml").read_text()
    kept.write_text("\n".join(heads) + "\ncreate v0\n")
    gone = vcpufuzz("replay", "cases", *legs, cwd=tmp_path)
    assert gone.returncode == 1
    assert "no longer shows" in gone.stdout


def test_a_case_that_cannot_run_is_not_a_pass(tmp_path: Path) -> None:
    (tmp_path / "big.case").write_text("# requires: vq>=16\ncreate v0\n")
    done = vcpufuzz("replay", "big.case", "--legs", "emulator:keep:vq=1,2", cwd=tmp_path)
    assert done.returncode == 3
    assert "not run" in done.stdout


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("run", "--legs", "kvn"), 2, "no leg is called 'kvn'"),
        (("run", "--legs", "mutant:nope"), 2, "no mutant is called 'nope'"),
        (("run", "--legs", "kvm:9.99:vhe"), 2, "no known kernel"),
        (("run", "--legs", "emulator:maybe"), 2, "emulator"),
        (("run", "--time", "soon"), 2, "no duration"),
        (("run", "--db", "sqlite:////proc/nowhere/x.db", "--legs", "model"), 3, "x.db"),
        (("run", "--db", "bogus://x", "--legs", "model"), 3, "bogus"),
        (("run", "--json", "/proc/nowhere/out.json", "--legs", "model"), 2, "cannot be written"),
        (("exec", "missing.case"), 2, "missing.case"),
        (("exec", "broken.case", "--legs", "model"), 2, "line 2"),
        (("exec", "noise.case", "--legs", "model"), 2, "not UTF-8"),
        (("diff", "broken.case", "--legs", "model"), 2, "line 2"),
        (("replay", "."), 2, "line 2"),
        (("repro", "F99"), 2, "99"),
        (("repro", "banana"), 2, "banana"),
        (("run", "--kernel", "broken.case", "--cases", "1"), 3, "broken.case"),
    ],
)
def test_bad_input_is_one_sentence(
    args: tuple[str, ...], code: int, words: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.case").write_text("create v0\nfrobnicate\n")
    (tmp_path / "noise.case").write_bytes(bytes(range(128, 256)))
    if args == ("replay", "."):
        (tmp_path / "noise.case").unlink()
    done = vcpufuzz(*args, cwd=tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert words in said
    assert is_one_sentence(said)


def test_the_structured_mutator_drives_campaigns(tmp_path: Path) -> None:
    """Byte mutations alone hardly ever make an instruction of an SVE program run."""
    done = vcpufuzz(
        *("run", "--cases", "400", "--seed", "5", "--legs", "model", "--json", "out.json"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    used = json.loads((tmp_path / "out.json").read_text())["rules"]
    assert sum(rule.startswith("isa.") for rule in used) > 150
