"""Opening: every bad database is one sentence, and processes may race to create a good one."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from db.migrate import config
from db.records import NotFound
from db.schema import REVISION, VERSION_TABLE, Base
from db.session import _connect_args, connect, masked, parse_url, shown
from db.store import Store, StoreError

pytestmark = pytest.mark.long


def test_the_migrations_make_the_tables_of_the_schema(tmp_path: Path) -> None:
    engine, _ = connect(f"sqlite:///{tmp_path}/t.db")
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_the_schema_names_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(config()).get_current_head() == REVISION


def test_a_new_database_uses_the_wal_journal(tmp_path: Path) -> None:
    Store.open(str(tmp_path / "t.db")).close()
    with sqlite3.connect(tmp_path / "t.db") as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_memory_will_do() -> None:
    with Store.open("sqlite://") as store:
        assert store.buckets() == ()


def test_processes_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); from db.store import Store;"
        "print('ready', flush=True); sys.stdin.readline();"
        "s = Store.open(sys.argv[1]); s.begin_campaign(1, [], {})"
    )
    root = str(Path(__file__).parents[1])
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "t.db"), root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    results = [(racer.communicate("go\n")[1], racer.returncode) for racer in racers]
    assert results == [("", 0)] * 4
    with Store.open(str(tmp_path / "t.db")) as store:
        assert len(store.campaigns()) == 4


def test_threads_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    def work(_: int) -> int:
        with Store.open(str(tmp_path / "t.db")) as store:
            return store.begin_campaign(1, [], {})

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(work, range(4))) == [1, 2, 3, 4]


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    Store.open(str(path)).close()
    with sqlite3.connect(path) as raw:
        raw.execute(f"UPDATE {VERSION_TABLE} SET version_num = 'zzzz'")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"t\.db was written by a newer vcpufuzz \(revision zzzz"):
        Store.open(str(path))
    assert path.read_bytes() == before


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bookmarks.db"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(StoreError, match=r"holds other tables and is no database of vcpufuzz"):
        Store.open(str(path))


def test_a_locked_database_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.db"
    monkeypatch.setattr("db.session.BUSY_SECONDS", 0.2)
    with Store.open(str(path)) as store, sqlite3.connect(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"t\.db has been locked by another process for"):
            store.begin_campaign(1, [], {})


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes, and they are rather longer than a header\n" * 20)
    with pytest.raises(StoreError, match=r"notes\.txt is not an SQLite database"):
        Store.open(str(path))


def test_a_damaged_document(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with Store.open(str(path)) as store:
        store.begin_campaign(7, [], {})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE campaigns SET options = '{'")
    with Store.read(str(path)) as store, pytest.raises(StoreError, match=r"t\.db is damaged"):
        store.campaigns()


def test_a_damaged_database(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    Store.open(str(path)).close()
    content = bytearray(path.read_bytes())
    content[100:8192] = b"\xff" * 8092
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"t\.db is damaged"):
        Store.open(str(path))


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "the database URL is empty"),
        ("://x", "is not a database URL such as"),
        ("sqlite:///{tmp}/none/t.db", "the directory of the database .* does not exist"),
        ("sqlite:///{tmp}", "is a directory, not a database file"),
        ("nosuch://host/x", "this kind of database is not supported"),
        ("postgresql+pg8000://u:secret@host/x", "needs the Python package pg8000"),
        ("/proc/version", "cannot be|is not an SQLite"),
    ],
)
def test_bad_urls(tmp_path: Path, url: str, sentence: str) -> None:
    with pytest.raises(StoreError, match=sentence) as caught:
        Store.open(url.format(tmp=tmp_path))
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_password_is_never_shown() -> None:
    assert "secret" not in shown(parse_url("postgresql://u:secret@host/x"))


def test_whether_a_database_exists(tmp_path: Path) -> None:
    assert not Store.exists(f"sqlite:///{tmp_path}/t.db")
    assert not (tmp_path / "t.db").exists()
    Store.open(str(tmp_path / "t.db")).close()
    assert Store.exists(str(tmp_path / "t.db"))


def test_nothing_is_made_to_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"there is no database .*typo\.db"):
        Store.read(str(tmp_path / "typo.db"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("open_elsewhere", [False, True])
def test_a_database_is_read_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_elsewhere: bool
) -> None:
    writer = Store.open(str(tmp_path / "t.db"))
    writer.begin_campaign(7, [], {})
    if not open_elsewhere:
        writer.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert ("t.db-wal" in before) == open_elsewhere
    monkeypatch.setattr("os.access", lambda _path, mode: mode != os.W_OK)
    with Store.read(str(tmp_path / "t.db")) as store:
        assert [campaign.seed for campaign in store.campaigns()] == ["7"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    writer.close()


def test_an_old_database_is_read_where_it_cannot_be_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        settings = config()
        settings.attributes["connection"] = connection
        command.upgrade(settings, "0001")
    engine.dispose()
    before = path.read_bytes()
    monkeypatch.setattr("os.access", lambda _path, mode: mode != os.W_OK)
    with Store.read(str(path)) as store:
        assert store.incidents() == ()
    assert path.read_bytes() == before


def test_a_database_that_is_gone_or_another_takes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with Store.open(str(path)) as store:
        campaign = store.begin_campaign(1, [], {})
        path.rename(tmp_path / "moved.db")
        with pytest.raises(StoreError, match=r"t\.db was deleted while it was in use"):
            store.update_campaign(campaign, {"cases": 1})
        path.touch()
        with pytest.raises(StoreError, match="was replaced by another file"):
            store.update_campaign(campaign, {"cases": 1})


def test_a_server_that_does_not_answer_is_not_waited_for() -> None:
    for driver, option in (("psycopg", "connect_timeout"), ("pg8000", "timeout")):
        url = parse_url(f"postgresql+{driver}://u@h/x")
        assert _connect_args(url) == {option: 10}
    assert _connect_args(parse_url("postgresql+psycopg://u@h/x?connect_timeout=3")) == {}
    assert _connect_args(parse_url("sqlite:///x.db")) == {}


@pytest.mark.parametrize(
    "text",
    [
        *("postgresql://u:geheim@h/x", "postgresql+psycopg://u:ge@heim@h:port/x?a=b"),
        *("postgresql:/u:geheim@h/x", "could not connect to mysql://u:geheim@h: refused"),
        *("postgresql://h/x?user=u&password=geheim&sslmode=on", "dsn: host=h PASSWORD=geheim"),
    ],
)
def test_a_password_is_masked_wherever_it_stands(text: str) -> None:
    assert "geheim" not in masked(text).replace("ge@heim", "geheim")
    assert "***" in masked(text)
    assert masked("a/b@c.db sqlite:///x.db") == "a/b@c.db sqlite:///x.db"
