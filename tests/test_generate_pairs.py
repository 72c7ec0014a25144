"""Combinations: what counts as met, how values are chosen, and what is told of them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from corpus import registers as regs
from corpus.case import MAX_OPS, Case, decode
from corpus.ops import (
    CreateVcpu,
    Finalize,
    GetReg,
    Init,
    Op,
    ReadAll,
    Run,
    SetReg,
    SetVls,
)
from corpus.values import Pattern
from fuzz.campaign.combinations import Combinations, met
from fuzz.cli.errors import Exit
from fuzz.cli.main import main
from fuzz.generate import random_case
from fuzz.generate.combine import _HOLD, combined_case
from fuzz.generate.facts import FACTORS, FACTS, Tracker, fact
from fuzz.generate.mutate import fresh, mutated_case
from fuzz.generate.pairs import FORM_INDEX, REGISTER_INDEX, Chooser, Pairs, of_core
from fuzz.report.combined import combined
from targets.model.target import ModelTarget
from targets.profile import Profile

pytestmark = pytest.mark.long

LEG = ModelTarget(Profile())
Z, X = regs.Z_IDS, regs.X_IDS
LIFE: list[Op] = [CreateVcpu(0), Init(0), SetVls(0, 31), Finalize(0)]
ZCR = SetReg(0, regs.REGISTERS["zcr_el1"].id, Pattern("int", 2))


def _counted(*ops: Op) -> Pairs:
    pairs, case = Pairs(), Case(ops)
    pairs.add(case, LEG.run(case))
    return pairs


def _met(pairs: Pairs, *values: tuple[str, object]) -> int:
    first, second = (fact(*value) for value in values)
    return int(pairs.counts[first, second])


def test_a_pair_is_met_once_somebody_looks() -> None:
    pair = ("call", ("set z", False)), ("longest VL", 5)
    done = SetReg(0, Z[7], Pattern("fill", 3))
    assert _met(_counted(*LIFE, done), *pair) == 0
    assert _met(_counted(*LIFE, done, ReadAll(1)), *pair) == 0
    assert _met(_counted(*LIFE, done, ReadAll(0)), *pair) == 1
    assert _met(_counted(*LIFE, done, ReadAll(0), done, ReadAll(0)), *pair) == 2


def test_facts_are_what_was_asked_and_returned() -> None:
    pairs = _counted(*LIFE, ZCR, GetReg(0, Z[9]), Finalize(0), GetReg(0, X[30]), ReadAll(0))
    got = ("call", ("get z", False))
    assert _met(pairs, got, ("effective VL", 3)) == 1
    assert _met(pairs, got, ("zcr_el1", 2)) == 1
    assert _met(pairs, got, ("number", 9)) == 1
    assert _met(pairs, got, ("feature", "sve")) == 1
    assert _met(pairs, got, ("returned", ("finalize", 1))) == 0
    assert _met(pairs, ("call", ("get x", False)), ("returned", ("finalize", 1))) == 1
    assert _met(pairs, ("call", ("finalize", True)), ("life", "finalised")) == 1


def test_what_registers_held_at_init_is_a_fact_after_it() -> None:
    filled = SetReg(0, Z[7], Pattern("fill", 3))
    pairs = _counted(*LIFE, filled, Init(0), ReadAll(0), GetReg(0, Z[1]))
    assert _met(pairs, ("call", ("read-all", False)), ("held at INIT", "z7")) == 1
    assert _met(pairs, ("call", ("read-all", False)), ("held at INIT", "z8")) == 0
    assert _met(pairs, ("call", ("init", False)), ("held at INIT", "z7")) == 0


def test_every_fact_comes_from_a_table_once() -> None:
    assert sum(len(set(values)) for values in FACTORS.values()) == FACTS
    assert set(FACTORS["longest VL"]) == set(range(1, 17))
    assert len(FACTORS["number"]) == len(regs.Z_IDS)
    calls = [call for call in FACTORS["call"] if isinstance(call, tuple)]
    assert {"set z", "get x", "set pstate", "migrate"} <= {word for word, _ in calls}


def test_what_was_least_met_is_chosen_more_often() -> None:
    pairs, around = Pairs(), np.array([fact("feature", "sve")])
    common = [fact("longest VL", vq) for vq in range(1, 16)]
    pairs.counts[np.ix_(common, list(around))] = 500
    chooser = Chooser(random.Random(1), pairs)
    chosen = [chooser.pick("longest VL", range(1, 17), around) for _ in range(800)]
    assert chosen.count(16) > 2 * 800 / 16
    assert len(set(chosen)) == 16
    plain = Chooser(random.Random(1))
    evenly = [plain.pick("longest VL", range(1, 17), around) for _ in range(800)]
    assert evenly.count(16) < 1.7 * 800 / 16


def test_combined_cases_have_much_at_once() -> None:
    rng = random.Random(2)
    cases = [combined_case(rng, Chooser(rng)) for _ in range(200)]
    assert all(len(case.ops) <= MAX_OPS for case in cases)
    lengths = {op.vqs for case in cases for op in case.ops if isinstance(op, SetVls)}
    assert {(1 << vq) - 1 for vq in range(1, 17)} <= lengths
    forms = {i.form.name for c in cases for op in c.ops if isinstance(op, Run) for i in op.program}
    assert len(forms) > len(FORM_INDEX) / 3
    around = []
    for case in cases:
        tracker = Tracker()
        for op, seen in zip(case.ops, LEG.run(case).observations, strict=False):
            around.append(len(tracker.around(getattr(op, "vcpu", 0))))
            tracker.done(op, seen.err)
    assert sum(around) / len(around) > 12


def test_the_register_least_set_at_a_length_is_set_next() -> None:
    pairs = _counted(*LIFE, *(SetReg(0, z, Pattern("int", 1)) for z in Z[:31]), ReadAll(0))
    at = [int(pairs.sets[REGISTER_INDEX[z], 5]) for z in Z]
    assert at == [1] * 31 + [0]
    assert pairs.sets.sum() == 31
    chosen = [Chooser(random.Random(n), pairs).register(Z, 5) for n in range(400)]
    elsewhere = [Chooser(random.Random(n), pairs).register(Z, 6) for n in range(400)]
    assert chosen.count(Z[31]) > 2 * elsewhere.count(Z[31])
    unseen = _counted(*LIFE, SetReg(0, Z[0], Pattern("int", 1)))
    assert not unseen.sets.any()


def test_combined_cases_set_each_register_that_only_holds_a_value() -> None:
    met = []
    for steered in (True, False):
        rng, pairs = random.Random(3), Pairs()
        chooser = Chooser(rng, pairs if steered else None)
        for _ in range(320):
            case = combined_case(rng, chooser, 0)
            pairs.add(case, LEG.run(case))
        met.append(np.count_nonzero(pairs.sets[[REGISTER_INDEX[z] for z in Z], 1:]))
        if steered:
            held = {reg for row in _HOLD.values() for reg in row}
            assert all(pairs.sets[REGISTER_INDEX[reg]].any() for reg in held)
    assert met[0] > met[1] > 32 * 16 / 4  # each Z at each length


def test_any_set_of_features_is_met() -> None:
    rng = random.Random(4)
    made = (combined_case(rng, Chooser(rng), 0) for _ in range(1500))
    features = {next(op.features for op in case.ops if isinstance(op, Init)) for case in made}
    bits = (1, 4, 8, 16, 0x60)  # POWER_OFF, PSCI_0_2, PMU_V3, SVE, both of PTRAUTH
    sets = {tuple(bool(one & bit) for bit in bits) for one in features}
    assert len(sets) == 2 ** len(bits)


def test_new_cases_are_the_same_for_the_same_seed() -> None:
    first, again = ([fresh(random.Random(n)).id for n in range(20)] for _ in range(2))
    assert first == again


def test_pairs_are_stored_and_told() -> None:
    pairs = _counted(*LIFE, ZCR, ReadAll(0))
    joined = Combinations()
    fresh_ones = (pairs.fresh, pairs.fresh_core)
    joined.add(*(np.concatenate(new).astype("<u4").tobytes() for new in fresh_ones))
    stored = json.loads(json.dumps(joined.statistics()))
    found = met(stored)
    assert found is not None
    assert (found.pairs == (pairs.counts > 0)).all()
    assert stored["pairs"] == int(found.pairs.sum())
    forms, sets = of_core(found.core)
    assert (forms == (pairs.forms > 0)).all()
    assert (sets == (pairs.sets > 0)).all()
    assert stored["triples"] == int(found.core.sum()) > 0
    assert met({**stored, "table": "another"}) is None
    rows = {(row.first, row.second): row for row in combined(found)}
    assert rows["register set", "longest VL"].met == 1
    assert rows["call", "longest VL"].possible >= rows["call", "longest VL"].met >= 3
    assert all(row.missing or row.met == row.possible for row in rows.values())


def test_the_command_tells_what_campaigns_combined(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'v.db'}"
    runner = CliRunner()
    none = runner.invoke(main, ["coverage", "--pairs", "--db", url])
    assert none.exit_code == Exit.USAGE
    ran = runner.invoke(
        main, ["run", "--legs", "model", "--cases", "60", "--seed", "3", "--db", url]
    )
    assert ran.exit_code == 0, ran.output
    table = runner.invoke(main, ["coverage", "--pairs", "--db", url])
    assert table.exit_code == 0, table.output
    assert "call x longest VL" in table.output
    rows = json.loads(runner.invoke(main, ["coverage", "--pairs", "--json", "--db", url]).output)
    assert all(0 <= row["met"] <= row["possible"] for row in rows)
    other = runner.invoke(main, ["coverage", "--pairs", "--campaign", "9", "--db", url])
    assert other.exit_code == Exit.USAGE
    assert "campaign 9" in other.output


@pytest.mark.parametrize("factor", FACTORS)
def test_every_factor_has_values(factor: str) -> None:
    assert FACTORS[factor]


def test_what_is_made_means_what_its_bytes_say() -> None:
    # A field that no encoding has is another one to the guest than to the model.
    rng = random.Random(6)
    chooser = Chooser(rng, Pairs())
    made = [combined_case(rng, chooser, 0.2) for _ in range(150)]
    made += [random_case(rng, 0.2) for _ in range(150)]
    made += [mutated_case(case, rng) for case in made]
    assert all(decode(case.encoded) == case for case in made)
