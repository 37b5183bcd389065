"""Schemes: what verification finds, what files hold, and what transformations keep."""

import json
import subprocess
import sys
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphagrad import matmul
from alphagrad.matmul._additions import share
from alphagrad.matmul._scheme import additions_of

SIZES = st.integers(1, 3)
FORMATS = st.tuples(SIZES, SIZES, SIZES)
RINGS = st.sampled_from(["Z", "Q", "Z2", "Z3", "Z7"])


def in_ring(scheme, ring):
    return matmul.Scheme(scheme.format, scheme.u, scheme.v, scheme.w, ring)


@st.composite
def invertible(draw, size, ring):
    """A product of elementary matrices, and over the rationals of scalings."""
    matrix = np.eye(size, dtype=object)
    for _ in range(draw(st.integers(0, 4))):
        row, other = draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))
        if row != other:
            matrix[row] = matrix[row] + draw(st.integers(-2, 2)) * matrix[other]
        elif ring == "Q":
            matrix[row] = matrix[row] * Fraction(draw(st.integers(1, 3)), draw(st.integers(1, 3)))
        else:
            matrix[row] = -matrix[row]
    return matrix[draw(st.permutations(range(size)))]


@st.composite
def schemes(draw, ring=None):
    """Strassen's, Winograd's and the standard schemes, in other bases, rotated and transposed."""
    ring = ring or draw(RINGS)
    scheme = draw(st.sampled_from([matmul.strassen(), matmul.winograd(), None]))
    scheme = in_ring(scheme or matmul.standard(*draw(FORMATS)), ring)
    if draw(st.booleans()):
        bases = [draw(invertible(size, ring)) for size in scheme.format]
        scheme = matmul.change_basis(scheme, *bases)
    for _ in range(draw(st.integers(0, 2))):
        scheme = matmul.rotate(scheme)
    return matmul.transpose(scheme) if draw(st.booleans()) else scheme


def by_definition(scheme, a, b):
    """A times B as the scheme's docstring has it, in fractions."""
    n, _, p = scheme.format
    u, v, w = (
        factor.astype(object) * Fraction(1, denominator)
        for factor, denominator in zip((scheme.u, scheme.v, scheme.w), scheme.denominators, strict=True)
    )
    return (((u @ a.ravel()) * (v @ b.ravel())) @ w).reshape(p, n).T


@given(FORMATS)
def test_the_tensor_is_that_of_the_trace(format):
    n, m, p = format
    rng = np.random.default_rng(n + 5 * m + 25 * p)
    a, b, c = (rng.integers(-9, 10, shape) for shape in ((n, m), (m, p), (p, n)))
    tensor = matmul.matmul_tensor(n, m, p)
    assert tensor.sum() == n * m * p
    assert np.einsum("ijk,i,j,k", tensor, a.ravel(), b.ravel(), c.ravel()) == np.trace(a @ b @ c)


def test_the_known_schemes_have_the_published_ranks_and_additions():
    assert [scheme.rank for scheme in (matmul.strassen(), matmul.winograd())] == [7, 7]
    assert matmul.strassen().additions() == matmul.strassen().additions(shared=True) == 18
    assert matmul.winograd().additions() == 24
    assert matmul.winograd().additions(shared=True) == 15
    assert matmul.standard(3, 4, 5).rank == 60
    assert matmul.standard(3, 4, 5).additions() == 3 * (4 - 1) * 5


@settings(deadline=None, max_examples=50)
@given(schemes())
def test_verified_schemes_multiply_matrices(scheme):
    scheme.verify()
    n, m, p = scheme.format
    a, b = np.arange(n * m).reshape(n, m) - 2, 3 - np.arange(m * p).reshape(m, p)
    wrong = by_definition(scheme, a.astype(object), b.astype(object)) - a @ b
    prime = matmul.characteristic(scheme.ring)
    assert not (wrong % prime if prime else wrong).any()


@settings(deadline=None, max_examples=50)
@given(schemes(), st.data())
def test_verification_names_the_entry_at_fault(scheme, data):
    factors = [np.array(factor) for factor in (scheme.u, scheme.v, scheme.w)]
    which = data.draw(st.integers(0, 2))
    row = data.draw(st.integers(0, scheme.rank - 1))
    column = data.draw(st.integers(0, factors[which].shape[1] - 1))
    factors[which][row, column] += 1
    u, v, w = factors
    wrong = matmul.Scheme(scheme.format, u, v, w, scheme.ring, scheme.denominators)
    with pytest.raises(matmul.SchemeError, match=r"entry \(i, j, k\) = ") as error:
        wrong.verify()
    n, m, p = scheme.format
    u, v, w = (factor.astype(object) for factor in (wrong.u, wrong.v, wrong.w))
    sums = np.einsum("ri,rj,rk->ijk", u, v, w) * Fraction(1, int(np.prod(wrong.denominators)))
    prime = matmul.characteristic(scheme.ring)
    sums = sums % prime if prime else sums
    assert error.value.entry is not None
    assert tuple(np.argwhere(sums != matmul.matmul_tensor(n, m, p))[0]) == error.value.entry
    assert error.value.found == sums[error.value.entry]
    assert error.value.expected == matmul.matmul_tensor(n, m, p)[error.value.entry]


