"""JAX's own cases of its primitives: `jacve` agrees with `jax.jacrev` or `jax.jacfwd` in every group.

    pytest -m slow -s tests/graphax/test_harnesses.py

prints a line for each group and a summary. `-k` picks groups; `GRAPHAX_HARNESS_CASES` is how many cases of
each group are compared (40 unless told), `GRAPHAX_HARNESS_HESSIANS` in how many of them second derivatives
are compared as well (5 unless told).
"""

import collections
import dataclasses
import functools
import itertools
import math
import os
import re
import signal
import time
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax._src.internal_test_util.test_harnesses import all_harnesses

from graphax import hessve, jacve

pytestmark = pytest.mark.slow

CASES = int(os.environ.get("GRAPHAX_HARNESS_CASES", "40"))
HESSIANS = int(os.environ.get("GRAPHAX_HARNESS_HESSIANS", "5"))
MAX_ENTRIES = 10**6
JAX_SECONDS = 20  # more than is asked for, so that a busy machine compares no less
TOLERANCE = {"bfloat16": 6e-2, "float16": 1e-2, "float32": 2e-4, "float64": 1e-9}

GROUPS = collections.defaultdict(list)
for _harness in all_harnesses:
    GROUPS[_harness.group_name].append(_harness)


class Excluded(Exception):
    """There is nothing to compare: no derivative, too large, or JAX has none."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """A harness as a function of arrays.

    Attributes:
        fun: takes the floating or complex leaves of the arguments, returns a list of such results.
        point: those leaves.
    """

    fun: object
    point: list

    def real(self):
        """The same over the real numbers: complex arrays become their real and imaginary parts."""
        return Problem(
            lambda *views: [real_view(y) for y in self.fun(*self._complex(views))],
            [real_view(x) for x in self.point],
        )

    def only(self, kept):
        """The same as a function of some of its arguments."""

        def fun(*values):
            given = list(self.point)
            for at, value in zip(kept, values, strict=True):
                given[at] = value
            return self.fun(*given)

        return Problem(fun, [self.point[at] for at in kept])

    def _complex(self, views):
        return [
            lax.complex(v[..., 0], v[..., 1]) if is_complex(x) else v
            for v, x in zip(views, self.point, strict=True)
        ]


def is_complex(array):
    return jnp.issubdtype(array.dtype, jnp.complexfloating)


def real_view(array):
    return jnp.stack([array.real, array.imag], -1) if is_complex(array) else array


def problem_of(harness):
    args = harness.dyn_args_maker(np.random.RandomState(0))
    leaves, tree = jax.tree.flatten(args)
    leaves = [leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf) for leaf in leaves]
    moving = [at for at, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.inexact)]

    def fun(*values):
        given = list(leaves)
        for at, value in zip(moving, values, strict=True):
            given[at] = value
        results = jax.tree.leaves(harness.dyn_fun(*jax.tree.unflatten(tree, given)))
        return [y for y in map(jnp.asarray, results) if jnp.issubdtype(y.dtype, jnp.inexact)]

    return Problem(fun, [leaves[at] for at in moving])


def can_differentiate(harness):
    """Whether the case has a derivative at all; cheap, nothing is computed."""
    try:
        problem = problem_of(harness)
        if not problem.point:
            return None
        problem = problem.real()
        types = jax.eval_shape(problem.fun, *problem.point)
    except Exception:
        return None  # a case that JAX itself refuses
    in_size = sum(x.size for x in problem.point)
    out_size = sum(math.prod(y.shape) for y in types)
    if not types or in_size * out_size > MAX_ENTRIES:
        return None
    return in_size + out_size


def cases_of(group):
    """The smallest cases of a group, the dtypes taking turns."""
    by_dtype = collections.defaultdict(list)
    for at, harness in enumerate(GROUPS[group]):
        size = can_differentiate(harness)
        if size is not None:
            by_dtype[str(harness.dtype)].append((size, at, harness))
    turns = sorted(
        (turn, str(dtype), at, harness)
        for dtype, found in by_dtype.items()
        for turn, (_, at, harness) in enumerate(sorted(found, key=lambda case: case[:2]))
    )
    return [harness for *_, harness in turns]


@contextmanager
def within(seconds):
    def stop(*_):
        raise TimeoutError

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def jacobian_of_jax(problem, way):
    """The value, the value as JAX's derivative sees it, and the Jacobian.

    Where a derivative is taken `eigh` symmetrises its argument, and `reduce` forgets its initial value.
    """

    def run(*point):
        if way is jax.jacfwd:
            seen, _ = jax.jvp(problem.fun, point, [jnp.zeros_like(x) for x in point])
        else:
            seen, _ = jax.vjp(problem.fun, *point)
        return problem.fun(*point), seen, way(problem.fun, tuple(range(len(point))))(*point)

    return run


def ways_of_jax(problem):
    """Those of `jacfwd` and `jacrev` that get as far as a trace, the cheaper first."""
    ways = [jax.jacfwd, jax.jacrev]
    types = jax.eval_shape(problem.fun, *problem.point)
    if sum(x.size for x in problem.point) > sum(math.prod(y.shape) for y in types):
        ways.reverse()
    found = []
    for way in ways:
        try:
            jax.eval_shape(jacobian_of_jax(problem, way), *problem.point)
            found.append(way)
        except Exception as error:
            failure = error
    if not found:
        raise Excluded(f"{type(failure).__name__}: {failure}")
    return found


def differentiable(problem):
    """The problem with respect to what JAX can differentiate.

    Raises:
        Excluded: when there is nothing.
    """
    every = range(len(problem.point))
    kept = []
    for candidate in (every, *([at] for at in every)):
        try:
            ways_of_jax(problem.only(candidate).real())
        except Excluded as error:
            failure = error
            continue
        if candidate is every:
            return problem
        kept += candidate
    if not kept:
        raise failure
    return problem.only(kept)


def reference(problem, compiled=True):
    """The value, the value as JAX's derivative sees it, and JAX's Jacobian, by result and argument.

    Raises:
        Excluded: when JAX has none.
    """
    failure = None
    for way in ways_of_jax(problem):
        run = jacobian_of_jax(problem, way)
        try:
            with within(JAX_SECONDS):
                return jax.tree.map(np.asarray, (jax.jit(run) if compiled else run)(*problem.point))
        except Exception as error:
            failure = error
    raise Excluded(f"{type(failure).__name__}: {failure}") from failure


def weights(shape, dtype, seed):
    """Powers of two, which are exact in every dtype."""
    return np.random.RandomState(seed).choice([-2.0, -1.0, 0.5, 1.0, 2.0], shape).astype(dtype)


def wrapped(problem):
    """The same between two elementwise functions, and what they multiply the Jacobian with.

    The inner functions are `x + w sin(t)` at `t = 0`, so that the case is evaluated where it was.
    """
    inner = [weights(x.shape, x.dtype, at) for at, x in enumerate(problem.point)]

    def fun(*shifts):
        moved = [x + w * lax.sin(t) for x, w, t in zip(problem.point, inner, shifts, strict=True)]
        return [outer(at, y) for at, y in enumerate(problem.fun(*moved))]

    return Problem(fun, [jnp.zeros_like(x) for x in problem.point]), inner


def outer(at, y):
    return weights(y.shape, y.dtype, 100 + at) * lax.asinh(y)


def outer_derivative(at, y):
    _, derivative = jax.jvp(functools.partial(outer, at), (jnp.asarray(y),), (jnp.ones_like(y),))
    return np.asarray(derivative, np.float64)


def wide(array):
    return np.asarray(array).astype(np.complex128 if is_complex(array) else np.float64)


def tolerance_of(*arrays):
    return max(TOLERANCE[str(np.dtype(array.dtype))] for array in arrays)


def excess(actual, expected, tolerance):
    """How far the worst entry is off, in units of what is allowed, where JAX's own is finite."""
    worst = 0.0
    for a, e in zip(map(wide, jax.tree.leaves(actual)), jax.tree.leaves(expected), strict=True):
        assert a.shape == e.shape
        finite = np.isfinite(e)
        if finite.any():
            a, e = a[finite], e[finite]
            allowed = tolerance * (np.abs(e) + max(np.abs(e).max(), np.finfo(np.float32).tiny))
            off = np.abs(a - e) / allowed
            worst = max(worst, np.where(np.isnan(off), np.inf, off).max())
    return float(worst)


