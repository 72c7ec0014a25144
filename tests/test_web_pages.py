"""Pages of what was found: each answers, says what it should, and trusts nobody's words."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from web_rig import CASE, HOSTILE, LAB, MUTANT, fill, visitor

from corpus.text import parse_case
from db.store import Store
from fuzz.web.app import PAGES
from fuzz.web.guard import HEADERS
from targets.spec.rules import RULES

AREA = "arch/arm64/kvm/guest.c"
PLAIN = (
    *("/", "/running", "/buckets", "/campaigns", "/incidents", "/kernel", "/rules"),
    *("/rules/facts", "/defects", "/history", "/mutes", "/login"),
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = f"sqlite:///{tmp_path_factory.mktemp('web')}/t.db"
    fill(made)
    return made


@pytest.fixture(scope="module")
def client(url: str) -> TestClient:
    return visitor(url)


def _links(text: str) -> set[str]:
    found = {html.unescape(one) for one in re.findall(r'(?:href|src)="(/[^"#]*)', text)}
    return {one for one in found if not one.startswith("/?since")}


@pytest.mark.long
def test_every_link_leads_somewhere(client: TestClient) -> None:
    todo, seen, kinds = list(PLAIN), set(PLAIN), dict[str, int]()
    while todo:
        address = todo.pop()
        answer = client.get(address)
        assert answer.status_code in (200, 303), (address, answer.text[:500])
        assert all(answer.headers[name] == value for name, value in HEADERS.items())
        if not answer.headers.get("content-type", "").startswith("text/html"):
            continue
        for link in _links(answer.text) - seen:
            # The book has a thousand links that are alike.
            kind = re.sub(r"^/(rules?|buckets\?rule=).*", r"\1", link)
            kinds[kind] = kinds.get(kind, 0) + 1
            if kinds[kind] <= 12:
                seen.add(link)
                todo.append(link)
    for path, _ in PAGES:
        known = re.compile(re.sub(r"{[^}]+}", ".+", path) + r"(\?.*)?")
        assert any(known.fullmatch(one) for one in seen), path


def test_the_first_page_tells_what_is_new_and_whose_fault_it_is(client: TestClient) -> None:
    text = client.get("/").text
    assert re.search(r"<h1>4 new\b", text)
    assert re.search(rf"B1</a> .*{MUTANT}", text)
    assert '<span class="chip suspect-mutant"' in text
    assert "1 panic" in text
    assert client.get("/", params={"since": "4w"}).status_code == 200
    assert "Nothing new" in client.get("/", params={"since": "2999-01-01"}).text


def test_a_bucket_shows_what_is_permitted_and_what_was_observed(client: TestClient) -> None:
    text = client.get("/buckets/1").text
    assert '<span class="lane wrong">abababababababab</span>' in text
    assert '<span class="lane unlike">0000000000000000</span>' not in text
    assert "<code>[0..31]=00 [32..255]=ab</code><i>or</i><code>[0..255]=00</code>" in text
    assert "movi v3.2d, #0" in text
    assert "6f00e403" in text  # what a disassembler reads stands beside
    assert "3/3" in text
    assert 'href="https://tracker.example/1?a=1&amp;b=2"' in text
    assert "The original, 9 ops" in text


def test_a_bucket_shows_where_it_was_tried_and_what_it_is_like(client: TestClient) -> None:
    text = client.get("/buckets/3").text
    assert re.search(r"Probably the same as <a href=\"/buckets/4\">B4</a>: one rule", text)
    text = client.get("/buckets/4").text
    assert '<span class="square out-shows" title="kvm:6.12:vhe: as before">shows' in text
    assert "kvm:6.12: 2/3" in re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text))


@pytest.mark.parametrize(
    "address",
    [
        *("/", "/buckets", "/buckets?text=%3Cscript%3E", "/buckets/2", "/findings/3"),
        *(
            "/campaigns/2",
            "/incidents",
            "/incidents/1",
            "/kernel",
            "/kernel/1/area/arch/arm64/kvm/guest.c",
        ),
        *("/history", "/mutes?rule=%3Cscript%3E%22&leg=%22%3E", "/buckets?leg=%22%3E%3Cscript%3E"),
    ],
)
def test_hostile_words_are_words(client: TestClient, address: str) -> None:
    text = client.get(address).text
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "get_reg<b>" not in text
    assert "49" not in re.findall(r"alert\(2\)&gt;(\w+)", text)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not re.search(r"""href=["'](?!/|#|https://tracker\.example/)""", text)
    assert not re.search(r"\son\w+=[\"']", text)
    assert not re.search(r"\sstyle=", text)


