"""The picture in README shows what the files of results say, on light and on dark pages."""

import pathlib
import subprocess
import sys
from xml.etree import ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "picture.py"


def test_the_picture_shows_what_the_files_say():
    checked = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_the_picture_is_one_file_for_light_and_dark_pages():
    picture = (ROOT / "docs" / "images" / "speed.svg").read_text()
    ElementTree.fromstring(picture)
    assert "prefers-color-scheme: dark" in picture
    assert picture.count("http") == 1  # the name of the format
