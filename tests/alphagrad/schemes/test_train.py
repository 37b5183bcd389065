"""`alphagrad train` for matrix multiplications: its settings on different machines."""

import jax
import pytest

from alphagrad import commands
from alphagrad.cli import main
from alphagrad.run.settings import to_yaml
from alphagrad.schemes.train import TRAIN


@pytest.fixture
def settings_of(monkeypatch):
    """What settings a command would have worked with, by the device that JAX computes on and by words."""
    met = []
    stub = TRAIN._replace(work=lambda config, call: met.append(config) or True)
    monkeypatch.setitem(commands._KINDS, "train", (stub,))

    def settings(device, *words):
        monkeypatch.setattr(jax, "default_backend", lambda: device)
        assert main(["train", *words]) == 0
        return met[-1]

    return settings


def test_accelerators_do_more_work_at_once(settings_of):
    on_cpu, on_gpu = (settings_of(device, "task=matmul_2x2x2") for device in ("cpu", "gpu"))
    assert (on_cpu.agent.width, on_cpu.selfplay.games, on_cpu.learning.games) == (32, 256, 32)
    assert (on_gpu.agent.width, on_gpu.selfplay.games, on_gpu.learning.games) == (64, 1024, 128)
    assert (on_gpu.learning.updates, on_gpu.demonstrations.updates) == (2, 2500)
    assert on_gpu.agent.heads == on_cpu.agent.heads and on_gpu.learning.rate == on_cpu.learning.rate


def test_defaults_are_the_same_on_every_machine(settings_of):
    on_cpu = settings_of("cpu", "task=matmul_2x2x2")
    settings_of("gpu", "task=matmul_2x2x2")
    assert on_cpu == TRAIN.config(task="matmul_2x2x2")


def test_words_and_the_settings_of_another_run_count_on_every_machine(settings_of, tmp_path):
    assert settings_of("gpu", "task=matmul_2x2x2", "agent.width=16").agent.width == 16
    before = settings_of("cpu", "task=matmul_2x2x2", "selfplay.games=8")
    (tmp_path / "config.yaml").write_text(to_yaml(before))
    resumed = settings_of("gpu", f"resume={tmp_path}", "seconds=3")
    assert (resumed.selfplay.games, resumed.agent.width, resumed.seconds) == (8, 32, 3)


def test_help_tells_of_both_kinds_of_machines(capsys):
    assert main(["train", "task=matmul_2x2x2", "--help-all"]) == 0
    out = capsys.readouterr().out
    assert "default 32, on a GPU or TPU 64" in " ".join(out.split())
