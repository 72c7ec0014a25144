"""Every page and every action in a real Chromium, with its script, without, and by keys alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from web_rig import MUTANT, fill, served

from db.records import Status
from db.store import Store

pytestmark = pytest.mark.slow

CHROMIUM = "/usr/bin/chromium"
MILLISECONDS = 30_000
PAGES = (
    *("", "buckets", "buckets/1", "buckets/2", "buckets/4", "findings/2", "campaigns"),
    *("campaigns/1", "campaigns/2", "incidents", "incidents/1", "kernel", "kernel/1"),
    *("kernel/1/area/arch/arm64/kvm/guest.c", "rules", "rules/lives", "rules/isa-asimd-logic"),
    "kernel/1/function/kvm_arm_set_reg?area=arch/arm64/kvm/guest.c",
    *("rules/facts", "defects", "history", "mutes"),
)
SECRET = "correct horse battery staple"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("web") / "t.db"
    fill(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="module")
def reading(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose database stays as it is."""
    with served(f"sqlite:///{shutil.copy(original, tmp_path_factory.mktemp('r'))}") as (there, _):
        yield there


@pytest.fixture(scope="module")
def writing(
    original: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Store]]:
    """A server whose database the tests below change, each at a place of its own."""
    url = f"sqlite:///{shutil.copy(original, tmp_path_factory.mktemp('w'))}"
    with served(url) as (there, _), Store.open(url) as store:
        yield there, store


class Seen:
    """A page, and what its browser complained about."""

    def __init__(self, context: BrowserContext) -> None:
        context.set_default_timeout(MILLISECONDS)
        self.page: Page = context.new_page()
        self.troubles: list[str] = []
        self.page.on("console", lambda said: self._hear(said.text, said.location["url"]))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("dialog", lambda dialog: self.troubles.append(f"dialog {dialog.message}"))

    def _hear(self, said: str, of: str) -> None:
        # A server that ends takes its connections along: no fault of a page. Its icon may be on
        # its way long after the page is there.
        cut = "net::ERR_CONTENT_LENGTH_MISMATCH" in said and of.endswith("/static/icon.svg")
        if "net::ERR_CONNECTION_" not in said and not cut:
            self.troubles.append(said)


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def seen(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Seen]:
    """Somebody with JavaScript, and somebody without."""
    with browser.new_context(java_script_enabled=request.param) as context:
        found = Seen(context)
        yield found
    assert found.troubles == []


@pytest.fixture
def scripted(browser: Browser) -> Iterator[Seen]:
    with browser.new_context() as context:
        found = Seen(context)
        yield found
    assert found.troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_page_is_drawn_within_its_window(reading: str, browser: Browser, scheme: str) -> None:
    width = {"light": 390, "dark": 1280}[scheme]
    with browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 800},
    ) as context:
        seen = Seen(context)
        for address in PAGES:
            answer = seen.page.goto(reading + address)
            assert answer is not None
            assert answer.status == 200, address
            assert seen.page.locator("h1").first.is_visible()
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, address
            # The text can be told from what is behind it.
            ink, ground = seen.page.evaluate(
                "[getComputedStyle(document.body).color,"
                " getComputedStyle(document.body).backgroundColor]"
            )
            dark = sum(map(int, re.findall(r"\d+", ink)[:3])) > 380
            assert dark is (scheme == "dark"), (ink, ground)
            assert abs(_light(ink) - _light(ground)) > 0.6
        assert seen.page.evaluate("typeof htmx") == "object"
        assert seen.troubles == []


def _light(color: str) -> float:
    red, green, blue = map(int, re.findall(r"\d+", color)[:3])
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


def test_reading_needs_no_script(reading: str, browser: Browser) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(reading)
        page.get_by_role("link", name="B1", exact=True).first.click()
        assert page.locator("td.wrong .lane.wrong").first.is_visible()
        page.goto(reading + "buckets")
        page.get_by_label("Suspect").select_option("mutant")
        page.get_by_role("button", name="Show").click()
        assert page.locator(".rows tbody tr").count() == 1
        page.get_by_label("search buckets").fill("b4")
        page.get_by_label("search buckets").press("Enter")
        assert page.url.endswith("/buckets/4")


