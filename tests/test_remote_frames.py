"""Frames, addresses and secrets: what comes from outside is checked before it is believed."""

from __future__ import annotations

import os
import stat
import struct
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.domain import TextError
from corpus.fault import Fault, FaultKind
from corpus.trace import Ending
from targets.kvm import legname
from targets.kvm.remote import address, secret
from targets.kvm.remote.address import Address, AddressError
from targets.kvm.remote.messages import (
    UNPROVEN_LIMIT,
    Code,
    Done,
    FrameError,
    Frames,
    Hello,
    Message,
    Prove,
    Ready,
    Refused,
    Run,
    Welcome,
    frame,
)
from targets.transport import Loss, TransportError

_names = st.text(max_size=12)
_sizes = st.integers(0, 2**63)
_faults = st.builds(Fault, st.sampled_from(FaultKind), _names, st.booleans(), _names)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Hello, st.integers(0, 2**31), _names, st.binary(max_size=40)),
    st.builds(Prove, st.binary(max_size=40), st.binary(max_size=40), st.booleans()),
    st.builds(Welcome, st.binary(max_size=40)),
    st.builds(
        Ready,
        _names,
        st.dictionaries(_names, _names, max_size=4),
        _names,
        st.integers(1, 9),
        st.floats(0, 1e6),
        st.none()
        | st.builds(
            Code, _sizes, _sizes, st.lists(st.tuples(_sizes, _sizes, _names, _names), max_size=3)
        ),
        _names,
    ),
    st.builds(Run, _sizes, st.binary(max_size=200)),
    st.builds(
        Done,
        _sizes,
        st.sampled_from(Ending),
        st.none() | st.binary(max_size=200),
        _names,
        st.floats(0, 1e6),
        st.lists(_sizes, max_size=5),
        st.floats(0, 1e6),
        st.lists(st.builds(Loss, _faults, _names), max_size=3),
        st.none() | _sizes,
        st.none() | _faults,
    ),
    st.builds(Refused, _names),
)


def read_all(frames: Frames) -> list[Message]:
    found = []
    while (message := frames.next()) is not None:
        found.append(message)
    return found


@given(st.lists(MESSAGES, max_size=5), st.lists(st.integers(0, 2000), max_size=6))
def test_messages_arrive_however_the_stream_is_cut(
    messages: list[Message], cuts: list[int]
) -> None:
    stream = b"".join(map(frame, messages))
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    frames = Frames()
    found: list[Message] = []
    for begin, end in pairwise(places):
        frames.feed(stream[begin:end])
        found += read_all(frames)
    assert found == messages
    assert not frames.partial


