"""`alphagrad search` for a matrix multiplication: find a scheme of few products, by walks in flip graphs."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from ..matmul import (
    FlipProgress,
    LiftError,
    Scheme,
    exponent,
    flip_search,
    formulas,
    known_rank,
    lift,
    lift_any,
    read_format,
    reduce_modulo,
    standard,
)
from ..matmul._search import searchable
from ..run import Cells, ProgressLine, RunFolder, Text, rank_curve, read_metrics, run_path, write_page
from ..run.settings import ConfigError, SchemeSearchConfig, to_yaml
from ..zero.loop import Watch

_CLOSING_SECONDS = 3.0  # for the table and the report
_LIFTING_SHARE = 0.3  # of all time, to look for other schemes where those found do not lift
_LEAST_SECONDS = 0.2  # that a search gets however late it is
_RING_NAMES = {"Z2": "modulo 2", "Z": "over the integers", "Q": "over the rationals"}


def search(config: SchemeSearchConfig, start: float, console: Console) -> bool:
    """Search, report, and leave everything in the run's folder.

    Args:
        config: the settings.
        start: of the command, in seconds of `time.perf_counter`.
        console: for progress and the table.

    Returns:
        whether the run came to its own end; False if a user asked it to stop.

    Raises:
        ConfigError: when the task or the scheme to start from cannot be used.
        OSError: when a file or the folder cannot be used.
    """
    try:
        format = read_format(config.task)
        if format is None:
            raise ValueError(f"task={config.task} names no matrix multiplication, such as matmul_2x3x4")
        begin = Scheme.load(config.start) if config.start else standard(*searchable(format))
        reduce_modulo(begin, 2)  # refuses what does not exist modulo 2
    except ValueError as error:
        raise ConfigError(str(error)) from error
    folder = RunFolder(run_path(config.run_dir, config.task), to_yaml(config))
    console.print(
        f"{config.task}: {math.prod(format)} products by the standard algorithm; writing to {folder.path}",
        soft_wrap=True,
    )
    found = _Search(format, begin, config, folder, console, start)
    watch = Watch(math.inf)
    with watch.listening(lambda: console.print("stopping; Ctrl-C again to stop at once")):
        found.run(watch)
    folder.close()

    cells = _cells(found)
    table = Table(title=f"{config.task}: products of schemes")
    for head in cells[0]:
        table.add_column(head, justify="left" if head in ("scheme", "ring") else "right")
    for row in cells[1:]:
        table.add_row(*row)
    console.print(table)
    console.print(found.verdict, soft_wrap=True)
    write_page(
        folder.report,
        f"{config.task}, search with seed {config.seed}",
        (
            Cells("Schemes", cells, (_CAPTION, found.verdict)),
            rank_curve(read_metrics(folder.path), known_rank(format)),
            Text("Scheme", formulas(found.scheme)),
            Text("Settings", to_yaml(config)),
        ),
    )
    console.print(f"scheme: {folder.scheme}\nreport: {folder.report}", soft_wrap=True)
    return not watch.asked


_CAPTION = (
    "additions: of blocks, for one level; shared: when sums that occur several times are computed once; "
    "exponent: 3 log(rank) / log(n m p), that of the operations when the scheme is applied recursively"
)


def _cells(found: _Search) -> list[tuple[str, ...]]:
    """The table of schemes as text, under a row of headings."""
    format = found.scheme.format
    cells: list[tuple[str, ...]] = [("scheme", "ring", "rank", "additions", "shared", "exponent")]
    schemes = {"standard": standard(*format), "found": found.scheme}
    if found.rational is not None:
        schemes["found, rational"] = found.rational
    if found.best.rank < found.scheme.rank:
        schemes["found, modulo 2"] = found.best
    for name, scheme in schemes.items():
        counts = (scheme.rank, scheme.additions(), scheme.additions(shared=True))
        cells.append((name, scheme.ring, *map(str, counts), _exponent(scheme.rank, format)))
    known = known_rank(format)
    if known is not None:
        cells.append(("literature, modulo 2", "Z2", str(known), "-", "-", _exponent(known, format)))
    return cells


def _exponent(rank: int, format: Sequence[int]) -> str:
    n, m, p = format
    return f"{exponent(rank, n, m, p):.4f}" if n * m * p > 1 else "-"


class _Search:
    """The best schemes so far, kept on disk, and how they are looked for.

    Attributes:
        best: the best modulo 2.
        lifted: the best over the ring that was asked for; None if that is the integers modulo 2.
        rational: one over the rationals that has fewer products than the best over the integers, if these
            were asked for.
    """

    def __init__(
        self,
        format: tuple[int, int, int],
        begin: Scheme,
        config: SchemeSearchConfig,
        folder: RunFolder,
        console: Console,
        start: float,
    ) -> None:
        self._format, self._config, self._folder, self._start = format, config, folder, start
        self._begin = begin
        self._progress = ProgressLine(console)
        self._deadline = start + config.seconds
        self._deadline -= min(_CLOSING_SECONDS, config.seconds / 2)
        self._flips = 0
        self.best = standard(*format, ring="Z2")
        self.lifted = None if config.ring == "Z2" else standard(*format)
        self.rational: Scheme | None = None

    @property
    def scheme(self) -> Scheme:
        """The best over the ring that was asked for."""
        return self.best if self.lifted is None else self.lifted

    def run(self, watch: Watch) -> None:
        """Search until the time is over, the target is reached, or the user has had enough."""
        self._save()
        try:
            if self._begin.format == self._format:
                self._keep(self._begin)
                self._take(reduce_modulo(self._begin, 2))
            self._walk(watch)
            self._lift(watch)
        finally:  # also if the user has had more than enough
            self._note(self._format, self.best.rank)
            self._progress.end()

    def _walk(self, watch: Watch) -> None:
        """Look for schemes modulo 2, and lift them."""

        def listen(at: FlipProgress) -> bool:
            self._flips = at.flips
            self._take(at.scheme)
            self._note(at.format, at.rank)
            if self._progress.due:
                self._progress.show(self._line(at))
            return watch.asked or self._left < self._reserve

        config = self._config
        # A search that has to be compiled first begins its own count of time after that.
        found = flip_search(
            self._format,
            seconds=max(_LEAST_SECONDS, self._left),
            seed=config.seed,
            start=self._begin if config.start else None,
            workers=config.workers,
            target=config.target,
            lifting=config.ring != "Z2",
            progress=listen,
        )
        self._take(found)

    def _take(self, scheme: Scheme) -> None:
        """Keep a scheme modulo 2 if it is better than all before, and what it lifts to."""
        if scheme.rank >= self.best.rank:
            return
        self.best = scheme
        if self.lifted is not None and scheme.rank < self.lifted.rank:
            try:
                self._keep(lift(scheme))
            except LiftError:
                pass
        self._save()

    def _lift(self, watch: Watch) -> None:
        """Look for schemes that lift; half of what time is left is for each rank."""
        if self.lifted is None:
            return
        config = self._config
        for rank in range(self.best.rank, self.lifted.rank):
            if rank >= self.lifted.rank or watch.asked or self._left <= 0:
                break

            def stop(rank: int = rank) -> bool:
                if self._progress.due:
                    self._progress.show(self._lifting_line(rank))
                return watch.asked

            try:
                self._keep(
                    lift_any(
                        self.best,
                        ring=config.ring,
                        rank=rank,
                        seconds=self._left / 2,
                        seed=config.seed,
                        workers=config.workers,
                        stop=stop,
                    )
                )
            except LiftError:
                pass
            self._save()

    def _keep(self, scheme: Scheme) -> None:
        """Keep a scheme over the integers or rationals if it is better than all before."""
        if self.lifted is None or scheme.ring == "Z2":
            return
        if scheme.ring in ("Z", self._config.ring):
            self.lifted = min(self.lifted, scheme, key=lambda one: one.rank)
            if self.rational is not None and self.rational.rank >= self.lifted.rank:
                self.rational = None
        elif scheme.rank < (self.rational or self.lifted).rank:
            self.rational = scheme

    def _save(self) -> None:
        """Write what is not on disk yet; a scheme that is written is verified."""
        path = self._folder.scheme
        others = {"modulo_2": self.best if self.best.rank < self.scheme.rank else None}
        others["rational"] = self.rational
        self.scheme.save(path)
        for name, scheme in others.items():
            other = path.with_stem(f"{path.stem}_{name}")
            if scheme is None:
                other.unlink(missing_ok=True)
            else:
                scheme.save(other)

    def _note(self, format: tuple[int, int, int], rank: int) -> None:
        """Add a line to the metrics."""
        self._folder.write(
            {
                "seconds": round(time.perf_counter() - self._start, 3),
                "flips": self._flips,
                "format": _write(format),
                "rank": rank,
                "best": self.best.rank,
                "lifted": self.lifted.rank if self.lifted else None,
            }
        )

    @property
    def _left(self) -> float:
        return self._deadline - time.perf_counter()

    @property
    def _reserve(self) -> float:
        """Seconds that are kept for lifting, as long as the best scheme does not lift."""
        if self.lifted is None or self.lifted.rank <= self.best.rank:
            return 0.0
        return _LIFTING_SHARE * self._config.seconds

    @property
    def verdict(self) -> str:
        """What was found and how good it is, in some sentences."""
        scheme, rational, known = self.scheme, self.rational, known_rank(self._format)
        words = f"found: {scheme.rank} products {_RING_NAMES[scheme.ring]}, verified"
        if known is not None:
            words += f"; the literature has {known} modulo 2"
        if rational is not None:
            words += f". Over the rationals: {rational.rank}, in scheme_rational.json"
        if self.best.rank < (rational or scheme).rank:
            words += (
                f". Modulo 2: {self.best.rank}, in scheme_modulo_2.json; none of that rank was found that "
                "lifts to integers or rationals"
            )
        return words

    def _line(self, at: FlipProgress) -> str:
        """Progress, on one line."""
        return (
            f"{time.perf_counter() - self._start:5.0f} s  "
            f"{at.flips / max(at.seconds, 1e-3) / 1e6:.1f} million flips/s  "
            f"at {_write(at.format)}: {at.rank}{_known(at.format)}  {self._bests}  {self._remaining}"
        )

    def _lifting_line(self, rank: int) -> str:
        return (
            f"{time.perf_counter() - self._start:5.0f} s  lifting {_write(self._format)} of rank {rank}  "
            f"{self._bests}  {self._remaining}"
        )

    @property
    def _bests(self) -> str:
        lifted = f", {self.lifted.rank} {_RING_NAMES[self.lifted.ring]}" if self.lifted else ""
        return f"best {_write(self._format)}: {self.best.rank}{lifted}{_known(self._format)}"

    @property
    def _remaining(self) -> str:
        return f"{max(0.0, self._start + self._config.seconds - time.perf_counter()):.0f} s left"


def _write(format: Sequence[int]) -> str:
    return "x".join(map(str, format))


def _known(format: tuple[int, int, int]) -> str:
    known = known_rank(format)
    return "" if known is None else f" (known {known})"
