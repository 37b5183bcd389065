"""`alphagrad doctor`: what is installed and what works, as text for a report of a bug."""

from __future__ import annotations

import getpass
import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

# Nothing of graphax, nor of JAX, is imported before the versions are told: either may be what is broken.

#: What a user may add; the other extras are for development.
_EXTRAS = ("search", "train", "solvers")
_OURS = ("GRAPHAX_CANDIDATES", "GRAPHAX_COMPILED", "GRAPHAX_CONSTANTS", "GRAPHAX_ORDER_STORE")
_OF_JAX = ("JAX_", "XLA_", "CUDA_VISIBLE_DEVICES")
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[\w+\])?(?:>=([\d.]+))?")
_EXTRA = re.compile(r"""extra == ["'](\w+)["']""")


class Diagnosis:
    """What has been looked at, line by line, and what is wrong.

    Attributes:
        lines: what was seen.
        problems: what is wrong, and how to mend it.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.problems: list[str] = []

    def look(self, heading: str, at: Callable[[], Iterator[str]], mend: str = "please report it") -> bool:
        """Note what is seen; False, and a problem with what mends it, if nothing can be."""
        self.lines.append(heading)
        try:
            for line in at():
                self.lines.append(f"  {line}")
        except Exception as error:  # whatever it is, it is what the user wants to know
            self.problem(f"{heading}: {type(error).__name__} {str(error).strip()}".rstrip() + f"; {mend}")
            return False
        return True

    def problem(self, text: str) -> None:
        """Note what is wrong."""
        self.problems.append(text)
        self.lines.append("  ! " + text.replace("\n", "\n    "))

    def __str__(self) -> str:
        if self.problems:
            verdict = ["what is wrong", *(f"  {text}" for text in self.problems)]
        else:
            verdict = ["all is well"]
        return anonymous("\n".join([*self.lines, *verdict]))


def diagnose() -> Diagnosis:
    """Look at everything that graphax and alphagrad depend on; changes nothing."""
    found = Diagnosis()
    found.look("system", _system)
    found.look("packages", lambda: _packages(found))
    asked = os.environ.get("JAX_PLATFORMS")
    mend = "JAX itself has to work: python -c 'import jax; print(jax.devices())'"
    if asked:
        mend = f"JAX_PLATFORMS={asked} asks for it: is it there? {mend}"
    if found.look("devices", _devices, mend):
        found.look("kept on disk", lambda: _folders(found))
        found.look("Jacobians", lambda: _jacobians(found))
        found.look("environment", lambda: _environment(found))
    return found


def anonymous(text: str) -> str:
    """A text without the user's name: the home folder is `~`."""
    with suppress(RuntimeError):
        text = re.sub(re.escape(str(Path.home())) + r"(?![\w.-])", "~", text)
    with suppress(Exception):  # nobody has that number
        text = re.sub(rf"(?<=[/\\]){re.escape(getpass.getuser())}(?=[/\\])", "USER", text)
    return text


def _system() -> Iterator[str]:
    yield f"python {platform.python_version()} ({platform.python_implementation()})"
    yield f"{platform.platform()}, {os.cpu_count()} processors"
    yield f"alphagrad in {Path(__file__).parent}"


def _packages(found: Diagnosis) -> Iterator[str]:
    """Versions, with what is missing or too old."""
    missing: dict[str, list[str]] = {}
    for name, least, extra in _requirements():
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.setdefault(extra, []).append(name)
            continue
        yield f"{name} {version}"
        if least and _numbers(version) < _numbers(least):
            found.problem(f"{name} {version} is too old: pip install '{name}>={least}'")
    for extra, names in missing.items():
        if extra:
            yield f"not installed: {', '.join(names)}; if you want them, pip install 'alphagrad[{extra}]'"
        else:
            found.problem(f"{', '.join(names)} missing: pip install {' '.join(names)}")


