"""`alphagrad train` for matrix multiplications: learn the tensor game and keep the schemes that it spells."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from rich.console import Console
from rich.table import Table

from ..matmul import Scheme, formulas, known_rank, matmul_tensor, read_format, sandwiches
from ..run import Cells, Text, TrainingFolder, rank_of_games, read_metrics, run_path, write_page
from ..run.settings import ConfigError, SchemeTrainConfig, to_yaml
from ..zero.records import Records
from ..zero.training import begin_or_resume, learn
from .game import TensorGame

_SYMMETRIES = 64  # turns of a scheme that agents see
_DEMONSTRATION_RANK = 12  # of longer sums little is to be learned


def train(config: SchemeTrainConfig, start: float, console: Console) -> bool:
    """Learn, report, and leave everything in the run's folder.

    Args:
        config: the settings.
        start: of the command, in seconds of `time.perf_counter`.
        console: for progress and the table.

    Returns:
        whether the run came to its own end; False if a user asked it to stop.

    Raises:
        ConfigError: when the task or the checkpoint cannot be used.
        OSError: when the folder cannot be used.
    """
    formats = _formats(config.task)
    game = TensorGame(
        {name: matmul_tensor(*format) for name, format in formats.items()},
        limits={name: math.prod(format) for name, format in formats.items()},
        modulus=2 if config.ring == "Z2" else None,
        menu=config.menu,
        history=config.history,
        changed_bases=config.changed_bases,
        symmetries={name: sandwiches(format, _SYMMETRIES) for name, format in formats.items()},
        demonstration_rank=_DEMONSTRATION_RANK,
    )
    fingerprint = hashlib.sha256(f"{config.task} {config.ring}".encode()).hexdigest()[:16]
    training = begin_or_resume(game, config, fingerprint)
    folder = TrainingFolder(run_path(config.run_dir, config.task), to_yaml(config))
    console.print(
        f"{config.task}: {', '.join(str(math.prod(format)) for format in formats.values())} products by the "
        f"standard algorithm; writing to {folder.path}",
        soft_wrap=True,
    )

    schemes: dict[str, Scheme] = {}

    def on_best(target: int, played: Records, best: float) -> None:
        """Save a game that is better than all before; if it is a scheme, which `save` makes sure of."""
        name = game.names[target]
        scheme = _scheme(formats[name], game, played, config.ring)
        if scheme is not None:
            path = folder.scheme if len(formats) == 1 else folder.scheme.with_stem(f"scheme_{name}")
            scheme.save(path)
            schemes[name] = scheme

    def enough() -> bool:
        wanted = {name: config.target or known_rank(format) or 0 for name, format in formats.items()}
        return all(name in schemes and schemes[name].rank <= rank for name, rank in wanted.items())

    finished = learn(game, config, training, fingerprint, folder, console, start, on_best, enough)

    cells = [("task", "standard", "learned", "literature, modulo 2", "additions", "shared")]
    for name, format in formats.items():
        scheme = schemes.get(name)
        rank, additions, shared = ("-",) * 3
        if scheme is not None:
            counts = (scheme.rank, scheme.additions(), scheme.additions(shared=True))
            rank, additions, shared = map(str, counts)
        known = str(known_rank(format) or "-")
        cells.append((name, str(math.prod(format)), rank, known, additions, shared))
    table = Table(title="products of schemes")
    for head in cells[0]:
        table.add_column(head, justify="left" if head == "task" else "right")
    for row in cells[1:]:
        table.add_row(*row)
    console.print(table)
    write_page(
        folder.report,
        f"{config.task}, seed {config.seed}",
        (
            Cells("Schemes", cells, ("additions: of blocks; shared: with common sums computed once",)),
            rank_of_games(read_metrics(folder.path)),
            *(Text(f"Scheme of {name}", formulas(scheme)) for name, scheme in schemes.items()),
            Text("Settings", to_yaml(config)),
        ),
    )
    if len(schemes) < len(formats):
        console.print("not every task was played to its end: give it more seconds")
    else:
        console.print(f"schemes: {folder.path}\nreport: {folder.report}", soft_wrap=True)
    return finished


def _formats(task: str) -> dict[str, tuple[int, int, int]]:
    """The formats of tasks, by their names, which stand between plus signs."""
    formats = {}
    for name in task.split("+"):
        try:
            format = read_format(name)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        if format is None:
            raise ConfigError(
                f"task={task}: {name!r} names no matrix multiplication; write several as "
                "matmul_2x2x2+matmul_2x2x3"
            )
        if name in formats:
            raise ConfigError(f"task={task} names {name} twice")
        formats[name] = format
    return formats


def _scheme(format: tuple[int, int, int], game: TensorGame, played: Records, ring: str) -> Scheme | None:
    """The scheme that a game has spelt; None if it ended before nothing was left."""
    n, m, p = format
    moves = played.actions[: int(played.lengths)].astype(np.int64)
    a, b, _ = game.sizes
    u, v, w = np.split(moves, (a, a + b), axis=1)
    factors = u[:, : n * m], v[:, : m * p], w[:, : p * n]
    # Beyond the target's own sizes everything has cancelled if the game was played to its end.
    if -float(played.rewards.sum()) > len(moves):
        return None
    return Scheme(format, *factors, ring)