def expected_of(problem, value, jacobian):
    """What every way of calling `jacve` has to give, from the case's value and Jacobian over the reals."""
    _, inner = wrapped(problem.real())
    around = []
    for at, (y, row) in enumerate(zip(value, jacobian, strict=True)):
        after = outer_derivative(at, y)
        around.append([])
        for e, before in zip(row, inner, strict=True):
            steep = after.reshape(y.shape + (1,) * before.ndim)
            # An order may come by either of these products, and the dtype has to hold them.
            held = [np.isfinite((wide(e) * factor).astype(e.dtype)) for factor in (before, steep)]
            around[-1].append(np.where(np.logical_and(*held), wide(e) * before * steep, np.nan))
    bare = [[wide(e) for e in row] for row in jacobian]
    expected = {"bare": bare, "forward": around, "reverse": around}
    types = jax.eval_shape(problem.fun, *problem.point)
    if all(map(is_complex, (*problem.point, *types))):
        expected["holomorphic"] = [
            [e[..., 0].take(0, y.ndim) + 1j * e[..., 0].take(1, y.ndim) for e in row]
            for y, row in zip(types, bare, strict=True)
        ]
    return expected


def more_precise(problem):
    twice = {"bfloat16": "float32", "float16": "float32", "float32": "float64", "complex64": "complex128"}
    return Problem(problem.fun, [x.astype(twice.get(str(x.dtype), x.dtype)) for x in problem.point])


