"""How long a page takes: taskset -c 0 python -m tests.study.explorer.times PAGE.html"""

import argparse
import statistics
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.study.explorer.conftest import CHROMIUM, OPTIONS

DRAWN = "await new Promise((go) => requestAnimationFrame(() => setTimeout(go)));"
WATCH_PEN = f"""() => {{
    drawn = new Promise((go) => addEventListener("lostpointercapture", async () => {{
        const start = performance.now();
        {DRAWN}
        go(performance.now() - start);
    }}, {{ capture: true, once: true }}));
    return null;
}}"""
TEN_STEPS = f"""async () => {{
    const start = performance.now();
    await learnFor(10);
    {DRAWN}
    return performance.now() - start;
}}"""


def pen_up(page):
    """From the end of a stroke to both passes, drawn, in ms."""
    box = page.locator("#board").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 180, steps=5)
    page.evaluate(WATCH_PEN)
    page.mouse.up()
    return page.evaluate("drawn")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    options = parser.parse_args(argv)
    with sync_playwright() as api:
        browser = api.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        page = browser.new_page(viewport=dict(width=1440, height=900))
        page.goto(options.page.resolve().as_uri() + "#digit=0")
        ways = {"from pen up to both passes drawn": pen_up,
                "ten steps on one digit": lambda page: page.evaluate(TEN_STEPS)}  # fmt: skip
        for words, way in ways.items():
            times = [way(page) for _ in range(9)]
            print(f"{words}: {statistics.median(times):.0f} ms (at most {max(times):.0f} ms)")
        browser.close()


if __name__ == "__main__":
    main()
