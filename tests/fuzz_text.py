"""Fuzzes the text form of cases with atheris; whatever reads a file goes through it.

    python tests/fuzz_text.py --runs 1000000    # a million inputs, with totals now and then
    python tests/fuzz_text.py crash-0123        # one input again, with its traceback

Of every input it asks: only TextError, with one printable sentence, comes out of it; what is a
case prints as a text that says the same case, which has canonical bytes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NoReturn

READS = (
    *("corpus.lines", "corpus.headers", "corpus.text", "corpus.inputs"),
    *("corpus.isa.spelling", "corpus.isa.table"),
)
"""What is instrumented: the modules that look at a text."""

MAX_LENGTH = 300
LONGEST_SECONDS = 2.0
TOTALS_EVERY = 100_000


def fuzz(runs: int, seed: int, scratch: str) -> NoReturn:
    """Until `runs` inputs were tried, or one is mistreated: then libFuzzer keeps it in the
    current directory and ends with its exit code 77."""
    import atheris  # noqa: PLC0415 (starts libFuzzer's runtime)

    from fuzz.worker.instrument import excluded  # noqa: PLC0415

    with atheris.instrument_imports(include=READS, exclude=excluded(READS)):
        from text_inputs import check, mutate  # noqa: PLC0415

        from corpus.store import KEPT, ROOT  # noqa: PLC0415
    seen: Counter[str] = Counter()

    def one_input(data: bytes) -> None:
        begun = time.thread_time()
        seen[check(data)] += 1
        assert time.thread_time() - begun < LONGEST_SECONDS
        if seen.total() % TOTALS_EVERY == 0 or seen.total() >= runs:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(seen.items()))
            print(f"{seen.total()} inputs: {kinds}", flush=True)
        if seen.total() >= runs:
            shutil.rmtree(scratch)
            os._exit(0)  # atheris has no way to return

    folders = [scratch, *(str(ROOT / folder) for folder in KEPT)]
    flags = [f"-seed={seed}", f"-max_len={MAX_LENGTH}", "-len_control=0", "-verbosity=0"]
    flags += ["-timeout=100000", "-report_slow_units=100000"]  # they count what others take, too
    atheris.Setup([sys.argv[0], *flags, *folders], one_input, custom_mutator=mutate)
    atheris.Fuzz()
    raise AssertionError("atheris returned")


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[1]))
    if not options.files:
        with tempfile.TemporaryDirectory() as scratch:
            fuzz(options.runs, options.seed, scratch)
    from text_inputs import check  # noqa: PLC0415

    for path in options.files:
        print(f"{path}: {check(path.read_bytes())}")


if __name__ == "__main__":
    main()