def compare(harness):
    """How far `jacve` is off in the worst entry, by way of calling it.

    Where it is off, JAX's own result may be what is imprecise, or one of several (an unstable sort): a result
    also counts as right if it agrees with JAX run op by op, or in twice the precision, or at the value that
    JAX's derivative sees.

    Raises:
        Excluded: when there is nothing to compare.
        Exception: when `jacve` refuses.
    """
    problem = differentiable(problem_of(harness))
    real = problem.real()
    value, seen, jacobian = reference(real)
    tolerance = tolerance_of(*real.point, *value)
    expected = expected_of(problem, value, jacobian)
    every = tuple(range(len(real.point)))
    around, _ = wrapped(real)
    actual = {"bare": jacve(real.fun, argnums=every)(*real.point)}
    for order in ("forward", "reverse"):
        actual[order] = jacve(around.fun, order=order, argnums=every)(*around.point)
    if "holomorphic" in expected:
        actual["holomorphic"] = jacve(problem.fun, argnums=every, holomorphic=True)(*problem.point)

    def off(expected):
        return {way: excess(found, expected[way], tolerance) for way, found in actual.items()}

    found = off(expected)
    if max(found.values()) > 1:
        found = best(found, off(expected_of(problem, seen, jacobian)))
    if max(found.values()) > 1:
        value, _, jacobian = reference(real, compiled=False)
        found = best(found, off(expected_of(problem, value, jacobian)))
    if max(found.values()) > 1:
        with jax.enable_x64(True):
            try:
                precise = more_precise(problem)
                value, _, jacobian = reference(precise.real())
                found = best(found, off(expected_of(precise, value, jacobian)))
            except Exception:  # the case insists on its dtypes
                return found
    return found


def best(*found):
    return min(found, key=lambda by_way: max(by_way.values()))


def scalar(problem):
    """A number that is linear in no result, and whose second derivatives cancel for no primitive."""

    def fun(*point):
        return sum(jnp.sum(y + outer(at, y)) for at, y in enumerate(problem.fun(*point)))

    return Problem(fun, problem.point)


def hessian_references(problem, compiled=True):
    """JAX's Hessians of a number, by argument and argument, one for each pair of its modes that has one.

    Raises:
        Excluded: when none has.
    """
    every = tuple(range(len(problem.point)))
    none = True
    for outside, inside in itertools.product((jax.jacfwd, jax.jacrev), (jax.jacrev, jax.jacfwd)):
        run = outside(inside(problem.fun, every), every)
        try:
            with within(JAX_SECONDS):
                found = (jax.jit(run) if compiled else run)(*problem.point)
        except Exception as error:
            failure = error
            continue
        none = False
        yield jax.tree.map(np.asarray, found)
    if none:
        raise Excluded(f"{type(failure).__name__}: {failure}")


