"""Files with which a fleet is set up: systemd units, a SLURM script, a Kubernetes manifest.

Pure: from a user's answers to texts by file name. No secret stands in any of them; where one is
needed, its file is named.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

from jinja2 import Environment, PackageLoader, StrictUndefined

from fuzz.fleet.corpus import SHARED, is_url

SERVICE = "vcpufuzz-scheduler"
"""The scheduler within Kubernetes."""


class AnswerError(ValueError):
    """An answer that cannot be; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a fleet is to be. `scheduler`: the host that it listens on, but for Kubernetes, which
    gives it a name; `corpus`: a URL that all machines reach; `slots` and `memory_mb`,
    `disk_mb`, `processes`: of one worker; `workers`: how many; `database_file`: a file that holds
    `VCPUFUZZ_DB=` and the URL; `certificates`: a directory with ca.pem, cert.pem and key.pem, or
    nothing for no TLS; `program`: where vcpufuzz lies on every machine; `image`: the container."""

    scheduler: str
    corpus: str
    port: int = 8786
    legs: str = "model,kvm,emulator:keep"
    program: str = "/opt/vcpufuzz/.venv/bin"
    user: str = "vcpufuzz"
    database_file: str = "/etc/vcpufuzz/database"
    certificates: str = ""
    slots: int = 2
    memory_mb: int = 4096
    disk_mb: int = 20480
    processes: int = 512
    workers: int = 4
    image: str = "vcpufuzz:latest"

    @property
    def address(self) -> str:
        """Where workers and the leader find the scheduler."""
        return self._address(f"[{self.scheduler}]" if ":" in self.scheduler else self.scheduler)

    @property
    def service_address(self) -> str:
        """Where they find it in Kubernetes: the name of a service cannot be just any host's."""
        return self._address(SERVICE)

    def _address(self, host: str) -> str:
        return f"{'tls' if self.certificates else 'tcp'}://{host}:{self.port}"


FILES: Mapping[str, str] = {
    "systemd/vcpufuzz-scheduler.service": "scheduler.service.j2",
    "systemd/vcpufuzz-worker.service": "worker.service.j2",
    "systemd/vcpufuzz-fleet.service": "leader.service.j2",
    "slurm/vcpufuzz-workers.sh": "workers.sh.j2",
    "kubernetes/vcpufuzz.yaml": "kubernetes.yaml.j2",
}
"""What is written -> its template."""

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,31}")
_PLAIN = re.compile(r"[A-Za-z0-9@%+=:,./_*?~-]+")
"""What neither a shell, nor systemd, nor YAML takes for something else, once it is quoted."""


def check(answers: Answers) -> None:
    """Raises AnswerError."""
    if not _HOST.fullmatch(answers.scheduler):
        raise AnswerError(f"{answers.scheduler!r} is no host")
    if not _WORD.fullmatch(answers.user):
        raise AnswerError(f"{answers.user!r} is no name of a user")
    for name in ("legs", "corpus", "image"):
        if not _PLAIN.fullmatch(getattr(answers, name)):
            raise AnswerError(f"{name}: {getattr(answers, name)!r} holds what cannot stand there")
    if not is_url(answers.corpus):
        raise AnswerError(f"corpus: {answers.corpus!r} is a directory of each machine: {SHARED}")
    for name in ("program", "database_file", "certificates"):
        path = getattr(answers, name)
        if path and not (_PLAIN.fullmatch(path) and PurePosixPath(path).is_absolute()):
            raise AnswerError(f"{name.replace('_', ' ')}: {path!r} is no absolute path")


def bundle(answers: Answers) -> dict[str, str]:
    """The files, by their names. Raises AnswerError."""
    check(answers)
    places = {"address": answers.address, "service_address": answers.service_address}
    values = asdict(answers) | places | {"service": SERVICE}
    return {name: _ENV.get_template(template).render(values) for name, template in FILES.items()}


_ENV = Environment(
    loader=PackageLoader("fuzz.fleet"),
    autoescape=False,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_ENV.filters["quoted"] = lambda text: shlex.quote(str(text))
_ENV.filters["unit"] = lambda text: str(text).replace("%", "%%").replace("$", "$$")
