"""The report's page in a real browser: it works, says no error and asks the network for nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corelic.eval import report
from tests.conftest import needs

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Opened:
    """The page, and what it said and asked for since it was opened."""

    def __init__(self, page: Any, path: Path) -> None:
        self.page, self.said, self.asked = page, [], []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("#viewer[data-drawn]")

    def until(self, expression: str, value: object) -> None:
        """Not `wait_for_function`: the page's policy forbids what that evaluates."""
        for _ in range(300):
            if self.page.evaluate(expression) == value:
                return
            self.page.wait_for_timeout(100)
        assert self.page.evaluate(expression) == value


@pytest.fixture(scope="module")
def opened(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    needs("plotly", "matplotlib")
    api = pytest.importorskip("playwright.sync_api", reason="needs pip install playwright")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser is installed; one of {', '.join(NAMES)} would do")
    [page, *_] = report.write(finished, tmp_path_factory.mktemp("report"), also=["kodak/cai-vtm"])
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        window = browser.new_page(viewport={"width": 1280, "height": 1000})
        window.set_default_timeout(60_000)
        yield Opened(window, page)
        browser.close()


def test_nothing_is_loaded_and_nothing_complains(opened: Opened) -> None:
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_curves_are_drawn_and_toggle(opened: Opened) -> None:
    count = "document.querySelectorAll('#curves .scatterlayer .trace').length"
    assert opened.page.evaluate(count) == 3  # two codecs and the published one
    for shown in (2, 3):
        opened.page.locator("#curves .legendtoggle").first.click()
        # Plotly waits a moment for a second click before it takes the first.
        opened.until(count, shown)
        opened.page.wait_for_timeout(500)


def test_the_metric_changes_the_axis(opened: Opened) -> None:
    opened.page.select_option("#metric", "ms-ssim")
    opened.until("document.querySelector('#curves .ytitle').textContent", "MS-SSIM (dB)")
    opened.page.select_option("#metric", "psnr")


def test_the_table_sorts_and_filters(opened: Opened) -> None:
    first = "#rates tbody tr:first-child td:first-child"
    rows = opened.page.locator("#rates tbody tr")
    assert rows.count() == 3
    opened.page.locator("#rates th").first.click()
    ascending = opened.page.locator(first).inner_text()
    opened.page.locator("#rates th").first.click()
    assert opened.page.locator(first).inner_text() != ascending
    opened.page.fill("#filter", "webp")
    assert rows.count() == 1 and "WebP" in rows.first.inner_text()
    opened.page.fill("#filter", "")


def test_the_slider_moves_the_split(opened: Opened) -> None:
    clip = "() => document.getElementById('left-canvas').style.clipPath"
    assert "50%" in opened.page.evaluate(clip)
    opened.page.locator("#split").fill("20")
    assert "80%" in opened.page.evaluate(clip)
    box = opened.page.locator("#pair").bounding_box()
    opened.page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 30)
    opened.page.mouse.up()
    assert float(opened.page.input_value("#split")) == pytest.approx(75, abs=1)


def test_zoom_and_error_map_change_what_is_seen(opened: Opened) -> None:
    width = "() => document.getElementById('left-canvas').getBoundingClientRect().width"
    mean = """() => {
        const c = document.getElementById('left-canvas');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        return d.reduce((a, b) => a + b, 0) / d.length;
    }"""
    before, brightness = opened.page.evaluate(width), opened.page.evaluate(mean)
    opened.page.select_option("#zoom", "4")
    opened.until(width, 4 * before)
    drawn = opened.page.get_attribute("#viewer", "data-drawn")
    opened.page.check("#error")
    opened.page.wait_for_selector(f"#viewer:not([data-drawn='{drawn}'])[data-drawn]")
    assert opened.page.evaluate(mean) != pytest.approx(brightness, rel=0.01)
    drawn = opened.page.get_attribute("#viewer", "data-drawn")
    opened.page.select_option("#left", "")  # the original has no error: alpha alone is left
    opened.page.wait_for_selector(f"#viewer:not([data-drawn='{drawn}'])[data-drawn]")
    assert opened.page.evaluate(mean) == pytest.approx(255 / 4)


def test_after_all_that_still_nothing_complains(opened: Opened) -> None:
    test_nothing_is_loaded_and_nothing_complains(opened)
