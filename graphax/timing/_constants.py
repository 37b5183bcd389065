"""What a device takes for the parts of programs: constants that ship, and those measured by a user."""

from __future__ import annotations

import functools
import json
import math
import re
import warnings
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import jax

from ..files import kept_folder, read_json, write_atomically


@dataclass(frozen=True)
class Constants:
    """How long a kind of device takes for what programs consist of.

    All are in nanoseconds, and of numbers of 32 bits, but for `inline`, `copies`, `quick_bytes`, `captured`,
    `fresh` and `wide`.

    Attributes:
        call: a call of a compiled program, to its end.
        result: an array that a program returns.
        handover: beside a call, what it takes to hand the program to another thread and to hear from it.
        inline: programs of fewer floating-point operations than that are not handed over.
        woken: to have other threads join, once in a call, for kernels that are divided among them or that run
            side by side.
        divided: to divide a kernel among threads, beside that.
        scheduled: a step of a loop with so many kernels that they are scheduled by what they wait for.
        shared: a step in which they are shared out to other threads, beside that.
        copies: at more places than that a kernel does not compute a value, but reads it; no limit if zero.
        kernel: to start a kernel: a loop over the entries of an array, a product, a reduction.
        step: a step of a loop, beside the kernels in it.
        quick_step: a step of a loop that is one kernel by itself, as all is that it does.
        quick_bytes: loops are of that kind whose steps read and write no more bytes than that.
        launched: a step of a loop whose kernels are started one by one, beside all else.
        captured: loops are of that kind whose steps have fewer kernels; others are started as one graph.
        branch: to choose a branch.
        byte: a byte that is written, or read by a product.
        fresh_byte: a byte that is written of an array so large that its memory was not there before.
        fresh: arrays of more bytes than that are so large.
        entry: an operation on an entry within a kernel.
        inner: one within a kernel that reduces.
        branched: one of an entry that is padded, or joined to those of other arrays.
        division: a division or a square root.
        function: an elementary function.
        moved: an entry that is read far from the one before it.
        chosen: an entry that is padded, or read from one of several arrays.
        reduced: an entry that a reduction reads.
        sum: a result of a reduction.
        cumulated: an entry of a running sum or product.
        gathered: an entry that is read at an index.
        scattered: an index at which entries are written.
        contraction: to start a product of matrices, beside the kernel.
        multiplication: to start one of two matrices, neither of which is a vector nor tiny, beside that.
        product: a product of matrices among many in a batch, beside its multiplications.
        multiply: a multiplication of a product, with its addition.
        convolved: one of a convolution.
        library: a call of a routine for factorisations or transforms.
        matrix: a matrix of a batch in such a call.
        factored: a multiplication of a factorisation.
        fourier: an entry of a Fourier transform, for each doubling of its length.
        sorted: an entry that is sorted, for each doubling.
        cycle: a cycle of the processor, for compiled kernels.
        wide: how many times as long operations on numbers of 64 bits take.

    Raises:
        TypeError: when one is no number.
        ValueError: when one is negative or not finite.

    Example:
        >>> from graphax import timing
        >>> constants = timing.constants_for("cpu")
        >>> constants.function > constants.entry  # an elementary function takes longer than a sum
        True
    """

    call: float
    result: float
    handover: float
    inline: float
    woken: float
    divided: float
    scheduled: float
    shared: float
    copies: float
    kernel: float
    step: float
    quick_step: float
    quick_bytes: float
    launched: float
    captured: float
    branch: float
    byte: float
    fresh_byte: float
    fresh: float
    entry: float
    inner: float
    branched: float
    division: float
    function: float
    moved: float
    chosen: float
    reduced: float
    sum: float
    cumulated: float
    gathered: float
    scattered: float
    contraction: float
    multiplication: float
    product: float
    multiply: float
    convolved: float
    library: float
    matrix: float
    factored: float
    fourier: float
    sorted: float
    cycle: float
    wide: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"{field.name}={value!r} must be a number")
            if not 0 <= value < math.inf:
                raise ValueError(f"{field.name}={value!r} must be finite and not negative")


