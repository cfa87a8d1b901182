"""The pages in a real browser: they draw, follow the theme, fit a phone, sort, and load nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from conversion_samples import make_manifest, make_worst
from page_browser import CHROMIUM, Browser, Tab, chromium
from reports_full import make_full_report
from reports_samples import SPREAD, THROTTLED, WARNING

from edgecv.reports import conversion
from edgecv.reports.compare import compare
from edgecv.reports.compare_pages import write_comparison
from edgecv.reports.fleet import merge
from edgecv.reports.fleet_words import write_fleet
from edgecv.reports.gates import parse_gate
from edgecv.reports.render import write_reports
from edgecv.reports.wording import NONE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here to look at the page with"),
]

# The lowest contrast (WCAG 2) of a text in the page with what is behind it, and that text.
CONTRAST = """(() => {
  const light = (rgb) => {
    const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const [r, g, b] = rgb.map((v) => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = numbers(getComputedStyle(node).backgroundColor);
      if (colour[3] !== 0) return colour.slice(0, 3);
    }
  };
  let lowest = [99, ""];
  for (const node of document.querySelectorAll("main *")) {
    const own = Array.from(node.childNodes).some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !node.getClientRects().length) continue;
    const style = getComputedStyle(node), svg = node instanceof SVGElement;
    const text = light(numbers(svg ? style.fill : style.color).slice(0, 3)), back = light(behind(node));
    const ratio = (Math.max(text, back) + .05) / (Math.min(text, back) + .05);
    if (ratio < lowest[0]) lowest = [ratio, node.textContent];
  }
  return lowest;
})()"""
# What sticks out of the page or, of text in figures, out of its figure.
OUTSIDE = """Array.from(document.querySelectorAll("main > *, .card, figure svg text")).filter((node) => {
  const box = node.getBoundingClientRect(), within = node.closest("svg")?.getBoundingClientRect();
  return within ? box.left < within.left - 1 || box.right > within.right + 1 : box.right > innerWidth;
}).map((node) => node.textContent.slice(0, 60))"""


def column(index: int) -> str:
    """The text of a column of the first table, from top to bottom."""
    rows = 'document.querySelector("table").tBodies[0].rows'
    return f"Array.from({rows}, (row) => row.cells[{index}].childNodes[0].textContent.trim())"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    report = make_full_report(reasons=(SPREAD,), warnings=(WARNING,))
    conversion.write(folder / "conversion.html", make_manifest(), make_worst())
    throttled = make_full_report(reasons=(THROTTLED,), minutes=0)
    reports, names = (report, throttled, report), ("kitchen", "a_board_with_a_rather_long_name_" * 2, "gate")
    comparison = compare(reports, names, force=True)
    write_comparison(comparison, folder, [parse_gate("latency_p50 > +5%")])
    write_fleet(merge(reports, names), folder)
    return {
        "benchmark": write_reports(report, folder / "some").paths[-1],
        "all invalid": write_reports(throttled, folder / "all").paths[-1],
        "conversion": folder / "conversion.html",
        "comparison": folder / "compare.html",
        "fleet": folder / "fleet.html",
    }


def shown(browser: Browser, page: Path, width: int, dark: bool = False) -> Tab:
    tab = browser.tab()
    tab.size(width, 900, dark)
    tab.open(page.as_uri())
    tab.until('document.readyState === "complete"')
    return tab


@pytest.mark.parametrize("name", ["benchmark", "all invalid", "conversion", "comparison", "fleet"])
def test_it_fits_in_both_themes(name: str, browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    browser.errors.clear()
    for width, dark in ((1200, False), (390, False), (390, True)):
        tab = shown(browser, pages[name], width, dark)
        assert tab.run("document.documentElement.scrollWidth") == width
        assert tab.run(OUTSIDE) == []
        assert tab.run("document.querySelectorAll('main svg').length") > 1
        ratio, text = tab.run(CONTRAST)
        assert ratio > 4, text
        tab.screenshot(tmp_path / "page.png")
        picture = cv2.imread(str(tmp_path / "page.png"))
        assert picture is not None
        assert (picture[5, 5].mean() < 60) == dark
    # The page's own policy refuses every request; a refusal would be an error.
    assert browser.errors == []


def test_tables_sort_by_mouse_and_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    tab = shown(browser, pages["benchmark"], 1200)
    heading = 'document.querySelector("table").tHead.rows[1].cells[3]'
    assert tab.run(f"{heading}.textContent") == "p50"
    before = [float(text) for text in tab.run(column(3))]
    tab.run(f"{heading}.firstChild.click()")
    assert [float(text) for text in tab.run(column(3))] == sorted(before)
    assert tab.run(f"{heading}.ariaSort") == "ascending"
    tab.run(f"{heading}.firstChild.focus()")
    for kind in ("keyDown", "keyUp"):
        tab.call(
            "Input.dispatchKeyEvent",
            type=kind,
            key="Enter",
            code="Enter",
            windowsVirtualKeyCode=13,
            text="\r",
        )
    assert [float(text) for text in tab.run(column(3))] == sorted(before, reverse=True)
    assert tab.run(f"{heading}.ariaSort") == "descending"
    # The names sort as text, and the other heading is unmarked again.
    tab.run('document.querySelector("table").tHead.rows[1].cells[0].firstChild.click()')
    names = tab.run(column(0))
    assert names == sorted(names)
    assert tab.run('document.querySelectorAll("[aria-sort]").length') == 1


def test_what_is_unknown_stays_below(browser: Browser, pages: dict[str, Path]) -> None:
    tab = shown(browser, pages["benchmark"], 1200)
    for _ in range(2):
        tab.run('document.querySelector("table").tHead.rows[1].cells[2].firstChild.click()')
        drops = tab.run(column(2))
        assert drops[:3] != [NONE] * 3
        assert drops[3:] == [NONE] * 3  # float has no drop


def test_it_prints(browser: Browser, pages: dict[str, Path]) -> None:
    tab = shown(browser, pages["benchmark"], 1200, dark=True)
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(tab.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"]) > 50_000
