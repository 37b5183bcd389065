"""The order that is taken when none is named: its cost, its time, what is remembered, and where."""

import gc
import itertools
import json
import os
import subprocess
import sys
import threading
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import assert_same_jacobian

import graphax
from alphagrad import tasks
from graphax import jacve, orders
from graphax._remembered import Remembered
from graphax.choose import _auto, _order_file, _store


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    """No store, and a process that remembers nothing and has warned of nothing."""
    monkeypatch.setenv("GRAPHAX_ORDER_STORE", "off")
    monkeypatch.setattr(_store, "_warned", False)
    _store.forget()
    yield
    _store.forget()


@pytest.fixture
def store(tmp_path, monkeypatch):
    folder = tmp_path / "deep" / "store"
    monkeypatch.setenv("GRAPHAX_ORDER_STORE", str(folder))
    return folder


@pytest.fixture
def no_search(monkeypatch):
    """Makes every further search fail."""

    def forbid():
        def search(graph):
            raise AssertionError("searched")

        monkeypatch.setattr(_auto, "search_briefly", search)

    return forbid


def graph_of(name):
    task = tasks.load(name)
    return graphax.trace(task.fun, task.argnums)(*task.args)


def fun(x):
    a = jnp.sin(x[:2])
    b = jnp.cos(a) * x[2]
    for _ in range(4):
        a, b = a * b, jnp.exp(-a) + b * x[:2]
    return a * b, jnp.sum(a + b)


X = np.array([0.3, 0.5, 0.7])  # not a JAX array yet: it would be in float32


# --- what it costs ---------------------------------------------------------------------------------------


def check_never_costlier(graph):
    order = orders.auto(graph)
    assert orders.check_order(graph, order) == order
    classical = (orders.forward(graph), orders.reverse(graph), orders.markowitz(graph))
    assert graph.cost(order).mults <= min(graph.cost(other).mults for other in classical)


@pytest.mark.parametrize("name", tasks.names())
def test_auto_is_never_costlier_than_the_classical_orders_on_the_tasks(name):
    check_never_costlier(graph_of(name))


RANDOM = [
    f"random_{kind}:seed={seed},operations={operations}"
    for kind, operations in (("scalar", 40), ("tensor", 20))
    for seed in range(150)
]


@pytest.mark.parametrize("name", [name for at, name in enumerate(RANDOM) if at % 150 < 20])
def test_auto_is_never_costlier_than_the_classical_orders_on_random_programs(name):
    check_never_costlier(graph_of(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for at, name in enumerate(RANDOM) if at % 150 >= 20])
def test_auto_is_never_costlier_than_the_classical_orders_on_300_random_programs(name):
    check_never_costlier(graph_of(name))


def test_orders_that_take_too_long_to_price_are_left_out(monkeypatch):
    indices = np.random.default_rng(0).integers(0, 10**5, 10**5)

    def gather(x):
        y = jnp.sin(x)[indices]
        z = jnp.cos(y)[indices] * y
        return z[indices[::-1]] * x + y

    graph = graphax.trace(gather)(jax.ShapeDtypeStruct((10**5,), np.float32))
    start = time.process_time()
    assert orders.auto(graph) == orders.reverse(graph)
    assert time.process_time() - start < 0.5
    monkeypatch.setattr(_auto, "_PRICING_SMALL", 2000)
    _store.forget()
    check = graph_of("Perceptron")
    assert orders.auto(check) == orders.reverse(check)


@pytest.mark.parametrize("seed", range(20))
def test_auto_finds_the_cheapest_of_all_orders_of_a_few_vertices(seed):
    graph = graph_of(f"random_scalar:seed={seed},inputs=2,operations=8,outputs=2")
    assert len(graph.eliminable) <= 7
    least = min(graph.cost(order).mults for order in itertools.permutations(graph.eliminable))
    assert least < 30  # so that one multiplication less is worth it
    assert graph.cost(orders.auto(graph)).mults == least


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("RoeFlux_1d", 200),
        ("RobotArm_6DOF", 160),
        ("HumanHeartDipole", 48),
        ("PropaneCombustion", 24),
        ("RoeFlux_3d", 420),
        ("CloudMicrophysics", 50),
        ("SpikingLIF", 666),
    ],
)
def test_auto_comes_near_the_cheapest_orders_known(name, most):
    graph = graph_of(name)
    assert graph.cost(orders.auto(graph)).mults <= most


