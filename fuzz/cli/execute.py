"""`vcpufuzz exec`, `diff` and `repro`: one case, looked at closely."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from corpus.case import Case
from corpus.ops import Run
from corpus.store import load_case
from corpus.trace import Ending, Trace
from db.session import shown
from db.store import Store
from fuzz.cli.console import console as open_console
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.options import db_option, json_option, kernel_option, legs_option, resolve_legs
from fuzz.cli.plain_options import COUNT
from fuzz.cli.repeated import tell
from fuzz.cli.triage.keys import Key, key
from fuzz.followup.disagreement import Disagreement, steady_difference
from fuzz.followup.inquest import run_after
from fuzz.followup.otherwise import Otherwise, differences
from fuzz.oracle.everywhere import Everywhere, Seen
from fuzz.oracle.knowledge import Knowledge
from fuzz.oracle.verdict import Agree, Diverge, Verdict
from fuzz.report.compare import Row, Step, compare
from fuzz.report.disassemble import disassemble
from fuzz.report.findings import log_excerpt
from targets.base import Ran, Target
from targets.kind import KINDS
from targets.legs import open_legs
from targets.spec.errno import error_name
from targets.spec.hexdump import LEGEND

case_argument = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.command("exec")
@case_argument
@legs_option
@kernel_option
@click.option(
    "--times",
    default=1,
    show_default=True,
    type=COUNT,
    help="Run it so often, and say only in how many runs each leg diverges.",
)
@json_option
def execute(file: Path, legs: str, kernel: Path | None, times: int, as_json: bool) -> int:
    """Run one case, in text or binary form, and judge each leg.

    Ends with 0 if every leg agrees with the specification, but for what corpus/known
    records, and with 77 if one diverges.

    \b
    Example:
      vcpufuzz exec corpus/seeds/tail-may-vanish.case --legs model,emulator:zero
    """
    case = load_case(file)
    names = resolve_legs(legs, kernel)
    if times > 1:
        with _opened(case, names) as opened:
            return tell(case, opened, times, as_json=as_json)
    ran = _run(case, names)
    if as_json:
        click.echo(json.dumps(_as_json(case, ran), indent=2))
    else:
        for name in ran.verdicts:
            click.echo(f"{name}: {ran.line(name)}")
            for op, seen in zip(case.ops, ran.traces[name].observations, strict=False):
                size = f", {len(seen.data)} bytes" if seen.data else ""
                click.echo(f"    {op.word:<17} {error_name(seen.err)}{size}")
            if ran.traces[name].ending is not Ending.OK:
                click.echo(f"    ended: {ran.traces[name].ending.value}")
        if ran.differ:
            click.echo(ran.difference)
        _print_logs(ran.traces)
    return _exit_code(ran)


@click.command("diff")
@case_argument
@legs_option
@kernel_option
@click.option("--all", "show_all", is_flag=True, help="Also values on which all legs agree.")
def diff(file: Path, legs: str, kernel: Path | None, show_all: bool) -> int:
    """Run one case and set the legs side by side, with what is permitted.

    Values are shown where legs differ, where the specification permits several, and
    where one is wrong. Ends with 0 if every leg agrees with the specification, but for what
    corpus/known records, else with 77.

    \b
    Example:
      vcpufuzz diff corpus/seeds/tail-may-vanish.case
    """
    case = load_case(file)
    ran = _run(case, resolve_legs(legs, kernel))
    _print_comparison(case, ran, show_all)
    return _exit_code(ran)


@click.command("repro")
@click.argument("finding", callback=key("F"), metavar="FINDING")
@click.option("--legs", default=None, help="Other legs than those that diverged.")
@kernel_option
@db_option
def repro(finding: Key, legs: str | None, kernel: Path | None, url: str) -> int:
    """Run the minimal case of a stored finding again on the legs that diverged.

    If it takes other cases before it, they are run first, in order, in a fresh machine.
    Ends with 77 if it diverges again, with 0 if it does not.

    \b
    Example:
      vcpufuzz repro F1
    """
    number = finding[1]
    if not Store.exists(url):
        raise UserError(f"there is no F{number}: there is no database {shown(url)}.", Exit.USAGE)
    with Store.read(url) as store:
        stored = store.finding(number)
        # What legs are said to differ from is other legs.
        others = store.traces(stored.id) if stored.oracle == Disagreement.oracle else []
    twins = [view.leg.name for view in others if KINDS[view.leg.kind].kernel]
    names = twins or stored.deviating if legs is None else tuple(legs.split(","))
    names = resolve_legs(",".join(names), kernel)
    case = stored.minimal
    preceding = [Ran(earlier.case, earlier.shared) for earlier in stored.preceding]
    if preceding:
        click.echo(f"Running {len(preceding)} other cases before it, in a fresh machine.")
    ran = _run(case, names, preceding, otherwise=stored.oracle == Otherwise.oracle)
    _print_comparison(case, ran, show_all=False)
    _print_logs(ran.traces)
    again = [name for name, verdict in ran.verdicts.items() if isinstance(verdict, Diverge)]
    again = again or list(ran.differ)
    click.echo(f"F{number} {_outcome(again, list(ran.verdicts), twins or stored.deviating)}")
    return Exit.DIVERGENCE if again else Exit.OK


def _outcome(again: Sequence[str], ran: Sequence[str], seen_on: Sequence[str]) -> str:
    """What came of a finding. That it is gone only the legs that it was seen on can tell."""
    if again:
        return f"diverges again on {', '.join(again)}."
    others = [name for name in seen_on if name not in ran]
    if not others:
        return "is gone."
    return f"does not show on {', '.join(ran)}; seen on {', '.join(others)}, which did not run."


@dataclass(frozen=True, slots=True)
class _Ran:
    """Traces and verdicts by leg; `differ`: of legs that differ from their like where the
    model predicts nothing, each time the case is run, or from themselves when it is told
    otherwise; `records`: by leg, the file that records
    what is wrong."""

    traces: Mapping[str, Trace]
    verdicts: Mapping[str, Verdict]
    legs: Sequence[Target]
    differ: Mapping[str, Diverge]
    records: Mapping[str, str]

    @property
    def wrong(self) -> list[str]:
        """Legs whose divergence, or difference, is not recorded."""
        diverge = [name for name, v in self.verdicts.items() if isinstance(v, Diverge)]
        return [name for name in (*diverge, *self.differ) if name not in self.records]

    def line(self, name: str) -> str:
        """A leg's verdict in one line."""
        return verdict_line(self.verdicts[name], self.records.get(name, ""))

    @property
    def difference(self) -> str:
        """How legs differ, in one line."""
        name, verdict = next(iter(self.differ.items()))
        word = _strength(verdict, self.records.get(name, ""))
        return f"{', '.join(self.differ)}: DIFFER ({word}): {verdict.explanation}"