def test_verification_is_exact_beyond_the_precision_of_floats():
    big = 2**40
    u = np.array([[big], [1], [-big]])
    right = matmul.Scheme((1, 1, 1), u, np.array([[big], [1], [big]]), np.array([[1], [1], [1]]))
    right.verify()
    wrong = matmul.Scheme((1, 1, 1), u, np.array([[big], [1], [big]]), np.array([[1], [2], [1]]))
    with pytest.raises(matmul.SchemeError, match="is 2 and should be 1"):
        wrong.verify()


@pytest.mark.parametrize("kind", ["json", "npz"])
@settings(deadline=None, max_examples=15)
@given(scheme=schemes())
def test_files_give_schemes_back(kind, tmp_path_factory, scheme):
    path = tmp_path_factory.mktemp("schemes") / f"scheme.{kind}"
    scheme.save(path)
    loaded = matmul.Scheme.load(path)
    assert loaded == scheme and hash(loaded) == hash(scheme)
    assert (loaded.ring, loaded.denominators) == (scheme.ring, scheme.denominators)


@pytest.mark.parametrize("kind", ["json", "npz"])
def test_corrupted_files_are_refused_with_the_entry_at_fault(kind, tmp_path):
    path = tmp_path / f"scheme.{kind}"
    scheme = matmul.strassen()
    w = np.array(scheme.w)
    w[3, 0] = 0
    table = {"format": [2, 2, 2], "rank": 7, "ring": "Z", "denominators": [1, 1, 1]}
    table |= {"u": scheme.u.tolist(), "v": scheme.v.tolist(), "w": w.tolist()}
    if kind == "json":
        path.write_text(json.dumps(table))
    else:
        np.savez(path, **table)
    with pytest.raises(
        matmul.SchemeError, match=r"scheme.*is -?\d and should be \d.*A\[1, 1\] B\[.*\(A B\)\[0, 0\]"
    ):
        matmul.Scheme.load(path)


