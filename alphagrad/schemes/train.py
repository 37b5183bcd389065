"""`alphagrad train` for matrix multiplications: learn the tensor game and keep the schemes that it spells."""

from __future__ import annotations

import hashlib
import math
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from ..layers import AgentConfig
from ..matmul import (
    Scheme,
    best_known,
    formulas,
    is_matmul,
    known_rank,
    matmul_tensor,
    read_format,
    sandwiches,
    searchable,
)
from ..run.charts import Line
from ..run.command import Invocation, Kind
from ..run.result import Cells, Findings, Text
from ..run.settings import ConfigError, check_counts
from ..run.table import Rows
from ..zero import DemonstrationConfig, LearningConfig, ReplayConfig, SearchConfig, SelfPlayConfig
from ..zero.records import Records
from ..zero.training import Trainer, TrainingConfig, game_panels
from .game import TensorGame
from .report import TASK, counts_of, picture, scheme_use, scheme_words

_SYMMETRIES = 64  # turns of a scheme that agents see
_DEMONSTRATION_RANK = 12  # of longer sums little is to be learned


@dataclass(frozen=True, kw_only=True)
class SchemeTrainConfig(TrainingConfig):
    """The settings of `alphagrad train` for a scheme of matrix multiplication."""

    usual_seconds: ClassVar[float] = 1200.0
    settled: ClassVar[tuple[str, ...]] = (*TrainingConfig.settled, "ring", "menu", "history")

    task: str = field(
        metadata={"help": "matmul_NxMxP, or several that are learned together: matmul_2x2x2+matmul_2x2x3"}
    )
    ring: str = field(
        default="Z",
        metadata={
            "help": "of the coefficients: 'Z', with -1, 0 and 1, or 'Z2', modulo 2",
            "choices": ("Z", "Z2"),
        },
    )
    target: int | None = field(
        default=None,
        metadata={
            "help": "the rank at which a task is done and, if all are, the run ends; by default that of the "
            "literature (modulo 2)"
        },
    )
    menu: int = field(default=8, metadata={"help": "moves drawn at every state"})
    history: int = field(default=2, metadata={"help": "how many of the last moves the agent sees"})
    changed_bases: float = field(
        default=0.0, metadata={"help": "part of the games that are played in a random basis, as exercises"}
    )
    seconds: float | None = field(
        default=None,
        metadata={
            "help": "how long the whole command may take, compiling included; by default 1200, with "
            "iterations= as long as it takes"
        },
    )
    agent: AgentConfig = field(default_factory=partial(AgentConfig, heads=4))
    search: SearchConfig = field(default_factory=partial(SearchConfig, method="visits", simulations=2))
    selfplay: SelfPlayConfig = field(
        default_factory=partial(SelfPlayConfig, games=256, reopened=0.98, reopened_moves=4)
    )
    replay: ReplayConfig = field(default_factory=partial(ReplayConfig, latest=4096, best=256, renewed=True))
    learning: LearningConfig = field(
        default_factory=partial(
            LearningConfig, rate=3e-3, updates=10, games=32, positions=2, value_weight=1.0
        )
    )
    demonstrations: DemonstrationConfig = field(
        default_factory=partial(DemonstrationConfig, updates=5000, share=0.5)
    )

    def __post_init__(self):
        super().__post_init__()
        if self.ring not in ("Z", "Z2"):
            raise ConfigError(f"ring={self.ring} must be 'Z' or 'Z2'")
        check_counts(target=self.target)
        if self.menu < 1 or self.history < 0 or not 0 <= self.changed_bases <= 1:
            raise ConfigError(
                f"menu={self.menu} must be at least 1, history={self.history} not negative, and "
                f"changed_bases={self.changed_bases} between 0 and 1"
            )


# What is faster than a CPU does more work at once in the same time.
_ON_ACCELERATOR = {
    "agent.width": 64,
    "selfplay.games": 1024,
    "learning.updates": 2,
    "learning.games": 128,
    "demonstrations.updates": 2500,
}