def test_a_small_gain_is_no_reason_to_leave_reverse():
    graph = graph_of("Encoder")
    assert orders.auto(graph) == orders.reverse(graph)


def test_of_equal_orders_reverse_is_taken_then_forward():
    def chain(x):
        return jnp.tanh(jnp.exp(jnp.sin(jnp.cos(x))))

    graph = graphax.trace(chain)(0.5)
    assert orders.auto(graph) == orders.reverse(graph)
    heart = graph_of("HumanHeartDipole")
    forward, markowitz = orders.forward(heart), orders.markowitz(heart)
    assert heart.cost(forward) == heart.cost(markowitz) < heart.cost(orders.reverse(heart))
    assert orders.auto(heart) == forward


def waist(width=64, narrow=4, depth=4):
    sizes = [width] * depth + [narrow] + [width] * depth
    keys = jax.random.split(jax.random.key(0), len(sizes) - 1)
    weights = [
        jax.random.normal(key, (after, before), jnp.float32) / np.sqrt(before)
        for key, before, after in zip(keys, sizes, sizes[1:], strict=False)
    ]

    def layers(x):
        for weight in weights:
            x = jnp.tanh(weight @ x)
        return x

    return layers


def test_a_narrow_waist_is_cheap():
    graph = graphax.trace(waist())(jnp.ones(64, jnp.float32))
    cost = graph.cost(orders.auto(graph)).mults
    for order in (orders.forward(graph), orders.reverse(graph)):
        assert 10 * cost < graph.cost(order).mults


@pytest.mark.slow
def test_a_narrow_waist_is_four_times_faster_than_jacfwd_and_jacrev():
    f = waist()
    args = jax.random.normal(jax.random.key(1), (256, 64), jnp.float32)
    with jax.default_matmul_precision("default"):
        ways = [jax.jit(jax.vmap(way(f))) for way in (jacve, jax.jacfwd, jax.jacrev)]
        values = [way(args) for way in ways]
    for value in values[1:]:
        np.testing.assert_allclose(values[0], value, atol=1e-5)
    best = [np.inf] * 3
    for _ in range(30):
        for at, way in enumerate(ways):
            start = time.perf_counter()
            jax.block_until_ready(way(args))
            best[at] = min(best[at], time.perf_counter() - start)
    print(f"jacve {best[0]:.2e} s, jacfwd {best[1]:.2e} s, jacrev {best[2]:.2e} s")
    assert 4 * best[0] <= min(best[1:])


# --- how long it takes -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "limit"),
    [
        *((name, 1.0) for name in tasks.names()),
        *((f"random_scalar:seed={seed},operations=200", 1.0) for seed in range(5)),
        *((f"random_tensor:seed={seed},operations=60", 1.0) for seed in range(5)),
        ("random_scalar:seed=0,operations=500", 5.0),
        ("random_scalar:seed=0,operations=2000,inputs=20,outputs=20", 5.0),
        ("random_tensor:seed=0,operations=500", 5.0),
    ],
)
def test_finding_an_order_takes_little_time(name, limit):
    graph = graph_of(name)
    assert len(graph.eliminable) <= (200 if limit == 1 else 2000)
    gc.collect()
    gc.freeze()  # what other tests have left behind is not to be looked through
    start = time.process_time()
    orders.auto(graph)
    seconds = time.process_time() - start
    gc.unfreeze()
    assert seconds < limit


def test_a_function_of_a_few_vertices_is_searched_in_milliseconds():
    graph = graphax.trace(lambda x: jnp.sin(x) * jnp.exp(jnp.cos(x) * x))(0.5)
    orders.auto(graph)
    best = np.inf
    for _ in range(5):
        _store.forget()
        start = time.process_time()
        orders.auto(graph)
        best = min(best, time.process_time() - start)
    assert best < 0.005


# --- the same everywhere ---------------------------------------------------------------------------------

PRINT_ORDERS = """
import graphax
from alphagrad import tasks
for name in ("RoeFlux_1d", "SpikingLIF", "random_tensor:seed=1", "Lighthouse", "Hole"):
    task = tasks.load(name)
    print(graphax.orders.auto(graphax.trace(task.fun, task.argnums)(*task.args)))
"""


def start_process(program, **environment):
    environment = {**os.environ, **environment}
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    )


def finished(process):
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return out


