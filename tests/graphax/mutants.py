"""Files that something has happened to: seeded damage to bytes, to the words of a text, to what it says."""

from __future__ import annotations

import io
import itertools
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

Random = np.random.Generator
Change = Callable[[bytes, Random], bytes]

# What stands in the place of a value: other types, other numbers, numbers that wrap, round or overflow.
VALUES = (
    "0", "1", "-1", "2", "7.0", "1.5", "1e-9", "1e400", "NaN", "-Infinity", "true", "false", "null", '""',
    '"1"', '"Z2"', "[]", "{}", "[[]]", "[1]", '{"a": 1}', "9007199254740993", str(2**31), str(2**63),
    str(2**64 - 1), str(2**64), str(2**64 + 1), str(-(2**63) - 1), "9" * 400, "9" * 5000, "0x10", "01",
    "1_0", "+1", "'1'",
)  # fmt: skip
WORDS = (
    *VALUES, ".nan", "-.inf", "~", "yes", "1:30", "2001-01-01", "!!python/object/apply:os.getpid []",
    "!!binary x", "&a", "*a", "${task}", "${oc.env:HOME}", "${", "???", "|", ">", "- 1", "? a", "#",
    "%YAML 9.9", "\t", "''",
)  # fmt: skip


def _pick(rng: Random, choices):
    return choices[int(rng.integers(len(choices)))]


def _span(rng: Random, length: int) -> tuple[int, int]:
    low = int(rng.integers(length + 1))
    return low, min(length, low + int(rng.integers(1, 20)))


# --- bytes ---


def flip_bits(content: bytes, rng: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def cut_off(content: bytes, rng: Random) -> bytes:
    return content[: int(rng.integers(len(content)))]


def cut_out(content: bytes, rng: Random) -> bytes:
    low, high = _span(rng, len(content))
    return content[:low] + content[high:]


def repeat(content: bytes, rng: Random) -> bytes:
    low, high = _span(rng, len(content))
    return content[:high] + content[low:high] * int(rng.integers(1, 50)) + content[high:]


def insert(content: bytes, rng: Random) -> bytes:
    at = int(rng.integers(len(content) + 1))
    return content[:at] + rng.bytes(int(rng.integers(1, 9))) + content[at:]


def append(content: bytes, rng: Random) -> bytes:
    return content + _pick(rng, (b"\0", b"}", b"\n\n", b"x" * 1000, content, b"\xff"))


def encode_otherwise(content: bytes, rng: Random) -> bytes:
    text = content.decode("latin-1")
    return text.encode(_pick(rng, ("utf-16", "utf-32", "utf-8-sig", "utf-7", "cp037")))


def nest(content: bytes, rng: Random) -> bytes:
    depth = int(_pick(rng, (10, 1000, 100_000)))
    at = int(rng.integers(len(content) + 1))
    return content[:at] + _pick(rng, (b"[", b'{"a":', b"(", b"- ")) * depth + content[at:]


BYTES: tuple[Change, ...] = (flip_bits, cut_off, cut_out, repeat, insert, append, encode_otherwise, nest)


# --- words ---

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\w.+-]+|\s+|.', re.DOTALL)


def _tokens(content: bytes) -> list[str]:
    return _TOKEN.findall(content.decode())


def _meant(tokens: list[str], rng: Random) -> int:
    """The place of a word that is no space."""
    return _pick(rng, [at for at, token in enumerate(tokens) if token.strip()])


def replace_word(content: bytes, rng: Random) -> bytes:
    tokens = _tokens(content)
    tokens[_meant(tokens, rng)] = _pick(rng, WORDS)
    return "".join(tokens).encode()


def swap_words(content: bytes, rng: Random) -> bytes:
    tokens = _tokens(content)
    one, other = _meant(tokens, rng), _meant(tokens, rng)
    tokens[one], tokens[other] = tokens[other], tokens[one]
    return "".join(tokens).encode()


def drop_word(content: bytes, rng: Random) -> bytes:
    tokens = _tokens(content)
    del tokens[_meant(tokens, rng)]
    return "".join(tokens).encode()


def swap_lines(content: bytes, rng: Random) -> bytes:
    lines = content.split(b"\n")
    one, other = (int(rng.integers(len(lines))) for _ in range(2))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def repeat_line(content: bytes, rng: Random) -> bytes:
    lines = content.split(b"\n")
    lines.insert(int(rng.integers(len(lines))), _pick(rng, lines))
    return b"\n".join(lines)


def drop_line(content: bytes, rng: Random) -> bytes:
    lines = content.split(b"\n")
    del lines[int(rng.integers(len(lines)))]
    return b"\n".join(lines)