@contextmanager
def _opened(case: Case, names: Sequence[str]) -> Iterator[list[Target]]:
    """The legs, on which the case can run; closed again. Raises UserError, TransportError."""
    legs = open_legs(names)
    try:
        for leg in legs:
            if case.min_vq > leg.profile.max_vq:
                raise UserError(
                    f"the case needs vq>={case.min_vq}, {leg.name} has {leg.profile.max_vq}."
                )
        yield legs
    finally:
        for leg in legs:
            leg.close()


def _run(
    case: Case, names: Sequence[str], preceding: Sequence[Ran] = (), *, otherwise: bool = False
) -> _Ran:
    """Run `case`, after others in a fresh machine if there are any, or told `otherwise`, too;
    the legs are closed again."""
    with _opened(case, names) as legs:
        everywhere = Everywhere(legs)
        if preceding:
            traces = {leg.name: run_after(leg, preceding, case) for leg in legs}
            seen = Seen(traces, everywhere.judge(case, traces))
        else:
            seen = everywhere.look(case)
        differ = steady_difference(case, seen, everywhere)
        if otherwise:
            found = {leg.name: next(differences(case, leg), None) for leg in legs}
            differ = {name: verdict for name, verdict in found.items() if verdict}
    knowledge = Knowledge.shipped()
    records = {}
    for name, verdict in {**seen.verdicts, **differ}.items():
        if isinstance(verdict, Diverge):
            record = knowledge.explains(everywhere.leg(name), case, verdict)
            if record:
                records[name] = record.path.name
    return _Ran(seen.traces, seen.verdicts, legs, differ, records)


def _print_logs(traces: Mapping[str, Trace]) -> None:
    """What the machines of legs said of their faults."""
    for name, trace in traces.items():
        excerpt = log_excerpt(trace)
        if excerpt:
            click.echo(f"\nLog of {name}:")
            click.echo("\n".join(f"  {line}" for line in excerpt))


