"""`alphagrad search` for a matrix multiplication: find a scheme of few products, by walks in flip graphs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ..matmul import (
    FlipProgress,
    LiftError,
    Scheme,
    best_known,
    exponent,
    flip_search,
    formulas,
    is_matmul,
    known_rank,
    lift,
    lift_any,
    read_format,
    reduce_modulo,
    searchable,
    standard,
)
from ..run.command import Invocation, Kind, Run, RunConfig
from ..run.result import Cells, Findings, Text
from ..run.settings import ConfigError, check_counts, nearest
from ..run.table import Rows
from .report import TASK, counts_of, picture, rank_panels, scheme_use, scheme_words

_CLOSING_SECONDS = 3.0  # for the table and the report
_LIFTING_SHARE = 0.3  # of all time, to look for other schemes where those found do not lift
_LEAST_SECONDS = 0.2  # that a search gets however late it is
_RING_NAMES = {"Z2": "modulo 2", "Z": "over the integers", "Q": "over the rationals"}


@dataclass(frozen=True, kw_only=True)
class SchemeSearchConfig(RunConfig):
    """The settings of `alphagrad search` for a scheme of matrix multiplication."""

    task: str = field(metadata={"help": "matmul_NxMxP: the product of an N x M by an M x P matrix"})
    ring: str = field(
        default="Z2",
        metadata={
            "help": "of the coefficients: 'Z2' integers modulo 2; 'Z' integers and 'Q' rationals, to which "
            "schemes modulo 2 are lifted",
            "choices": tuple(_RING_NAMES),
        },
    )
    target: int | None = field(
        default=None,
        metadata={
            "help": "a rank at which the search ends, in the ring asked for; by default the literature's"
        },
    )
    start: str | None = field(
        default=None,
        metadata={
            "help": "a file with a scheme to begin with, of this or another format: scheme.json; by default "
            "the best that is known without a search"
        },
    )
    workers: int = field(default=2, metadata={"help": "how many walks go on side by side, one on each core"})

    def __post_init__(self):
        if self.ring not in _RING_NAMES:
            raise ConfigError(f"unknown ring {self.ring!r}; {nearest(self.ring, list(_RING_NAMES))}")
        check_counts(target=self.target, workers=self.workers)
        super().__post_init__()


def search(config: SchemeSearchConfig, call: Invocation) -> bool:
    """Search, report, and leave everything in the run's folder; see :class:`alphagrad.run.command.Kind`.

    Raises:
        ConfigError: when the task or the scheme to start from cannot be used.
        OSError: when a file or the folder cannot be used.
    """
    try:
        format = read_format(config.task)
        if format is None:
            raise ValueError(f"task={config.task} names no matrix multiplication, such as matmul_2x3x4")
        known = best_known(searchable(format), _base(config.ring))
        begin = Scheme.load(config.start) if config.start else known
        reduce_modulo(begin, 2)  # refuses what does not exist modulo 2
    except ValueError as error:
        raise ConfigError(str(error)) from error
    size = f"{math.prod(format)} products by the standard algorithm, {known.rank} by the best scheme known"
    run = Run(config, config.task, size, call)
    found = _SchemeSearch(format, begin, config, run)
    run.watch(found.search)
    cells = _cells(found)

    scheme = found.scheme
    findings = Findings(
        best=scheme.rank,
        quantity=f"products {_RING_NAMES[scheme.ring]}",
        method="search" if scheme.rank < begin.rank else found.begun,
        bound=None,
        verdict=found.verdict,
        use=scheme_use(run.folder.scheme, scheme),
        on_jax=False,
        panels=rank_panels(known_rank(format), config.ring),
        tables=(Cells("Products of schemes", tuple(cells), (_CAPTION,)),),
        factors=(picture(scheme),),
        texts=(Text("The scheme, line by line", formulas(scheme)),),
    )
    table = Rows(f"{config.task}: products of schemes", cells, ("scheme", "ring"))
    return run.end("search", table, findings, scheme_words([run.folder.scheme], config.ring))


_CAPTION = (
    "additions: of blocks, for one level; shared: when sums that occur several times are computed once; "
    "exponent: 3 log(rank) / log(n m p), that of the operations when the scheme is applied recursively"
)


def _cells(found: _SchemeSearch) -> list[tuple[str, ...]]:
    """The table of schemes as text, under a row of headings."""
    format = found.scheme.format
    cells: list[tuple[str, ...]] = [("scheme", "ring", "rank", "additions", "shared", "exponent")]
    schemes = {"standard": standard(*format), found.begun: found.begin, "found": found.scheme}
    if found.rational is not None:
        schemes["found, rational"] = found.rational
    if found.best.rank < found.scheme.rank:
        schemes["found, modulo 2"] = found.best
    for name, scheme in schemes.items():
        cells.append((name, scheme.ring, *counts_of(scheme), _exponent(scheme.rank, scheme.format)))
    for ring in dict.fromkeys((_base(found.ring), "Z2")):
        known = known_rank(format, ring)
        if known is not None:
            name = f"literature, {_RING_NAMES[ring]}"
            cells.append((name, ring, str(known), "-", "-", _exponent(known, format)))
    return cells


def _base(ring: str) -> str:
    """The ring of schemes that are known: the integers for the rationals, too."""
    return "Z2" if ring == "Z2" else "Z"


def _exponent(rank: int, format: Sequence[int]) -> str:
    n, m, p = format
    return f"{exponent(rank, n, m, p):.4f}" if n * m * p > 1 else "-"


class _SchemeSearch:
    """The best schemes so far, kept on disk, and how they are looked for.

    Attributes:
        begin: what the search begins with.
        begun: what that is called.
        best: the best modulo 2.
        lifted: the best over the ring that was asked for; None if that is the integers modulo 2.
        rational: one over the rationals that has fewer products than the best over the integers, if these
            were asked for.
    """

    def __init__(
        self, format: tuple[int, int, int], begin: Scheme, config: SchemeSearchConfig, run: Run
    ) -> None:
        self._format, self._config, self._run = format, config, run
        self._flips = 0
        self._tried = math.inf  # the lowest rank so far of schemes that were lifted, or not
        self.begin, self.begun = begin, "start" if config.start else "known before"
        self.best = standard(*format, ring="Z2")
        self.lifted = None if config.ring == "Z2" else standard(*format)
        self.rational: Scheme | None = None
        run.leave(_CLOSING_SECONDS)

    @property
    def scheme(self) -> Scheme:
        """The best over the ring that was asked for."""
        return self.best if self.lifted is None else self.lifted

    def search(self) -> None:
        """Search until the time is over, the target is reached, or the user has had enough."""
        self._save()
        try:
            if self.begin.format == self._format:
                self._keep(self.begin)
                self._take(reduce_modulo(self.begin, 2))
            if self.ring != "Z2" and not self._config.start:
                self.best = best_known(self._format)
            if self._goal < self.scheme.rank:
                self._walk()
                self._lift()
        finally:  # also if the user has had more than enough
            self._note(self._format, self.best.rank)

    def _walk(self) -> None:
        """Look for schemes modulo 2, and lift them."""

        def listen(at: FlipProgress) -> bool:
            self._flips = at.flips
            self._take(at.scheme)
            self._note(at.format, at.rank)
            self._run.show(lambda: self._line(at))
            return self._run.over or self._run.left < self._reserve

        config = self._config
        # A search that has to be compiled first begins its own count of time after that.
        found = flip_search(
            self._format,
            seconds=max(_LEAST_SECONDS, self._run.left),
            seed=config.seed,
            start=self.begin if config.start else None,
            workers=config.workers,
            target=self._goal or None,
            lifting=config.ring != "Z2",
            progress=listen,
        )
        self._take(found)

    def _take(self, scheme: Scheme) -> None:
        """Keep a scheme modulo 2 if it is better than all before, and what it lifts to."""
        if self._run.left_behind:
            return
        before = self.best, self.scheme
        self.best = min(self.best, scheme, key=lambda one: one.rank)
        if self.lifted is not None and scheme.rank < min(self.lifted.rank, self._tried):
            self._tried = scheme.rank
            with suppress(LiftError):
                self._keep(lift(scheme, stop=lambda: self._run.over))
        if before != (self.best, self.scheme):
            self._save()

    def _lift(self) -> None:
        """Look for schemes that lift; half of what time is left is for each rank."""
        if self.lifted is None:
            return
        config = self._config
        for rank in range(max(self.best.rank, self._goal), self.lifted.rank):
            if rank >= self.lifted.rank or self._run.over:
                break

            def stop(rank: int = rank) -> bool:
                self._run.show(lambda: f"lifting {_write(self._format)} of rank {rank}  {self._bests}")
                return self._run.over

            with suppress(LiftError):
                self._keep(
                    lift_any(
                        self.best,
                        ring=config.ring,
                        rank=rank,
                        seconds=self._run.left / 2,
                        seed=config.seed,
                        workers=config.workers,
                        stop=stop,
                    )
                )
            self._save()

    def _keep(self, scheme: Scheme) -> None:
        """Keep a scheme over the integers or rationals if it is better than all before."""
        if self.lifted is None or scheme.ring == "Z2" or self._run.left_behind:
            return
        if scheme.ring in ("Z", self._config.ring):
            self.lifted = min(self.lifted, scheme, key=lambda one: one.rank)
            if self.rational is not None and self.rational.rank >= self.lifted.rank:
                self.rational = None
        elif scheme.rank < (self.rational or self.lifted).rank:
            self.rational = scheme

    def _save(self) -> None:
        """Write what is not on disk yet; a scheme that is written is verified."""
        if self._run.left_behind:  # the table is written
            return
        self._run.folder.check()  # saving would make it again
        path = self._run.folder.scheme
        modulo_2 = self.best if self.best.rank < self.scheme.rank else None
        self.scheme.save(path)
        for name, scheme in (("modulo_2", modulo_2), ("rational", self.rational)):
            other = path.with_stem(f"{path.stem}_{name}")
            if scheme is None:
                other.unlink(missing_ok=True)
            else:
                scheme.save(other)

    def _note(self, format: tuple[int, int, int], rank: int) -> None:
        """Add a line to the metrics."""
        lifted = self.lifted.rank if self.lifted else None
        self._run.note(
            flips=self._flips, format=_write(format), rank=rank, best=self.best.rank, lifted=lifted
        )

    @property
    def ring(self) -> str:
        """That was asked for."""
        return self._config.ring

    @property
    def _goal(self) -> int:
        """The rank at which the search ends; 0 if that is not known."""
        literature = None if self._config.start else known_rank(self._format, _base(self.ring))
        return self._config.target or literature or 0

    @property
    def _reserve(self) -> float:
        """Seconds that are kept for lifting, as long as the best scheme does not lift."""
        if self.lifted is None or self.lifted.rank <= self.best.rank:
            return 0.0
        return _LIFTING_SHARE * self._config.time_limit

    @property
    def verdict(self) -> str:
        """What was found and how good it is, in some sentences."""
        scheme, rational = self.scheme, self.rational
        base = _base(self.ring)
        known = known_rank(self._format, base)
        words = f"found: {scheme.rank} products {_RING_NAMES[scheme.ring]}, verified"
        if known is not None:
            words += f"; the literature has {known} {_RING_NAMES[base]}"
        if self._flips == 0 and self._goal >= scheme.rank:
            words += f". That took no search; target={scheme.rank - 1} looks for fewer"
        if rational is not None:
            words += f". Over the rationals: {rational.rank}, in scheme_rational.json"
        if self.best.rank < (rational or scheme).rank:
            words += (
                f". Modulo 2: {self.best.rank}, in scheme_modulo_2.json; none of that rank was found that "
                "lifts to integers or rationals"
            )
        return words

    def _line(self, at: FlipProgress) -> str:
        """Progress, in some words."""
        return (
            f"{at.flips / max(at.seconds, 1e-3) / 1e6:.1f} million flips/s  "
            f"at {_write(at.format)}: {at.rank}{_known(at.format)}  {self._bests}"
        )

    @property
    def _bests(self) -> str:
        lifted = f", {self.lifted.rank} {_RING_NAMES[self.lifted.ring]}" if self.lifted else ""
        return f"best {_write(self._format)}: {self.best.rank}{lifted}{_known(self._format)}"


def _write(format: Sequence[int]) -> str:
    return "x".join(map(str, format))


def _known(format: tuple[int, int, int]) -> str:
    known = known_rank(format)
    return "" if known is None else f" (known {known})"


SEARCH = Kind("a matrix multiplication", TASK, is_matmul, SchemeSearchConfig, search)