def _requirements() -> Iterator[tuple[str, str, str]]:
    """What is needed: its name, its least version, and the extra that it is for ("" if it always is)."""
    try:
        requirements = metadata.requires("alphagrad") or []
    except metadata.PackageNotFoundError:  # a copy of the repository on the path
        requirements = ["jax", "jaxlib", "llvmlite", "numpy"]
    for requirement in requirements:
        named, extra = _REQUIREMENT.match(requirement), _EXTRA.search(requirement)
        if named and named[1] != "alphagrad" and (extra is None or extra[1] in _EXTRAS):
            yield named[1], named[2] or "", extra[1] if extra else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _devices() -> Iterator[str]:
    import jax

    from graphax import __version__

    yield f"graphax and alphagrad {__version__} on"
    for device in jax.devices():
        stats: Any = None
        with suppress(Exception):  # devices need not tell
            stats = device.memory_stats()
        memory = (
            f", {stats['bytes_limit'] / 2**30:.1f} GiB for JAX" if stats and "bytes_limit" in stats else ""
        )
        kind = "" if device.device_kind == device.platform else f" {device.device_kind}"
        yield f"{device.platform} {device.id}{kind}{memory}"
    wide = jax.numpy.result_type(float) == "float64"
    yield f"64-bit numbers {'on' if wide else 'off (JAX_ENABLE_X64=1 switches them on)'}"


def _folders(found: Diagnosis) -> Iterator[str]:
    """The folders in which something is kept."""
    from graphax.files import kept_folder
    from graphax.timing import calibrated_file, kind_of

    for name, variable, what in (
        ("orders", "GRAPHAX_ORDER_STORE", "orders that were found"),
        ("xla", "GRAPHAX_COMPILED", "compiled programs of alphagrad train"),
    ):
        folder = kept_folder(name, variable)
        if folder is None:
            yield f"{what}: not kept ({variable} is off, or there is no home)"
            continue
        files = (
            [entry.stat().st_size for entry in os.scandir(folder) if entry.is_file()]
            if folder.is_dir()
            else []
        )
        yield f"{what}: {len(files)} files, {sum(files) / 1e6:.1f} MB in {folder}"
        if not _is_writable(folder):
            found.problem(f"{folder} cannot be written to: let {variable} name another folder, or be off")
    kind = kind_of()
    file = calibrated_file(kind)
    measured = file is not None and file.is_file()
    origin = f"measured, {file}" if measured else "shipped; python -m graphax calibrate measures them"
    yield f"constants for estimates of run time on {kind}: {origin}"


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which need not exist."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _jacobians(found: Diagnosis) -> Iterator[str]:
    """A Jacobian in each way there is, against JAX's."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    import graphax

    def fun(x: Any) -> Any:
        return jnp.sin(x) * jnp.roll(x, 1) + jnp.exp(-x * x)

    x = jnp.linspace(0.1, 1.3, 6)
    wanted = np.asarray(jax.jacrev(fun)(x))
    for way, jacobian in {
        "by a kernel": lambda: graphax.jacve(fun, kernel=True),
        "by operations on arrays": lambda: graphax.jacve(fun, kernel=False),
        "sparse": lambda: graphax.jacve(fun, sparse=True),
    }.items():
        begun = time.perf_counter()
        try:
            lowered = jax.jit(jacobian()).lower(x)
        except TypeError as error:  # there is no such kernel
            if jax.default_backend() in ("cpu", "gpu"):
                found.problem(f"{way}: {error}")
            else:
                yield f"{way}: {error}"
            continue
        got = lowered.compile()(x)
        if way == "by a kernel" and "custom_call" not in lowered.as_text():
            found.problem(
                f"{way}: operations on arrays stand in for it; does jax.experimental.pallas import?"
            )
        got = np.asarray(got.todense() if way == "sparse" else got)
        if np.allclose(got, wanted, rtol=1e-4, atol=1e-5):
            yield f"{way}: equal to jax.jacrev's, compiled in {time.perf_counter() - begun:.1f} s"
        else:
            worst = np.max(np.abs(got - wanted))
            found.problem(f"{way}: differs from jax.jacrev's by {worst:.2g}; please report it with this text")


def _environment(found: Diagnosis) -> Iterator[str]:
    from graphax.spelling import did_you_mean

    for name, value in sorted(os.environ.items()):
        if name.startswith("GRAPHAX_") and name not in _OURS:
            found.problem(
                f"{name} is no variable of graphax; {did_you_mean(name, _OURS)}known are {', '.join(_OURS)}"
            )
        elif name.startswith(("GRAPHAX_", *_OF_JAX)):
            yield f"{name}={value}"


def doctor() -> int:
    """Print what is seen, and what is wrong; returns the exit status, 1 if anything is."""
    found = diagnose()
    print(found)
    return 1 if found.problems else 0
