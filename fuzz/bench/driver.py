"""The measuring process: libFuzzer, through atheris, runs the turns of fuzz/bench/measure.py."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from fuzz.bench.measure import Plan, Report, Script, Turn, measure
from fuzz.worker.lifeline import end_with_parent

_FLAGS = ("-max_len=4096", "-len_control=0", "-timeout=86400", "-rss_limit_mb=4096")


class Driver:
    """libFuzzer's side of a script: has it run what each turn asks for."""

    def __init__(self, script: Script, done: Callable[[Report], None]) -> None:
        self._script, self._done = script, done
        self._turn: Turn | None = None
        self._handed = b""
        self._left = 0
        self._began = 0.0

    def mutate(self, data: bytes, max_size: int, seed: int) -> bytes:
        """libFuzzer's custom mutator."""
        assert self._turn is not None
        self._handed = self._turn.mutators.mutate(data, max_size, seed)
        return self._handed

    def crossover(self, first: bytes, second: bytes, max_size: int, seed: int) -> bytes:
        """libFuzzer's custom crossover."""
        assert self._turn is not None
        self._handed = self._turn.mutators.crossover(first, second, max_size, seed)
        return self._handed

    def one_input(self, data: bytes) -> None:
        """libFuzzer's entry. What no mutator made, it tries before all else."""
        if self._turn is None:
            self._next(next, self._script)
        elif data == self._handed:
            self._turn.session.execute(data)
            self._left -= 1
            if not self._left:
                # What was begun in this turn belongs to it, as what it found begun did not.
                self._turn.session.runner.settle()
                self._next(self._script.send, time.monotonic() - self._began)
        else:
            self._turn.session.execute(self._turn.mutators.mutate(b"", 4096, 1))

    def _next(self, advance: Callable[..., Turn], *argument: object) -> None:
        try:
            self._turn = advance(*argument)
        except StopIteration as end:
            self._done(end.value)
            return
        self._left, self._began = self._turn.count, time.monotonic()


def main(argv: Sequence[str]) -> None:
    """Arguments: a descriptor to write the report to as JSON, a `Plan`, and the process to end
    with."""
    end_with_parent(int(argv[3]))
    out = os.fdopen(int(argv[1]), "wb", buffering=0)
    scratch = tempfile.TemporaryDirectory(prefix="vcpufuzz-")
    plan = msgspec.json.decode(argv[2].encode(), type=Plan)
    import atheris  # noqa: PLC0415

    from fuzz.worker.feedback import USUAL, Feedback  # noqa: PLC0415
    from targets.transport import TransportError  # noqa: PLC0415

    def tell(line: dict[str, object]) -> None:
        out.write(msgspec.json.encode(line) + b"\n")

    def end() -> None:
        scratch.cleanup()
        os._exit(0)

    def done(report: Report) -> None:
        tell({"report": report})
        end()

    script = measure(plan, Feedback(USUAL), lambda text: tell({"say": text}))
    driver = Driver(script, done)

    def one_input(data: bytes) -> None:
        try:
            driver.one_input(data)
        except (TransportError, ValueError) as error:
            tell({"failed": str(error)})
            end()

    atheris.Setup(
        [str(Path(__file__).resolve()), *_FLAGS, f"-artifact_prefix={scratch.name}/"],
        one_input,
        custom_mutator=driver.mutate,
        custom_crossover=driver.crossover,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
