"""What the README and `--help` say is complete and true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from corpus.opfields import fields_of
from corpus.ops import OPS
from corpus.text import parse_case
from fuzz.cli.errors import Exit
from fuzz.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def _below(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _below(child, (*words, name))


@cache
def _commands() -> tuple[tuple[str, ...], ...]:
    """Every command and sub-command by its words, e.g. ("triage", "show")."""
    context = click.Context(main)
    found: list[tuple[str, ...]] = []
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command
        found += _below(command, (name,))
    return tuple(found)


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*words, "--help"])
    assert result.exit_code == 0
    example = result.output.partition("Example:\n")[2]
    assert re.search(rf"^ +vcpufuzz {' '.join(words)}\b", example, re.MULTILINE)


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_every_command_is_in_the_readme(words: tuple[str, ...]) -> None:
    assert re.search(rf"`(vcpufuzz )?{' '.join(words)}\b", README)


def test_the_readme_names_no_command_that_is_not_there() -> None:
    named = set(re.findall(r"`vcpufuzz ([a-z]+)", README))
    assert named <= set(COMMANDS)


def test_the_readme_has_the_table_of_exit_codes() -> None:
    rows = [f"| {code:d} | {code.text} |" for code in Exit]
    assert "\n".join(("| Code | Meaning |", "|---|---|", *rows, "")) in README


def test_paths_and_targets_in_the_readme_exist() -> None:
    for link in re.findall(r"\]\(([^):#]+)\)", README):
        assert (ROOT / link).exists(), link
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:`|^)make ([a-z]+)", README, re.MULTILINE)) <= set(targets)
    for folder in re.findall(r"^(\w+/)", README, re.MULTILINE):
        assert (ROOT / folder).is_dir(), folder


def _op_rows() -> list[tuple[list[str], list[str]]]:
    """The README's table of ops: the code in its two columns."""
    table = README.partition("| Op | Fields |")[2].partition("\n\n")[0]
    rows = (line.split("|")[1:3] for line in table.splitlines()[2:])
    return [(re.findall("`(.+?)`", ops), re.findall("`(.+?)`", fields)) for ops, fields in rows]


def test_the_ops_and_fields_in_the_readme_are_the_real_ones() -> None:
    shown = set()
    for ops, fields in _op_rows():
        texts = [op.replace("{ ... }", "{ }") for op in ops]
        words = [text.partition(" ")[0] for text in texts]
        shown.update(words)
        names = {f.name: word for word in words for f in fields_of(OPS[word]) if f.optional}
        assert {field.partition("=")[0] for field in fields} == set(names) - {
            "program",
            "span",
            "first",
        }
        for field in fields:
            text = next(t for t in texts if t.startswith(names[field.partition("=")[0]]))
            head, brace, block = text.partition(" {")
            parse_case(f"{head} {field}{brace}{block}")
        for text in texts:
            parse_case(text)
    assert shown == set(OPS)