def test_hostile_words_are_shown(client: TestClient) -> None:
    shown = html.escape(HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e"))
    text = client.get("/buckets/2").text
    assert shown.replace("&quot;", "&#34;").replace("&#x27;", "&#39;") in text
    assert "javascript:alert(1)" in text  # as a word: a link it is not


@pytest.mark.parametrize(
    ("address", "code", "sentence"),
    [
        ("/buckets/99", 404, "There is no bucket 99"),
        ("/buckets/0", 404, ""),
        ("/buckets/999999999999999999999999", 404, ""),
        ("/findings/99", 404, "no finding 99"),
        ("/findings/99999999999999999999/minimal.case", 404, ""),
        ("/campaigns/99", 404, "no campaign 99"),
        ("/incidents/99", 404, ""),
        ("/kernel/99", 404, "no kernel 99"),
        ("/kernel/1/area/nothing", 404, ""),
        (f"/kernel/1/function/nothing?area={AREA}", 404, ""),
        ("/cases/none", 404, "no case none"),
        ("/rules/nothing", 404, "no chapter"),
        ("/rule/nothing", 404, "no rule"),
        ("/nothing", 404, "no such page"),
        ("/findings/1/passwd", 404, "no file"),
        ("/findings/1/..%2f..%2fetc%2fpasswd", 404, ""),
        ("/static/..%2f..%2fapp.py", 404, ""),
        ("/static/%2e%2e/app.py", 404, ""),
        ("/static//etc/passwd", 404, ""),
        ("/buckets?status=nothing", 400, "is no status: there are new"),
        ("/buckets?suspect=nobody", 400, "is no suspect"),
        ("/buckets?order=none", 400, "is no order"),
        ("/buckets?campaign=x", 400, "is no campaign"),
        ("/buckets?campaign=99", 404, "no campaign 99"),
        ("/buckets?since=tomorrow", 400, "neither a day"),
        ("/buckets?class=none", 400, "is no class"),
        ("/buckets?page=0", 400, "is no page"),
        ("/buckets?page=%F0%9F%98%80", 400, "is no page"),
        ("/buckets?text=a&text=b", 400, "text is given more than once"),
        ("/buckets?text=" + "a" * 300, 400, "more than 200 characters"),
        ("/buckets/1?page=-1", 400, "is no page"),
        ("/?since=%00", 400, "neither a day"),
        ("/findings/1/known.case", 400, "one kind of legs"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    client: TestClient, address: str, code: int, sentence: str
) -> None:
    answer = client.get(address)
    assert answer.status_code == code
    assert sentence.lower() in html.unescape(answer.text).lower()
    assert "Traceback" not in answer.text
    assert all(answer.headers[name] == value for name, value in HEADERS.items())


def test_filters_find_what_they_say(client: TestClient) -> None:
    def found(**asked: str) -> list[str]:
        text = client.get("/buckets", params=asked).text
        return re.findall(r'name="bucket" value="(\d+)"', text)

    assert sorted(found()) == ["1", "2", "3", "4"]
    assert found(suspect="mutant") == ["1"]
    assert found(**{"class": "lenient"}) == ["3"]
    assert found(leg="mutant:*") == ["1"]
    assert found(owner="ada") == ["1"]
    assert sorted(found(owner="-")) == ["3", "4"]
    assert sorted(found(campaign="C1")) == ["1"]
    assert found(text="errno-order (one") == []
    assert found(status="fixed") == []
    # What somebody looks for by number is where they are sent.
    assert client.get("/buckets?text=b3").headers["location"] == "/buckets/3"
    assert client.get("/buckets?text=F2").headers["location"] == "/findings/2"


def test_downloads_are_files_that_can_be_read(client: TestClient, url: str, tmp_path: Path) -> None:
    answer = client.get("/findings/1/minimal.case")
    assert parse_case(answer.text) == CASE
    assert answer.headers["content-disposition"] == 'attachment; filename="F1-minimal.case"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get("/findings/1/minimal.bin").content == CASE.encoded
    assert json.loads(client.get("/findings/1/finding.json").text)["finding"] == "F1"
    assert set(json.loads(client.get("/findings/1/traces.json").text)["legs"]) == {MUTANT, "model"}
    assert parse_case(client.get("/findings/1/regression.case").text) == CASE
    with Store.open(f"sqlite:///{tmp_path}/other.db") as other:
        other.import_(client.get("/buckets/1/bucket.vcpufuzz").content, "B1.vcpufuzz")
        assert other.bucket(1).count == 2
        assert other.finding(1).minimal == CASE
    # A log is given as it was, and never as a page.
    log = client.get("/incidents/1/log")
    assert HOSTILE in log.text
    assert log.headers["content-type"].startswith("text/plain")


def test_the_specification_is_a_book(client: TestClient) -> None:
    contents = client.get("/rules").text
    chapters = re.findall(r'href="/rules/([\w-]+)"', contents)
    assert "facts" in chapters
    text = "".join(client.get(f"/rules/{name}").text for name in chapters)
    there = set(re.findall(r'<div id="([^"]+)" class="rule', text))
    assert set(RULES) <= {html.unescape(one) for one in there}
    some = "reset.vectors"
    assert client.get(f"/rule/{some}").headers["location"].endswith(f"#{some}")
    assert html.escape(RULES[some].text).replace("&#x27;", "&#39;") in text
    assert "struct kvm_regs" in client.get("/rules/facts").text


def test_kernels_functions_and_blocks_name_the_case_that_came_first(client: TestClient) -> None:
    assert LAB.name in client.get("/kernel").text
    assert "2 of 2" in client.get("/kernel/1").text
    function = client.get("/kernel/1/function/kvm_arm_set_reg", params={"area": AREA}).text
    assert "+0x8" in function
    assert "1.5 s" in function


def test_campaigns_have_curves(client: TestClient) -> None:
    text = client.get("/campaigns/1").text
    assert "<polyline" in text
    assert "Cases per second" in text
    assert "cases/s 20" in text
    assert "too short for curves" in client.get("/campaigns/2").text


def test_an_empty_database_has_pages_too(tmp_path: Path) -> None:
    empty = f"sqlite:///{tmp_path}/e.db"
    Store.open(empty).close()
    there = visitor(empty)
    for address in PLAIN[:-1]:
        assert there.get(address).status_code == 200, address
    assert "Nothing has been found yet" in there.get("/").text


def test_a_page_is_not_kept_by_browsers(client: TestClient) -> None:
    assert client.get("/buckets").headers["cache-control"] == "no-store"
    assert client.head("/buckets").status_code == 200


def test_a_database_that_is_gone_or_replaced_is_told_and_found_again(tmp_path: Path) -> None:
    file = tmp_path / "t.db"
    there = visitor(f"sqlite:///{file}")
    assert there.get("/").status_code == 404
    Store.open(f"sqlite:///{file}").close()
    assert there.get("/").status_code == 200
    file.write_text("no database, but a page of words\n" * 100)
    for old in tmp_path.glob("t.db-*"):
        old.unlink()
    answer = there.get("/")
    assert answer.status_code == 503
    assert "is not an SQLite database" in answer.text or "damaged" in answer.text
    file.unlink()
    fill(f"sqlite:///{file}")
    assert any(there.get("/").status_code == 200 for _ in range(2))


def test_a_fault_of_ours_is_a_page_without_a_traceback(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_self: Store, *_: object) -> object:
        raise RuntimeError("secret detail")

    there = visitor(url)
    monkeypatch.setattr(Store, "overview", broken)
    answer = there.get("/")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "secret detail" in caplog.text
