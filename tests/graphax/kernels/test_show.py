"""What is said of a kernel is what it consists of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from graphax import show_kernel
from graphax.kernels.cpu import _native


def swing(x):
    return x * jnp.sin(x[0])


def transforms(q):
    product = jnp.eye(3)
    for k in range(3):
        c, s = jnp.cos(q[k]), jnp.sin(q[k])
        product = product @ jnp.array([[c, -s, 1.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return product[:2, 2]


def test_operations_are_counted_by_kind():
    view = show_kernel(swing, jnp.ones(2, jnp.float32))
    assert view.written == {"sin": 1, "mul": 2}
    assert view.values.kinds == {"sin": 1, "mul": 2}
    assert view.jacobian.kinds == {"sin": 1, "cos": 1, "mul": 2, "add": 1}
    assert view.jacobian.flops == view.jacobian.count == 5
    assert (view.jacobian.bytes_in, view.jacobian.bytes_out) == (8, 16)
    assert set(view.orders) == {"forward", "reverse", "markowitz"}
    assert 2 <= view.jacobian.registers <= 6


def test_zeros_and_ones_vanish_from_products():
    view = show_kernel(transforms, jnp.ones(3))
    assert view.written["mul"] == 3 * 27
    assert view.values.kinds["mul"] < 15
    assert view.jacobian.count <= min(view.orders.values())


def test_loops_count_at_every_step():
    step = lambda _, x: x + 0.1 * jnp.sin(x)  # noqa: E731
    view = show_kernel(lambda x: jax.lax.fori_loop(0, 200, step, x), jnp.ones(2))
    assert view.written["sin"] == view.values.kinds["sin"] == view.jacobian.kinds["cos"] == 400


def test_what_a_row_takes_is_counted_by_hand():
    view = show_kernel(lambda x: jnp.where(x > 0, -x, x / 3), jax.ShapeDtypeStruct((), jnp.float32))
    assert view.values.kinds == {"lt": 1, "neg": 1, "div": 1, "select": 1}
    assert view.values.flops == 1
    assert (view.values.bytes_in, view.values.bytes_out) == (4, 4)


def test_registers_are_values_that_are_needed_later():
    chain = show_kernel(lambda x: jnp.sin(jnp.sin(jnp.sin(x))), 1.0)
    assert chain.values.registers <= 2
    wide = show_kernel(lambda x: jnp.sum(jnp.sin(x)) * jnp.sin(x), jnp.ones(9))
    assert wide.values.registers >= 9


def test_the_summary_says_it_in_words():
    text = str(show_kernel(swing, jnp.ones(2)))
    for part in ("as written: 3 operations", "2 mul", "in other orders: 5", "flops", "bytes in", "traced in"):
        assert part in text
    assert len(text.splitlines()) == 7


@pytest.mark.skipif(_native.available() is not None, reason=str(_native.available()))
def test_code_is_shown():
    view = show_kernel(swing, jnp.ones(2), order="reverse")
    assert view.compile_seconds
    assert "define" in view.llvm
    assert "ret" in view.assembly
    assert "sin" in view.pallas and "program_id" in view.pallas


def test_arguments_are_those_of_jacve():
    view = show_kernel(lambda x, y, *, z: x * y * z, 1.0, jnp.ones(2), z=jnp.ones(2), argnums=(0, 1))
    assert [result.shape for result in view.jacobian.program.results] == [(2,), (2, 2)]
    with pytest.raises(TypeError, match=r"'lgamma' .*test_show"):
        show_kernel(lambda x: jax.lax.lgamma(x), 1.0)
    with pytest.raises(TypeError, match="zero everywhere"):
        show_kernel(lambda x: np.ones(2), 1.0)
    with pytest.raises(TypeError, match="a function, got int"):
        show_kernel(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="did you mean"):
        show_kernel(swing, jnp.ones(2), order="revers")
