"""How many buckets a defect makes is counted, and the defects are what they are said to be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from db.records import SignatureRecord
from fuzz.bench.buckets.counting import INTACT, Bucket, Counted, count_mutant, groups
from fuzz.bench.buckets.kerneldefects import KERNEL_DEFECTS
from fuzz.cli.bench_buckets import report
from fuzz.cli.main import main
from fuzz.followup.kinship import Kin
from targets.kvm.lab import build
from targets.kvm.lab.variants import Edit, Tree, source_tree
from targets.transport import TransportError


def signature(rule: str) -> SignatureRecord:
    return SignatureRecord("conformance", "run", rule, "z", "-", "kvm")


def counted(name: str, buckets: int, joined: int) -> Counted:
    made = [Bucket(f"b{n}", "kernel") for n in range(buckets)]
    return Counted(name, "", 10, buckets, joined, 0.0, made)


def test_a_seeded_defect_makes_one_bucket() -> None:
    found = count_mutant("vls-shortest-only", 20, 1)
    assert found.cases == 20
    assert found.divergences > 1
    assert [bucket.suspect for bucket in found.buckets] == ["mutant"]
    assert found.groups == 1


def test_a_proposal_takes_a_bucket_away() -> None:
    a, b, c = map(signature, ("a", "b", "c"))
    assert groups([a, b, c], []) == 3
    assert groups([a, b, c], [Kin(b, a, "so"), Kin(c, b, "so")]) == 1
    assert groups([a, b], [Kin(c, a, "so")]) == 2


def test_what_was_not_seen_and_no_defect_do_not_count() -> None:
    told = report([counted(INTACT, 9, 9), counted("x", 0, 0), counted("y", 3, 2)], 10, 1)
    assert (told.sought, told.seen) == (2, 1)
    assert (told.median, told.most, told.median_joined, told.most_joined) == (3, 3, 2, 2)


def test_nothing_seen_is_told_as_that() -> None:
    assert report([counted("x", 0, 0)], 10, 1).most == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "x"], "goes with --buckets"),
        (["--kernels"], "goes with --buckets"),
        (["--buckets", "--only", "no-such"], "no defect is called like no-such"),
        (["--buckets", "--kernels", "--only", "no-such"], "no defect is called like no-such"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, ["bench", *arguments])
    assert result.exit_code != 0
    assert said in (str(result.exception) + result.output)


def test_the_command_prints_a_table() -> None:
    arguments = ["bench", "--buckets", "--only", "finalize-tw*", "--cases", "5"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "finalize-twice" in result.output
    assert "1 defects seen" in result.output


def test_the_kernels_defects_are_of_a_line_each() -> None:
    assert len({edit.name for edit in KERNEL_DEFECTS}) == len(KERNEL_DEFECTS) >= 25
    for edit in KERNEL_DEFECTS:
        old, new = edit.old.splitlines(), edit.new.splitlines()
        new += [""] * (len(old) - len(new))
        assert sum(a != b for a, b in zip(old, new, strict=True)) == 1, edit.name


EDIT = Edit("off", "it is wrong", "a.c", "x > 1", "x >= 1")


@pytest.mark.parametrize("text", ["", "x > 1; x > 1"])
def test_an_edit_that_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(TransportError, match=r"off does not fit a\.c: .* there \d times"):
        EDIT.applied(text)


def test_an_edit_may_be_of_several_places() -> None:
    edit = replace(EDIT, more=(("y = 1", "y = 2"),))
    assert edit.applied("if (x > 1) y = 1;") == "if (x >= 1) y = 2;"
    with pytest.raises(TransportError, match="there 0 times"):
        edit.applied("if (x > 1) y = 3;")


def make_tree(at: Path, recipe: str) -> Path:
    root = at / "tree"
    (root / "arch/arm64/boot").mkdir(parents=True)
    (root / "Makefile").write_text(
        f"allnoconfig:\n\tcp $(KCONFIG_ALLCONFIG) .config\nImage:\n\t{recipe}\n"
    )
    (root / "a.c").write_text("if (x > 1)\n")
    return root


def test_a_variant_is_built_with_its_edit_and_taken_back(tmp_path: Path) -> None:
    tree = Tree(make_tree(tmp_path, f"cp a.c {build.IMAGE}"), 1)
    with tree.edited(EDIT) as image:
        assert image.read_text() == "if (x >= 1)\n"
    assert tree.build().read_text() == "if (x > 1)\n"


def test_a_variant_may_have_edits_of_several_files(tmp_path: Path) -> None:
    root = make_tree(tmp_path, f"cat a.c b.c > {build.IMAGE}")
    (root / "b.c").write_text("y = 1\n")
    with Tree(root, 1).edited(EDIT, replace(EDIT, file="b.c", old="y = 1", new="y = 2")) as image:
        assert image.read_text() == "if (x >= 1)\ny = 2\n"
    assert [(root / name).read_text() for name in ("a.c", "b.c")] == ["if (x > 1)\n", "y = 1\n"]


def test_a_directory_that_is_no_kernels_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match=r"has no a\.c"):
        Tree(tmp_path, 1).check([EDIT])
    with pytest.raises(TransportError, match=r"has no a\.c"), Tree(tmp_path, 1).edited(EDIT):
        pytest.fail("there is nothing to use")


def test_a_variant_that_does_not_build_is_taken_back(tmp_path: Path) -> None:
    root = make_tree(tmp_path, "echo a.c: error: no; false")
    with pytest.raises(TransportError, match="error: no"), Tree(root, 1).edited(EDIT):
        pytest.fail("there is nothing to use")
    assert (root / "a.c").read_text() == "if (x > 1)\n"


def test_the_tree_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "TOOLS", {"make": "make"})
    monkeypatch.setattr(
        build,
        "fetch_source",
        lambda source, scratch, say: (make_tree(scratch, f"cp a.c {build.IMAGE}"), source),
    )
    with source_tree("6.12", 1) as tree:
        tree.check([EDIT])
        image = tree.build()
        assert image.exists()
    assert not image.exists()
