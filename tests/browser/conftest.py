"""Pages in headless Chromium, at a width, light or dark: what goes wrong in them, and what sticks out."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HERE = Path(__file__).parent

#: What sticks out to the right of the window, save what may be scrolled to within another element.
_OVERFLOW = """() => {
  const root = document.documentElement, found = [];
  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} pixels wide`);
  const scrolled = element => {
    for (let at = element.parentElement; at && at !== document.body; at = at.parentElement) {
      if (getComputedStyle(at).overflowX !== "visible") return true;
    }
    return false;
  };
  for (const element of document.body.querySelectorAll("*")) {
    const box = element.getBoundingClientRect();
    if (box.width && box.height && box.right > root.clientWidth + 1 && !scrolled(element)) {
      found.push(`${element.tagName} ${element.id} ${element.className?.baseVal ?? element.className}`);
    }
  }
  return found.slice(0, 10);
}"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def chromium():
    """Chromium, by Playwright."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("Playwright is not installed: pip install '.[browser]'")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Browser:
    """Opens pages, and writes down what goes wrong in them.

    Attributes:
        errors: exceptions, console errors, and what a page asks of a network, of all pages that were opened.
    """

    def __init__(self, chromium, folder):
        self.chromium, self.folder = chromium, folder
        self.errors = []
        self.contexts = []

    def open(self, page, *, width=1280, height=800, dark=False, fragment="", context=None):
        """Playwright's page of a file, or of a text of HTML.

        Args:
            page: the path of a file, or the text.
            width, height: of the window, in pixels; up to 600 it is one that is touched.
            dark: whether the user prefers dark colours.
            fragment: such as ``#step=3``.
            context: of a page that was opened earlier (``page.context``), whose memory this one shares.
        """
        if not isinstance(page, Path):
            text, page = page, self.folder / f"page{len(self.contexts)}.html"
            page.write_text(text, encoding="utf-8")
        if context is None:
            context = self.chromium.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if dark else "light",
                has_touch=width <= 600,
                reduced_motion="reduce",
            )
            self.contexts.append(context)
        view = context.new_page()
        view.on("pageerror", lambda error: self.errors.append(str(error)))
        view.on("console", lambda said: said.type == "error" and self.errors.append(said.text))
        view.on("request", self._asked)
        view.goto(page.as_uri() + fragment)
        return view

    def _asked(self, request):
        if request.url.partition(":")[0] not in ("file", "data", "about", "blob"):
            self.errors.append(f"asks for {request.url}")

    @staticmethod
    def overflow(view):
        """What is wider than the window: empty, if the page is as it should be."""
        return view.evaluate(_OVERFLOW)

    def close(self):
        for context in self.contexts:
            context.close()


@pytest.fixture
def browser(chromium, tmp_path):
    """Opens pages in Chromium; a test in which a page says that something is wrong fails."""
    opened = Browser(chromium, tmp_path)
    yield opened
    opened.close()
    assert not opened.errors