def indent(content: bytes, rng: Random) -> bytes:
    lines = content.split(b"\n")
    at = int(rng.integers(len(lines)))
    lines[at] = _pick(rng, (b" ", b"  ", b"\t", b"- ", b"? ", b"# ")) + lines[at]
    return b"\n".join(lines)


def expand(content: bytes, rng: Random) -> bytes:
    """YAML of a few lines that stand for billions."""
    names = "abcdefghij"
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{n}: &{n} [{', '.join([f'*{m}'] * 9)}]" for m, n in itertools.pairwise(names)]
    return "\n".join(lines).encode() + b"\n" + content


WORDWISE: tuple[Change, ...] = (replace_word, swap_words, drop_word)
LINEWISE: tuple[Change, ...] = (swap_lines, repeat_line, drop_line, indent)


# --- what JSON says ---


def _places(value: Any) -> list[tuple[Any, Any]]:
    """All containers with a key of theirs, at any depth."""
    keys = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, child in keys for place in ((value, key), *_places(child))]


class _Literal(float):
    """A number as it is to be spelt."""

    def __new__(cls, text: str):
        made = super().__new__(cls, 0.0)
        made.text = text
        return made

    def __repr__(self) -> str:
        return self.text


def _dump(value: Any) -> bytes:
    """JSON in which values are spelt as they stand in VALUES."""
    if isinstance(value, dict):
        return b"{" + b", ".join(json.dumps(k).encode() + b": " + _dump(v) for k, v in value.items()) + b"}"
    if isinstance(value, list):
        return b"[" + b", ".join(map(_dump, value)) + b"]"
    return repr(value).encode() if isinstance(value, _Literal) else json.dumps(value).encode()


def change_value(content: bytes, rng: Random) -> bytes:
    table = json.loads(content)
    owner, key = _pick(rng, _places(table))
    owner[key] = _Literal(_pick(rng, VALUES))
    return _dump(table)


def change_top_value(content: bytes, rng: Random) -> bytes:
    table = json.loads(content)
    table[_pick(rng, list(table))] = _Literal(_pick(rng, VALUES))
    return _dump(table)


def nudge_number(content: bytes, rng: Random) -> bytes:
    """A number that is near, or congruent to, what was there."""
    table = json.loads(content)
    owner, key = _pick(rng, [(o, k) for o, k in _places(table) if type(o[k]) is int])
    shift = _pick(rng, (1, -1, 0.5, 2**8, 2**32, 2**53, 2**64, -(2**64), 3 * 2**64))
    owner[key] += shift
    return _dump(table)


def respell_number(content: bytes, rng: Random) -> bytes:
    """The same number as another type."""
    table = json.loads(content)
    owner, key = _pick(rng, [(o, k) for o, k in _places(table) if type(o[k]) is int])
    owner[key] = _pick(rng, (float, str, bool, lambda number: [number]))(owner[key])
    return _dump(table)


def swap_values(content: bytes, rng: Random) -> bytes:
    table = json.loads(content)
    (one, key), (other, key_other) = (_pick(rng, _places(table)) for _ in range(2))
    swapped = json.loads(_dump(one[key])), json.loads(_dump(other[key_other]))
    other[key_other], one[key] = swapped
    return _dump(table)


def drop_value(content: bytes, rng: Random) -> bytes:
    table = json.loads(content)
    owner, key = _pick(rng, _places(table))
    del owner[key]
    return _dump(table)


def name_twice(content: bytes, rng: Random) -> bytes:
    """A key with another value, before its own or after it."""
    table = json.loads(content)
    key = json.dumps(_pick(rng, list(table))).encode()
    again = key + b": " + _pick(rng, VALUES).encode()
    whole = _dump(table)
    return b"{" + again + b", " + whole[1:] if rng.integers(2) else whole[:-1] + b", " + again + b"}"


SAID: tuple[Change, ...] = (
    change_value, change_top_value, nudge_number, respell_number, swap_values, drop_value, name_twice,
)  # fmt: skip


# --- what an archive of arrays holds ---


def _members(content: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _archive(members: dict[str, Any], compression: int = zipfile.ZIP_DEFLATED, twice: str = "") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, value in members.items():
            data = value if isinstance(value, bytes) else _npy(value)
            for _ in range(1 + (name == twice)):
                archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asanyarray(array), allow_pickle=True)
    return file.getvalue()