def test_every_process_finds_the_same_orders():
    processes = [start_process(PRINT_ORDERS, PYTHONHASHSEED=seed) for seed in ("1", "2")]
    one, two = map(finished, processes)
    assert one == two and one.count("(") == 5


def test_the_search_needs_no_compiler():
    program = PRINT_ORDERS + "import sys; assert 'numba' not in sys.modules"
    finished(start_process(program))


def test_values_and_dtypes_do_not_change_the_order():
    with jax.enable_x64(False):
        single = orders.auto(graphax.trace(fun)(jnp.array([1.0, 2.0, 3.0], jnp.float32)))
    _store.forget()
    assert orders.auto(graphax.trace(fun)(X)) == single


# --- it is the default, under every transformation -------------------------------------------------------


def test_auto_is_the_default_and_has_a_name():
    graph = graphax.trace(fun)(X)
    cost = graph.cost(orders.auto(graph))
    assert graphax.count_ops(fun)(X) == graphax.count_ops(fun, order="auto")(X) == cost
    assert orders.resolve_order(graph, "auto") == orders.auto(graph)
    assert_same_jacobian(jacve(fun)(X), jax.jacrev(fun)(X))
    assert_same_jacobian(jacve(fun, order="auto", body_order="auto")(X), jax.jacrev(fun)(X))


def test_auto_is_the_order_that_is_executed_in_either_convention():
    graph = graph_of("RoeFlux_1d")
    task = tasks.load("RoeFlux_1d")
    counted = graphax.count_ops(task.fun, order="auto", argnums=task.argnums, unit_edges="counted")(
        *task.args
    )
    assert counted == graph.counted().cost(orders.resolve_order(graph, "auto"))


def test_auto_works_under_jit_vmap_and_grad():
    def ways(jacobian):
        square = lambda x: jnp.sum(jacobian(x)[0] ** 2)  # noqa: E731
        return jacobian(X), jax.vmap(jacobian)(jnp.stack([X, 2 * X])), jax.grad(square)(X)

    mine, theirs = jax.jit(lambda: [ways(jacobian) for jacobian in (jacve(fun), jax.jacrev(fun))])()
    assert_same_jacobian(mine, theirs)
    assert_same_jacobian(jax.grad(lambda x: jnp.sum(jacve(fun)(x)[0] ** 2))(X), theirs[2])


