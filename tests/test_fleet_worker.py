"""Where a worker is reached, and what it says where that cannot be."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner
from distributed import Nanny

from fuzz.cli.errors import Exit
from fuzz.cli.main import main
from fuzz.fleet import worker
from fuzz.fleet.place import ClusterError, place
from fuzz.fleet.worker import Post
from targets.kvm.remote.address import Address

WHERE = place("tcp://127.0.0.1:8786")


@pytest.fixture(autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


async def _made(post: Post) -> list[Nanny]:
    return worker._nannies(WHERE, post)


def test_each_process_is_reached_at_a_port_of_its_own_on_which_it_listens() -> None:
    made = asyncio.run(_made(Post(slots=2, contact=Address("198.51.100.4", 9000))))
    assert [one.contact_address for one in made] == [
        "tcp://198.51.100.4:9000",
        "tcp://198.51.100.4:9001",
    ]
    assert [one.worker_kwargs["port"] for one in made] == [9000, 9001]


def test_one_that_is_just_there_takes_any_port() -> None:
    (made,) = asyncio.run(_made(Post(slots=1)))
    assert made.contact_address is None
    assert made.worker_kwargs["port"] == 0


@pytest.mark.parametrize("name", ["contact", "metrics"])
def test_there_has_to_be_a_port_for_each(name: str) -> None:
    post = Post(slots=2, **{name: Address("198.51.100.4", 65535)})  # type: ignore[arg-type]
    with pytest.raises(ClusterError, match="65535 leaves no port to process 2"):
        asyncio.run(_made(post))


@pytest.mark.parametrize("option", ["--contact", "--metrics"])
def test_what_is_no_address_is_a_sentence(option: str) -> None:
    result = CliRunner().invoke(main, ["fleet", "worker", WHERE.address, option, "nowhere"])
    assert result.exit_code == Exit.USAGE
    assert result.stderr.startswith("vcpufuzz: 'nowhere' is no address such as")
