"""The page in a real browser, from a file and from a server; what it says on the console counts."""

import functools
import shutil
import threading

import pytest

from minivit.study.explorer import page_html, serve
from tests.study.explorer.cases import DEFAULT, data_of, traced

CHROMIUM = shutil.which("chromium")
OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
KINDS = {"mean": {}, "cls": dict(pool="cls", norm="post", depth=2, patch_size=14)}


@pytest.fixture(scope="module", params=KINDS)
def record(request):
    return traced(DEFAULT, **KINDS[request.param])


@pytest.fixture(scope="module")
def data(record):
    return data_of(record)


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if CHROMIUM is None:
        pytest.skip("apt install chromium")
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser):
    """Opens an address; in the end, whatever the console or the network said is an error."""
    said, contexts = [], []

    def open_page(url, width=1280, height=800, **settings):
        context = browser.new_context(viewport=dict(width=width, height=height), **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("requestfailed", lambda request: said.append(request.url))
        page.on("request", lambda request: request.url.startswith(url) or said.append(request.url))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture
def page_of(tmp_path, new_page):
    """Opens the page of some data as a file."""

    def open_page(data, **settings):
        path = tmp_path / "page.html"
        path.write_text(page_html(data), encoding="utf-8")
        assert path.stat().st_size < 5e6
        return new_page(path.as_uri(), **settings)

    return open_page


@pytest.fixture
def file(data, page_of):
    return functools.partial(page_of, data)


@pytest.fixture(scope="module")
def url(record, data):
    with serve(record, data) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()