def train(config: SchemeTrainConfig, call: Invocation) -> bool:
    """Learn, report, and leave everything in the run's folder; see :class:`alphagrad.run.command.Kind`.

    Raises:
        ConfigError: when the task or the checkpoint cannot be used.
        OSError: when the folder cannot be used.
    """
    formats = _formats(config.task)
    standard = {name: math.prod(format) for name, format in formats.items()}
    game = TensorGame(
        {name: matmul_tensor(*format) for name, format in formats.items()},
        limits=standard,
        modulus=2 if config.ring == "Z2" else None,
        menu=config.menu,
        history=config.history,
        changed_bases=config.changed_bases,
        symmetries={name: sandwiches(format, _SYMMETRIES) for name, format in formats.items()},
        demonstration_rank=_DEMONSTRATION_RANK,
    )
    trainer = Trainer(
        lambda: game, config, hashlib.sha256(f"{config.task} {config.ring}".encode()).hexdigest()[:16]
    )
    size = f"{', '.join(map(str, standard.values()))} products by the standard algorithm"
    run = trainer.begin(config.task, size, call)

    def path_of(path: Path, name: str) -> Path:
        """The file of a task's scheme."""
        return path if len(formats) == 1 else path.with_stem(f"{path.stem}_{name}")

    known = {name: best_known(format, config.ring) for name, format in formats.items()}
    for name, scheme in known.items():
        scheme.save(path_of(run.folder.scheme, name))
    learned: dict[str, Scheme] = {}
    keeping = threading.Lock()

    def keep(target: int, played: Records) -> None:
        """Save a game that is better than all before; if it is a scheme, which `save` makes sure of."""
        name = game.names[target]
        scheme = _scheme(formats[name], game, played, config.ring)
        with keeping:
            if scheme is not None and not run.left_behind:
                run.folder.check()  # saving would make it again
                scheme.save(path_of(run.folder.learned, name))
                learned[name] = scheme
                if scheme.rank < known[name].rank:
                    scheme.save(path_of(run.folder.scheme, name))

    wanted = {name: config.target or known_rank(format) or 0 for name, format in formats.items()}

    def enough() -> bool:
        """Whether every task is done."""
        done = (name in learned and learned[name].rank <= rank for name, rank in wanted.items())
        return config.iterations is None and all(done)

    run.watch(lambda: trainer.train(run, keep, enough))
    with keeping:  # nothing is kept from now on
        pass
    trainer.save(run.folder.path)
    cells = [("task", "standard", "known", "learned", "literature, modulo 2", "additions", "shared")]
    best: dict[str, Scheme] = {}
    for name, format in formats.items():
        both = [known[name], *([learned[name]] if name in learned else [])]
        best[name] = min(both, key=lambda scheme: scheme.rank)
        _, additions, shared = counts_of(best[name])
        own = str(learned[name].rank) if name in learned else "-"
        literature = str(known_rank(format) or "-")
        cells.append((name, str(standard[name]), str(known[name].rank), own, literature, additions, shared))
    verdict = "; ".join(
        f"{name}: best {best[name].rank} products, "
        + ("learned" if best[name] is learned.get(name) else "known before")
        + (f"; the agent itself: {learned[name].rank}" if name in learned else "")
        for name in formats
    )
    if len(learned) < len(formats):
        verdict += "; not every task was played to its end: give it more seconds"

    paths = [path_of(run.folder.scheme, name) for name in formats]
    ways = ["alphazero" if best[name] is learned.get(name) else "known before" for name in formats]
    literature = {name: known_rank(format) or math.inf for name, format in formats.items()}
    both = {"literature, modulo 2": literature, "standard": standard}
    findings = Findings(
        best=sum(scheme.rank for scheme in best.values()),
        quantity="products" if len(formats) == 1 else "products of all tasks",
        method=", ".join(dict.fromkeys(ways)),
        bound=None,
        verdict=verdict,
        use=scheme_use(paths[0], next(iter(best.values()))),
        on_jax=True,
        panels=game_panels(
            "products, and the bound on what is left",
            [Line(name, sum(ranks.values())) for name, ranks in both.items()],
        ),
        tables=(Cells("Products of schemes", tuple(cells), (_CAPTION,)),),
        factors=tuple(picture(scheme, name) for name, scheme in best.items()),
        texts=tuple(Text(f"Scheme of {name}", formulas(scheme)) for name, scheme in best.items()),
    )
    table = Rows("products of schemes", cells, ("task",), _CAPTION)
    return run.end("train", table, findings, scheme_words(paths, config.ring))


_CAPTION = (
    "known: put together from schemes that come with this package; additions: of blocks, for the best; "
    "shared: with common sums computed once"
)


def _formats(task: str) -> dict[str, tuple[int, int, int]]:
    """The formats of tasks, by their names, which stand between plus signs."""
    formats = {}
    for name in task.split("+"):
        try:
            format = read_format(name)
            if format is not None:
                searchable(format)  # states of games hold n m by m p by p n numbers
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


TRAIN = Kind("a matrix multiplication", TASK, is_matmul, SchemeTrainConfig, train, _ON_ACCELERATOR)