def off_by(actual, references, tolerance):
    """How far off each way is from the nearest of JAX's Hessians.

    They need not be alike. Where one is NaN, another may have a number; an infinite one may be an overflow,
    which depends on the order of the factors. A solver with `symmetric=True` stands for its own transpose in
    reverse mode, though a matrix with one entry moved is not symmetric. And `reduce_precision` rounds
    tangents in one mode and cotangents in the other.
    """
    known = []
    for found in references:
        known.append(found)
        filled = [functools.reduce(filled_in, known, first) for first in known]
        off = {way: min(excess(each, one, tolerance) for one in filled) for way, each in actual.items()}
        if max(off.values()) <= 1 and not any(np.isnan(leaf).any() for leaf in jax.tree.leaves(found)):
            break
    return off


def filled_in(first, other):
    """One tree of arrays, and another's numbers where it is NaN."""
    return jax.tree.map(lambda a, b: np.where(np.isnan(a), b, a), first, other)


def compare_hessians(harness):
    """As `compare`, for second derivatives.

    Raises:
        Excluded: when there is nothing to compare.
        Exception: when `jacve` refuses.
    """
    problem = scalar(differentiable(problem_of(harness)).real())
    if sum(x.size for x in problem.point) ** 2 > MAX_ENTRIES:
        raise Excluded("large")
    references = hessian_references(problem)
    references = itertools.chain(
        [next(references)], references
    )  # none at all is said before `jacve` is asked
    tolerance = tolerance_of(*problem.point)
    every = tuple(range(len(problem.point)))
    ways = {
        "hessve": hessve(problem.fun, argnums=every),
        "jacve of jacve": jacve(jacve(problem.fun, argnums=every), argnums=every),
    }
    actual = {way: jax.jit(run)(*problem.point) for way, run in ways.items()}
    found = off_by(actual, references, tolerance)
    if max(found.values()) > 1:
        found = best(found, off_by(actual, hessian_references(problem, compiled=False), tolerance))
    if max(found.values()) > 1:
        with jax.enable_x64(True):
            try:
                found = best(found, off_by(actual, hessian_references(more_precise(problem)), tolerance))
            except Exception:  # the case insists on its dtypes
                return found
    return found


TOTAL = collections.Counter()
REFUSALS = collections.Counter()
WRONG = []


@pytest.fixture(scope="module", autouse=True)
def summary():
    yield
    print(f"\n{dict(TOTAL)}\nrefused: {dict(REFUSALS)}\nwrong: {WRONG}")


def primitive_named_in(error, harness):
    named = re.search(r"primitive '(\w+)'", str(error))
    return named.group(1) if named else harness.group_name


def problems_in(group, comparison, most):
    """What is off in the first cases of a group, a line each; counts are printed and added to the total."""
    count = collections.Counter(cases=len(GROUPS[group]))
    problems = []
    start = time.monotonic()
    with jax.enable_x64(False), np.errstate(all="ignore"):
        for harness in cases_of(group):
            if count["compared"] == most:
                break
            try:
                found = comparison(harness)
            except Excluded:
                count["JAX has none"] += 1
                continue
            except Exception as error:
                count["compared"] += 1
                count["refused"] += 1
                REFUSALS[primitive_named_in(error, harness)] += 1
                problems.append(f"{harness.fullname}: {type(error).__name__}: {error}"[:600])
                continue
            count["compared"] += 1
            if max(found.values()) <= 1:
                count["equal"] += 1
            else:
                count["wrong"] += 1
                WRONG.append(harness.fullname)
                problems.append(f"{harness.fullname}: off by {found}")
    TOTAL.update(count)
    print(f"\n{group}: {dict(count)} in {time.monotonic() - start:.0f} s", flush=True)
    for line in problems:
        print("   ", line, flush=True)
    return problems


@pytest.mark.parametrize("group", GROUPS)
def test_jacobians_agree_with_jax_in_the_cases_of(group):
    assert not problems_in(group, compare, CASES)


@pytest.mark.parametrize("group", GROUPS)
def test_hessians_agree_with_jax_in_the_cases_of(group):
    assert not problems_in(group, compare_hessians, HESSIANS)