def test_threads_find_the_same_order():
    graphs = [graph_of("KerrSen") for _ in range(8)]
    found = [None] * len(graphs)

    def run(at):
        found[at] = orders.auto(graphs[at])

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(graphs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and found[0] is not None


# --- what a process remembers ----------------------------------------------------------------------------


def test_a_second_call_searches_nothing(no_search):
    first = orders.auto(graphax.trace(fun)(X))
    no_search()
    assert orders.auto(graphax.trace(fun)(X)) == first
    with pytest.raises(AssertionError, match="searched"):
        orders.auto(graph_of("Lighthouse"))


def test_graphs_that_differ_in_closed_over_indices_alone_are_told_apart():
    def gather(indices):
        return lambda x: jnp.sin(jnp.cos(x)[np.array(indices)] * x[:3]) * x[0]

    one, two = (graphax.trace(gather(indices))(jnp.ones(5)) for indices in ((4, 0, 1), (3, 3, 0)))
    assert one.fingerprint != two.fingerprint
    orders.auto(one)
    assert _store.recall(one) is not None and _store.recall(two) is None


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(_store, "_known", Remembered(2))
    graphs = [graphax.trace(fun)(scale) for scale in (jnp.ones(3), jnp.ones(4), jnp.ones(5))]
    assert len({orders.auto(graph) for graph in graphs}) and len(_store._known) == 2
    assert [_store.recall(graph) is None for graph in graphs] == [True, False, False]


def test_graphs_with_nothing_to_choose_cost_nothing(no_search):
    no_search()
    assert orders.auto(graphax.trace(jnp.sin)(1.0)) == ()
    assert orders.auto(graphax.trace(lambda x: jnp.sin(jnp.cos(x)))(1.0)) == (1,)


# --- the store -------------------------------------------------------------------------------------------


def the_file(store):
    (path,) = store.iterdir()
    return path


def test_an_order_is_kept_for_other_processes(store, no_search):
    graph = graph_of("KerrSen")
    order = orders.auto(graph)
    kept = graphax.load_order(the_file(store))
    assert kept.order == order and kept.fingerprint == graph.fingerprint
    assert (kept.free, kept.counted) == (graph.cost(order).mults, graph.counted().cost(order).mults)
    _store.forget()  # as if in another process
    no_search()
    assert orders.auto(graph) == order


def test_processes_of_one_program_do_not_read_the_store(store, monkeypatch):
    graph = graph_of("KerrSen")
    found = orders.auto(graph)
    _store.forget()
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert _store.recall(graph) is None
    assert orders.auto(graph) == found


def test_orders_that_are_found_at_once_are_not_written(store):
    orders.auto(graph_of("Hole"))
    assert not store.exists()


@pytest.mark.parametrize("setting", ["off", "OFF", "", " "])
def test_the_store_can_be_disabled(setting, monkeypatch):
    monkeypatch.setenv("GRAPHAX_ORDER_STORE", setting)
    assert _store.store_folder() is None


@pytest.mark.parametrize(
    ("platform", "variable"), [("linux", "XDG_CACHE_HOME"), ("win32", "LOCALAPPDATA"), ("darwin", "HOME")]
)
def test_the_store_is_in_the_users_cache(platform, variable, monkeypatch, tmp_path):
    monkeypatch.delenv("GRAPHAX_ORDER_STORE")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    caches = tmp_path / "Library" / "Caches" if platform == "darwin" else tmp_path
    assert _store.store_folder() == caches / "graphax" / "orders"


def test_without_a_cache_folder_it_is_below_the_home_and_without_a_home_nowhere(monkeypatch, tmp_path):
    monkeypatch.delenv("GRAPHAX_ORDER_STORE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    for useless in ("", "relative/folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", useless)
        assert _store.store_folder() == tmp_path / ".cache" / "graphax" / "orders"
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it does without a home
    assert _store.store_folder() is None
    check_never_costlier(graph_of("KerrSen"))


def broken_texts():
    graph = graph_of("KerrSen")
    other = graph_of("BlackScholes")
    good = json.loads(json.dumps(_store.asdict(_order_file.record(graph, orders.auto(graph), method="x"))))
    wrong = json.loads(
        json.dumps(_store.asdict(_order_file.record(other, orders.reverse(other), method="x")))
    )
    return {
        "empty": "",
        "truncated": json.dumps(good)[:-40],
        "of another graph": json.dumps(wrong),
        "of another graph, with this one's fingerprint": json.dumps(
            wrong | {"fingerprint": graph.fingerprint}
        ),
        "not what it costs": json.dumps(good | {"free": good["free"] - 1}),
        "no number": json.dumps(good | {"free": None}),
        "twice the same vertex": json.dumps(good | {"order": good["order"][:-1] + good["order"][:1]}),
        "another version": json.dumps(good | {"version": 99}),
        "not text": b"\xff\xfe\x00\x80",
        "deep": "[" * 100_000,
        "a list": "[1, 2, 3]",
    }


@pytest.mark.parametrize(
    "broken",
    [
        "empty",
        "truncated",
        "of another graph",
        "of another graph, with this one's fingerprint",
        "not what it costs",
        "no number",
        "twice the same vertex",
        "another version",
        "not text",
        "deep",
        "a list",
    ],
)
def test_a_broken_file_is_ignored_and_replaced(store, broken):
    graph = graph_of("KerrSen")
    order = orders.auto(graph)
    path = the_file(store)
    text = broken_texts()[broken]
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    _store.forget()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert orders.auto(graph) == order
    assert graphax.load_order(the_file(store)).for_graph(graph) == order


def test_a_folder_in_the_place_of_the_file_does_no_harm(store):
    graph = graph_of("KerrSen")
    order = orders.auto(graph)
    path = the_file(store)
    path.unlink()
    path.mkdir()
    _store.forget()
    with pytest.warns(UserWarning, match="cannot keep orders"):
        assert orders.auto(graph) == order
    assert list(store.iterdir()) == [path]


def test_an_unwritable_folder_is_warned_of_once(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("text")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", "/dev/null/store"):
        monkeypatch.setattr(_store, "_warned", False)
        monkeypatch.setenv("GRAPHAX_ORDER_STORE", str(folder))
        _store.forget()
        with pytest.warns(UserWarning, match="GRAPHAX_ORDER_STORE names the folder"):
            check_never_costlier(graph_of("KerrSen"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_never_costlier(graph_of("BlackScholes"))
    assert (tmp_path / "file").read_text() == "text"


@pytest.mark.parametrize("function", ["os.replace", "pathlib.Path.open", "pathlib.Path.mkdir"])
def test_a_disk_that_cannot_be_written_to_is_survived(function, store, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    graph = graph_of("KerrSen")
    monkeypatch.setattr(function, fail)
    with pytest.warns(UserWarning, match="Read-only"):
        check_never_costlier(graph)
    assert not any(store.glob("*.json"))


def test_nobody_is_bothered_with_a_store_that_was_not_asked_for(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("text")
    monkeypatch.delenv("GRAPHAX_ORDER_STORE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_never_costlier(graph_of("KerrSen"))


KEEP_ORDERS = """
import sys, graphax
from alphagrad import tasks
from graphax.choose import _store, _order_file
for _ in range(20):
    for name in ("KerrSen", "BlackScholes", "SpikingLIF"):
        task = tasks.load(name)
        graph = graphax.trace(task.fun, task.argnums)(*task.args)
        _store.forget()
        order = graphax.orders.auto(graph)
        _store.forget()
        file = _order_file.record(graph, order, method="again")
        _store.keep(graph, _store.Found(order, file.free, file.method), file)
        print(order)
"""


def test_processes_that_write_at_once_leave_valid_files(store):
    processes = [start_process(KEEP_ORDERS) for _ in range(2)]
    one, two = map(finished, processes)
    assert one == two
    assert len(list(store.iterdir())) == 3  # and nothing temporary
    kept = [graphax.load_order(path).order for path in store.iterdir()]
    assert set(map(str, kept)) == set(one.splitlines())


# --- orders that others found ----------------------------------------------------------------------------


def better_order(graph, than):
    """An order that is cheaper than a given one: the one that the search finds."""
    order = _auto.search_briefly(graph).order
    assert graph.cost(order).mults < graph.cost(than).mults
    return order


def test_a_cheaper_order_is_remembered_and_taken_from_then_on(store, monkeypatch, no_search):
    graph = graph_of("KerrSen")
    cheap, dear = better_order(graph, orders.forward(graph)), orders.forward(graph)
    search = _auto.search_briefly
    monkeypatch.setattr(_auto, "search_briefly", lambda graph: search(graph)._replace(order=dear, cost=57))
    assert orders.auto(graph) == dear and graph.cost(dear).mults == 57
    assert orders.remember(graph, np.array(cheap), method="mine", seed=3, seconds=1.5, task="KerrSen")
    assert orders.auto(graph) == cheap
    kept = graphax.load_order(the_file(store))
    assert (kept.order, kept.method, kept.seed, kept.seconds, kept.task) == (cheap, "mine", 3, 1.5, "KerrSen")
    _store.forget()
    no_search()
    assert orders.auto(graph) == cheap


def test_no_order_is_remembered_that_is_not_cheaper():
    graph = graph_of("KerrSen")
    order = orders.auto(graph)
    assert not orders.remember(graph, orders.reverse(graph), method="mine")
    assert not orders.remember(graph, order, method="mine")
    _store.forget()
    assert not orders.remember(graph, orders.reverse(graph), method="mine")
    assert orders.auto(graph) == order


def kept(graph, order, method):
    file = _order_file.record(graph, order, method=method)
    return _store.keep(graph, _store.Found(order, file.free, file.method), file)


def test_a_cheaper_order_of_another_process_is_not_overwritten(store):
    graph = graph_of("KerrSen")
    cheap, dear = _auto.search_briefly(graph).order, orders.forward(graph)
    kept(graph, cheap, "another process")
    _store.forget()
    assert kept(graph, dear, "mine").order == cheap
    assert graphax.load_order(the_file(store)).method == "another process"
    assert orders.auto(graph) == cheap


def test_even_orders_of_a_few_vertices_are_remembered(store, monkeypatch, no_search):
    graph = graph_of("Hole")
    order = better_order(graph, orders.reverse(graph))
    found = _store.Found(orders.reverse(graph), graph.cost(orders.reverse(graph)).mults, "reverse")
    monkeypatch.setattr(_auto, "search_briefly", lambda graph: found)
    assert orders.remember(graph, order, method="mine")
    _store.forget()
    no_search()
    assert orders.auto(graph) == order


def test_what_is_no_order_of_the_graph_is_not_remembered():
    graph = graph_of("KerrSen")
    with pytest.raises(ValueError, match="misses"):
        orders.remember(graph, graph.eliminable[1:], method="mine")
