"""Tasks are loaded by name, by options, and from a user's file; mistakes are explained."""

import jax
import jax.numpy as jnp
import pytest

import tasks

USER_FILE = """
import jax.numpy as jnp
import tasks

def parabola():
    return tasks.Task("parabola", lambda x, n: x**2 + n, (jnp.ones(3), 2), argnums=(0,))

def number():
    return 1

constant = 1
"""


@pytest.fixture
def user_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(USER_FILE)
    return path


@pytest.mark.parametrize("name", tasks.names())
def test_every_name_loads_a_task_of_that_name(name):
    task = tasks.load(name)
    assert task.name == name
    assert task.domain and task.source
    assert set(task.argnums) <= set(range(len(task.args)))
    assert all(isinstance(arg, jax.Array) for arg in task.args)


def test_a_random_program_takes_its_numbers_from_its_name():
    name = "random_scalar:seed=3,operations=12,inputs=2,outputs=5"
    loaded, drawn = tasks.load(name), tasks.random_scalar(3, 2, 12, 5)
    assert loaded.name == name
    assert str(jax.make_jaxpr(loaded.fun)(*loaded.args)) == str(jax.make_jaxpr(drawn.fun)(*drawn.args))
    assert tasks.load(drawn.name).name == drawn.name


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("RoeFlux", "RoeFlux_1d"), ("roeflux_3D", "RoeFlux_3d"), ("KerrSenn", "KerrSen")],
)
def test_a_misspelt_name_is_answered_with_the_nearest_one(wrong, nearest):
    with pytest.raises(ValueError, match=rf"{nearest}.*tasks\.names\(\)"):
        tasks.load(wrong)


def test_a_name_like_no_other_is_answered_with_how_to_list_them():
    with pytest.raises(ValueError, match=r"no task called '@@@'; `tasks\.names\(\)`"):
        tasks.load("@@@")


@pytest.mark.parametrize(
    ("options", "message"),
    [("sed=3", "unknown option 'sed'.*seed"), ("seed=x", "'seed'.*integer, not 'x'")],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        tasks.load(f"random_tensor:{options}")


def test_a_task_of_a_users_file_is_loaded_and_sampled_near_its_example(user_file):
    task = tasks.load(f"{user_file}:parabola")
    assert task.name == "parabola" and task.published is None
    x, n = task.sample(jax.random.key(0), batch=5)
    assert x.shape == (5, 3) and ((0.9 <= x) & (x <= 1.1)).all()
    assert n.tolist() == [2] * 5


def test_a_missing_file_or_function_is_a_value_error(user_file):
    with pytest.raises(ValueError, match="no file"):
        tasks.load(f"{user_file.with_name('other.py')}:parabola")
    with pytest.raises(ValueError, match="defines no 'cube'"):
        tasks.load(f"{user_file}:cube")
    with pytest.raises(ValueError, match="name the function"):
        tasks.load(str(user_file))


def test_anything_but_a_function_that_returns_a_task_is_a_type_error(user_file):
    with pytest.raises(TypeError, match="returned a int"):
        tasks.load(f"{user_file}:number")
    with pytest.raises(TypeError, match=r"must be a function.*not a int"):
        tasks.load(f"{user_file}:constant")


def test_a_task_whose_parts_do_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"argnums=\(1,\).*1 arguments"):
        tasks.Task("f", jnp.sin, (1.0,), argnums=(1,))
    with pytest.raises(ValueError, match=r"one \(low, high\) pair"):
        tasks.Task("f", jnp.sin, (1.0,), argnums=(0,), bounds=())
