"""The live page in a real browser: it moves, counts, obeys, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from page_browser import CHROMIUM, Browser, Tab, chromium
from page_samples import (
    Numbered,
    feeding,
    make_context,
    make_event,
    make_frame,
    make_result,
    port,
    serving,
)
from waits import wait_until

from edgecv.runtime.controls import Controls
from edgecv.tasks import Prediction

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here to look at the page with"),
]

# The level of grey in the middle of the camera picture as it is drawn now.
GREY = """(() => {
  const picture = document.getElementById("picture"), canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  canvas.getContext("2d").drawImage(picture, 0, 0, 1, 1);
  return picture.naturalWidth ? canvas.getContext("2d").getImageData(0, 0, 1, 1).data[0] : null;
})()"""
# Milliseconds until 20 pictures of a stream of its own have come.
TWENTY = """(async () => {
  const from = performance.now(), reader = (await fetch("stream.mjpg")).body.getReader();
  let text = "";
  while (text.split("frame ").length <= 20) text += new TextDecoder().decode((await reader.read()).value);
  await reader.cancel();
  return performance.now() - from;
})()"""
READ_ON = """fetch("stream.mjpg").then(async (answer) => {
  const reader = answer.body.getReader();
  while (!(await reader.read()).done);
}) && null"""


def text(name: str) -> str:
    return f'document.getElementById("{name}").textContent'


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    browser.errors.clear()
    tab = browser.tab()
    yield tab
    tab.call("Page.close")


def test_the_picture_moves_and_the_numbers_follow(tab: Tab, browser: Browser) -> None:
    def result(frame: int):
        cat = 0.4 + 0.005 * (frame % 100)
        return make_result(frame, 20.0, cat, on=("cat",), name=f"{frame}.jpg")

    with serving() as page, feeding(page, results=result):
        tab.open(page.url)
        first = tab.until(GREY)
        assert tab.until(f"Math.abs({GREY} - {first}) > 20")
        frame = tab.until(text("frame"))
        assert tab.until(f"{text('frame')} !== '{frame}'")
        assert tab.until(f"/^frame [0-9,]+ · [0-9]+\\.jpg$/.test({text('frame')})")
        assert tab.until(f"{text('p50')} === '20.0' && {text('fps')} > 10")
        assert tab.until(f"/^cat [4-9][0-9]\\.[0-9] %$/.test({text('pills')})")
        share = "parseFloat(document.querySelector('.label.on u').style.width)"
        assert tab.until(f"{share} > 39 && {share} < 91")
        assert tab.until("document.querySelectorAll('#latency path.line').length === 2")
        assert tab.run(text("status")).endswith("running")
        assert tab.run("document.title") == "cat · tiny · EdgeCV"
        facts = tab.run(text("facts"))
        assert "Frames dropped43 at capture, 1 in the queue" in facts
        assert "csv out.csv5000" in tab.run(text("sinks"))
        assert tab.run("document.getElementById('message').hidden")
    assert browser.errors == []


def test_no_message_stays_over_a_picture(tab: Tab) -> None:
    over = (
        "!document.getElementById('message').hidden && !document.getElementById('picture').matches('.quiet')"
    )
    with serving() as page, feeding(page):
        tab.call("Page.enable")
        watch = f"""document.addEventListener("DOMContentLoaded", () => {{
          window.over = 0;
          window.looks = 0;
          const look = () => {{ looks += 1; over += {over}; requestAnimationFrame(look); }};
          look();
        }})"""
        tab.call("Page.addScriptToEvaluateOnNewDocument", source=watch)
        tab.open(page.url)
        assert tab.until(f"looks > 60 && {GREY} !== null")
        assert tab.run("over") == 0


def test_controls_act(tab: Tab) -> None:
    controls = Controls(0.5, 0.3)
    with serving(controls=controls) as page, feeding(page):
        tab.open(page.url)
        assert tab.until("document.getElementById('on-number').value === '50'")
        tab.run(_turn("on-range", 82))
        wait_until(lambda: controls == Controls(0.82, 0.3))
        tab.run(_turn("off-number", 90))  # takes the other one along
        wait_until(lambda: controls == Controls(0.9, 0.9))
        tab.run("document.getElementById('gate').click()")
        wait_until(lambda: controls.motion_gate)
        assert tab.until(f"{text('gate-state')} === 'on'")
        controls.on = 0.95  # by another viewer
        assert tab.until("document.getElementById('on-number').value === '95'")
        assert tab.until("document.querySelector('.track s.on').style.left === '95%'")


def _turn(name: str, value: int) -> str:
    return (
        f"(() => {{ const input = document.getElementById('{name}'); input.value = {value};"
        " input.dispatchEvent(new Event('input')); })()"
    )


def test_the_keyboard_turns_a_slider(tab: Tab) -> None:
    controls = Controls(0.5, 0.3)
    with serving(controls=controls) as page, feeding(page):
        tab.open(page.url)
        assert tab.until("document.getElementById('on-number').value === '50'")
        tab.run("document.getElementById('on-range').focus()")
        for kind in ("rawKeyDown", "keyUp"):
            tab.call("Input.dispatchKeyEvent", type=kind, key="ArrowRight", windowsVirtualKeyCode=39)
        wait_until(lambda: controls.on == 0.51)


def test_a_second_viewer_does_not_slow_the_first(tab: Tab, browser: Browser) -> None:
    encoder = Numbered()
    with serving(encode=encoder) as page, feeding(page):
        for each in (tab, other := browser.tab()):
            each.open(page.url + "healthz")
        alone_ms = tab.run(TWENTY)
        count = len(encoder.frames)
        other.run(READ_ON)
        together_ms = tab.run(TWENTY)
        assert together_ms < 1.5 * alone_ms
        assert len(encoder.frames) - count < 30  # and each frame is encoded once
        other.call("Page.close")


def test_a_tab_nobody_sees_takes_no_pictures(tab: Tab) -> None:
    with serving() as page, feeding(page):
        tab.open(page.url)
        tab.until(GREY)
        tab.run(
            "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
            " document.dispatchEvent(new Event('visibilitychange'))"
        )
        wait_until(lambda: not page._server._uvicorn.server_state.tasks)  # neither pictures nor numbers
        tab.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
        assert tab.until(f"{GREY} && {text('status')}.endsWith('running')")


def test_a_paused_picture_stands_still_and_costs_nothing(tab: Tab) -> None:
    with serving() as page, feeding(page):
        tab.open(page.url)
        tab.until(GREY)
        tab.run("document.getElementById('pause').click()")
        assert tab.run("document.getElementById('frozen').width") == 64
        wait_until(lambda: not page._pictures._viewers)
        tab.run("document.getElementById('pause').click()")
        assert tab.until(GREY)


def test_a_run_that_ends_and_another_at_the_same_place(tab: Tab) -> None:
    with serving() as page:
        where = port(page)
        with feeding(page, results=lambda frame: make_result(frame, events=(make_event(f"old {frame}"),))):
            tab.open(page.url)
            assert tab.until(f"{text('events')}.includes('old')")
    assert tab.until(f"{text('status')}.includes('ended')")
    again = make_context()._replace(model="another")
    with serving(str(where), context=again) as page, feeding(page):
        assert tab.until(f"{text('model')} === 'another' && {text('status')}.endsWith('running')")
        assert tab.until(f"{text('events')} === 'none yet'")
        assert tab.until(GREY)


def test_silence_is_told(tab: Tab) -> None:
    with serving() as page:
        with feeding(page):
            tab.open(page.url)
            tab.until(GREY)
        assert tab.until(f"/stale: no result for [3-9] s$/.test({text('status')})")
        assert tab.run(text("message")).startswith("No result for")
        assert tab.run(text("fps")) == "\u2013"


def test_labels_are_text_and_never_markup(tab: Tab) -> None:
    evil = "<img src=x onerror=alert(1)>"

    def result(frame: int):
        top = (Prediction(index=0, label=evil, score=0.9),)
        event = (make_event(evil, region=evil),) if frame == 0 else ()
        return make_result(frame, top=top, on=(evil,), events=event, name=evil, region=evil)

    with serving() as page, feeding(page, results=result):
        tab.open(page.url)
        assert tab.until(f"document.querySelector('.label.on b').textContent === '{evil}'")
        assert tab.until(f"{text('events')}.includes('{evil}: {evil}')")
        assert tab.run("document.images.length") == 1


def test_a_snapshot_is_saved(tab: Tab, browser: Browser, tmp_path: Path) -> None:
    with serving() as page, feeding(page, frames=lambda number: make_frame(number, (720, 1280))):
        browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        tab.open(page.url)
        tab.until(GREY)
        tab.run("document.getElementById('snapshot').click()")
        wait_until(lambda: any(tmp_path.glob("edgecv-*Z.jpg")))
        (saved,) = tmp_path.glob("edgecv-*Z.jpg")
        assert cv2.imread(str(saved)).shape == (720, 1280, 3)


def test_the_token_goes_from_the_address_into_a_cookie(tab: Tab) -> None:
    with serving(token="secret") as page, feeding(page):
        tab.open(page.url)
        assert tab.until(f"{GREY} && {text('status')}.endsWith('running')")
        assert tab.run("location.search + document.cookie") == ""
        tab.call("Page.reload")
        assert tab.until(f"{GREY} && {text('status')}.endsWith('running')")


@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1280, False), (1280, True)])
def test_it_fits_and_follows_the_theme(width: int, dark: bool, tab: Tab, tmp_path: Path) -> None:
    tab.size(width, 800, dark)
    with serving() as page, feeding(page):
        tab.open(page.url)
        tab.until(GREY)
        tab.until("document.querySelectorAll('#rate path.line').length")
        assert tab.run("document.documentElement.scrollWidth") == width  # nothing sticks out
        tab.screenshot(tmp_path / "page.png")
        background = cv2.imread(str(tmp_path / "page.png"))[3, 3]
        assert background.mean() < 60 if dark else background.mean() > 200
        inputs = "[...document.querySelectorAll('input')]"
        assert tab.run(f"{inputs}.length") == 5
        assert tab.run(f"{inputs}.every((each) => each.labels.length || each.ariaLabel)")
