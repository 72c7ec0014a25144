"""From a kernel's symbols to the functions that coverage is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from targets.codemap import CodeMap, Function
from targets.kvm.lab.coverage.names import FPSIMD, NAMES, NVHE

PREFIX = "__kvm_nvhe_"
VECTORS = "vectors"
"""The symbol of what VBAR names while the kernel, not a guest, is at work."""
REACH = 1 << 16
"""Marks of KVM at most this many bytes apart have nothing but KVM between them."""
MARKS = 5
"""Fewer marks together are chance: a name of KVM's that something else has, too."""

_CODE = frozenset("tTwW")
_AREA_OF = {name: area for area, names in NAMES.items() for name in names}

_NEVER = re.compile(
    # What a tracepoint makes; it runs only while somebody traces.
    r"(perf_trace_|trace_raw_output_|trace_event_raw_event_|trace_event_get_offsets_"
    r"|__bpf_trace_|__traceiter_|__probestub_|do_trace_event_)"
    # Marks of the linker script, and hyp code that is data to whoever patches the kernel.
    r"|(__kvm_nvhe_)?(__hyp_section_|__start_|__stop_|__hyp_\w*text_(start|end)$)"
)


class NoSymbols(ValueError):
    """A kernel whose symbols cannot be used; the message is one sentence."""


@dataclass(frozen=True, slots=True, order=True)
class Symbol:
    """A symbol of code: its address, the next one's, and its name."""

    address: int
    end: int
    name: str

    @property
    def plain(self) -> str:
        """The name in the source: without what the compiler appends (.isra.0, .part.0)."""
        return self.name.partition(".")[0]


def parse(text: str) -> tuple[dict[str, int], list[Symbol]]:
    """(every symbol's address, the kernel's code in ascending order) from `/proc/kallsyms`.

    Of several names for one address, the plainest stays: `__pi_` is a copy of the name,
    and hyp's copies of a kernel symbol are that symbol. Raises NoSymbols.
    """
    addresses: dict[str, int] = {}
    names: dict[int, str] = {}
    for line in text.splitlines():
        parts = line.split()
        if len(parts) != 3:  # modules have a fourth column
            continue
        try:
            address = int(parts[0], 16)
        except ValueError:
            continue
        kind, name = parts[1:]
        addresses.setdefault(name, address)
        if kind in _CODE:
            other = names.get(address)
            names[address] = name if other is None else min(name, other, key=_plainness)
    if not any(addresses.values()):
        raise NoSymbols("the kernel tells no addresses in /proc/kallsyms.")
    order = sorted(names)
    return addresses, [Symbol(a, b, names[a]) for a, b in pairwise(order)]


def _plainness(name: str) -> tuple[bool, bool, int, str]:
    return bool(_NEVER.match(name)), name.startswith(("__pi_", PREFIX)), len(name), name


def code_map(kallsyms: str) -> CodeMap:
    """The map of the kernel whose `/proc/kallsyms` this is. Raises NoSymbols."""
    addresses, symbols = parse(kallsyms)
    try:
        text, end = addresses["_stext"], addresses["_etext"]
    except KeyError as error:
        raise NoSymbols(f"the kernel has no symbol {error.args[0]} in /proc/kallsyms.") from None
    inside = [s for s in symbols if text <= s.address < s.end <= end]
    area_of = {**_kvm(inside), **_hyp(inside, addresses), **_fpsimd(inside)}
    functions = tuple(
        Function(s.address - text, s.end - s.address, s.name, area_of[s])
        for s in inside
        if s in area_of and not _NEVER.match(s.name)
    )
    if not functions:
        raise NoSymbols("the kernel has no functions of KVM in /proc/kallsyms.")
    vectors = addresses.get(VECTORS, 0)
    known = vectors - text if text <= vectors < end else None
    return CodeMap(text, end - text, functions, known)


def _fpsimd(symbols: Iterable[Symbol]) -> dict[Symbol, str]:
    return {s: FPSIMD for s in symbols if s.plain in NAMES[FPSIMD]}


def _hyp(symbols: Iterable[Symbol], addresses: dict[str, int]) -> dict[Symbol, str]:
    low = addresses.get("__hyp_idmap_text_start", 0)
    high = addresses.get("__hyp_text_end", 0)
    return {s: NVHE for s in symbols if low <= s.address < high and s.name.startswith(PREFIX)}


def _kvm(symbols: Sequence[Symbol]) -> dict[Symbol, str]:
    """KVM's run of code, and marks that the linker put elsewhere (noinstr, cold)."""
    marks = [(i, _AREA_OF[s.plain]) for i, s in enumerate(symbols) if s.plain in _AREA_OF]
    found = {symbols[i]: area for i, area in marks if "kvm" in symbols[i].plain}
    for run in _runs(symbols, marks):
        if len(run) < MARKS:
            continue
        first, last = _stretched(symbols, run[0][0], -1), _stretched(symbols, run[-1][0], 1)
        found.update(dict.fromkeys(symbols[first : run[0][0]], run[0][1]))
        found.update(dict.fromkeys(symbols[run[-1][0] : last + 1], run[-1][1]))
        for (here, area), (there, _) in pairwise(run):
            # A file's static functions come after its first mark: the left one decides.
            found.update(dict.fromkeys(symbols[here:there], area))
    return found


def _stretched(symbols: Sequence[Symbol], index: int, step: int) -> int:
    """The last symbol from `index` on that is KVM's by name: files begin with static ones."""
    while 0 <= index + step < len(symbols) and "kvm" in symbols[index + step].plain:
        index += step
    return index


def _runs(
    symbols: Sequence[Symbol], marks: Sequence[tuple[int, str]]
) -> Iterable[list[tuple[int, str]]]:
    run: list[tuple[int, str]] = []
    for index, area in marks:
        if area == FPSIMD and not symbols[index].plain.startswith("kvm"):
            continue
        if run and symbols[index].address - symbols[run[-1][0]].address > REACH:
            yield run
            run = []
        run.append((index, area))
    if run:
        yield run
