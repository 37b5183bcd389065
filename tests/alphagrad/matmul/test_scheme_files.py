"""Scheme files are read exactly or refused by name: nothing wraps, nothing is rounded, nothing hangs."""

import contextlib
import io
import json
import os
import pickle
import signal
import tracemalloc
import zipfile
from fractions import Fraction

import numpy as np
import pytest

from alphagrad import matmul
from alphagrad.matmul import _scheme_file

KINDS = ("json", "npz")


def table_of(scheme):
    """What the file of a scheme says."""
    return {
        "format": list(scheme.format),
        "rank": scheme.rank,
        "ring": scheme.ring,
        "denominators": list(scheme.denominators),
        "u": scheme.u.tolist(),
        "v": scheme.v.tolist(),
        "w": scheme.w.tolist(),
    }


def write(path, table):
    if path.suffix == ".json":
        path.write_text(json.dumps(table))
    else:
        np.savez(path, **table)


def npy(array, **head):
    """The bytes of an array with another head than its own."""
    file = io.BytesIO()
    described = {**np.lib.format.header_data_from_array_1_0(array), **head}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue() + array.tobytes()


def write_members(path, changed, compression=zipfile.ZIP_DEFLATED):
    """The file of Strassen's scheme with other bytes for some of its arrays."""
    members = {name: npy(np.asanyarray(value)) for name, value in table_of(matmul.strassen()).items()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in (members | changed).items():
            archive.writestr(f"{name}.npy", content)


@contextlib.contextmanager
def at_once(seconds=5):
    """Ends what takes longer."""

    def late(*_):
        raise AssertionError(f"not done after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def refused(path, said=None):
    """The complaint about a file, which has its name and costs little time and memory."""
    tracemalloc.start()
    try:
        with at_once(), pytest.raises(matmul.SchemeError, match=said) as caught:
            matmul.Scheme.load(path)
        assert tracemalloc.get_traced_memory()[1] < 2e8
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    return caught.value


# --- entries ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "entry, ring",
    [(2**64 - 1, "Z"), (2**64 - 1, "Q"), (2**64 - 1, "Z3"), (2**63, "Z"), (2**64 + 1, "Z"), (-(2**63), "Z")],
)
def test_an_entry_that_64_bits_do_not_hold_is_not_taken_for_another(kind, entry, ring, tmp_path):
    """In two's complement 2**64 - 1 is -1, and its square 1."""
    path = tmp_path / f"scheme.{kind}"
    table = table_of(matmul.standard(1, 1, 1)) | {
        "ring": ring,
        "u": [[entry]],
        "v": [[-1 if ring != "Z3" else 2]],
    }
    write(path, table)
    refused(path)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.uint64, ">i8", ">i2", np.int64])
def test_factors_of_any_integer_type_are_read_exactly(dtype, tmp_path):
    scheme = matmul.standard(2, 1, 2)
    table = table_of(scheme)
    for order in "CF":
        np.savez(
            tmp_path / "scheme.npz", **table | {n: np.array(table[n], dtype, order=order) for n in "uvw"}
        )
        assert matmul.Scheme.load(tmp_path / "scheme.npz") == scheme


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.complex128, bool, object, "U4", "S4", "M8[s]"])
def test_factors_of_other_types_are_refused(dtype, tmp_path):
    table = table_of(matmul.standard(2, 1, 2))
    np.savez(tmp_path / "scheme.npz", **table | {"u": np.array(table["u"]).astype(dtype)})
    refused(tmp_path / "scheme.npz")


@pytest.mark.parametrize(
    "entry", [1.0, float("nan"), float("inf"), 1e400, True, None, "1", [1], {}, {"re": 1}, 10**400]
)
def test_entries_in_json_are_integers(entry, tmp_path):
    path = tmp_path / "scheme.json"
    write(path, table_of(matmul.standard(1, 1, 1)) | {"u": [[entry]]})
    refused(path)


@pytest.mark.parametrize(
    "u, right",
    [
        (np.array([[2**64 - 1]], np.uint64), False),
        (np.array([[2**63]], np.uint64), False),
        (np.array([[1]], np.uint64), True),
        (np.array([[True]]), True),
        (np.array([[2**80]], object), False),
        (np.array([[1.0]]), False),
        (np.array([[1.0]], object), False),
        (np.array([[float("nan")]], object), False),
        (np.array([[1j]]), False),
        (np.array([[Fraction(2**70, 2**70)]], object), True),
        (np.array([["1"]]), False),
    ],
)
def test_a_scheme_takes_entries_exactly_or_not_at_all(u, right):
    one = np.ones((1, 1), np.int64)
    if right:
        matmul.Scheme((1, 1, 1), u, one, one, "Q").verify()
    else:
        with pytest.raises((ValueError, TypeError), match="u has"):
            matmul.Scheme((1, 1, 1), u, one, one, "Q")


