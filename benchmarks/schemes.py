"""How low the flip-graph search goes, how fast, and which of its schemes lift.

For every format: schemes modulo 2 from the standard algorithm until the target or the end of the time; when
each rank was reached, and how many flips a second each worker made. Then the best scheme is lifted to the
integers or the rationals; if it does not lift, others of its rank are looked for, and at last higher ranks
are tried. Every scheme is verified and written to the folder, and so is the table, again and again: what is
there when the script is killed is right.

Several formats at once (`--jobs`) run in processes of their own, each on cores of its own.
"""

from __future__ import annotations

import argparse
import itertools
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

from measure import save

from alphagrad.matmul import (
    FlipProgress,
    LiftError,
    Scheme,
    flip_search,
    known_rank,
    lift_any,
    read_format,
    standard,
)

# Ranks modulo 2 to reach in ten minutes on two cores.
TARGETS = {
    **{
        format: known_rank(format)
        for format in itertools.combinations_with_replacement(range(2, 6), 3)
        if format <= (3, 3, 5)
    },
    (3, 4, 4): 38,
    (3, 4, 5): 47,
    (4, 4, 4): 47,
    (4, 4, 5): 63,
    (4, 5, 5): 78,
    (5, 5, 5): 98,
}
NOTE_SECONDS = 10.0  # between two notes of where a search is

Format = tuple[int, int, int]
Note = Callable[[dict[str, Any]], None]


def name_of(format: Format) -> str:
    return "x".join(map(str, format))


def format_of(name: str) -> Format:
    format = read_format(f"matmul_{name}")
    assert format is not None
    return format


def search(
    format: Format, target: int | None, options: argparse.Namespace, entry: dict[str, Any], note: Note
) -> Scheme:
    """Search modulo 2, and note what is reached when."""
    path = options.out / f"{name_of(format)}-Z2.json"
    noted = -NOTE_SECONDS

    def listen(at: FlipProgress) -> None:
        nonlocal noted
        speed = at.flips / at.seconds / options.workers if at.seconds else 0.0
        entry.update(seconds=round(at.seconds, 1), flips_per_second_and_core=round(speed))
        if at.scheme.rank < entry.get("rank", math.inf):
            at.scheme.save(path)
            entry["rank"] = at.scheme.rank
            entry["ranks"].append([round(at.seconds, 1), at.scheme.rank])
            if target is not None and at.scheme.rank <= target and entry["reached"] is None:
                entry["reached"] = round(at.seconds, 1)
            noted = -NOTE_SECONDS
        if at.seconds - noted > NOTE_SECONDS:
            noted = at.seconds
            note(entry)

    best = flip_search(
        format,
        seconds=options.seconds,
        seed=options.seed,
        workers=options.workers,
        target=None if options.beyond else target,
        known=options.known,
        lifting=True,
        progress=listen,
    )
    if "rank" not in entry:  # what is known was good enough
        listen(FlipProgress(0.0, 0, format, best.rank, best))
    return best


def lifted(
    best: Scheme, seconds: float, options: argparse.Namespace, entry: dict[str, Any], note: Note
) -> Scheme:
    """A scheme of the lowest rank that lifts; half of the time that is left is for each rank."""
    end = time.monotonic() + seconds
    entry["does_not_lift"] = []
    for rank in range(best.rank, math.prod(best.format)):
        left = (end - time.monotonic()) / 2
        if left < 1.0:
            break
        with suppress(LiftError):
            return lift_any(
                best,
                ring="Z",
                rank=rank,
                seconds=left,
                seed=options.seed,
                known=options.known,
                workers=options.workers,
            )
        entry["does_not_lift"].append(rank)
        note(entry)
    return standard(*best.format)


def benchmark(format: Format, options: argparse.Namespace, note: Note) -> None:
    """One format; `note` is given its entry of the table, more complete from time to time."""
    n, m, p = sorted(format)
    target = TARGETS.get((n, m, p))
    entry: dict[str, Any] = {"target": target, "known": known_rank(format), "reached": None, "ranks": []}
    start = time.monotonic()
    best = search(format, target, options, entry, note)
    begun = time.monotonic()
    left = max(options.lift_seconds, options.seconds - (begun - start))
    scheme = lifted(best, left, options, entry, note)
    scheme.save(options.out / f"{name_of(format)}-{scheme.ring}.json")
    entry["lifted"] = {
        "ring": scheme.ring,
        "rank": scheme.rank,
        "largest": max(int(abs(factor).max()) for factor in (scheme.u, scheme.v, scheme.w)),
        "additions": scheme.additions(),
        "shared_additions": scheme.additions(shared=True),
        "seconds": round(time.monotonic() - begun, 1),
    }
    entry["done"] = True
    note(entry)


def own_cores(places: Any) -> None:
    """Keep this process to cores that no other one has."""
    os.sched_setaffinity(0, places.get())


def in_process(format: Format, options: argparse.Namespace, notes: Any) -> None:
    benchmark(format, options, lambda entry: notes.put((name_of(format), dict(entry))))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All formats, some at once; the table is written whenever a process has something to note."""
    table: dict[str, Any] = {
        "seconds": options.seconds,
        "workers": options.workers,
        "seed": options.seed,
        "jobs": options.jobs,
        "formats": {name_of(format): {} for format in options.formats},
    }
    cores = sorted(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        places, notes = manager.Queue(), manager.Queue()
        for job in range(options.jobs):
            own = cores[job * options.workers : (job + 1) * options.workers]
            places.put(own or cores)
        with ProcessPoolExecutor(options.jobs, context, own_cores, (places,)) as pool:
            futures: dict[Future[None], str] = {
                pool.submit(in_process, format, options, notes): name_of(format) for format in options.formats
            }
            while not all(future.done() for future in futures) or not notes.empty():
                try:
                    name, entry = notes.get(timeout=1.0)
                except Empty:
                    continue
                table["formats"][name] = entry
                save(options.out / "schemes.json", table)
                if entry.get("done"):
                    print(name, entry, flush=True)
            for future, name in futures.items():
                if (error := future.exception()) is not None:
                    table["formats"][name]["error"] = str(error)
                    print(name, repr(error), flush=True)
    save(options.out / "schemes.json", table)
    return table


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--formats", nargs="*", type=format_of, default=list(TARGETS), metavar="NxMxP")
    parser.add_argument("--seconds", type=float, default=600.0, help="of each search, and its lifting")
    parser.add_argument("--lift-seconds", type=float, default=60.0, help="for lifting, at least")
    parser.add_argument("--workers", type=int, default=2, help="threads, and cores, of each search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="formats at once")
    parser.add_argument(
        "--beyond", action="store_true", help="go on after the target, until the time is over"
    )
    parser.add_argument(
        "--known", action="store_true", help="begin with the best known schemes, not the standard algorithm"
    )
    parser.add_argument("--out", type=Path, required=True, help="a folder for schemes.json and the schemes")
    options = parser.parse_args(argv)
    if options.jobs * options.workers > len(os.sched_getaffinity(0)):
        parser.error(f"{options.jobs} jobs of {options.workers} cores are more than there are")
    options.out.mkdir(parents=True, exist_ok=True)
    run(options)


if __name__ == "__main__":
    main()
