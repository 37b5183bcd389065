"""Settings: what is accepted, and what is said of the rest."""

import dataclasses

import pytest

from alphagrad.orders.search import OrderSearchConfig
from alphagrad.orders.task import TaskConfig
from alphagrad.orders.train import OrderTrainConfig
from alphagrad.run.settings import ConfigError, parse, settings, to_yaml


def test_words_are_converted_to_the_types_of_the_settings():
    config = parse(OrderTrainConfig, ["task=Simple", "seconds=10", "agent.width=64", "learning.rate=1e-3"])
    assert config.task == "Simple" and config.seconds == 10.0 and isinstance(config.seconds, float)
    assert config.agent.width == 64 and config.learning.rate == 1e-3
    assert config.run_dir is None
    assert parse(TaskConfig, ["task=a/b.py:f"]).task == "a/b.py:f"


@pytest.mark.parametrize("args", ["f32[3],f32[3,3]", "f32[]", "f32[3], i32[]", '"f32[3],bool[2,4]"'])
@pytest.mark.parametrize("argnums", ["0", "0,1", "-1"])
def test_commas_and_brackets_survive(args, argnums, tmp_path):
    config = parse(TaskConfig, ["task=a.py:f", f"args={args}", f"argnums={argnums}"])
    assert config.args == args.strip('"') and config.argnums == argnums
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert parse(TaskConfig, [], path) == config


def test_settings_are_frozen():
    config = parse(OrderTrainConfig, ["task=Simple"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 1


def test_yaml_is_read_back(tmp_path):
    config = parse(OrderTrainConfig, ["task=Simple", "seed=7", "search.simulations=3"])
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert parse(OrderTrainConfig, [], path) == config
    assert parse(OrderTrainConfig, ["seed=8"], path) == dataclasses.replace(config, seed=8)


@pytest.mark.parametrize("kind", [OrderTrainConfig, OrderSearchConfig, TaskConfig])
def test_every_setting_says_what_it_means(kind):
    for setting in settings(kind):
        assert setting.help, setting.key


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=x", "agnt.width=3"], "unknown setting 'agnt.width'; did you mean 'agent.width'"),
        (["task=x", "simulations=3"], "did you mean 'search.simulations'"),
        (["task=x", "sed=3"], "did you mean 'seed'"),
        (["task=x", "qqqqq=3"], "known are task, args, argnums, seed, seconds"),
        (["task=x", "agent=3"], "unknown setting 'agent'"),
        (["task=x", "seed"], "'seed' is not a setting; write key=value"),
        (["seed=1"], "say what to work on: task=NAME"),
        (["task=x", "agent.width=abc"], "agent.width: Value 'abc'"),
        (["task=x", "seed=1.5"], "seed: Value '1.5'"),
        (["task=x", "seed=-1"], "seed=-1 must lie between"),
        (["task=x", "seconds=0"], "seconds=0.0 must be positive"),
        (["task=x", "seconds=nan"], "must be positive"),
        (["task=x", "learning.rate=nan"], "learning.rate=nan must be a finite number"),
        (["task=x", "agent.temperature=inf"], "agent.temperature=inf must be a finite number"),
        (["task=x", f"learning.rate={'9' * 400}"], "int too large"),
        (["task=x", f"agent.width={2**31}"], "must lie between"),
        (["task=x", "unit_edges=none"], "unit_edges=none must be 'counted' or 'free'"),
        (["task=x", "objective=tme"], "unknown objective 'tme'; did you mean 'time'"),
        (["task=x", "objective=time", "unit_edges=counted"], "leave out unit_edges=counted"),
        (["task=x", "agent.width=3"], "must be a multiple of agent.heads"),
    ],
)
def test_wrong_settings_are_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        parse(OrderTrainConfig, words)


@pytest.mark.parametrize("text", ["agent: [1, 2", "nonsense: 3", "agent: 5", "- 1"])
def test_broken_files_are_refused(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        parse(OrderTrainConfig, ["task=x"], path)
    with pytest.raises(ConfigError, match="No such file"):
        parse(OrderTrainConfig, ["task=x"], tmp_path / "none.yaml")
