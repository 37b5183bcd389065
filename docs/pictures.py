"""Makes the pictures of an elimination: `python docs/pictures.py` writes the one in `docs/images`.

The pages that step through it hold a program each; MkDocs has them made with the site.
"""

import pathlib
import re

import graphax

DOCS = pathlib.Path(__file__).parent
IMAGES = DOCS / "images"
#: The orders that `how/elimination.md` steps through, by the end of the file's name.
ORDERS = {"forward": "forward", "reverse": "reverse", "cheaper": [2, 3, 4, 1]}


def example():
    """The graph of the function in the first block of `how/elimination.md`: page and pictures agree."""
    page = (DOCS / "how" / "elimination.md").read_text(encoding="utf-8")
    block = re.search(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    names = {}
    exec(compile(block[1], "example.py", "exec"), names)
    return graphax.trace(names["f"], argnums=(0, 1))(1.0, 2.0)


def picture():
    """The graph, as SVG."""
    return graphax.draw(example()).svg


def stepping_pages():
    """The pages that step through the orders, by their file's name."""
    graph = example()
    return {f"elimination_{name}.html": graphax.draw(graph, order).html for name, order in ORDERS.items()}


def on_files(files, config, **_):
    """What MkDocs calls with the files of the site; adds the pages."""
    from mkdocs.structure.files import File

    for name, text in stepping_pages().items():
        files.append(File.generated(config, f"images/{name}", content=text))
    return files


if __name__ == "__main__":
    (IMAGES / "elimination.svg").write_text(picture(), encoding="utf-8")
