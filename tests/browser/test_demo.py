"""The page of `alphagrad demo`, looked at in Chromium."""

import pytest

from alphagrad.cli import main
from alphagrad.demo import command


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a small task."""
    path = tmp_path_factory.mktemp("demo") / "page.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "_SECONDS", 0.05)
        assert main(["demo", "Lighthouse", "--batch", "16", "--no-open", f"--out={path}"]) == 0
    return path


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_the_window_and_steps_through_the_elimination(browser, page, width, dark):
    view = browser.open(page, width=width, dark=dark)
    assert not browser.overflow(view)
    ground = view.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") != dark
    assert view.locator(".ours").count() == 3
    bars = view.locator("table.bars").first.locator("span")
    assert all(bars.nth(at).bounding_box()["width"] >= 2 for at in range(3))
    view.locator("iframe").scroll_into_view_if_needed()
    inside = view.frame_locator("iframe")
    inside.locator("#forward").click()
    assert "tep 1" in inside.locator("#step").inner_text()