def test_what_is_permitted_is_shown_where_one_points(reading: str, scripted: Seen) -> None:
    page = scripted.page
    page.goto(reading + "buckets/1")
    value = page.locator("td.wrong .value").first
    tip = value.locator(".permitted")
    assert not tip.is_visible()
    value.hover()
    assert tip.is_visible()
    assert "[0..31]=00" in tip.inner_text()
    page.mouse.move(0, 0)
    value.focus()  # by keys, too
    assert tip.is_visible()
    colours = page.locator(".lane.wrong").last.evaluate("e => getComputedStyle(e).backgroundColor")
    assert colours != "rgba(0, 0, 0, 0)"


def test_filters_are_seen_at_once_and_kept_in_the_address(reading: str, scripted: Seen) -> None:
    page = scripted.page
    page.goto(reading + "buckets")
    page.evaluate("window.stayed = true")
    page.get_by_label("Class").select_option("lenient")
    expect(page.locator(".rows tbody tr")).to_have_count(1)
    assert "class=lenient" in page.url
    page.get_by_label("Class").select_option("")
    expect(page.locator(".rows tbody tr")).to_have_count(4)
    page.get_by_label("Says").fill("errno-order")
    expect(page.locator(".rows tbody tr")).to_have_count(2)
    assert page.evaluate("window.stayed")  # no page was loaded anew
    page.get_by_label("Campaign").fill("x")
    page.get_by_label("Campaign").blur()
    page.get_by_text("is no campaign").wait_for()
    scripted.troubles[:] = [one for one in scripted.troubles if "400" not in one]


def test_keys_go_everywhere(reading: str, scripted: Seen) -> None:
    page = scripted.page
    page.goto(reading)
    for key, address in (("b", "/buckets"), ("c", "/campaigns"), ("k", "/kernel")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"**{address}")
    page.goto(reading + "buckets")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    assert page.locator("tr.at input[name=bucket]").is_checked()
    assert page.locator("input[name=bucket]:checked").count() == 1
    second = page.locator(".rows tbody tr").nth(1).get_by_role("link").first.inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/buckets/{second[1:]}")
    page.keyboard.press("?")
    assert page.locator("dialog#keys").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("dialog#keys").is_visible()
    page.keyboard.press("/")
    page.keyboard.type("b1")  # letters in a field are letters
    page.keyboard.press("Enter")
    page.wait_for_url("**/buckets/1")


def test_a_file_is_saved_under_its_name(reading: str, seen: Seen) -> None:
    seen.page.goto(reading + "buckets/1")
    with seen.page.expect_download() as begun:
        seen.page.get_by_role("link", name="case", exact=True).click()
    assert begun.value.suggested_filename == "F1-minimal.case"


def test_words_of_guests_do_nothing(reading: str, seen: Seen) -> None:
    for address in ("", "buckets", "buckets/2", "incidents/1", "campaigns/2", "history", "kernel"):
        seen.page.goto(reading + address)
        assert seen.page.locator("img").count() == 0
        assert seen.page.locator("script:not([src])").count() == 0


def test_each_decision_about_a_bucket(writing: tuple[str, Store], seen: Seen) -> None:
    there, store = writing
    page = seen.page
    page.goto(there + "buckets/1")
    page.get_by_label("Status").select_option("confirmed")
    page.get_by_role("button", name="Set").click()
    page.get_by_text("B1 is confirmed now").wait_for()
    assert store.bucket(1).status is Status.CONFIRMED
    page.locator(".notice").get_by_role("button", name="undo").click()
    page.get_by_text("is undone").wait_for()
    assert store.bucket(1).status is Status.NEW
    page.get_by_label("Owner").fill("bob")
    page.get_by_label("Tracked at").fill("https://example.org/1")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="https://example.org/1").wait_for()
    page.get_by_label("A note").fill("one\n<b>two</b>")
    page.get_by_role("button", name="Add note").click()
    page.get_by_text("noted").wait_for()
    expect(page.locator(".prose").last).to_have_text("one <b>two</b>")
    assert store.bucket(1).notes[-1].text == "one\n<b>two</b>"
    page.get_by_label("F2").check()
    page.get_by_label("title").fill("the other")
    page.get_by_role("button", name="Split off").click()
    assert page.locator("h1").inner_text().endswith("the other")
    page.get_by_placeholder("B3", exact=True).fill("B1")
    page.get_by_role("button", name="Merge").click()
    page.get_by_text("is part of B1 now").first.wait_for()
    assert len(store.finding_lines(1)) == 2
    page.get_by_role("link", name="Mute its like…").click()
    assert page.get_by_label("Legs, all that deviate").input_value() == MUTANT
    page.get_by_label("Reason").fill("put in on purpose")
    page.get_by_role("button", name="Mute").click()
    page.get_by_text("covers 1 of today's buckets").wait_for()
    page.get_by_role("button", name=re.compile("end mute")).last.click()
    page.get_by_text("has ended").wait_for()
    page.goto(there + "history")
    page.get_by_role("button", name=re.compile("undo change")).first.click()
    page.get_by_text("is undone").wait_for()
    page.get_by_role("button", name=re.compile("undo change")).first.click()
    page.get_by_text("is undone").wait_for()


