"""Damaged checkpoints are refused, and the one before serves; none is accepted."""

import random

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from alphagrad import tasks
from alphagrad.layers import AgentConfig
from alphagrad.matmul import matmul_tensor
from alphagrad.orders.game import CompressedVertexGame
from alphagrad.schemes.game import TensorGame
from alphagrad.zero import AlphaZeroConfig, DemonstrationConfig, ReplayConfig, SelfPlayConfig, begin
from alphagrad.zero.checkpoint import Checkpoints, Position, load_checkpoint

CONFIG = AlphaZeroConfig(
    agent=AgentConfig(width=8, heads=2),
    selfplay=SelfPlayConfig(games=2),
    replay=ReplayConfig(latest=4, best=2),
    demonstrations=DemonstrationConfig(games=3),
)
EARLIER, LATER = Position(3, 0, 1.5), Position(7, 8, 12.25)


def games():
    task = tasks.load("RoeFlux_1d")
    yield CompressedVertexGame(graphax.trace(task.fun, task.argnums)(*task.args).counted())
    yield TensorGame({"matmul_2x2x2": matmul_tensor(2, 2, 2)}, limits={"matmul_2x2x2": 8})


@pytest.fixture(scope="module", params=[0, 1], ids=["orders", "schemes"])
def trainings(request):
    """Two stages of a training."""
    game = list(games())[request.param]
    earlier = begin(game, CONFIG, jnp.int32(1))
    arrays, rest = eqx.partition(earlier, eqx.is_array)
    changed = jax.tree.map(lambda leaf: ~leaf if leaf.dtype == bool else leaf + 1, arrays)
    return earlier, eqx.combine(changed, rest)


@pytest.fixture
def saved(trainings, tmp_path):
    """Checkpoints in a folder: the earlier stage, then the later one."""
    checkpoints = Checkpoints(tmp_path, "game")
    for training, position in zip(trainings, (EARLIER, LATER), strict=True):
        checkpoints.save(training, position)
    return checkpoints


def same(one, other):
    leaves = (jax.tree.leaves(eqx.filter(training, eqx.is_array)) for training in (one, other))
    pairs = zip(*leaves, strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)


def flip(content, chance, at):
    content[at] ^= 1 << chance.randrange(8)


def damaged(whole, chance):
    """A copy that is damaged in one of many ways."""
    content, size = bytearray(whole), len(whole)
    header = whole.index(b"\n") + 1
    at, length = chance.randrange(size), chance.choice([1, 2, 8, 64, 512, 4096])
    match chance.randrange(10):
        case 0 | 1:
            flip(content, chance, at)
        case 2:
            flip(content, chance, chance.randrange(header))
        case 3:  # in what the file ends with
            flip(content, chance, size - 1 - chance.randrange(64))
        case 4:
            del content[at:]
        case 5:
            content[at:at] = chance.randbytes(length)
        case 6:
            del content[at : at + length]
        case 7:
            content += chance.choice([chance.randbytes(length), bytes(length), whole])
        case 8:  # as a crash leaves files whose end never reached the disk
            content[at : at + length] = bytes(len(content[at : at + length]))
        case 9:
            other = chance.randrange(size)
            a, b = content[at : at + length], content[other : other + length]
            if len(a) == len(b) and abs(at - other) >= length:
                content[at : at + length], content[other : other + length] = b, a
    return bytes(content)


def all_damaged(whole, count):
    chance, found = random.Random(len(whole)), 0
    while found < count:
        content = damaged(whole, chance)
        if content != whole:
            found += 1
            yield content


def check(saved, trainings, count):
    latest, _ = saved.files
    whole = latest.read_bytes()
    for number, content in enumerate(all_damaged(whole, count)):
        latest.write_bytes(content)
        with pytest.raises(ValueError, match=str(latest)):
            load_checkpoint(latest, trainings[1], "game")
        if number % 20 == 0:
            training, position, remark = saved.load(trainings[1])
            assert position == EARLIER and same(training, trainings[0])
            assert str(latest) in remark and "previous.eqx" in remark
    latest.write_bytes(whole)


def test_1000_damaged_checkpoints_are_refused_and_the_one_before_serves(saved, trainings):
    check(saved, trainings, 1000)
    training, position, remark = saved.load(trainings[1])
    assert position == LATER and same(training, trainings[1]) and not remark


def test_if_both_are_damaged_nothing_is_loaded(saved, trainings):
    latest, previous = saved.files
    both = latest.read_bytes(), previous.read_bytes()
    for damage in zip(*(all_damaged(whole, 100) for whole in both), strict=True):
        for path, content in zip(saved.files, damage, strict=True):
            path.write_bytes(content)
        with pytest.raises(ValueError, match=str(latest)):
            saved.load(trainings[1])


@pytest.mark.slow
def test_every_bit_of_a_header_and_of_the_end_counts(saved, trainings):
    latest, _ = saved.files
    whole = latest.read_bytes()
    header = whole.index(b"\n") + 1
    for at in [*range(header + 128), *range(len(whole) - 128, len(whole))]:
        for bit in range(8):
            content = bytearray(whole)
            content[at] ^= 1 << bit
            latest.write_bytes(content)
            with pytest.raises(ValueError, match=str(latest)):
                load_checkpoint(latest, trainings[1], "game")


def test_a_run_that_was_killed_between_two_checkpoints_has_the_one_before(saved, trainings):
    latest, previous = saved.files
    latest.rename(previous)
    training, position, remark = saved.load(trainings[1])
    assert position == LATER and same(training, trainings[1]) and not remark
    previous.unlink()
    with pytest.raises(FileNotFoundError):
        saved.load(trainings[1])
