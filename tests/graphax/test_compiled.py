"""Machine code that is kept: for as long as the sources beside a function are what they were."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import graphax

BELOW = "from graphax.compiled import part\n@part\ndef once(x):\n    return x\n"
ABOVE = """
from below import once
from graphax.compiled import compiled
@compiled
def twice(x):
    return once(x) + once(x)
print(twice(3), sum(twice.stats.cache_hits.values()))
"""


@pytest.fixture
def run(tmp_path):
    """Runs ``above.py`` in another process; returns what it finds, and how often that was kept."""
    (tmp_path / "below.py").write_text(BELOW)
    (tmp_path / "above.py").write_text(ABOVE)

    def found():
        paths = os.pathsep.join([str(tmp_path), str(Path(graphax.__file__).parents[1])])
        environment = {**os.environ, "PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        command = [sys.executable, "-c", "import above"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return tuple(map(int, done.stdout.split()))

    return found


def test_it_is_kept_whatever_the_dates_of_the_sources_and_beside_links_to_nowhere(tmp_path, run):
    (tmp_path / ".#above.py").symlink_to("someone@somewhere")
    assert run() == (6, 0)
    for below, above in ((4_000_000_000, 0), (0, 4_000_000_000)):
        os.utime(tmp_path / "below.py", (below, below))
        os.utime(tmp_path / "above.py", (above, above))
        assert run() == (6, 1)


def test_it_goes_when_another_source_changes_even_if_the_dates_do_not(tmp_path, run):
    for source, expected in ((BELOW, 6), (BELOW.replace("return x", "return 10 * x"), 60)):
        (tmp_path / "below.py").write_text(source)
        os.utime(tmp_path / "below.py", (0, 0))
        assert run() == (expected, 0)
    kept = [path.suffix for path in (tmp_path / "cache").rglob("*.nb[ci]")]
    assert sorted(kept) == [".nbc", ".nbi"]
