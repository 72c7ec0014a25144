"""Decisions taken in a browser: each does what its word says, is in the audit log, can be undone,
and comes from nobody else's page."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from web_rig import HERE, HOSTILE, fill, token, visitor

from db.records import NotFound, Status
from db.store import Store
from fuzz.web.access import access
from fuzz.web.app import ACTIONS, application
from fuzz.web.guard import LARGEST_FORM, MOST_FIELDS
from fuzz.web.questions import LONGEST_NOTE

Form = dict[str, str | list[str]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("web") / "t.db"
    fill(f"sqlite:///{file}")
    return file


@pytest.fixture
def url(original: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(original, tmp_path)}"


@pytest.fixture
def client(url: str) -> TestClient:
    return visitor(url)


@pytest.fixture
def store(url: str) -> Store:
    return Store.open(url)


def post(client: TestClient, address: str, **values: str | list[str]) -> str:
    """Send a form as a page does; where the browser is sent then."""
    answer = client.post(address, data={"token": token(client), **values})
    assert answer.status_code == 303, html.unescape(answer.text)
    return str(answer.headers["location"])


def refusal(client: TestClient, address: str, **values: str | list[str]) -> tuple[int, str]:
    """The code and the sentence of a form that is refused."""
    answer = client.post(address, data={"token": token(client), **values})
    found = re.search(r'<p class="lead">(.*)</p>', answer.text)
    assert found, answer.text
    return answer.status_code, html.unescape(found[1])


def test_a_status_is_set_told_and_taken_back(client: TestClient, store: Store) -> None:
    there = post(client, "/buckets/1/status", status="fixed", was="new", fixed_in="6.13")
    bucket = store.bucket(1)
    assert (bucket.status, bucket.fixed_in) == (Status.FIXED, "6.13")
    page = client.get(there).text
    assert "B1 is fixed now" in page
    undo = re.search(r'name="change" value="(\d+)"><button class="quiet">undo', page)
    assert undo
    assert store.history(1, 1)[0].id == int(undo[1])
    there = post(client, "/undo", change=undo[1])
    assert there.startswith("/buckets/1?")
    assert store.bucket(1).status is Status.NEW
    # What was told once is no part of the page when it is loaded again without it.
    assert 'class="notice"' not in client.get("/buckets/1").text


def test_two_people_who_edit_one_bucket_do_not_overwrite_each_other(
    client: TestClient, url: str, store: Store
) -> None:
    other = visitor(url)
    post(client, "/buckets/1/status", status="confirmed", was="new")
    code, said = refusal(other, "/buckets/1/status", status="wontfix", was="new")
    assert (code, "confirmed" in said) == (409, True)
    assert store.bucket(1).status is Status.CONFIRMED


def test_owner_link_and_notes(client: TestClient, store: Store) -> None:
    post(client, "/buckets/3/assign", owner="bob", link="https://example.org/7")
    assert (store.bucket(3).owner, store.bucket(3).link) == ("bob", "https://example.org/7")
    there = post(client, "/buckets/3/assign", owner="bob", link="https://example.org/7")
    assert "nothing changed" in client.get(there).text
    post(client, "/buckets/3/note", note=f"  two\r\nlines {HOSTILE} ")
    (note,) = store.bucket(3).notes
    assert note.text == f"two\nlines {HOSTILE}".strip()
    assert "two\nlines &lt;script&gt;" in client.get("/buckets/3").text
    for bad in ("", "  \n ", "a" * (LONGEST_NOTE + 1)):
        assert refusal(client, "/buckets/3/note", note=bad)[0] == 400


def test_merging_splitting_and_proposals(client: TestClient, store: Store) -> None:
    post(client, "/buckets/3/same", other="4", same="yes")
    assert {store.bucket(3).duplicate_of, store.bucket(4).duplicate_of} == {None, 4}
    assert "B3 is part of" in client.get("/buckets/3").text
    there = post(client, "/buckets/1/split", finding=["2"], title="the longer one")
    number = int(re.findall(r"/buckets/(\d+)", there)[0])
    assert [line.id for line in store.finding_lines(number)] == [2]
    assert store.bucket(number).title == "the longer one"
    post(client, f"/buckets/{number}/merge", target="B1")
    assert len(store.finding_lines(1)) == 2
    assert refusal(client, "/buckets/1/split")[1] == "No finding is ticked."
    assert refusal(client, "/buckets/1/merge", target="B1")[0] == 409
    assert refusal(client, "/buckets/1/merge", target="99")[0] == 404
    assert refusal(client, "/buckets/1/merge", target="x")[0] == 400


def test_a_proposal_can_be_denied(client: TestClient, store: Store) -> None:
    post(client, "/buckets/4/same", other="3", same="no")
    assert [one.state for one in store.kin(4)] == ["rejected"]
    assert "Probably the same" not in client.get("/buckets/4").text


def test_several_buckets_at_once(client: TestClient, store: Store) -> None:
    back = "/buckets?status=new&page=1"
    there = post(client, "/buckets", act="status", bucket=["1", "3"], status="confirmed", back=back)
    assert there.startswith(f"{back}&told=")
    assert "status set on 2 buckets" in client.get(there).text
    assert {store.bucket(n).status for n in (1, 3)} == {Status.CONFIRMED}
    post(client, "/buckets", act="owner", bucket=["1", "2", "3"], owner="eve")
    assert {store.bucket(n).owner for n in (1, 2, 3)} == {"eve"}
    post(client, "/buckets", act="note", bucket=["2", "4"], note="both")
    assert store.bucket(4).notes[-1].text == "both"
    post(client, "/buckets", act="merge", bucket=["3"], target="4")
    assert store.bucket(3).duplicate_of == 4


def test_what_vanished_meanwhile_does_not_hold_up_the_rest(
    client: TestClient, store: Store
) -> None:
    store.merge(4, [3])
    there = post(client, "/buckets", act="status", bucket=["1", "3", "99"], status="wontfix")
    page = html.unescape(client.get(there).text)
    assert "status set on 1 bucket<" in page
    assert "B99: there is no bucket 99" in page
    assert "B3:" in page
    assert store.bucket(1).status is Status.WONTFIX
    assert refusal(client, "/buckets", act="status", status="new")[1] == "No bucket is ticked."
    assert refusal(client, "/buckets", act="nothing", bucket="1")[0] == 400
    assert refusal(client, "/buckets", act="status", bucket="1", status="odd")[0] == 400
    assert refusal(client, "/buckets", act="owner", bucket="x", owner="a")[0] == 400


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example/", "/\\evil.example", "/buckets\r\nX: y", ""]
)
def test_a_form_sends_nobody_elsewhere(client: TestClient, back: str) -> None:
    there = post(client, "/buckets", act="owner", bucket="1", owner="ada", back=back)
    assert re.fullmatch(r"/buckets[^\r\n\\]*", there)


def test_mutes_begin_and_end(client: TestClient, store: Store) -> None:
    there = post(client, "/mutes", rule="errno-*", leg="kvm:*", until="2999-01-01", reason="dull")
    assert "mute 1 covers 2 of today's buckets" in html.unescape(client.get(there).text)
    (mute,) = store.mutes()
    assert (mute.rule, mute.legs, mute.reason, mute.holds) == ("errno-*", "kvm:*", "dull", True)
    assert "Muted by" in client.get("/buckets/3").text
    assert "2 muted" in client.get("/").text
    post(client, "/mutes/1/end")
    assert not store.mutes()[0].holds
    assert refusal(client, "/mutes", rule="*", reason="")[0] == 400
    assert refusal(client, "/mutes", rule="*", reason="x", until="soon")[0] == 400
    assert refusal(client, "/mutes", rule="*", reason="x", low="abc")[0] in (400, 409)
    assert refusal(client, "/mutes/9/end")[0] == 404


def test_the_audit_log_names_who_did_it(url: str, store: Store) -> None:
    asked = visitor(url, user_header="X-Remote-User")
    asked.headers["X-Remote-User"] = "grace"
    post(asked, "/buckets/1/status", status="confirmed", was="new")
    assert store.history(1, 1)[0].actor == "grace"
    assert "grace" in asked.get("/history").text
    mine = visitor(url)
    post(mine, "/buckets/1/note", note="mine")
    assert store.history(1, 1)[0].actor not in ("", "grace")


ALL = [path.replace("{number:row}", "1") for path, _ in ACTIONS] + ["/login", "/leave"]


@pytest.mark.parametrize("address", ALL)
def test_a_form_that_is_no_page_of_ours_is_refused(url: str, address: str) -> None:
    client, stranger = visitor(url), visitor(url)
    values: Form = {"status": "wontfix", "was": "new", "note": "x", "bucket": "1", "change": "1"}
    before = client.get("/history").text.count("<tr")
    mine, others = token(client), token(stranger)
    tries: list[tuple[Form, dict[str, str]]] = [
        (values, {}),
        ({**values, "token": ""}, {}),
        ({**values, "token": others}, {}),
        ({**values, "token": [mine, mine]}, {}),
        ({**values, "token": mine + "x"}, {}),
        ({**values, "token": mine}, {"Sec-Fetch-Site": "cross-site"}),
        ({**values, "token": mine}, {"Sec-Fetch-Site": "same-site"}),
        ({**values, "token": mine}, {"Host": "evil.example:7012"}),
    ]
    for data, headers in tries:
        assert client.post(address, data=data, headers=headers).status_code in (400, 403)
    json = client.post(address, json={**values, "token": mine})
    assert json.status_code == 415
    plain = client.post(address, content=f"token={mine}", headers={"Content-Type": "text/plain"})
    assert plain.status_code == 415
    bare = TestClient(client.app, base_url=f"http://{HERE}", follow_redirects=False)
    assert bare.post(address, data={**values, "token": mine}).status_code == 403
    assert client.get("/history").text.count("<tr") == before


def test_forms_that_are_too_much_are_refused(client: TestClient) -> None:
    mine = token(client)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    big = client.post("/undo", data={"token": mine, "x": "y" * LARGEST_FORM})
    assert big.status_code == 413
    many = "&".join(f"f{n}=1" for n in range(MOST_FIELDS + 1))
    assert client.post("/undo", content=f"token={mine}&{many}", headers=form).status_code == 400
    odd = client.post("/undo", content=b"token=%ff\xff", headers=form)
    assert odd.status_code in (400, 403)


def test_methods_that_are_not_meant_change_nothing(client: TestClient, store: Store) -> None:
    for address in ALL:
        assert client.get(address).status_code in (200, 303, 404, 405)
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            assert client.request(method, address).status_code in (403, 405, 415)
    assert store.bucket(1).status is Status.NEW


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7012", "localhost.evil", "", "a b"])
def test_another_name_for_this_address_shows_nothing(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 400
    assert "B1" not in answer.text


def test_a_password_stands_before_everything(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.web.pages.door.WRONG_SECONDS", 0.01)
    app = application(url, access(HERE, b"correct horse battery"))
    client = TestClient(app, base_url=f"http://{HERE}", follow_redirects=False)
    for address in ("/", "/buckets/1", "/findings/1/minimal.case", "/nothing"):
        assert client.get(address).headers["location"] == "/login"
    assert client.post("/undo", data={"change": "1"}).status_code == 403
    assert client.get("/static/style.css").status_code == 200
    form = {"token": token(client, "/login"), "name": "ada"}
    before = dict(client.cookies)
    for wrong in ("", "correct", "correct horse battery staple"):
        assert client.post("/login", data={**form, "password": wrong}).status_code == 403
    assert client.get("/").status_code == 303
    nameless = {**form, "name": " ", "password": "correct horse battery"}
    assert client.post("/login", data=nameless).status_code == 403
    answer = client.post("/login", data={**form, "password": "correct horse battery"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert dict(client.cookies) != before  # whoever knew the old seat has nothing
    assert client.get("/").status_code == 200
    post(client, "/buckets/1/note", note="by her")
    with Store.open(url) as store:
        assert store.history(1, 1)[0].actor == "ada"
    assert client.post("/leave", data={"token": token(client)}).status_code == 303
    assert client.get("/").headers["location"] == "/login"


def test_a_forged_cookie_is_nobodys(url: str) -> None:
    app = application(url, access(HERE, b"correct horse battery"))
    other = application(url, access(HERE, b"correct horse battery"))
    forged = other.state.desk.keys.session(other.state.desk.keys.stranger())
    for value in ("x", forged, forged + "x", ""):
        client = TestClient(app, base_url=f"http://{HERE}", follow_redirects=False)
        assert client.get("/", headers={"Cookie": f"vcpufuzz-7012={value}"}).status_code == 303


def test_without_the_proxys_word_nobody_comes_in(url: str) -> None:
    client = visitor(url, user_header="X-Remote-User")
    assert client.get("/").status_code == 403
    assert client.get("/", headers={"X-Remote-User": " "}).status_code == 403
    assert client.get("/", headers={"X-Remote-User": "a" * 81}).status_code == 403
    assert client.get("/", headers={"X-Remote-User": "ada"}).status_code == 200


def test_a_change_that_later_ones_stand_on_is_not_undone(client: TestClient, store: Store) -> None:
    post(client, "/buckets/1/status", status="confirmed", was="new")
    first = store.history(1, 1)[0].id
    post(client, "/buckets/1/status", status="wontfix", was="confirmed")
    assert refusal(client, "/undo", change=str(first))[0] == 409
    assert refusal(client, "/undo", change="9999")[0] == 404
    assert refusal(client, "/undo", change="-1")[0] == 400
    assert refusal(client, "/undo")[0] == 400
    with pytest.raises(NotFound):
        store.bucket(99)
