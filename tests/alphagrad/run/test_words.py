"""The words of a command line, in all their spellings."""

import pytest

from alphagrad.commands import known_settings
from alphagrad.orders.train import OrderTrainConfig
from alphagrad.run.settings import ConfigError, parse
from alphagrad.run.words import spelt_out, wants_all_help, wants_help, without_help

TRAIN, SEARCH = known_settings("train"), known_settings("search")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("--seconds 60", "seconds=60"),
        ("--seconds=60", "seconds=60"),
        ("seconds=60", "seconds=60"),
        ("--run-dir x --run_dir=y", "run_dir=x run_dir=y"),
        ("--agent.rank 8 agent.width=4", "agent.rank=8 agent.width=4"),
        ("--learning.value-weight 2", "learning.value_weight=2"),
        ("--argnums -1 --seed 0", "argnums=-1 seed=0"),
        ("--args f32[3],f32[3,3]", "args=f32[3],f32[3,3]"),
        ("--run-dir a=b", "run_dir=a=b"),
        ("--run-dir=", "run_dir="),
        ("--replay.renewed", "replay.renewed=true"),
        ("--replay.renewed --seed 1", "replay.renewed=true seed=1"),
        ("--replay.renewed no --seed 1", "replay.renewed=no seed=1"),
        ("--replay.renewed=off", "replay.renewed=off"),
        ("--no-replay.renewed", "replay.renewed=false"),
        ("RoeFlux_1d --seed 1", "task=RoeFlux_1d seed=1"),
        ("--seed 1 RoeFlux_1d", "task=RoeFlux_1d seed=1"),
        ("--replay.renewed RoeFlux_1d", "task=RoeFlux_1d replay.renewed=true"),
        ("random_scalar:seed=3,operations=40", "task=random_scalar:seed=3,operations=40"),
        ("a=b/model.py:f", "a=b/model.py:f"),
        ("a/b=c/model.py:f", "task=a/b=c/model.py:f"),
        ("--task x --task y", "task=x task=y"),
        ("--sead 1", "sead=1"),
        ("--sead", "sead="),
        ("", ""),
    ],
)
def test_every_spelling_means_the_same(words, meant):
    assert spelt_out(words.split(), TRAIN) == meant.split()
    assert spelt_out(meant.split(), TRAIN) == meant.split()


def test_a_flag_of_a_command_may_be_denied():
    assert spelt_out(["--no-remember"], SEARCH) == ["remember=false"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--seconds", "--seconds takes a value: write --seconds VALUE or seconds=VALUE"),
        ("--run-dir --seed 1", "write --run-dir VALUE or run_dir=VALUE"),
        ("seed 3", "'seed' is not a setting; write key=value or --key value, such as seed=VALUE"),
        ("-s 3", "'-s' is not a setting"),
        ("-- x", "'--' is not a setting"),
        ("RoeFlux_1d Simple", "'Simple' is not a setting.*the task is named"),
        ("RoeFlux_1d task=Simple", "'RoeFlux_1d' is not a setting.*the task is named"),
    ],
)
def test_what_has_no_meaning_is_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        spelt_out(words.split(), TRAIN)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--sead 1", "unknown setting 'sead'; did you mean 'seed'"),
        ("--run-dri=x", "unknown setting 'run_dri'; did you mean 'run_dir'"),
        ("--no-seed", "unknown setting 'no_seed'; did you mean 'seed'"),
        ("--seed x", "seed=x must be an integer"),
        ("--replay.renewed=maybe", "replay.renewed=maybe must be true or false"),
    ],
)
def test_errors_name_the_nearest_key_and_what_was_expected(words, message):
    with pytest.raises(ConfigError, match=message):
        parse(OrderTrainConfig, ["task=x", *spelt_out(words.split(), TRAIN)])


@pytest.mark.parametrize(
    ("words", "help", "everything", "others"),
    [
        ("a b=c", False, False, "a b=c"),
        ("a --help", True, False, "a"),
        ("-h a", True, False, "a"),
        ("--help-all a", True, True, "a"),
        ("a --help all", True, True, "a"),
        ("all", False, False, "all"),
    ],
)
def test_help_is_asked_for_anywhere(words, help, everything, others):
    words = words.split()
    assert (wants_help(words), wants_all_help(words)) == (help, everything)
    assert without_help(words) == others.split()