@given(MESSAGES, st.data())
def test_a_truncated_frame_is_not_a_message_yet(message: Message, data: st.DataObject) -> None:
    whole = frame(message)
    frames = Frames()
    frames.feed(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert frames.next() is None


def sentence(frames: Frames) -> str:
    """What reading all of it fails with; nothing if it does not."""
    try:
        read_all(frames)
    except FrameError as error:
        return str(error)
    return ""


@given(st.binary(max_size=300))
def test_any_bytes_are_messages_or_one_sentence(data: bytes) -> None:
    frames = Frames()
    frames.feed(data)
    assert sentence(frames).isprintable()


@given(st.binary(max_size=200))
def test_any_payload_is_a_message_or_one_sentence(payload: bytes) -> None:
    frames = Frames()
    frames.feed(struct.pack("<I", len(payload)) + payload)
    why = sentence(frames)
    assert why.isprintable()
    assert why or not frames.partial


@given(MESSAGES, st.data())
def test_a_message_with_bytes_changed_is_a_message_or_one_sentence(
    message: Message, data: st.DataObject
) -> None:
    payload = bytearray(frame(message)[4:])
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    frames = Frames()
    frames.feed(struct.pack("<I", len(payload)) + payload)
    why = sentence(frames)
    assert why.isprintable()
    assert why or not frames.partial


@given(st.integers(UNPROVEN_LIMIT + 1, 2**32 - 1))
def test_a_length_beyond_the_limit_is_refused_before_it_is_read(size: int) -> None:
    frames = Frames()
    frames.feed(struct.pack("<I", size))
    with pytest.raises(FrameError, match=f"claims {size} bytes"):
        frames.next()


def test_a_deeply_nested_payload_is_refused() -> None:
    payload = b"\x91" * 4000
    frames = Frames()
    frames.feed(struct.pack("<I", len(payload)) + payload)
    with pytest.raises(FrameError):
        frames.next()


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:7011", "127.0.0.1", 7011),
        ("[::1]:7011", "::1", 7011),
        ("[fe80::1%eth0]:1", "fe80::1%eth0", 1),
        ("arm-box.example:65535", "arm-box.example", 65535),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert address.parse(text) == Address(host, port)
    assert str(Address(host, port)) == text
    spec = legname.parse(f"kvm:tcp={text}")
    assert (spec.kernel, spec.name) == (Address(host, port), f"kvm:tcp={text}")


@pytest.mark.parametrize(
    "text",
    [
        *("", "host", "7011", ":7011", "host:", "host:x", "host:0", "host:65536", "::1:7011"),
        *("[::1]", "a b:1", "host:1:2", "host:1:vq=1", "[::1]x:1", "host:-1"),
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(AddressError, match=r"^[^\n]+$"):
        address.parse(text)
    with pytest.raises(TextError, match=r"^[^\n]+$"):
        legname.parse(f"kvm:tcp={text}")


def test_a_free_port_is_only_for_listening() -> None:
    assert address.parse("localhost:0", any_port=True) == Address("localhost", 0)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path))
    monkeypatch.delenv(secret.VARIABLE, raising=False)
    return tmp_path


def test_an_agent_makes_a_secret_that_its_own_user_can_read(cache: Path) -> None:
    with pytest.raises(TransportError, match=r"agent\.secret"):
        secret.of_client()
    key, source = secret.of_agent(None)
    assert Path(source) == cache / "agent.secret"
    assert stat.S_IMODE(Path(source).stat().st_mode) == 0o600
    assert len(key) >= 32
    assert secret.of_agent(None)[0] == secret.of_client() == key
    assert [path.name for path in cache.iterdir()] == ["agent.secret"]


def test_the_environment_comes_first_and_a_named_file_before_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret.of_agent(None)
    monkeypatch.setenv(secret.VARIABLE, " sixteen letters! \n")
    assert secret.of_client() == secret.of_agent(None)[0] == b"sixteen letters!"
    named = cache / "named"
    named.write_text("another sixteen letters\n")
    named.chmod(0o400)
    assert secret.of_agent(named) == (b"another sixteen letters", str(named))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620])
def test_a_secret_that_others_can_touch_is_none(cache: Path, mode: int) -> None:
    file = cache / "agent.secret"
    file.write_text("sixteen letters!")
    file.chmod(mode)
    for source in (secret.of_client, lambda: secret.of_agent(file), lambda: secret.of_agent(None)):
        with pytest.raises(TransportError, match="chmod 600"):
            source()


@pytest.mark.parametrize("text", ["", "fifteen letters", " " * 40, "x" * 5000])
def test_a_secret_that_is_too_short_or_long_is_none(
    cache: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = cache / "agent.secret"
    file.touch(0o600)
    file.write_text(text)
    with pytest.raises(TransportError, match="16 to 4096"):
        secret.of_client()
    if text:
        monkeypatch.setenv(secret.VARIABLE, text)
        with pytest.raises(TransportError, match=secret.VARIABLE):
            secret.of_client()


def test_a_secret_file_that_cannot_be_had_is_a_sentence(cache: Path) -> None:
    with pytest.raises(TransportError, match="No such file"):
        secret.of_agent(cache / "none")
    with pytest.raises(TransportError, match="cannot be read"):
        secret.of_agent(cache)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_secret_of_somebody_else_is_none(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = cache / "agent.secret"
    file.touch(0o600)
    file.write_text("sixteen letters!")
    os.chown(file, 12345, 12345)
    with pytest.raises(TransportError, match="somebody else"):
        secret.of_client()


_keys = st.text("abc", min_size=16, max_size=40).map(str.encode)


@given(_keys, _keys)
def test_a_proof_holds_for_one_secret_role_and_pair_of_nonces(one: bytes, other: bytes) -> None:
    a, b = secret.nonce(), secret.nonce()
    right = secret.proof(one, secret.CLIENT, a, b)
    assert secret.same(right, secret.proof(one, secret.CLIENT, a, b))
    wrong = [(one, secret.AGENT, a, b), (one, secret.CLIENT, b, a), (one, secret.CLIENT, a, a)]
    if one != other:
        wrong.append((other, secret.CLIENT, a, b))
    assert not any(secret.same(right, secret.proof(*arguments)) for arguments in wrong)
