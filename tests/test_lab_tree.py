"""Kernels of the user's own tree: which revision, under which name, and that it is only read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from treekit import GUEST, Tree

from fuzz.cli.errors import Exit
from fuzz.cli.main import main
from targets.catalogue import State, offers
from targets.kvm import legname
from targets.kvm.lab import build, kernels
from targets.kvm.lab.shadow import Revision, Shadow, TreeError
from targets.kvm.lab.treebuild import Flavour, TreeBuilder
from targets.transport import TransportError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "TOOLS", {"make": "make"})
    return tmp_path / "cache"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "my linux")


def _built(builder: TreeBuilder, commit: str | None = None) -> str:
    """The content of a revision's Image."""
    return builder.build(builder.revision(commit)).kernel.path.read_text()


def _lab(*args: str | Path) -> Result:
    return CliRunner().invoke(main, ["lab", "build", *map(str, args)])


def test_a_revision_and_the_directory_as_it_stands(tree: Tree) -> None:
    first = tree.git("rev-parse", "HEAD")
    second = tree.commit("Second", "second\n")
    tree.write(GUEST, "third\n")
    tree.write("arch/arm64/kvm/new.c", "untracked\n")
    before = tree.everything()
    builder = TreeBuilder(tree.path, Flavour())

    assert _built(builder, "HEAD~1") == "first\n"
    assert _built(builder, "master") == "second\n"
    assert _built(builder) == "third\n"
    assert (builder.shadow.source / "arch/arm64/kvm/new.c").exists()
    assert builder.name(builder.revision("HEAD~1")) == f"my-linux@{first[:12]}"
    assert re.fullmatch(rf"my-linux@{second[:12]}\+[0-9a-f]{{6}}", builder.name(_as_is(builder)))
    assert tree.everything() == before
    assert tree.git("worktree", "list").count("\n") == 0


def _as_is(builder: TreeBuilder) -> Revision:
    return builder.revision(None)


def test_a_directory_that_nothing_was_changed_in_is_its_commit(tree: Tree) -> None:
    tree.write("arch/arm64/kvm/guest.o", "ignored")
    builder = TreeBuilder(tree.path, Flavour())
    assert _as_is(builder) == builder.revision("HEAD")


def test_a_file_that_is_tracked_though_ignored_is_no_change(tree: Tree) -> None:
    tree.write("scripts/tool.o", "needed")
    tree.git("add", "--force", "scripts/tool.o")
    tree.commit("A tool")
    builder = TreeBuilder(tree.path, Flavour())
    assert _as_is(builder) == builder.revision("HEAD")


def test_a_tree_without_git_is_named_by_its_files(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "unpacked", git=False)
    builder = TreeBuilder(tree.path, Flavour())
    first = _as_is(builder)
    assert re.fullmatch("[0-9a-f]{12}", first.short)
    assert _built(builder) == "first\n"
    assert _as_is(builder) == first
    tree.write(GUEST, "other\n")
    assert _as_is(builder).short != first.short
    assert _built(builder) == "other\n"
    with pytest.raises(TreeError, match=r"no git repository, so it has no revision 'HEAD'\.$"):
        builder.revision("HEAD")


def test_a_tree_inside_somebody_elses_repository_is_one_without_git(tmp_path: Path) -> None:
    outer = Tree(tmp_path / "home")
    inner = Tree(tmp_path / "home/linux", git=False)
    assert Shadow(outer.path).theirs
    assert Shadow(inner.path).theirs is None


def test_worktrees_and_bare_repositories_are_trees(tree: Tree, tmp_path: Path) -> None:
    tree.git("worktree", "add", "--quiet", str(tmp_path / "side"), "HEAD")
    tree.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
    assert _built(TreeBuilder(tmp_path / "side", Flavour())) == "first\n"
    bare = TreeBuilder(tmp_path / "bare.git", Flavour())
    assert _built(bare, "master") == "first\n"
    with pytest.raises(TreeError, match=r"holds no files of a kernel: name a commit"):
        bare.revision(None)


def test_shallow_clones_are_trees(tree: Tree, tmp_path: Path) -> None:
    tree.commit("Second", "second\n")
    tree.git("clone", "--quiet", "--depth=1", f"file://{tree.path}", str(tmp_path / "shallow"))
    assert _built(TreeBuilder(tmp_path / "shallow", Flavour())) == "second\n"


def test_what_is_kept_is_not_built_again(tree: Tree) -> None:
    builder = TreeBuilder(tree.path, Flavour())
    revision = builder.revision("HEAD")
    assert builder.build(revision).seconds > 0
    assert builder.build(revision).seconds == 0
    builder.build(revision, again=True)
    made = builder.shadow.home / "out/made"
    assert made.read_text() == "once\n" * 2


def test_flavours_are_kernels_of_their_own(tree: Tree, tmp_path: Path) -> None:
    fragment = tmp_path / "mine.config"
    fragment.write_text("CONFIG_MINE=y\n")
    plain, mine = Flavour(), Flavour(("kasan",), llvm=True, fragments=(fragment,))
    assert re.fullmatch("-kasan-llvm-c[0-9a-f]{6}", mine.suffix)
    assert plain.recipe != mine.recipe
    assert "LLVM=1" in mine.arguments
    assert kernels.is_tree(f"linux@0123456789ab+012345{mine.suffix}")
    builder = TreeBuilder(tree.path, Flavour(fragments=(fragment,)))
    builder.build(builder.revision("HEAD"))
    config = (next(builder.shadow.home.glob("out-*")) / ".config").read_text()
    assert config.startswith(build.fragment(()))
    assert config.endswith("CONFIG_MINE=y\n\n")


