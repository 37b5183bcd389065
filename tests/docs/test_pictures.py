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


def test_the_picture_is_what_the_script_makes(script):
    there = {path.name: path.read_text(encoding="utf-8") for path in script.IMAGES.glob("elimination*")}
    assert there == {"elimination.svg": script.picture()}, "run python docs/pictures.py; remove other files"


def test_pictures_are_small_and_name_no_folder_of_a_machine(script):
    for name, text in {"elimination.svg": script.picture(), **script.stepping_pages()}.items():
        assert len(text) < 100_000, name
        assert str(DOCS.parent) not in text, name
