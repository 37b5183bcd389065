"""The page that steps through an elimination, as people see it."""

import pytest

import graphax
from alphagrad import tasks


def trace(name):
    task = tasks.load(name)
    return graphax.trace(task.fun, task.argnums)(*task.args)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_sticks_out_of_the_page(browser, width, dark):
    page = browser.open(graphax.draw(trace("RoeFlux_1d"), "markowitz").html, width=width, dark=dark)
    assert not browser.overflow(page)
