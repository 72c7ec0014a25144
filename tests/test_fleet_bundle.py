"""What a bundle writes is taken by those who read it, whatever the answers are."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from fuzz.cli.fleet import fleet as group
from fuzz.cli.main import main
from fuzz.fleet.bundle import FILES, AnswerError, Answers, bundle

URL = "s3://bucket/corpus"
PLAIN = Answers("fuzz.example", URL)
SAFE = Answers("10.0.0.1", URL, certificates="/etc/vcpufuzz/tls", legs="model,kvm:6.12:*", slots=3)
BOTH = pytest.mark.parametrize("answers", [PLAIN, SAFE], ids=["plain", "tls"])


def commands(answers: Answers) -> dict[str, list[str]]:
    """The words that are run, by the file that has them."""
    found = {}
    for name, text in bundle(answers).items():
        if name.endswith(".service"):
            (line,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
            found[name] = shlex.split(line.removeprefix("ExecStart="))
        elif name.endswith(".sh"):
            (line,) = [line for line in text.splitlines() if line.startswith("srun ")]
            found[name] = shlex.split(line)[1:]
        else:
            for document in yaml.safe_load_all(text):
                if document["kind"] == "Deployment":
                    (container,) = document["spec"]["template"]["spec"]["containers"]
                    words = shlex.split(container["command"][2])[1:]
                    found[f"{name} {document['metadata']['name']}"] = words
    return found


@BOTH
def test_every_command_line_is_one_of_ours(answers: Answers) -> None:
    ours = {name: words for name, words in commands(answers).items() if "vcpufuzz" in words[0]}
    tried = 0
    for name, words in ours.items():
        program, *rest = words
        if not program.endswith("/vcpufuzz"):
            continue
        command = group.commands[rest[1]]
        context = command.make_context(rest[1], _without_files(rest[2:]), resilient_parsing=False)
        where = answers.service_address if name.startswith("kube") else answers.address
        assert context.params["cluster"] == where, name
        tried += 1
    assert tried == 5


def _without_files(words: list[str]) -> list[str]:
    """Certificates are where the fleet runs."""
    return [str(Path(__file__)) if word.endswith(".pem") else word for word in words]


@BOTH
def test_tls_is_everywhere_or_nowhere(answers: Answers) -> None:
    for name, words in commands(answers).items():
        assert any(word.startswith("--tls") for word in words) == bool(answers.certificates), name
        if words[0].endswith("/dask"):
            assert ("tls" in words) == bool(answers.certificates)


@BOTH
def test_in_kubernetes_all_names_can_be_and_the_scheduler_is_found(answers: Answers) -> None:
    text = bundle(answers)["kubernetes/vcpufuzz.yaml"]
    (service,) = [one for one in yaml.safe_load_all(text) if one["kind"] == "Service"]
    name = service["metadata"]["name"]
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name)
    assert text.count(f"//{name}:{answers.port}") == 2
    assert answers.scheduler not in text


def test_units_may_write_to_a_corpus_that_machines_share() -> None:
    shared = bundle(Answers("fuzz.example", "file:///shared/corpus"))
    plain = bundle(PLAIN)
    for name in ("worker", "fleet"):
        line = "ReadWritePaths=/shared/corpus"
        assert line in shared[f"systemd/vcpufuzz-{name}.service"].splitlines()
        assert "ReadWritePaths" not in plain[f"systemd/vcpufuzz-{name}.service"]


def test_who_is_ended_did_not_fail() -> None:
    for name, text in bundle(PLAIN).items():
        if name.endswith(".service"):
            (line,) = [one for one in text.splitlines() if one.startswith("SuccessExitStatus=")]
            assert "143" in line.partition("=")[2].split()


@pytest.mark.parametrize("corpus", ["/srv/corpus", "corpus"])
def test_a_corpus_that_only_one_machine_has_is_refused(corpus: str) -> None:
    with pytest.raises(AnswerError, match="directory of each machine"):
        bundle(Answers("fuzz.example", corpus))
    words = ["fleet", "start", "tcp://127.0.0.1:1", "--legs", "model", "--corpus", corpus]
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, "directory of each machine" in result.output) == (2, True)


@BOTH
def test_limits_are_in_all_of_them(answers: Answers) -> None:
    files = bundle(answers)
    unit = files["systemd/vcpufuzz-worker.service"]
    assert f"MemoryMax={answers.memory_mb}M" in unit
    assert f"TasksMax={answers.processes}" in unit
    assert f"--mem={answers.memory_mb}M" in files["slurm/vcpufuzz-workers.sh"]
    documents = list(yaml.safe_load_all(files["kubernetes/vcpufuzz.yaml"]))
    (worker,) = [d for d in documents if d["metadata"]["name"] == "vcpufuzz-worker"]
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == f"{answers.memory_mb}Mi"
    assert worker["spec"]["replicas"] == answers.workers


@BOTH
def test_a_shell_reads_the_script(answers: Answers, tmp_path: Path) -> None:
    path = tmp_path / "x.sh"
    path.write_text(bundle(answers)["slurm/vcpufuzz-workers.sh"])
    assert path.read_text().startswith("#!/bin/bash\n")
    subprocess.run(["bash", "-n", str(path)], check=True)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
@BOTH
def test_systemd_takes_the_units(answers: Answers, tmp_path: Path) -> None:
    for name, text in bundle(answers).items():
        if name.endswith(".service"):
            path = tmp_path / Path(name).name
            path.write_text(text.replace(answers.program, "/bin").replace("/bin/dask", "/bin/true"))
            done = subprocess.run(
                ["systemd-analyze", "verify", "--man=no", str(path)],
                capture_output=True,
                text=True,
                check=False,
            )
            wrong = [line for line in done.stderr.splitlines() if "Unknown" in line]
            assert wrong == []


texts = st.text(max_size=20)


@given(scheduler=texts, legs=texts, corpus=texts, user=texts, certificates=texts, image=texts)
def test_whatever_is_answered_is_refused_or_stands_as_it_is(
    scheduler: str, legs: str, corpus: str, user: str, certificates: str, image: str
) -> None:
    answers = Answers(
        scheduler, f"s3://{corpus}", legs=legs, user=user, certificates=certificates, image=image
    )
    try:
        words = commands(answers)
    except AnswerError:
        return
    leader = words["systemd/vcpufuzz-fleet.service"]
    assert leader[leader.index("--legs") + 1].replace("%%", "%") == legs
    assert leader[leader.index("--corpus") + 1].replace("%%", "%") == f"s3://{corpus}"


def test_the_command_writes_all_files(tmp_path: Path) -> None:
    words = ["fleet", "bundle", str(tmp_path / "x"), "--scheduler", "fuzz.example"]
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, "--corpus" in result.output) == (2, True)
    words += ["--corpus", URL]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert {str(p.relative_to(tmp_path / "x")) for p in (tmp_path / "x").rglob("*.*")} == set(FILES)
