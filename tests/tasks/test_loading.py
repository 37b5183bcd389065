"""Tasks are loaded by name, by options, and from a user's file; mistakes are explained."""

import jax
import jax.numpy as jnp
import pytest

import graphax
from alphagrad import tasks

USER_FILE = """
import jax.numpy as jnp
from alphagrad import tasks

def parabola():
    return tasks.Task("parabola", lambda x, n: x**2 + n, (jnp.ones(3), 2), argnums=(0,))

def number():
    return 1

constant = 1

def residual(x, w, n=0):
    return jnp.tanh(w @ x) + n

def shift(x, by):
    return jnp.sin(x / by) * by

def broken(x):
    raise RuntimeError("no such thing")
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
    with pytest.raises(ValueError, match=r"no task called '@@@'; `alphagrad\.tasks\.names\(\)`"):
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


def test_a_function_in_a_file_is_differentiated_with_respect_to_its_floating_arguments(user_file):
    task = tasks.load(f"{user_file}:residual", "f32[3], f32[2,3],i32[]")
    x, w, n = task.args
    assert (task.name, task.argnums) == ("residual", (0, 1))
    assert (x.shape, w.shape, n.shape) == ((3,), (2, 3), ())
    assert (x.dtype, w.dtype, n.dtype) == (jnp.float32, jnp.float32, jnp.int32)
    assert ((0.5 <= w) & (w <= 1.5)).all() and n == 0
    assert task.fun(*task.args).shape == (2,)
    again = tasks.load(f"{user_file}:residual", "float32[3],f32[2,3],i32[]", (0, -2))
    assert jnp.array_equal(again.args[0], x) and again.argnums == (0, 1)
    assert tasks.load(f"{user_file}:residual", "f32[3],f32[2,3]", (1,)).argnums == (1,)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("f16", "float16"), ("bf16", "bfloat16"), ("c64", "complex64"), ("u8", "uint8"), ("bool", "bool")],
)
def test_types_are_written_as_jax_prints_them(user_file, name, dtype):
    task = tasks.load(f"{user_file}:residual", f"f32[3],f32[3,3],{name}[2,1]")
    assert task.args[2].dtype == jnp.dtype(dtype) and task.args[2].shape == (2, 1)
    printed = str(jax.make_jaxpr(lambda x: x)(task.args[2]))
    assert f"{name}[2,1]" in printed


@pytest.mark.parametrize("printed", ["~f32[]", "~float32[]", " ~i32[] "])
def test_numbers_of_python_are_weakly_typed_as_jax_prints_them(user_file, printed):
    *_, n = tasks.load(f"{user_file}:residual", f"f32[3],f32[3,3],{printed}").args
    assert n.weak_type and n.shape == ()


def test_an_order_of_a_number_of_python_is_for_calls_with_one(user_file):
    task = tasks.load(f"{user_file}:shift", "f32[3],~f32[]")
    graph = graphax.trace(task.fun, task.argnums)(*task.args)
    order = graphax.save_order(user_file.parent / "order.json", graph, graph.eliminable, method="forward")
    graphax.jacve(task.fun, task.argnums, order=order)(jnp.ones(3), 1.3)
    with pytest.raises(ValueError, match=r"another graph.*Python numbers \(weakly typed\)"):
        graphax.jacve(task.fun, task.argnums, order=order)(jnp.ones(3), jnp.float32(1.3))


def test_wide_types_are_taken_where_jax_has_them_switched_on(user_file):
    with jax.enable_x64(True):
        assert tasks.load(f"{user_file}:residual", "f64[3],f64[3,3]").args[0].dtype == jnp.float64
    with jax.enable_x64(False), pytest.raises(ValueError, match=r"write f32\[3\] .*JAX_ENABLE_X64=1"):
        tasks.load(f"{user_file}:residual", "f64[3],f64[3,3]")


@pytest.mark.parametrize(
    ("text", "argnums", "message"),
    [
        ("f32(3)", None, r"args='f32\(3\)' cannot be read at 'f32\(3\)'; .*args=\"f32\[3\],f32\[3,3\]\""),
        ("f32[3],", None, "does not take the 1 argument"),
        ("f32[3],f32[3,,3]", None, r"cannot be read at 'f32\[3,,3\]'"),
        ("f32[3] f32[3,3]", None, "cannot be read"),
        ("f32", None, r"f32\[\] for a scalar"),
        ("", None, "names no argument"),
        ("~f32[3],f32[3,3]", None, r"'~f32\[3\]', but `~` is for a number of Python, as in ~f32\[\]"),
        ("f32[3],f32[3,3],~f16[]", None, r"'~f16\[\]', but `~`"),
        ("f32[3],g32[3,3]", None, r"unknown type 'g32' in 'g32\[3,3\]'; types are bool, bf16"),
        ("f32[3]", None, r"'residual' in .* missing a required argument: 'w'.*\(x, w, n=0\)"),
        ("f32[3],f32[3,3],i32[],i32[]", None, "does not take the 4 arguments.*too many"),
        (
            "f32[3],f32[3,4]",
            None,
            r"'residual' in .* raised TypeError at line \d+ while being traced .*dot_general",
        ),
        ("i32[3],i32[3,3]", None, "no floating argument"),
        ("f32[3],f32[3,3],i32[]", (2,), "argnums=2 must name floating arguments.*those are 0, 1"),
        ("f32[3],f32[3,3]", (0, 0), "argnums=0,0 must name .* each once"),
        ("f32[3],f32[3,3]", (5,), "argnums=5 must name"),
        (None, (0,), "argnums= goes with args="),
        (None, None, r"takes arguments .*\(x, w, n=0\).*give their types, as in args="),
    ],
)
def test_arguments_that_do_not_fit_are_explained(user_file, text, argnums, message):
    with pytest.raises((ValueError, TypeError), match=message):
        tasks.load(f"{user_file}:residual", text, argnums)


def test_what_a_function_raises_while_being_traced_is_shown(user_file):
    line = USER_FILE.splitlines().index('    raise RuntimeError("no such thing")') + 1
    with pytest.raises(ValueError, match=rf"'broken' in .* RuntimeError at line {line} .*: no such thing"):
        tasks.load(f"{user_file}:broken", "f32[]")


def test_types_of_arguments_are_for_functions_in_files():
    with pytest.raises(ValueError, match=r"args= describes a function of your own.*'RoeFlux_1d' is none"):
        tasks.load("RoeFlux_1d", "f32[]")
    with pytest.raises(ValueError, match="argnums= describes"):
        tasks.load("random_scalar", argnums=(0,))


def test_a_name_is_a_text():
    with pytest.raises(TypeError, match=r"name must be a text, such as 'RoeFlux_1d', got 5"):
        tasks.best_known(5)


@pytest.mark.parametrize("args", [None, "f32[]"])
def test_a_file_alone_is_answered_with_how_to_name_its_function(args):
    with pytest.raises(ValueError, match=r"name the function in the file, as in 'mine\.py:function'"):
        tasks.load("mine.py", args)


def test_a_task_whose_parts_do_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"argnums=\(1,\).*1 arguments"):
        tasks.Task("f", jnp.sin, (1.0,), argnums=(1,))
    with pytest.raises(ValueError, match=r"one \(low, high\) pair"):
        tasks.Task("f", jnp.sin, (1.0,), argnums=(0,), bounds=())
