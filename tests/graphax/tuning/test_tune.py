"""Ways to a Jacobian that are measured: the table, and what is remembered of it."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from graphax import _tuned

_SECONDS = 0.01


def chain(x):
    return jnp.sin(x) * jnp.cumsum(x)


def with_a_pole(x):
    return jnp.sqrt(x) * jnp.cumsum(x)


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """A store of its own, kernels and modes as they are by default."""
    monkeypatch.setenv("GRAPHAX_ORDER_STORE", str(tmp_path))
    monkeypatch.delenv("GRAPHAX_CANDIDATES", raising=False)
    _tuned.forget()
    yield tmp_path
    _tuned.forget()


def _equations(fun, *args):
    return [eqn.primitive.name for eqn in jax.make_jaxpr(fun)(*args).eqns]


def test_the_fastest_way_is_taken_from_then_on_in_later_processes_too(store, capsys, monkeypatch):
    x = jnp.arange(3.0)
    before = _equations(graphax.jacve(chain), x)
    tuning = graphax.tune(chain, seconds=_SECONDS)(x)
    assert str(tuning) in capsys.readouterr().out
    assert tuning.fastest in _tuned.WAYS and tuning.ways[tuning.fastest].seconds > 0
    assert all(found.difference < 1e-12 for found in tuning.ways.values() if found.seconds > 0)
    (path,) = store.glob("tuned/*.json")
    assert path == tuning.path
    for way in ("kernel", "jacrev"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"way": way}))
        _tuned.forget()  # as another process
        names = _equations(graphax.jacve(chain), x)
        assert ("graphax_kernel" in names or names == before) == (way == "kernel")
        np.testing.assert_allclose(jax.jit(graphax.jacve(chain))(x), jax.jacfwd(chain)(x), rtol=1e-12)


def test_what_holds_for_a_batch_is_not_taken_for_one(store):
    x = jnp.arange(6.0).reshape(2, 3)
    graphax.tune(chain, in_axes=0, seconds=_SECONDS)(x)
    graphax.tune(chain, seconds=_SECONDS)(x[0])
    found = [json.loads(path.read_text()) for path in store.glob("tuned/*.json")]
    assert sorted(one["batched"] for one in found) == [False, True]


def test_other_types_and_other_functions_are_other_places(store):
    x = jnp.arange(3.0)
    graphax.tune(chain, seconds=_SECONDS)(x)
    graphax.tune(chain, seconds=_SECONDS)(x.astype(jnp.float32))
    graphax.tune(lambda x: jnp.sin(x) * jnp.cumsum(x), seconds=_SECONDS)(x)  # the same program
    assert len(list(store.glob("tuned/*.json"))) == 2


def test_modes_that_give_something_else_are_measured_and_not_taken():
    tuning = graphax.tune(with_a_pole, seconds=_SECONDS)(jnp.arange(1.0, 4.0))
    assert tuning.fastest not in ("jacfwd", "jacrev")
    assert "finite" in tuning.ways["jacrev"].why_not and tuning.ways["jacrev"].seconds > 0


def test_hessians_are_tuned_by_their_gradients():
    def loss(x):
        return jnp.sum(jnp.sin(x) ** 2) * x[0]

    x = jnp.arange(1.0, 4.0)
    graphax.tune(loss, derivative="hessian", seconds=_SECONDS)(x)
    np.testing.assert_allclose(jax.jit(graphax.hessve(loss))(x), jax.hessian(loss)(x), rtol=1e-12)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"way": "fastest"}', '{"way": 3}', '{"seconds": 1}'])
def test_a_damaged_file_says_nothing(store, content):
    x = jnp.arange(3.0)
    tuning = graphax.tune(chain, seconds=_SECONDS)(x)
    assert tuning.path is not None
    tuning.path.write_text(content)
    _tuned.forget()
    np.testing.assert_allclose(jax.jit(graphax.jacve(chain))(x), jax.jacfwd(chain)(x), rtol=1e-12)
    assert "nan" not in str(graphax.explain(chain)(x))


def test_without_a_store_this_process_remembers(monkeypatch):
    monkeypatch.setenv("GRAPHAX_ORDER_STORE", "off")
    x = jnp.arange(3.0)
    assert graphax.tune(chain, seconds=_SECONDS)(x).path is None
    assert len(_tuned._known) == 1


def test_several_processes_take_nothing_that_was_measured(monkeypatch):
    x = jnp.arange(3.0)
    graphax.tune(chain, seconds=_SECONDS)(x)
    monkeypatch.setattr(_tuned, "_recalled", lambda key: pytest.fail("a measurement was looked up"))
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    graphax.jacve(chain)(x)


def test_whoever_names_an_order_or_asks_for_no_kernel_gets_it(monkeypatch):
    x = jnp.arange(3.0)
    graphax.tune(chain, seconds=_SECONDS)(x)
    monkeypatch.setattr(_tuned, "_recalled", lambda key: pytest.fail("a measurement was looked up"))
    for keywords in ({"order": "reverse"}, {"kernel": False}, {"sparse": True}, {"body_order": "forward"}):
        graphax.jacve(chain, **keywords)(x)


@pytest.mark.parametrize(
    ("keywords", "error", "text"),
    [
        ({"derivative": "gradient"}, ValueError, "'jacobian' or 'hessian', got 'gradient'"),
        ({"seconds": 0}, ValueError, "seconds=0 must be positive"),
        ({"argnums": "x"}, TypeError, "argnums must be"),
        ({"argnums": 3}, ValueError, "argnums names argument 3"),
    ],
)
def test_what_makes_no_sense_is_refused(keywords, error, text):
    with pytest.raises(error, match=text):
        graphax.tune(chain, **keywords)(jnp.arange(3.0))


def test_no_function_is_refused():
    with pytest.raises(TypeError, match="differentiates a function, got int"):
        graphax.tune(3)  # type: ignore[arg-type]


def test_an_order_of_ones_own_is_measured_and_taken(store, monkeypatch):
    x = jnp.arange(3.0)
    order = graphax.trace(chain)(x).eliminable
    tuning = graphax.tune(chain, seconds=_SECONDS, orders={"mine": order})(x)
    assert tuning.ways["mine"].seconds > 0
    (path,) = store.glob("tuned/*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"way": list(order)}))
    for way in (list(order), [99], [], ["1"]):  # those that fit nothing are left alone
        path.write_text(json.dumps(json.loads(path.read_text()) | {"way": way}))
        _tuned.forget()
        np.testing.assert_allclose(jax.jit(graphax.jacve(chain))(x), jax.jacfwd(chain)(x), rtol=1e-12)
        assert (graphax.explain(chain)(x).taken == "order") == (way == list(order))


def test_an_order_that_fits_nothing_is_refused():
    with pytest.raises(ValueError, match="vertex"):
        graphax.tune(chain, orders={"mine": [99]})(jnp.arange(3.0))
    with pytest.raises(ValueError, match="'reverse', which is the name of a way"):
        graphax.tune(chain, orders={"reverse": [1]})