def test_a_compiler_cache_is_used_if_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Flavour().arguments == []
    ccache = tmp_path / "ccache"
    ccache.write_text("#!/bin/sh\n")
    ccache.chmod(0o755)
    assert Flavour().arguments == [f"CC=ccache {build.CROSS}gcc", "HOSTCC=ccache gcc"]
    assert Flavour(llvm=True).arguments[1:] == ["CC=ccache clang", "HOSTCC=ccache clang"]


def test_options_that_a_tree_refuses(tree: Tree, tmp_path: Path) -> None:
    """What the lab needs and what the user asked for has to be; the rest may lack."""
    said: list[str] = []
    fragment = tmp_path / "mine.config"
    fragment.write_text("CONFIG_MINE=y\n")

    def refusing(option: str) -> None:
        tree.write(
            "Makefile",
            f"allnoconfig:\n\tgrep -v {option}= $(KCONFIG_ALLCONFIG) > $(O)/.config\n"
            "Image:\n\tmkdir -p $(O)/arch/arm64/boot; echo x > $(O)/arch/arm64/boot/Image\n",
        )

    builder = TreeBuilder(tree.path, Flavour(fragments=(fragment,)), say=said.append)
    for option in ("CONFIG_KVM", "CONFIG_MINE"):
        refusing(option)
        with pytest.raises(TreeError, match=rf"does not take {option}=y\.$"):
            builder.build(_as_is(builder))
    refusing("CONFIG_FUTEX")
    builder.build(_as_is(builder))
    assert any("has no CONFIG_FUTEX=y, and goes without" in line for line in said)


def test_a_failed_build_names_the_line_and_the_next_one_is_none_the_worse(tree: Tree) -> None:
    tree.commit("Break", "BROKEN\n")
    builder = TreeBuilder(tree.path, Flavour())
    with pytest.raises(TransportError, match=r"does not build: guest.c:1: error: broken"):
        builder.build(builder.revision("HEAD"))
    assert _built(builder, "HEAD~1") == "first\n"
    # A process that was killed leaves locks of git's.
    (builder.shadow.home / "git/index.lock").write_bytes(b"")
    assert _built(TreeBuilder(tree.path, Flavour(), jobs=1), "HEAD~1") == "first\n"


def test_its_leg_is_listed_once_it_is_built(tree: Tree) -> None:
    commit = tree.git("rev-parse", "HEAD")
    name = f"my-linux@{commit[:12]}"
    with pytest.raises(TransportError, match=r"is not built yet: run vcpufuzz lab build --tree"):
        kernels.fetch(name)
    result = _lab("--tree", tree.path)
    assert result.exit_code == 0
    assert f"kvm:{name}:vhe is ready: {commit}" in result.stdout
    assert legname.parse(f"kvm:{name}:nvhe").name == f"kvm:{name}:nvhe"
    assert f"{name} " in CliRunner().invoke(main, ["lab", "kernels"]).output
    ready = [offer.name for offer in offers() if offer.state is State.READY]
    assert kernels.of_trees() == [name]
    assert {f"kvm:{name}:vhe", f"kvm:{name}:protected"} <= {*ready, *_lab_offers()}


def _lab_offers() -> set[str]:
    """Without a QEMU the legs are offered, if not ready."""
    return {offer.name for offer in offers() if offer.kind == "kvm"}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--commit", "HEAD"), "--commit is about a --tree"),
        (("--with-llvm",), "--with-llvm is about a --tree"),
        (("--tree", "{tree}", "--source", "6.12"), "--source and --tree exclude each other"),
        (("--tree", "{tree}", "--commit", "nonsense"), "has no revision 'nonsense'"),
        (("--tree", "{tree}", "--commit", "--all"), "'--all' is no revision"),
        (("--tree", "{tree}", "--commit", "foreign"), "foreign in {tree} is no kernel tree"),
        (("--tree", "{empty}"), "is no kernel tree: it has no arch/arm64/kvm"),
        (("--tree", "{empty}", "--commit", "HEAD"), "is no kernel tree"),
        (("--tree", "{tree}/Makefile"), "is a file"),
        (("--tree", "{tree}", "--config", "{empty}"), "is a directory"),
    ],
)
def test_bad_requests_are_one_sentence(
    tree: Tree, tmp_path: Path, args: tuple[str, ...], words: str
) -> None:
    tree.git("checkout", "--quiet", "--orphan", "foreign")
    tree.git("rm", "--quiet", "-rf", "--cached", "arch")
    tree.git("commit", "--quiet", "-m", "No kernel")
    tree.git("checkout", "--quiet", "--force", "master")
    empty = tmp_path / "empty"
    empty.mkdir()
    names = {"tree": tree.path, "empty": empty}
    result = _lab(*(arg.format(**names) for arg in args))
    assert result.exit_code in (Exit.USAGE, Exit.UNAVAILABLE)
    assert words.format(**names) in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.output


def test_missing_programs_are_one_command(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = _lab("--tree", tree.path, "--with-llvm")
    assert result.exit_code == Exit.UNAVAILABLE
    assert "apt install clang git lld llvm make" in result.stderr


def test_no_kernel_is_built_where_make_cannot(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tree.path / "a cache"))
    with pytest.raises(TreeError, match=r"make takes no space or colon there\.$"):
        TreeBuilder(tree.path, Flavour())
