"""Measure what a device takes for the parts of programs, and keep it."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .._numbers import check_number
from ._constants import Constants, calibrated_file, kind_of, shipped_constants, write_constants
from ._device_time import busy_seconds
from ._estimate import estimated_seconds
from ._probes import Probe, probes, wide_probes

#: What is no time, and is not measured by these programs.
_GIVEN = frozenset({"inline", "copies", "quick_bytes", "captured", "fresh", "cycle", "wide"})
#: How long the calls of a turn take together, and for how many turns operations on 64 bits are timed.
_TURN_SECONDS, _TURNS = 4e-3, 5
#: The part of the time for operations on 64 bits, which are not measured in less than so many seconds.
_FOR_WIDTH, _LITTLE = 0.1, 5
#: What counts of the turns: what else runs makes some of them longer.
_QUANTILE = 0.25
#: What it costs a constant to be another than the one that ships, in relative errors of a probe; and by what
#: factor it may be.
_ATTACHMENT, _FARTHEST = 0.02, 50.0
#: How often every constant is looked at, and after how many times what an error is worth is told anew.
_SWEEPS, _REWEIGHED = 2000, 50
#: How many calls of every program are profiled; and how many calls' time a program may take in a queue before
#: it is said to wait for the host.
_PROFILED, _QUEUED = 10, 1.5


def calibrate(device: Any = None, seconds: float = 30.0, out: Path | str | None = None) -> Constants:
    """Measure what a kind of device takes for the parts of programs, and keep it for estimates of run time.

    A few dozen small programs are compiled and take turns to run; the constants are those with which the
    estimates come closest to the lower quartiles of the run times. Constants that no program was in time for
    stay those that ship. On a GPU calls are queued and waited for once, and JAX's profiler tells how long
    kernels run; what the host takes counts where the device waits for it, as in loops that the host steps
    through. Let nothing else run on the device meanwhile.

    Estimates take the constants from then on, in this process and in later ones, for all devices of the
    kind: see :func:`graphax.timing.constants_for`.

    Args:
        device: a device of JAX, or its platform, as in ``jax.devices()``; the default one if left out.
        seconds: how long to go on, compiling included.
        out: the file to write instead of the one in the user's cache directory.

    Returns:
        the constants, in nanoseconds.

    Raises:
        ValueError: when ``seconds`` is not positive, or no file is named and there is no folder for it.
        RuntimeError: when there is no such device.
        OSError: when the file cannot be written.

    Example:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:  # keep it where later processes find it: no out=
        ...     constants = graphax.calibrate(seconds=1, out=os.path.join(folder, "constants.json"))
        >>> constants.kernel > 0  # nanoseconds to start a kernel
        True
    """
    check_number("seconds", seconds)
    if not seconds > 0:
        raise ValueError(f"seconds={seconds!r} must be positive")
    kind = kind_of(device)
    path = Path(out) if out is not None else calibrated_file(kind)
    if path is None:
        raise ValueError(
            "there is no folder to keep constants in: GRAPHAX_CONSTANTS disables it, or there is no home; "
            "let GRAPHAX_CONSTANTS name a folder, or name a file with out="
        )
    before = shipped_constants(kind)
    if isinstance(device, str):
        device = jax.devices(device)[0]
    with jax.default_device(device), jax.enable_x64(False):
        end = time.monotonic() + seconds
        timed = _timed(probes(), end - _FOR_WIDTH * seconds)
        wide = _width(end) if seconds > _LITTLE else before.wide
        found = replace(_fitted(before, timed, _busy(timed)), wide=wide)
    write_constants(path, kind, found)
    return found


@dataclass
class _Timed:
    """A compiled probe.

    Attributes:
        program: its jaxpr.
        call: calls it once.
        queued: whether calls are waited for once, after the last.
        calls: of a turn.
        seconds: a call's in every turn.
    """

    program: Any
    call: Callable[[], Any]
    queued: bool
    calls: int = 1
    seconds: list[float] = field(default_factory=list)

    def start(self, calls: int) -> Any:
        """Call it so many times; returns what the last call returns."""
        result = self.call()
        for _ in range(calls - 1):
            if not self.queued:
                jax.block_until_ready(result)
            result = self.call()
        return result

    def run(self, calls: int) -> float:
        """Seconds that each of so many calls takes, to its end."""
        begun = time.perf_counter()
        jax.block_until_ready(self.start(calls))
        return (time.perf_counter() - begun) / calls


def _timed(programs: Iterable[Probe], end: float) -> list[_Timed]:
    """Compile programs, and let them take turns, while there is time; the first of them in any case."""
    start = time.monotonic()
    found: list[_Timed] = []
    for probe in programs:
        # The other half of the time is for the runs.
        if found and time.monotonic() > (start + end) / 2:
            break
        found.append(_compiled(probe))
    turns = 0
    while turns == 0 or time.monotonic() < end:
        for one in found:
            one.seconds.append(one.run(one.calls))
            if turns and time.monotonic() > end:
                break
        turns += 1
    return found


def _compiled(probe: Probe) -> _Timed:
    traced = jax.jit(probe.fun).trace(*probe.args)
    platform = jax.tree.leaves(probe.args)[0].devices().pop().platform
    call = functools.partial(traced.lower().compile(), *probe.args)
    found = _Timed(traced.jaxpr, call, queued=platform != "cpu")
    found.run(1)
    found.calls = int(np.clip(_TURN_SECONDS / min(found.run(1), found.run(1)), 1, 1000))
    return found


def _busy(timed: Sequence[_Timed]) -> list[float] | None:
    """Seconds that a GPU is busy with a call of every program; None on other devices."""
    if not timed[0].queued:
        return None
    found = busy_seconds([functools.partial(one.start, _PROFILED) for one in timed])
    return found and [seconds / _PROFILED for seconds in found]


def _fitted(before: Constants, timed: Sequence[_Timed], busy: Sequence[float] | None) -> Constants:
    """The constants with which estimates come closest to what was measured.

    Estimates are linear in all that is fitted. Sought are factors of the constants of before, for which the
    sum of the squared relative errors is least, and what it costs that they are not one.
    """
    measured = [float(np.quantile(one.seconds, _QUANTILE)) for one in timed]
    if busy is not None:
        call = min(measured)
        # Most calls are queued while the one before them runs.
        waited = (seconds - _QUEUED * call for seconds in measured)
        before = replace(before, call=0.0, result=0.0)
        found = _closest(before, timed, list(map(max, busy, waited)))
        return replace(found, call=call * 1e9)
    return _closest(before, timed, measured)


def _closest(before: Constants, timed: Sequence[_Timed], measured: Sequence[float]) -> Constants:
    names = [name for name, value in asdict(before).items() if name not in _GIVEN and value]
    nothing = {name: 0.0 for name in names}
    shares = np.array(
        [
            [
                estimated_seconds(one.program, replace(before, **nothing | {name: getattr(before, name)}))
                / seconds
                for name in names
            ]
            for one, seconds in zip(timed, measured, strict=True)
        ]
    )
    factors = _least_errors(shares)
    return replace(
        before,
        **{name: float(getattr(before, name) * factor) for name, factor in zip(names, factors, strict=True)},
    )


def _least_errors(shares: np.ndarray) -> np.ndarray:
    """Factors of columns for which the rows sum to about one, found one after another, again and again.

    A sum of twice, and one of half, are errors of one size.
    """
    factors = np.ones(shares.shape[1])
    for turn in range(_SWEEPS):
        if turn % _REWEIGHED == 0:
            weighted = shares / np.clip(shares @ factors, 0.1, 10)[:, None]
            squares = _ATTACHMENT + (weighted * shares).sum(0)
        for at in range(len(factors)):
            errors = 1 - shares @ factors
            step = (weighted[:, at] @ errors + _ATTACHMENT * (1 - factors[at])) / squares[at]
            factors[at] = np.clip(factors[at] + step, 1 / _FARTHEST, _FARTHEST)
    return factors


def _width(end: float) -> float:
    """How many times as long operations on 64 bits take."""
    narrow, wide = wide_probes()
    with jax.enable_x64(True):
        slow = _compiled(wide)
    fast = _compiled(narrow)
    for turn in range(_TURNS):
        if turn > 1 and time.monotonic() > end:
            break
        for one in (slow, fast):
            one.seconds.append(one.run(one.calls))
    return max(1.0, statistics.median(slow.seconds) / statistics.median(fast.seconds))