def test_numerators_count_in_lowest_terms():
    one = np.ones((1, 1), np.int64)
    scheme = matmul.Scheme((1, 1, 1), np.array([[2**70]], object), one, one, "Q", (2**70, 1, 1))
    scheme.verify()
    assert scheme == matmul.Scheme((1, 1, 1), one, one, one, "Q")


# --- heads ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change",
    [
        *({"rank": rank} for rank in (7.9, 7.0, "7", True, [7], None, -7, 0, 8, 10**30, float("inf"))),
        *(
            {"denominators": d}
            for d in ([1.5, 1, 1], [1, 1], [1] * 4, ["1", 1, 1], [0, 1, 1], [-1, -1, 1], 1)
        ),
        *(
            {"format": f}
            for f in ([2, 2], [2, 2, 2.0], [2, 2, True], 222, "222", [-2, -2, 2], [2, 2, 10**30])
        ),
        *({"ring": ring} for ring in ("R", "Z4", "z", "", 2, None, ["Z"], "Z" + "9" * 5000, "Z٢")),
        *({name: {}} for name in "uvw"),
    ],
    ids=repr,
)
def test_a_head_that_is_not_exactly_that_of_a_scheme_is_refused(kind, change, tmp_path):
    path = tmp_path / f"scheme.{kind}"
    write(path, table_of(matmul.strassen()) | change)
    refused(path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", list(table_of(matmul.standard(1, 1, 1))))
def test_what_is_missing_is_named(kind, name, tmp_path):
    table = table_of(matmul.strassen())
    del table[name]
    write(tmp_path / f"scheme.{kind}", table)
    refused(tmp_path / f"scheme.{kind}", f"{name}.*is missing")


def test_large_denominators_go_into_json_alone(tmp_path):
    factors = (np.array([[entry]]) for entry in (1, 3**39, 3**11))
    scheme = matmul.Scheme((1, 1, 1), *factors, "Q", (3**50, 1, 1))
    with pytest.raises(ValueError, match=r"save the scheme as \.json"):
        scheme.save(tmp_path / "scheme.npz")
    scheme.save(tmp_path / "scheme.json")
    assert matmul.Scheme.load(tmp_path / "scheme.json") == scheme
    write(tmp_path / "wrong.json", table_of(scheme) | {"denominators": [3**50 + 1, 1, 1]})
    assert refused(tmp_path / "wrong.json").found == Fraction(3**50, 3**50 + 1)


# --- what is no file of a scheme ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"3",
        b"null",
        b"PK\x03\x04",
        b"\x80",
        b"[" * 10**6,
        b'{"a":' * 10**5,
        b"\xff\xfe{\x00}\x00",
    ],
    ids=lambda content: repr(content[:8]),
)
def test_other_content_is_refused(kind, content, tmp_path):
    (tmp_path / f"scheme.{kind}").write_bytes(content)
    refused(tmp_path / f"scheme.{kind}")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_refused_at_once(kind, tmp_path):
    pipe, loop, folder, device = (
        tmp_path / f"{name}.{kind}" for name in ("pipe", "loop", "folder", "device")
    )
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    folder.mkdir()
    device.symlink_to("/dev/zero")
    for path in (pipe, loop, folder, device, folder / f"below/{folder.name}" / pipe.name):
        with at_once(), pytest.raises((matmul.SchemeError, FileNotFoundError), match=path.name):
            matmul.Scheme.load(path)
    with at_once(), pytest.raises(matmul.SchemeError, match="pipe"):
        matmul.Scheme.load(pipe / f"below.{kind}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("format", [(1, 1, 50_000), (50_000, 1, 1), (1, 50_000, 1), (150, 150, 1)])
def test_a_scheme_that_is_far_too_short_is_refused_without_the_tensor_of_its_format(kind, format, tmp_path):
    n, m, p = format
    table = table_of(matmul.standard(1, 1, 1)) | {"format": list(format)}
    for name, width in zip("uvw", (n * m, m * p, p * n), strict=True):
        table[name] = [[1] + [0] * (width - 1)]
    write(tmp_path / f"scheme.{kind}", table)
    assert refused(tmp_path / f"scheme.{kind}", "should be 1").entry


# --- npz ---


class Bomb:
    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_is_unpickled(tmp_path):
    bomb = Bomb()
    bomb.path = str(tmp_path / "unpickled")
    array = np.array([[bomb]], object)
    np.savez(tmp_path / "scheme.npz", **table_of(matmul.strassen()) | {"u": array})
    refused(tmp_path / "scheme.npz")
    write_members(tmp_path / "scheme.npz", {"u": pickle.dumps(bomb)})
    refused(tmp_path / "scheme.npz")
    assert not os.path.exists(bomb.path)


@pytest.mark.parametrize(
    "head",
    [
        {"shape": (10**12, 4)},
        {"shape": (2**62, 2**62)},
        {"shape": (7, 4, 10**12)},
        {"shape": (7, -4)},
        {"shape": (0, 10**12)},
        {"shape": ()},
        {"shape": (7, 5)},
        {"descr": "<i4"},
        {"descr": "|V8"},
        {"descr": "<U1000000000"},
        {"descr": [("a", "<i8")]},
    ],
    ids=repr,
)
def test_a_head_that_its_array_does_not_bear_out_is_refused(head, tmp_path):
    write_members(tmp_path / "scheme.npz", {"u": npy(matmul.strassen().u, **head)})
    refused(tmp_path / "scheme.npz")


def test_an_array_that_unpacks_to_more_than_its_shape_is_not_unpacked(tmp_path):
    u = matmul.strassen().u
    write_members(tmp_path / "scheme.npz", {"u": npy(u) + bytes(10**8)})
    refused(tmp_path / "scheme.npz", "has more")
    # Heads of their own format and rank, all zero: a thousandth of the memory they ask for.
    rank = 10**6
    large = {"rank": npy(np.array(rank)), "u": npy(np.zeros(1, np.int64), shape=(rank, 400))}
    large |= {"format": npy(np.array([20, 20, 20]))}
    write_members(tmp_path / "scheme.npz", large)
    refused(tmp_path / "scheme.npz", "at most")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY\x01\x00\x04\x00{'a ",
        b"\x93NUMPY\x09\x00" + npy(np.zeros(3))[8:],
        npy(matmul.strassen().u).replace(b"(7, 4)", b"(7, 4 "),
        npy(matmul.strassen().u).replace(b"'<i8'", b"'''i8"),
        npy(matmul.strassen().u).replace(b"False", b"Fa\0se"),
        npy(matmul.strassen().u)[:-1],
    ],
)
def test_a_damaged_array_is_refused(content, tmp_path):
    write_members(tmp_path / "scheme.npz", {"u": content})
    refused(tmp_path / "scheme.npz")


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_compressions_are_refused(compression, tmp_path):
    write_members(tmp_path / "scheme.npz", {}, compression)
    refused(tmp_path / "scheme.npz", "compressed")
    write_members(tmp_path / "scheme.npz", {})
    assert matmul.Scheme.load(tmp_path / "scheme.npz") == matmul.strassen()