@pytest.mark.parametrize("kind", ["json", "npz"])
def test_damaged_files_are_no_schemes_or_still_right(kind, tmp_path):
    path = tmp_path / f"scheme.{kind}"
    matmul.winograd().save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [whole[: len(whole) * part // 8] for part in range(8)]
    for _ in range(100):
        flipped = bytearray(whole)
        flipped[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        damaged.append(bytes(flipped))
    for content in damaged:
        path.write_bytes(content)
        try:
            loaded = matmul.Scheme.load(path)
        except matmul.SchemeError as error:
            assert str(path) in str(error)
        else:
            loaded.verify()


def test_wrong_schemes_are_not_written(tmp_path):
    scheme = matmul.strassen()
    wrong = matmul.Scheme(scheme.format, scheme.u, scheme.v, -scheme.w)
    with pytest.raises(matmul.SchemeError):
        wrong.save(tmp_path / "scheme.json")
    with pytest.raises(ValueError, match=r"\.json or \.npz"):
        scheme.save(tmp_path / "scheme.txt")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        matmul.Scheme.load(tmp_path / "scheme.json")


def test_files_that_hold_something_else_are_refused(tmp_path):
    path = tmp_path / "scheme.json"
    matmul.strassen().save(path)
    table = json.loads(path.read_text())
    for change, said in [
        ({"rank": 8}, "rank 8"),
        ({"ring": "Z4"}, "prime"),
        ({"format": [2, 2, 3]}, "shape"),
        ({"u": [[0.5]]}, "integers"),
        ({"denominators": [2, 1, 1]}, 'ring="Q"'),
    ]:
        path.write_text(json.dumps(table | change))
        with pytest.raises(matmul.SchemeError, match=said):
            matmul.Scheme.load(path)
    del table["w"]
    path.write_text(json.dumps(table))
    with pytest.raises(matmul.SchemeError, match="'w' is missing"):
        matmul.Scheme.load(path)


def test_schemes_are_immutable():
    with pytest.raises(ValueError, match="read-only"):
        matmul.strassen().u[0, 0] = 5


@settings(deadline=None, max_examples=50)
@given(schemes(ring="Q"))
def test_fractions_are_kept_in_lowest_terms(scheme):
    factors = (scheme.u, scheme.v, scheme.w)
    u, v, w = (
        factor.astype(object) * Fraction(1, denominator)
        for factor, denominator in zip(factors, scheme.denominators, strict=True)
    )
    assert matmul.Scheme(scheme.format, u, v, w, "Q") == scheme
    u, v, w = (6 * factor for factor in factors)
    d, e, f = (6 * denominator for denominator in scheme.denominators)
    assert matmul.Scheme(scheme.format, u, v, w, "Q", (d, e, f)) == scheme


@settings(deadline=None, max_examples=40)
@given(RINGS.flatmap(lambda ring: st.tuples(schemes(ring), schemes(ring))))
def test_kronecker_products_are_valid_and_ranks_and_formats_multiply(pair):
    first, second = pair
    both = matmul.kronecker(first, second)
    both.verify()
    assert both.rank == first.rank * second.rank
    assert both.format == tuple(np.multiply(first.format, second.format))


@settings(deadline=None, max_examples=50)
@given(schemes(), st.integers(0, 2), st.integers(1, 3), st.booleans())
def test_concatenation_adds_formats_and_ranks(scheme, axis, size, swapped):
    format = list(scheme.format)
    format[axis] = size
    other = matmul.standard(*format, ring=scheme.ring)
    pair = (other, scheme) if swapped else (scheme, other)
    both = matmul.concatenate(*pair, axis)
    both.verify()
    assert both.rank == scheme.rank + other.rank
    assert both.format[axis] == scheme.format[axis] + size
    if not swapped:
        assert both == matmul.extend(scheme, axis, size)


@settings(deadline=None, max_examples=50)
@given(schemes(), st.integers(0, 2), st.data())
def test_projection_is_valid_and_undoes_extension(scheme, axis, data):
    index = data.draw(st.integers(0, scheme.format[axis]))
    smaller = matmul.project(matmul.extend(scheme, axis), axis, index)
    smaller.verify()
    assert smaller.format == scheme.format
    if index == scheme.format[axis]:
        assert matmul.equivalent(smaller, scheme)


@settings(deadline=None, max_examples=50)
@given(schemes())
def test_symmetries_have_their_orders(scheme):
    rotated = matmul.rotate(scheme)
    rotated.verify()
    assert rotated.format == scheme.format[1:] + scheme.format[:1]
    assert matmul.rotate(matmul.rotate(rotated)) == scheme
    transposed = matmul.transpose(scheme)
    transposed.verify()
    assert transposed.format == scheme.format[::-1]
    assert matmul.transpose(transposed) == scheme


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_change_of_basis_acts_on_the_matrices(data):
    scheme = data.draw(schemes(ring="Q"))
    n, m, _ = scheme.format
    bases = [data.draw(invertible(size, "Q")) for size in scheme.format]
    changed = matmul.change_basis(scheme, *bases)
    changed.verify()
    assert matmul.rank_triples(changed) == matmul.rank_triples(scheme)
    # The first of the changed forms in A is the first of the old ones in p A q^-1.
    a = np.arange(n * m).reshape(n, m).astype(object)
    old = (scheme.u.astype(object) @ (bases[0] @ a).ravel()) * Fraction(1, scheme.denominators[0])
    new = (changed.u.astype(object) @ (a @ bases[1]).ravel()) * Fraction(1, changed.denominators[0])
    assert (old == new).all()


@settings(deadline=None, max_examples=50)
@given(schemes(), st.sampled_from([2, 3, 5]))
def test_reduction_modulo_a_prime_is_valid(scheme, prime):
    if matmul.characteristic(scheme.ring) not in (0, prime) or any(
        d % prime == 0 for d in scheme.denominators
    ):
        with pytest.raises(ValueError, match=r"can't be reduced|vanishes modulo"):
            matmul.reduce_modulo(scheme, prime)
        return
    reduced = matmul.reduce_modulo(scheme, prime)
    reduced.verify()
    assert reduced.ring == f"Z{prime}" and reduced.rank <= scheme.rank


@settings(deadline=None, max_examples=50)
@given(schemes(), st.data())
def test_order_and_scales_of_products_do_not_matter_to_equivalence(scheme, data):
    order = data.draw(st.permutations(range(scheme.rank)))
    u, v, w = (factor[order].astype(object) for factor in (scheme.u, scheme.v, scheme.w))
    units = {"Z": [1, -1], "Q": [1, -1, 2, Fraction(-3, 2)]}.get(scheme.ring, [1, -1])
    for row in range(scheme.rank):
        one, other = data.draw(st.sampled_from(units)), data.draw(st.sampled_from(units))
        u[row], v[row] = u[row] * one, v[row] * other
        w[row] = w[row] * (Fraction(1, one * other) if scheme.ring == "Q" else one * other)
    u, v, w = (
        factor * Fraction(1, denominator)
        for factor, denominator in zip((u, v, w), scheme.denominators, strict=True)
    )
    same = matmul.Scheme(scheme.format, u, v, w, scheme.ring)
    assert matmul.equivalent(same, scheme)
    form = matmul.canonical(scheme)
    form.verify()
    assert matmul.canonical(form) == form


def test_strassen_and_winograd_differ_by_a_change_of_basis_and_not_by_less():
    strassen, winograd = (matmul.reduce_modulo(scheme) for scheme in (matmul.strassen(), matmul.winograd()))
    assert not matmul.equivalent(strassen, winograd)
    assert matmul.rank_triples(strassen) == matmul.rank_triples(winograd)
    entries = [np.array(e).reshape(2, 2) for e in product((0, 1), repeat=4)]
    bases = [e for e in entries if round(np.linalg.det(e)) % 2]
    assert any(
        matmul.equivalent(matmul.change_basis(strassen, *choice), winograd)
        for choice in product(bases, repeat=3)
    )


def test_direct_sums_compute_both_products():
    first, second = matmul.strassen(), matmul.standard(1, 2, 3)
    u, v, w = matmul.direct_sum(first, second)
    tensor = np.einsum("ri,rj,rk->ijk", u, v, w)
    assert (tensor[:4, :4, :4] == matmul.matmul_tensor(2, 2, 2)).all()
    assert (tensor[4:, 4:, 4:] == matmul.matmul_tensor(1, 2, 3)).all()
    assert tensor.sum() == 8 + 6


def test_what_does_not_fit_is_refused():
    strassen = matmul.strassen()
    with pytest.raises(ValueError, match="not invertible over Z"):
        matmul.change_basis(strassen, [[2, 0], [0, 1]], np.eye(2, dtype=int), np.eye(2, dtype=int))
    with pytest.raises(TypeError, match="not in Z"):
        matmul.change_basis(strassen, np.eye(2), np.eye(2), np.eye(2))
    with pytest.raises(ValueError, match="two other sizes"):
        matmul.concatenate(strassen, matmul.standard(2, 3, 2), 0)
    with pytest.raises(ValueError, match="don't mix"):
        matmul.kronecker(matmul.reduce_modulo(strassen, 2), matmul.reduce_modulo(strassen, 3))
    with pytest.raises(ValueError, match="axis"):
        matmul.extend(strassen, 3)
    with pytest.raises(ValueError, match="strike out"):
        matmul.project(matmul.standard(1, 2, 2), 0)
    with pytest.raises(ValueError, match="prime"):
        matmul.reduce_modulo(strassen, 6)
    with pytest.raises(ValueError, match="shape"):
        matmul.Scheme((2, 2, 2), strassen.u, strassen.v[:6], strassen.w)
    with pytest.raises(TypeError, match="integers or fractions"):
        matmul.Scheme((2, 2, 2), strassen.u * 1.0, strassen.v, strassen.w)


def test_schemes_need_neither_games_nor_agents():
    code = "import alphagrad.matmul, sys; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    others = ("alphagrad.zero", "alphagrad.layers", "alphagrad.orders", "alphagrad.schemes", "numba")
    assert not [name for name in modules.split() if name.startswith(others)]


def coefficients(additions):
    """The matrix that a straight-line program multiplies with."""
    values = list(np.eye(additions.inputs, dtype=object))
    zero = np.zeros(additions.inputs, dtype=object)
    for terms in additions.sums:
        values.append(sum((c * values[at] for at, c in terms), zero))
    return np.array([sum((c * values[at] for at, c in terms), zero) for terms in additions.forms])


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_shared_additions_compute_the_same_forms_with_no_more_additions(rows, columns, seed, denominator):
    forms = np.random.default_rng(seed).integers(-2, 3, (rows, columns))
    additions = share(forms, denominator)
    assert (coefficients(additions) == forms.astype(object) * Fraction(1, denominator)).all()
    assert (coefficients(additions.transposed()) == coefficients(additions).T).all()
    assert additions.count <= np.maximum(np.count_nonzero(forms, axis=1) - 1, 0).sum()


@settings(deadline=None, max_examples=30)
@given(schemes())
def test_the_additions_of_a_scheme_are_those_of_its_factors(scheme):
    left, right, out = additions_of(scheme)
    n, _, p = scheme.format
    w = scheme.w.reshape(-1, p, n).swapaxes(1, 2).reshape(scheme.rank, -1)
    prime = matmul.characteristic(scheme.ring)
    for additions, factor, denominator in zip(
        (left, right, out), (scheme.u, scheme.v, w.T), scheme.denominators, strict=True
    ):
        difference = coefficients(additions) - factor.astype(object) * Fraction(1, denominator)
        assert not (difference % prime if prime else difference).any()
    assert scheme.additions(shared=True) == left.count + right.count + out.count
