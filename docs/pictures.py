"""Makes the pictures of the documentation: `python docs/pictures.py` writes them into `docs/images`."""

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


def pictures():
    """The texts of all pictures by their file's name."""
    graph = example()
    made = {"elimination.svg": graphax.draw(graph).svg}
    for name, order in ORDERS.items():
        made[f"elimination_{name}.html"] = graphax.draw(graph, order).html
    return made


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for name, text in pictures().items():
        (IMAGES / name).write_text(text, encoding="utf-8")