# --- writing ---


def test_what_could_not_be_read_again_is_not_written(tmp_path, monkeypatch):
    scheme = matmul.standard(4, 4, 4)
    monkeypatch.setattr(_scheme_file, "_LARGEST", 5000)
    with pytest.raises(ValueError, match=r"save it as \.npz"):
        scheme.save(tmp_path / "scheme.json")
    scheme.save(tmp_path / "scheme.npz")
    assert matmul.Scheme.load(tmp_path / "scheme.npz") == scheme
    monkeypatch.setattr(_scheme_file, "_MOST_ENTRIES", 3000)
    with pytest.raises(ValueError, match="3072 entries"):
        scheme.save(tmp_path / "other.npz")
    refused(tmp_path / "scheme.npz", "3072 entries")
    assert [path.name for path in tmp_path.iterdir()] == ["scheme.npz"]


def test_verification_in_pieces_finds_the_same_first_entry(monkeypatch):
    rng = np.random.default_rng(0)
    for format in ((2, 3, 2), (3, 1, 4), (1, 5, 2)):
        right = matmul.standard(*format)
        v = np.array(right.v)
        v[tuple(rng.integers(v.shape))] += 1
        wrong = matmul.Scheme(format, right.u, v, right.w)
        at_fault = []
        for entries in (1, 7, 2**22):
            monkeypatch.setattr("alphagrad.matmul._scheme._ENTRIES_AT_ONCE", entries)
            right.verify()
            with pytest.raises(matmul.SchemeError) as caught:
                wrong.verify()
            at_fault.append((caught.value.entry, caught.value.found, caught.value.expected))
        assert len(set(at_fault)) == 1