def constants_for(device: Any = None) -> Constants:
    """The constants of a kind of device.

    Those that :func:`graphax.calibrate` measured on such a device, where they are kept in the user's cache
    directory; else those that ship with graphax. In a program of several processes the shipped ones, so that
    all take the same for granted.

    Args:
        device: a device of JAX, or its platform, as in ``jax.devices()``; the default one if left out.

    Returns:
        the constants, in nanoseconds.

    Example:
        >>> from graphax import timing
        >>> timing.constants_for("cpu").kernel > 0  # nanoseconds to start a kernel
        True
    """
    kind = kind_of(device)
    shipped = shipped_constants(kind)
    if jax.process_count() > 1:
        return shipped
    path = calibrated_file(kind)
    if path is None:
        return shipped
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        return shipped
    return _calibrated(path, stamp, kind) or shipped


_VARIABLE = "GRAPHAX_CONSTANTS"
_VERSION = 1
_SHIPPED = Path(__file__).parent / "constants"
#: For devices without a file of their own: a guess at what a GPU takes.
_GUESS = "gpu"


def kind_of(device: Any = None) -> str:
    """The name of a kind of device: ``"cpu"``, or what JAX calls it."""
    if isinstance(device, str):
        device = jax.devices(device)[0]
    device = device or jax.local_devices()[0]
    return "cpu" if device.platform == "cpu" else str(device.device_kind)


def calibrated_file(kind: str) -> Path | None:
    """The file for the constants that a user measured; None where nothing is kept.

    It is in ``graphax/constants`` in the user's cache directory, or in the folder that the environment
    variable ``GRAPHAX_CONSTANTS`` names; ``off`` and nothing are none.
    """
    folder = kept_folder("constants", _VARIABLE)
    return folder and folder / _file_name(kind)


def write_constants(path: Path, kind: str, constants: Constants) -> None:
    """Write a file of constants.

    Raises:
        OSError: when it cannot be written.
    """
    content = {"version": _VERSION, "device": kind, "constants": asdict(constants)}
    write_atomically(path, json.dumps(content, indent=1) + "\n")


def read_constants(path: Path, kind: str) -> Constants:
    """Read a file of constants.

    Raises:
        OSError: when there is none, or it cannot be read.
        ValueError: when it is not one of constants, or of another kind of device.
    """
    content = read_json(path, "a file of constants")
    if not isinstance(content, dict) or not isinstance(content.get("constants"), dict):
        raise ValueError(f"{path} is not a file of constants: it has no 'constants'")
    if content.get("version") != _VERSION:
        raise ValueError(f"{path} has version {content.get('version')!r}, and this graphax reads {_VERSION}")
    if content.get("device") != kind:
        raise ValueError(f"{path} holds the constants of {content.get('device')!r}, not of {kind!r}")
    found = content["constants"]
    names = {field.name for field in fields(Constants)}
    if found.keys() != names:
        raise ValueError(f"{path} misses, or has besides, {sorted(found.keys() ^ names)}")
    try:
        return Constants(**found)
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from error


@functools.lru_cache(maxsize=16)
def _calibrated(path: Path, stamp: int, kind: str) -> Constants | None:
    """What is in a file that was written then; None, with a warning, where that is not believed."""
    try:
        return read_constants(path, kind)
    except (OSError, ValueError) as error:
        warnings.warn(f"{error}; the constants that ship are taken", stacklevel=4)
        return None


@functools.cache
def shipped_constants(kind: str) -> Constants:
    """The constants that ship for a kind of device."""
    path = _SHIPPED / _file_name(kind)
    return (
        read_constants(path, kind) if path.exists() else read_constants(_SHIPPED / f"{_GUESS}.json", _GUESS)
    )


def _file_name(kind: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", kind.lower()).strip("_") + ".json"
