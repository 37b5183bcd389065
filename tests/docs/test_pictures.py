"""The pictures of the documentation are what `docs/pictures.py` makes."""

import importlib.util
import pathlib

import pytest

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("pictures", DOCS / "pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pictures_are_what_the_script_makes(script):
    made = script.pictures()
    there = {path.name: path.read_text(encoding="utf-8") for path in script.IMAGES.glob("elimination*")}
    stale = sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))
    assert not stale, f"run python docs/pictures.py, or remove what it does not make: {stale}"


def test_pictures_are_small_and_name_no_folder_of_a_machine(script):
    for name, text in script.pictures().items():
        assert len(text) < 100_000, name
        assert str(DOCS.parent) not in text, name
