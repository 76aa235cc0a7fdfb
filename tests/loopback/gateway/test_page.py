"""The gateway's page, used in a real browser before a fake vendor."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nbp_async.fake import FakeServer, faults
from tests.browser import needs_browser
from tests.browser_tab import Tab, open_tab
from tests.loopback.gateway.site import Asker, Site, assert_books, site
from tests.pictures import png
from tests.proxy import between

pytestmark = [needs_browser, pytest.mark.slow]

EVIL = "<img src=x onerror=window.isHacked=1> & <script>window.isHacked=1</script> a bicycle"
FIELDS = ("prompt", "size", "aspect_ratio")


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async with open_tab(tmp_path) as opened:
        await opened.look(width=1280, height=900)
        yield opened


async def sign_in(tab: Tab, url: str, user: Asker) -> None:
    await tab.go(f"{url}/")
    await tab.wait_for("document.activeElement.id == 'token'")
    await tab.type(user.token)
    await tab.press("Enter")
    await tab.wait_for("document.querySelector('#live').textContent == 'Live'")


async def ask(tab: Tab, prompt: str, *, count: int = 1) -> None:
    """Ask for images with the keyboard."""
    await tab.run("document.querySelector('#prompt').select()")
    await tab.type(prompt)
    await tab.run(f"document.querySelector('#count').value = {count}")
    await tab.press("Enter", ctrl=True)


def cards(status: str = "") -> str:
    """How many cards have this status, as an expression of the page."""
    chosen = f"[data-status={status}]" if status else ""
    return f"document.querySelectorAll('#cards li{chosen}').length"


async def test_ten_prompts_become_ten_images_over_at_most_five_connections(
    gateway: Site, tab: Tab, tmp_path: Path
) -> None:
    reference = tmp_path / "reference.png"
    reference.write_bytes(png(64, 64))
    anna = await gateway.user("anna")
    async with between(gateway.url) as middle:
        await sign_in(tab, middle.url, anna)
        await tab.choose_files("#files", reference)
        await tab.wait_for("document.querySelectorAll('#references img').length == 1")
        await tab.run("document.querySelector('[name=size][value=\"2K\"]').click()")
        await tab.run("document.querySelector('#ratio').value = '16:9'")
        await ask(tab, EVIL, count=10)
        await tab.wait_for(f"{cards()} == 10")
        await tab.wait_for(
            "[...document.querySelectorAll('#cards img')].filter(i => i.naturalWidth).length == 10"
        )
        await tab.wait_for("document.querySelector('#money').innerText.includes('$1.34')")
        assert tab.complaints == []
    shown = await tab.run(
        "[...document.querySelectorAll('#cards .prompt')].map(e => e.textContent)"
    )
    assert shown == [EVIL] * 10
    assert await tab.run("window.isHacked") is None
    assert middle.most_open <= 5
    _, listed, _ = await anna.ask("GET", "/v1/tasks")
    assert [[task[name] for name in FIELDS] for task in listed["data"]] == [
        [EVIL, "2K", "16:9"]
    ] * 10
    assert gateway.vendor.stats().images == 10
    await assert_books(gateway.vendor, anna)


async def test_the_vendor_s_key_is_nowhere_and_the_token_only_in_a_header(
    gateway: Site, tab: Tab
) -> None:
    anna = await gateway.user("anna")
    await sign_in(tab, gateway.url, anna)
    await ask(tab, "a red bicycle")
    await tab.wait_for(f"{cards('completed')} == 1")
    source = await tab.run("document.documentElement.outerHTML")
    said = json.dumps(tab.sent)
    assert len(tab.sent) > 5
    assert gateway.vendor.key not in source + said + await tab.bodies()
    assert anna.token not in source
    for request in tab.sent:
        assert anna.token not in request["url"] + request.get("postData", "")
        assert request["url"].startswith((gateway.url, "data:"))
    assert await tab.run("[localStorage.length, document.cookie]") == [0, ""]
    assert await tab.run("sessionStorage.getItem('token')") == anna.token
    await tab.click("#sign-out")
    assert await tab.run("[sessionStorage.length, document.querySelector('#cards').innerText]") == [
        0,
        "",
    ]
    await assert_books(gateway.vendor, anna)


async def test_a_wrong_token_is_told(gateway: Site, tab: Tab) -> None:
    await tab.go(f"{gateway.url}/")
    await tab.type("nbpu_wrong")
    await tab.press("Enter")
    await tab.wait_for("document.querySelector('#token-error').textContent.includes('not valid')")
    assert await tab.run("document.querySelector('#work').hidden")
    assert await tab.run("sessionStorage.length") == 0


async def test_a_reload_and_cut_connections_lose_nothing_and_buy_nothing_twice(
    tmp_path: Path,
) -> None:
    async with (
        FakeServer(latency=2.0, delivery="b64_json") as vendor,
        site(tmp_path / "g", vendor, in_flight=2) as gateway,
        between(gateway.url) as middle,
        open_tab(tmp_path) as tab,
    ):
        anna = await gateway.user("anna")
        await sign_in(tab, middle.url, anna)
        await ask(tab, "before the reload", count=4)
        await tab.wait_for(f"{cards('running')} > 0")
        await tab.reload()
        assert await tab.run("document.querySelector('#prompt').value") == "before the reload"
        await tab.wait_for(f"{cards()} == 4")
        await tab.wait_for("document.querySelector('#live').textContent == 'Live'")
        middle.cut()
        await tab.wait_for(f"{cards('completed')} > 1")
        middle.cut()
        await tab.wait_for(f"{cards('completed')} == 4")
        await tab.wait_for("document.querySelector('#live').textContent == 'Live'")
        assert vendor.stats().images == 4
        await assert_books(vendor, anna)


async def test_it_polls_while_there_is_no_event_stream(gateway: Site, tab: Tab) -> None:
    anna = await gateway.user("anna")
    async with between(gateway.url) as middle:
        await sign_in(tab, middle.url, anna)
        middle.refuse = b"GET /v1/events"
        middle.cut()
        await tab.wait_for("document.querySelector('#live').textContent == 'Reconnecting'")
        await ask(tab, "a red bicycle", count=2)
        await tab.wait_for(f"{cards('completed')} == 2")
        middle.refuse = b""
        await tab.wait_for("document.querySelector('#live').textContent == 'Live'")
    await assert_books(gateway.vendor, anna)


async def test_a_submission_whose_answer_was_cut_off_is_one_task(gateway: Site, tab: Tab) -> None:
    anna = await gateway.user("anna")
    async with between(gateway.url) as middle:
        await sign_in(tab, middle.url, anna)
        middle.refuse = b"POST /v1/images"
        await ask(tab, "a red bicycle")
        await tab.wait_for("document.querySelector('#cards').innerText.includes('sent again')")
        middle.refuse = b""
        await tab.wait_for(f"{cards('completed')} == 1 && {cards()} == 1")
    keys = {
        request["headers"]["Idempotency-Key"]
        for request in tab.sent
        if request["method"] == "POST" and request["url"].endswith("/async")
    }
    assert len(keys) == 1
    assert gateway.vendor.stats().images == 1
    await assert_books(gateway.vendor, anna)


async def test_what_was_not_billed_is_retried_and_what_is_out_asks_for_its_price(
    tmp_path: Path,
) -> None:
    async with (
        FakeServer(latency=5.0, delivery="b64_json") as vendor,
        site(tmp_path / "g", vendor, in_flight=1) as gateway,
        open_tab(tmp_path) as tab,
    ):
        vendor.script(faults.status(400))
        anna = await gateway.user("anna")
        await sign_in(tab, gateway.url, anna)
        await ask(tab, "first")
        await tab.wait_for(f"{cards('failed')} == 1")
        assert "not billed" in await tab.run("document.querySelector('#cards').innerText")
        await tab.click("#cards button", "Retry")
        await tab.wait_for(f"{cards('running')} == 1")
        await ask(tab, "second")
        await tab.wait_for(f"{cards('pending')} == 1")
        await tab.click("#cards [data-status=pending] button", "Cancel")
        await tab.wait_for(f"{cards('cancelled')} == 1")
        await tab.click("#cards [data-status=running] button", "Cancel")
        await tab.wait_for("document.querySelector('#confirm').open")
        assert "up to $0.1" in await tab.run("document.querySelector('#confirm-text').textContent")
        await tab.press("Escape")
        await tab.wait_for("!document.querySelector('#confirm').open")
        assert await tab.run(cards("running")) == 1
        await tab.click("#cards [data-status=running] button", "Cancel")
        await tab.click("#confirm button", "Cancel it")
        await tab.wait_for(f"{cards('cancelled')} == 2")
        text = await tab.run("document.querySelector('#cards').innerText")
        assert "may have been billed $0.147" in text
        await assert_books(vendor, anna)


async def test_a_budget_s_refusal_is_told_beside_the_prompt(gateway: Site, tab: Tab) -> None:
    anna = await gateway.user("anna", budget="0.05")
    await sign_in(tab, gateway.url, anna)
    await ask(tab, "a red bicycle", count=3)
    await tab.wait_for("document.querySelector('#ask-error').textContent.includes('Not sent')")
    await tab.wait_for(f"{cards()} == 0")
    assert "$0.05" in await tab.run("document.querySelector('#money').innerText")
    assert gateway.vendor.stats().requests == 0
    await assert_books(gateway.vendor, anna)


async def test_an_operator_sees_all_users_and_others_do_not(gateway: Site, tab: Tab) -> None:
    anna, otto = await gateway.user("anna"), await gateway.user("otto", operator=True)
    task = await anna.submit(EVIL)
    await anna.ended(task["id"])
    await sign_in(tab, gateway.url, anna)
    await tab.wait_for("document.querySelector('#name').textContent == 'anna'")
    assert await tab.run("document.querySelector('#views').hidden")
    await tab.click("#sign-out")
    await sign_in(tab, gateway.url, otto)
    await tab.click("[data-view=operator]")
    await tab.wait_for("document.querySelectorAll('#users tr').length == 2")
    row = "[...document.querySelector('#users tr').children].map(e => e.textContent)"
    assert (await tab.run(row))[:5] == ["anna", "user", "1", "$0.134", "$0.00"]
    assert "no pause" in await tab.run("document.querySelector('#counts').innerText")
    assert await tab.run(cards()) == 0
    await assert_books(gateway.vendor, anna, otto)


# Texts whose contrast to their paper is below that of WCAG 2 AA, and controls without a name.
FAINT = """(() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = c => c.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const paper = e => { const c = rgb(getComputedStyle(e).backgroundColor);
    return c.length == 3 || !e.parentElement ? c : paper(e.parentElement); };
  return [...document.querySelectorAll('body *')].filter(e => e.checkVisibility()
    && [...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim())).filter(e => {
      const [x, y] = [light(rgb(getComputedStyle(e).color)), light(paper(e))].sort((p, q) => q - p);
      return (x + 0.05) / (y + 0.05) < 4.5;
    }).map(e => e.outerHTML);
})()"""


@pytest.mark.parametrize(
    ("width", "is_dark", "is_phone"),
    [(1440, False, False), (1440, True, False), (390, False, True), (320, True, True)],
)
async def test_fifty_tasks_fit_every_screen_and_can_be_read_and_reached(
    gateway: Site, tab: Tab, width: int, is_dark: bool, is_phone: bool
) -> None:
    gateway.vendor.script(faults.status(400))
    anna = await gateway.user("anna")
    made = [await anna.submit(f"{n} {EVIL} {'long' * n}") for n in range(50)]
    for task in made:
        await anna.ended(task["id"])
    await tab.look(width=width, height=800, dark=is_dark, touch=is_phone)
    await sign_in(tab, gateway.url, anna)
    await tab.wait_for(f"{cards('completed')} == 49 && {cards('failed')} == 1")
    root = "document.documentElement"
    assert await tab.run(f"{root}.scrollWidth - {root}.clientWidth") == 0
    assert await tab.run(FAINT) == []
    nameless = [
        node
        for node in (await tab.call("Accessibility.getFullAXTree"))["nodes"]
        if node.get("role", {}).get("value")
        in ("button", "textbox", "combobox", "radio", "link", "image", "progressbar", "dialog")
        and not node.get("ignored")
        and not node.get("name", {}).get("value")
    ]
    assert nameless == []
    await tab.run("document.querySelector('#cards .face').focus()")
    await tab.press("Enter")
    await tab.wait_for("document.querySelector('#detail').open")
    assert (
        await tab.run("document.querySelector('#detail .prompt').textContent") == made[-1]["prompt"]
    )
    await tab.press("ArrowRight")
    assert (
        await tab.run("document.querySelector('#detail .prompt').textContent") == made[-2]["prompt"]
    )
    assert await tab.run(FAINT) == []
    await tab.press("Escape")
    await tab.wait_for("document.activeElement.className == 'face'")
    await assert_books(gateway.vendor, anna)