def verdict_line(verdict: Verdict, record: str) -> str:
    """A verdict in one line; `record`: the file that records what is wrong, if one does."""
    if isinstance(verdict, Agree):
        rest = f"; not judged further: {verdict.reason}" if verdict.reason else ""
        return f"agree ({verdict.judged} ops judged{rest})"
    word = "diverge" if record else "DIVERGE"
    return f"{word} ({_strength(verdict, record)}): {verdict.explanation}"


def _strength(verdict: Diverge, record: str) -> str:
    strength = "strict" if verdict.strict else "lenient"
    return f"{strength}, recorded in {record}" if record else strength


def _exit_code(ran: _Ran) -> int:
    return Exit.DIVERGENCE if ran.wrong else Exit.OK


def _print_comparison(case: Case, ran: _Ran, show_all: bool) -> None:
    console = open_console(highlight=False, soft_wrap=True)
    steps = compare(case, ran.traces, {leg.name: leg.profile for leg in ran.legs})
    width = max((len(name) for name in ran.traces), default=0)
    for step in steps:
        _print_step(console, case, step, width, show_all)
    if any(_needs_legend(row) for step in steps for row in step.rows if show_all or row.remarkable):
        console.print(Text(f"   ({LEGEND})", style="dim"))
    console.print()
    for name, verdict in ran.verdicts.items():
        style = "yellow" if name in ran.records else "bold red"
        style = "green" if isinstance(verdict, Agree) else style
        console.print(Text(f"{name:<{width}}  "), Text(ran.line(name), style=style))
    if ran.differ:
        console.print(Text(ran.difference, style="bold red"))


def _needs_legend(row: Row) -> bool:
    return any(mark in text for text in row.expected for mark in (".. ", "..]=..", "?", "unknown"))


def _print_step(console: Console, case: Case, step: Step, width: int, show_all: bool) -> None:
    op = case.ops[step.index]
    rule = f"  [{step.rule}]" if step.rule else ""
    console.print(Text(f"{step.index}: {step.text.splitlines()[0]}{rule}", style="bold"))
    if isinstance(op, Run):
        for insn, line in _beside(op):
            console.print(Text(f"     {insn:<40} {line}", style="dim"))
    if step.context and any(row.remarkable for row in step.rows):
        console.print(Text(f"     {step.context}", style="dim"))
    if step.note:
        console.print(Text(f"     {step.note}", style="yellow"))
    for row in step.rows:
        if show_all or row.remarkable:
            _print_row(console, row, width)


def _beside(op: Run) -> list[tuple[str, str]]:
    """Each instruction of the case beside its disassembly."""
    lines = iter(disassemble(op.program))
    pairs = []
    for insn in op.program:
        text = insn.format()
        for _ in insn.words():
            pairs.append((text, next(lines)))
            text = ""
    return pairs


def _print_row(console: Console, row: Row, width: int) -> None:
    console.print(Text(f"   {row.label}"))
    for index, text in enumerate(row.expected):
        word = "permitted" if index == 0 else "or"
        console.print(Text(f"     {word:>{width}}  {text}", style="cyan"))
    for name, cell in row.cells.items():
        mark = "" if cell.permitted else "  <-- not permitted"
        if cell.choice is not None and cell.permitted:
            mark = "  (keeps)" if cell.choice == 0 else "  (clears)"
        style = "" if cell.permitted else "bold red"
        console.print(Text(f"     {name:>{width}}  {cell.text}{mark}", style=style))


def _as_json(case: Case, ran: _Ran) -> dict[str, Any]:
    return {
        "case": case.id,
        "differ": {name: verdict.explanation for name, verdict in ran.differ.items()},
        "legs": {
            name: {
                "verdict": "agree" if isinstance(verdict, Agree) else "diverge",
                "explanation": ran.line(name),
                "recorded": ran.records.get(name),
                "ending": ran.traces[name].ending.value,
                "observations": [
                    {"op": op.word, "err": seen.err, "aux": seen.aux, "data": seen.data.hex()}
                    for op, seen in zip(case.ops, ran.traces[name].observations, strict=False)
                ],
            }
            for name, verdict in ran.verdicts.items()
        },
    }
