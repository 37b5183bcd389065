"""Commands as processes of their own, that tests look at, interrupt and kill."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time

# A network and a search that compile quickly and learn nothing much.
SMALL = (
    "agent.width=8 search.simulations=2 search.considered=2 selfplay.games=2 learning.updates=1 "
    "learning.games=2 learning.positions=2 replay.latest=8 replay.best=2 demonstrations.games=3 "
    "demonstrations.updates=4"
).split()
# Checkpoints at every turn, and little search beside.
EAGER = (
    "from alphagrad.zero import training; training._CHECKPOINT_SECONDS = 0.0; "
    "from alphagrad.orders import train; train._SEARCH_STEPS = 10_000; "
    "from alphagrad.cli import program; program()"
)
_LONGEST = 600  # seconds; whatever takes longer hangs


class Program:
    """A command in a process.

    Args:
        words: of the command line.
        code: what Python is given instead of the module `alphagrad`.
        more: arguments of `subprocess.Popen`.
    """

    def __init__(self, *words, code=None, **more):
        python = [sys.executable, *(("-c", code) if code else ("-m", "alphagrad"))]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        self.start = time.monotonic()
        self.process = subprocess.Popen([*python, *words], text=True, **pipes)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def until(self, condition, timeout=_LONGEST):
        """Wait for something to be true while the command runs; returns whether it is."""
        deadline = time.monotonic() + timeout
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                return bool(condition())
            time.sleep(0.002)
        return True

    def work(self, seconds):
        """Wait until the command has computed for so long, which on an idle machine takes as long."""
        ticks = os.sysconf("SC_CLK_TCK") * seconds

        def worked():
            fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            return int(fields[11]) + int(fields[12]) >= ticks  # user and system time

        return self.until(worked)

    def send(self, number):
        """Send a signal; returns when."""
        self.process.send_signal(number)
        return time.monotonic()

    def end(self, timeout=_LONGEST):
        """Wait for its end; returns the exit status, what it said, and the complaints.

        Raises:
            subprocess.TimeoutExpired: if it does not end in time; it is killed then.
        """
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, out, err

    @property
    def seconds(self):
        """Since it was started."""
        return time.monotonic() - self.start


def run(*words, **more):
    """Run a command to its end; returns the exit status, what it said, and the complaints."""
    with Program(*words, **more) as program:
        return program.end()


def lines_of(path):
    """The whole lines of a run's metrics, as tables."""
    with contextlib.suppress(FileNotFoundError):
        *texts, _ = (pathlib.Path(path) / "metrics.jsonl").read_text().split("\n")
        return [json.loads(text) for text in texts]
    return []


def turns_kept(path):
    """How many lines of the metrics the latest checkpoint has behind it; None if there is none."""
    with contextlib.suppress(FileNotFoundError):
        with open(pathlib.Path(path) / "checkpoints" / "latest.eqx", "rb") as file:
            return json.loads(file.readline())["turns"]


def played(path):
    """The same without what differs from run to run: the time."""
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines_of(path)]


@contextlib.contextmanager
def busy():
    """A process beside that keeps a core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def slowness():
    """How much longer than on an idle machine things take now, about."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def environment(folder):
    """What commands are told here: nothing of the user's is read or written."""
    return {
        "JAX_PLATFORMS": "cpu",
        "GRAPHAX_ORDER_STORE": "off",
        "GRAPHAX_COMPILED": os.fspath(folder),
        "COLUMNS": "200",
    }