def retype_array(content: bytes, rng: Random) -> bytes:
    members = _members(content)
    name = _pick(rng, list(members))
    kinds = ("i1", "u1", "u4", "u8", ">i8", "i2", "f8", "f2", "c16", "?", "O", "U8", "S8", "M8[s]", "V8")
    with np.errstate(all="ignore"):
        try:
            members[name] = members[name].astype(_pick(rng, kinds))
        except (ValueError, TypeError):
            members[name] = np.zeros(members[name].shape)
    return _archive(members)


def reshape_array(content: bytes, rng: Random) -> bytes:
    members = _members(content)
    name = _pick(rng, list(members))
    shapes = (lambda a: a.T, lambda a: a.ravel(), lambda a: a[None], lambda a: a[..., :0], np.asfortranarray)
    members[name] = _pick(rng, shapes)(np.atleast_1d(members[name]))
    return _archive(members)


def nudge_array(content: bytes, rng: Random) -> bytes:
    """An entry that is near, or congruent to, what was there."""
    members = _members(content)
    name = _pick(rng, [name for name, array in members.items() if array.dtype.kind == "i"])
    array = members[name].astype(object)
    place = _pick(rng, list(np.ndindex(array.shape)))
    array[place] += _pick(rng, (1, -1, 2**8, 2**32, 2**62, 2**64))
    numbers = array.ravel().tolist()
    fits = min(numbers) >= 0 and max(numbers) < 2**64
    members[name] = array.astype(np.uint64) if fits else np.array(array, object if rng.integers(2) else float)
    if -(2**63) <= min(numbers) and max(numbers) < 2**63:
        members[name] = array.astype(np.int64)
    return _archive(members)


def wrap_array(content: bytes, rng: Random) -> bytes:
    """Negative entries in two's complement, as unsigned ones."""
    members = _members(content)
    name = _pick(rng, "uvw")
    members[name] = members[name].astype(np.int64).view(np.uint64)
    return _archive(members)


def swap_arrays(content: bytes, rng: Random) -> bytes:
    members = _members(content)
    one, other = (_pick(rng, list(members)) for _ in range(2))
    members[one], members[other] = members[other], members[one]
    return _archive(members)


def drop_array(content: bytes, rng: Random) -> bytes:
    members = _members(content)
    del members[_pick(rng, list(members))]
    return _archive(members)


def damage_array(content: bytes, rng: Random) -> bytes:
    """Damage inside an array, under a checksum that is right."""
    members: dict[str, Any] = _members(content)
    name = _pick(rng, list(members))
    members[name] = _pick(rng, (flip_bits, cut_off, cut_out, repeat, insert, append))(
        _npy(members[name]), rng
    )
    return _archive(members)


def lie_in_head(content: bytes, rng: Random) -> bytes:
    """The head of an array that says something else."""
    members: dict[str, Any] = _members(content)
    name = _pick(rng, list(members))
    data = _npy(members[name])
    head = data[10:128].decode("latin-1")
    other = re.sub(r"\d+", lambda found: _pick(rng, ("0", "7", "9" * 12, "1e3", "-1", found[0])), head)
    other = _pick(
        rng, (other, head.replace("False", "True"), head.replace("<i8", "|O"), head.replace("'", ""))
    )
    members[name] = data[:10] + other[:118].ljust(118).encode("latin-1") + data[128:]
    return _archive(members)


class _Canary:
    """What makes a folder when it is unpickled."""

    def __init__(self, path: str):
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (self.path,)


def pickle_array(content: bytes, rng: Random) -> bytes:
    members: dict[str, Any] = _members(content)
    name = _pick(rng, list(members))
    canary = _Canary("unpickled")
    members[name] = pickle.dumps(canary) if rng.integers(2) else np.array([canary], object)
    return _archive(members)


def compress_otherwise(content: bytes, rng: Random) -> bytes:
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    return _archive(_members(content), _pick(rng, kinds), twice=_pick(rng, ("", "u", "rank")))


def bloat_array(content: bytes, rng: Random) -> bytes:
    members: dict[str, Any] = _members(content)
    name = _pick(rng, list(members))
    members[name] = _npy(members[name]) + bytes(10**7)
    return _archive(members)


ARRAYS: tuple[Change, ...] = (
    retype_array, reshape_array, nudge_array, wrap_array, swap_arrays, drop_array, damage_array, lie_in_head,
    pickle_array, compress_otherwise, bloat_array,
)  # fmt: skip


def mutate(content: bytes, changes: tuple[Change, ...], rng: Random) -> bytes:
    """One change or a few, one after the other as far as they still apply."""
    for _ in range(int(_pick(rng, (1, 1, 1, 2, 3)))):
        try:
            content = _pick(rng, changes)(content, rng)
        except Exception:  # damaged already, so that this change does not apply
            content = flip_bits(content or b" ", rng)
    return content
