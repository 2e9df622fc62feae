"""The page in a real browser, from a file and without a network; what the console says counts."""

import contextlib
import shutil

import pytest

from minivit.study.explorer import page_html

CHROMIUM = shutil.which("chromium")
OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if CHROMIUM is None:
        pytest.skip("apt install chromium")
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@contextlib.contextmanager
def opening(browser):
    """Opens addresses; in the end, whatever the console or the network said is an error."""
    said = []

    def open_page(url, width=1440, height=900, expected=(), **settings):
        """expected: beginnings of what the page may load or say besides itself."""

        def say(words):
            if not words.startswith((url.partition("#")[0], "data:", *expected)):
                said.append(words)

        context = browser.new_context(viewport=dict(width=width, height=height), **settings)
        contexts.callback(context.close)
        context.set_offline(True)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: say(message.text))
        page.on("pageerror", lambda error: say(str(error)))
        page.on("request", lambda request: say(request.url))
        page.goto(url)
        return page

    with contextlib.ExitStack() as contexts:
        yield open_page
    assert said == []


@pytest.fixture
def new_page(browser):
    with opening(browser) as open_page:
        yield open_page


@pytest.fixture
def page_of(tmp_path, new_page):
    """Opens the page of some data, the file page.html in tmp_path, where the tour is closed."""
    return page_opener(tmp_path, new_page)


@pytest.fixture(scope="module")
def shared_page_of(tmp_path_factory, browser):
    """The same, for pages that all tests of a module use."""
    with opening(browser) as open_page:
        yield page_opener(tmp_path_factory.mktemp("pages"), open_page)


def page_opener(folder, open_page):
    def open_file(data, place="#digit=0", **settings):
        path = folder / "page.html"
        path.write_text(page_html(data), encoding="utf-8")
        return open_page(path.as_uri() + place, **settings)

    return open_file
