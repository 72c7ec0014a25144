"""`.inst`: any word as an instruction, and what the specification says of it."""

from __future__ import annotations

import random

import pytest
from isa_disassembler import disassembled
from model_guest import guest

from corpus.isa.decode import decode, meant
from corpus.isa.system import ANY
from corpus.isa.table import insn, parse_insn
from corpus.isa.unallocated import NEWER, UNALLOCATED, is_unallocated
from corpus.text import format_case, parse_case
from fuzz.generate.programs import strange_word
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.errors import Unpredictable
from targets.spec.semantics import SEMANTICS

OLDER = Profile(lacks=frozenset({NEWER}))


def words(count: int) -> list[int]:
    rng = random.Random(11)
    return [
        rng.getrandbits(32) & ~mask | value for mask, value in UNALLOCATED for _ in range(count)
    ]


@pytest.mark.long
def test_no_assembler_knows_a_word_that_is_called_unallocated() -> None:
    drawn = words(400)
    assert not disassembled(drawn, "all")
    assert not any(decode(word) for word in drawn)
    assert all(map(is_unallocated, drawn))


def test_instructions_are_not_called_unallocated() -> None:
    rng = random.Random(12)
    drawn = [rng.getrandbits(32) & ~0x1E00_0000 | 0x0400_0000 for _ in range(30000)]
    known = disassembled(drawn, "all")
    assert len(known) > 10000
    assert not any(map(is_unallocated, known))


def test_any_word_is_a_line_of_a_program() -> None:
    text = "create v0\nrun v0 {\n    .inst 0xffffffff\n    .inst 0x00000000\n}\n"
    assert format_case(parse_case(text)) == text
    assert parse_insn(".inst 0x4200000").words() == (0x0420_0000,)


def test_a_known_word_is_the_instruction_that_it_is() -> None:
    assert meant(insn(ANY, 0x04BF5040)) == parse_insn("rdvl x0, #2")
    assert meant(parse_insn("rdvl x0, #2")) == parse_insn("rdvl x0, #2")
    case = parse_case(
        "create v0\ninit v0\nfinalize v0\nset v0 cpacr_el1 0x330000\n"
        "run v0 {\n.inst 0x04bf5040\n}\nget v0 x0"
    )
    other = parse_case(
        "create v0\ninit v0\nfinalize v0\nset v0 cpacr_el1 0x330000\n"
        "run v0 {\nrdvl x0, #3\n}\nget v0 x0"
    )
    assert isinstance(judge(case, ModelTarget(Profile()).run(case), Profile()), Agree)
    verdict = judge(case, ModelTarget(Profile()).run(other), Profile())
    assert isinstance(verdict, Diverge)
    assert verdict.rule == "isa.rdvl"


@pytest.mark.parametrize("cpacr", ["0", "0x330000"])
def test_an_unallocated_word_is_undefined_whatever_is_enabled(cpacr: str) -> None:
    case = parse_case(
        f"create v0\ninit v0\nfinalize v0\nset v0 cpacr_el1 {cpacr}\n"
        f"run v0 {{\n.inst {words(1)[0]:#x}\n}}\nget v0 esr_el1"
    )
    trace = ModelTarget(OLDER).run(case)
    assert int.from_bytes(trace.observations[-1].data, "little") == 1 << 25
    verdict = judge(case, trace, OLDER)
    assert isinstance(verdict, Agree)
    assert (verdict.judged, verdict.reason) == (len(case.ops), "")
    trap = parse_case(format_case(case).replace(f".inst {words(1)[0]:#010x}", "brk #0"))
    assert isinstance(judge(case, ModelTarget(OLDER).run(trap), OLDER), Diverge)


@pytest.mark.parametrize("word", [0xD503_207F, 0x0000_0001_0000 | 0x4000_0000, 0x1400_0000])
def test_what_is_neither_is_not_modelled(word: int) -> None:
    cpu = guest(1)
    with pytest.raises(Unpredictable, match="not modelled"):
        SEMANTICS[ANY](cpu, word)


def test_a_machine_with_younger_extensions_may_know_more() -> None:
    cpu = guest(1)
    assert NEWER not in cpu.lacks
    with pytest.raises(Unpredictable, match="not modelled"):
        SEMANTICS[ANY](cpu, words(1)[0])


def test_generated_words_are_mostly_judged() -> None:
    rng = random.Random(13)
    drawn = [strange_word(rng) for _ in range(600)]
    undefined = sum(map(is_unallocated, drawn))
    known = sum(decode(word) is not None for word in drawn)
    assert undefined > 300
    assert known > 50
    assert 0 < len(drawn) - undefined - known < 120