def test_proposals_and_several_buckets_at_once(writing: tuple[str, Store], seen: Seen) -> None:
    there, store = writing
    page = seen.page
    page.goto(there + "buckets?order=first-seen")
    page.get_by_label("B2").check()
    page.get_by_label("B4").check()
    page.get_by_label("new status").select_option("flaky")
    page.get_by_role("button", name="set status").click()
    page.get_by_text("status set on 2 buckets").wait_for()
    assert "order=first-seen" in page.url
    assert {store.bucket(n).status for n in (2, 4)} == {Status.FLAKY}
    store.propose_same(4, 3, "one rule", "tests")
    page.goto(there + "buckets/4")
    if any(one.state == "proposed" for one in store.kin(4)):
        page.get_by_role("button", name="it is not").click()
        page.get_by_text("B4 is another than B3").wait_for()
    assert {one.state for one in store.kin(4)} == {"rejected"}


def test_one_box_ticks_all_where_there_is_a_script(reading: str, scripted: Seen) -> None:
    page = scripted.page
    page.goto(reading + "buckets")
    page.get_by_label("tick all").check()
    assert page.locator("input[name=bucket]:checked").count() == 4


def test_two_tabs_that_edit_one_bucket(writing: tuple[str, Store], browser: Browser) -> None:
    there, store = writing
    with browser.new_context() as context:
        one, other = context.new_page(), context.new_page()
        for page in (one, other):
            page.goto(there + "buckets/3")
        one.get_by_label("Status").select_option("wontfix")
        one.get_by_role("button", name="Set").click()
        one.get_by_text("B3 is wontfix now").wait_for()
        other.get_by_label("Status").select_option("confirmed")
        other.get_by_role("button", name="Set").click()
        other.get_by_role("heading", name="Not as things stand").wait_for()
    assert store.bucket(3).status is Status.WONTFIX


def test_a_password_is_asked_for(original: Path, tmp_path: Path, scripted: Seen) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    url = f"sqlite:///{shutil.copy(original, tmp_path)}"
    page = scripted.page
    with served(url, "--password-file", str(secret)) as (there, _):
        page.goto(there + "buckets/1")
        page.get_by_label("Your name").fill("ada")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        page.get_by_text("That is not it").wait_for()
        page.get_by_label("Your name").fill("ada")
        page.get_by_label("Password").fill(SECRET)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name=re.compile("4 new")).wait_for()
        page.get_by_role("button", name="leave").click()
        page.get_by_role("heading", name="Log in").wait_for()
        page.wait_for_load_state("networkidle")  # or the server's end cuts off what is on its way
    # The browser notes the wrong password's answer, at some time.
    scripted.troubles[:] = [said for said in scripted.troubles if "403" not in said]


def test_another_site_can_neither_post_nor_frame(reading: str, browser: Browser) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(reading)  # the visitor has a cookie now
        evil = (
            f'<form id=f method=post action="{reading}buckets/1/note">'
            "<input name=note value=gotcha></form><script>f.submit()</script>"
        )
        _fake(page, "http://evil.example/", evil)
        answers: list[tuple[str, int]] = []
        page.on("response", lambda answer: answers.append((answer.url, answer.status)))
        page.goto("http://evil.example/")
        page.wait_for_url(reading + "**")
        assert (f"{reading}buckets/1/note", 403) in answers
        frame = f'<iframe src="{reading}buckets/1"></iframe>'
        _fake(page, "http://frame.example/", frame)
        page.goto("http://frame.example/")
        (inner,) = [one for one in page.frames if one != page.main_frame]
        assert inner.locator(".brand").count() == 0


def _fake(page: Page, address: str, body: str) -> None:
    """A page of somebody else's."""
    page.route(address, lambda route: route.fulfill(body=body, content_type="text/html"))
