"""Settings: what is accepted, and what is said of the rest."""

import dataclasses
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphagrad.orders.search import OrderSearchConfig
from alphagrad.orders.task import TaskConfig
from alphagrad.orders.train import OrderTrainConfig
from alphagrad.run.plain import plain
from alphagrad.run.settings import ConfigError, named_task, parse, settings, to_yaml
from alphagrad.schemes.search import SchemeSearchConfig
from alphagrad.schemes.train import SchemeTrainConfig

TEXTS = [
    "${oc.env:HOME}", "${", "${a", "$", "???", "null", "~", "[x]/a", "[a", "{x}", "{a: b}", "1e3", "007",
    "1_000", "true", "no", "2026-11-28", "*a", "&a", "!!int 3", "a: b", "a #b", "#", "'", '"', '"a"', "- a",
    "<<", "=", "", " a ", "a\nb", "a\r\n\tb", "\x1b[31m", "\x85", "\ud800\udc00", "\U00010000", "\uffff",
    "\ufeff", "Größe/東京",
]  # fmt: skip
texts = st.sampled_from(TEXTS) | st.text(st.characters() | st.characters(categories=["Cs", "Cc", "Zs", "Po"]))


def test_words_are_converted_to_the_types_of_the_settings():
    config = parse(OrderTrainConfig, ["task=Simple", "seconds=10", "agent.width=64", "learning.rate=1e-3"])
    assert config.task == "Simple" and config.seconds == 10.0 and isinstance(config.seconds, float)
    assert config.agent.width == 64 and config.learning.rate == 1e-3
    assert config.run_dir is None
    assert parse(TaskConfig, ["task=a/b.py:f"]).task == "a/b.py:f"


@pytest.mark.parametrize("args", ["f32[3],f32[3,3]", "f32[]", "f32[3], i32[]", " f32[2,4]", "'f32[]'"])
@pytest.mark.parametrize("argnums", ["0", "0,1", "-1"])
def test_commas_and_brackets_survive(args, argnums, tmp_path):
    config = parse(TaskConfig, ["task=a.py:f", f"args={args}", f"argnums={argnums}"])
    assert config.args == args and config.argnums == argnums
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


@pytest.mark.parametrize("kind", [OrderTrainConfig, OrderSearchConfig, SchemeTrainConfig, SchemeSearchConfig])
def test_all_choices_of_a_setting_are_taken_and_no_other_is(kind):
    chosen = [setting for setting in settings(kind) if setting.choices]
    assert chosen
    for setting in chosen:
        for choice in setting.choices:
            parse(kind, ["task=x", f"{setting.key}={choice}"])
            assert f"'{choice}'" in setting.help
        with pytest.raises(ConfigError):
            parse(kind, ["task=x", f"{setting.key}=neither"])


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
        (["task=x", "agent.width=abc"], "agent.width=abc must be an integer"),
        (["task=x", "seed=1.5"], "seed=1.5 must be an integer"),
        (["task=x", "seed=-1"], "seed=-1 must lie between"),
        (["task=x", "seconds=0"], "seconds=0.0 must be positive"),
        (["task=x", "seconds=nan"], "seconds=nan must be a finite number"),
        (["task=x", "seconds=-inf"], "seconds=-inf must be a finite number"),
        (["task=x", "learning.rate=nan"], "learning.rate=nan must be a finite number"),
        (["task=x", "agent.temperature=inf"], "agent.temperature=inf must be a finite number"),
        (["task=x", f"learning.rate={'9' * 400}"], "must be a finite number"),
        (["task=x", f"agent.width={2**31}"], r"must be an integer between -2\*\*31"),
        (["task=x", f"agent.width={'9' * 5000}"], "agent.width=9{50} must be an integer"),
        (["task=x", "replay.renewed=maybe"], "replay.renewed=maybe must be true or false"),
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


@given(texts, texts | st.none(), texts | st.none())
def test_any_text_is_read_back_as_it_is(tmp_path_factory, task, args, argnums):
    config = TaskConfig(task=task, args=args, argnums=argnums)
    path = tmp_path_factory.getbasetemp() / "config.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    assert parse(TaskConfig, [], path) == config
    assert parse(TaskConfig, [f"task={task}"], path) == config
    assert named_task([], path) == named_task([f"task={task}"]) == task
    assert plain(to_yaml(config), keep="\n") == to_yaml(config)
    assert len(to_yaml(config).splitlines()) == 3


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_taken_as_they_are_written(text):
    config = parse(OrderTrainConfig, [f"task={text}", f"run_dir={text}"])
    assert (config.task, config.run_dir) == (text, None if text == "null" else text)


@pytest.mark.parametrize(
    "text", ["${oc.env:HOME}", "???", "~", "null", "1e3", "007", "0x10", "yes", "2026-11-28"]
)
def test_texts_in_files_need_no_quotes_to_be_texts(text, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"task: {text}\n")
    assert parse(OrderTrainConfig, [], path).task == named_task([], path) == text


def test_null_is_none_where_a_setting_may_be_none(tmp_path):
    words = ["task=null", "args=null", "argnums=null"]
    assert parse(TaskConfig, words) == TaskConfig(task="null")
    path = tmp_path / "config.yaml"
    for null in ("null", "~", "", "Null"):
        path.write_text(f"task: x\nargs: {null}\nargnums: '{null}'\n")
        assert parse(TaskConfig, [], path) == TaskConfig(task="x", argnums=null)
    assert parse(OrderTrainConfig, ["task=x", "run_dir=a", "run_dir=null"]).run_dir is None
    assert parse(OrderTrainConfig, ["task=x", "run_dir=~"]).run_dir == "~"


def test_a_file_makes_nothing_and_reads_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "secret")
    path = tmp_path / "config.yaml"
    path.write_text("task: !!python/object/apply:os.system [ls]\n")
    with pytest.raises(ConfigError, match="'task' must be a text"):
        parse(OrderTrainConfig, [], path)
    path.write_text("task: ${oc.env:SECRET}\nrun_dir: '${seed}'\nobjective: mults\n")
    config = parse(OrderTrainConfig, [], path)
    assert (config.task, config.run_dir) == ("${oc.env:SECRET}", "${seed}")


def test_words_go_before_files_and_files_before_defaults(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("task: file\nseed: 1\nagent:\n  width: 32\nagent.layers: 3\n")
    words, defaults = ["agent.width=64"], ["seed=2", "seconds=5", "agent.width=16"]
    config = parse(OrderTrainConfig, words, path, defaults)
    assert (config.seed, config.seconds, config.agent.width, config.agent.layers) == (1, 5.0, 64, 3)


def test_numbers_may_be_spelt_as_yaml_has_them():
    words = ["task=x", "seconds=.inf", "seed= 1_0 ", "learning.rate=1e-3", "replay.renewed=Yes"]
    config = parse(OrderTrainConfig, words)
    assert (config.seconds, config.seed, config.learning.rate, config.replay.renewed) == (inf, 10, 1e-3, True)
