"""Help on settings."""

import pytest

from alphagrad.commands import known_settings
from alphagrad.orders.search import SEARCH as ORDERS
from alphagrad.orders.train import TRAIN
from alphagrad.run.help import help_text, setting_groups
from alphagrad.run.settings import settings
from alphagrad.schemes.search import SEARCH as SCHEMES
from alphagrad.schemes.train import TRAIN as SCHEME_TRAIN


@pytest.mark.parametrize("kind", [ORDERS, TRAIN, SCHEMES, SCHEME_TRAIN])
def test_groups_hold_every_setting_once_and_the_common_ones_come_first(kind):
    common, *others = setting_groups(kind)
    rows = [row for group in (common, *others) for row in group.rows]
    assert sorted(row.key for row in rows) == sorted(setting.key for setting in settings(kind.config))
    assert common.rows[0].key == "task" and common.rows[0].default == "required"
    assert all("." not in row.key for row in common.rows)
    for group in others:
        assert group.about and all(row.key.startswith(f"{group.name}.") for row in group.rows)
    assert all(row.help and row.values for row in rows)


def test_rows_say_what_a_setting_takes_and_what_it_is_else():
    kinds = TRAIN, SCHEME_TRAIN
    rows = {row.key: row for kind in kinds for group in setting_groups(kind) for row in group.rows}
    assert set(rows) == set(known_settings("train"))
    assert rows["seed"].values == "integer" and rows["seed"].default == "0"
    assert rows["replay.renewed"].values == "true or false"
    assert rows["learning.rate"].values == "number" and rows["run_dir"].values == "text"
    assert rows["agent.width"].default == "32, on a GPU or TPU 64"


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_no_name_is_cut_and_words_alone_are_longer_than_the_terminal_is_wide(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    kinds = [TRAIN, SCHEME_TRAIN]
    text = help_text("train", kinds, everything=True)
    for kind in kinds:
        for setting in settings(kind.config):
            assert f"  {setting.key} " in text or f"  {setting.key}\n" in text
    assert "matmul_2x2x2+matmul_2x2x3" in text
    headings = [line for line in text.splitlines() if line.startswith("  ") or "=" not in line]
    long = [line for line in headings if line.startswith(" ") and len(line) > min(columns, 100)]
    assert all(len(line.split()) == 1 for line in long)


def test_common_settings_are_shown_and_others_named_by_their_groups():
    text = help_text("train", [TRAIN], everything=False)
    assert "run_dir" in text and "agent.*" in text and "agent.width" not in text
    assert "--help-all lists 30 more" in text
    assert text.index("seconds") < text.index("unit_edges")


def test_what_two_kinds_share_is_told_once():
    text = help_text("search", [ORDERS, SCHEMES], everything=False)
    assert text.count("of all chance") == 1 and "and seconds, seed, run_dir as above" in text
