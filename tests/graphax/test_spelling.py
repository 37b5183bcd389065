"""Who misspells a name is asked whether he meant one like it."""

import pytest

from graphax.spelling import did_you_mean

KNOWN = ["seed", "seconds", "agent.width", "search.width", "RoeFlux_1d", "RoeFlux_3d"]


@pytest.mark.parametrize(
    ("word", "question"),
    [
        ("sede", "did you mean 'seed'? "),
        ("SEEDS", "did you mean 'seed' or 'seconds'? "),
        ("wdth", "did you mean 'agent.width'? "),
        ("search.widht", "did you mean 'search.width'? "),
        ("roeflux_3D", "did you mean 'RoeFlux_3d' or 'RoeFlux_1d'? "),
        ("qqq", ""),
        ("", ""),
    ],
)
def test_what_a_word_resembles_most_is_named_first(word, question):
    assert did_you_mean(word, KNOWN) == question


def test_a_name_comes_before_one_that_ends_like_it():
    assert did_you_mean("seet", ["replay.seed", "seed"]) == "did you mean 'seed'? "
    assert did_you_mean("seet", iter(())) == ""
