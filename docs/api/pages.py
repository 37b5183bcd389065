"""Makes the pages of the API: a line for each name, the commands' help, docstrings as Markdown.

MkDocs calls :func:`on_page_markdown`; mkdocstrings has Griffe read docstrings through :class:`Docstrings`.
"""

import ast
import contextlib
import html
import io
import re
from functools import cache
from pathlib import Path

import griffe

FOLDER = Path(__file__).parent

_NAMED = re.compile(r"^::: (\S+)", re.MULTILINE)
_ROLE = re.compile(r":(?:func|class|meth|mod|data):`~?\.?([\w.]+)`")

_AT_HAND = """!!! note ""
    The examples begin with `import graphax, jax, jax.numpy as jnp, numpy as np`,
    `from graphax import orders, sparse` and `from alphagrad import matmul, tasks`. They are run as tests.
"""


@cache
def public_names() -> tuple[str, ...]:
    """The paths of all names that the pages show."""
    return tuple(name for page in sorted(FOLDER.glob("*.md")) for name in _NAMED.findall(page.read_text()))


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put in what pages leave to be made: ``<!-- names -->``, ``<!-- usage -->``, ``<!-- settings -->``."""
    if "<!-- names -->" in markdown:
        lines = [
            f"- [`{name.rpartition('.')[2]}`][{name}]: {summary(name)}" for name in _NAMED.findall(markdown)
        ]
        markdown = markdown.replace("<!-- names -->", "\n".join([*lines, "", _AT_HAND]))
    if "<!-- usage -->" in markdown:
        markdown = markdown.replace("<!-- usage -->", f"```text\n{usage()}```")
    if "<!-- settings -->" in markdown:
        markdown = markdown.replace("<!-- settings -->", settings_of_commands())
    return markdown


@cache
def _package(name: str) -> griffe.Object | griffe.Alias:
    return griffe.load(name, search_paths=[FOLDER.parents[1]], extensions=griffe.load_extensions(Docstrings))


def summary(name: str) -> str:
    """The first line of a docstring, in Markdown."""
    package, _, path = name.partition(".")
    docstring = _package(package)[path].docstring
    return docstring.value.split("\n\n")[0].replace("\n", " ")


def usage() -> str:
    """What ``alphagrad --help`` prints."""
    from alphagrad.cli import main

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        main(["--help"])
    return printed.getvalue()


def settings_of_commands() -> str:
    """Tables of the settings of every command for each kind of task, in the words of their help."""
    from alphagrad.commands import _KINDS
    from alphagrad.run.help import setting_groups

    parts: list[str] = []
    for command, kinds in _KINDS.items():
        parts += [f"## Settings of `{command}`", ""]
        for kind in reversed(kinds):
            parts += [f"### For {kind.about}: `task={kind.task}`", ""]
            parts += ["| setting | by default | meaning |", "| --- | --- | --- |"]
            for row in (row for group in setting_groups(kind) for row in group.rows):
                default = f"`{row.default}`" if row.default else ""
                meaning = html.escape(row.help, quote=False).replace("|", "&#124;")
                parts.append(f'| `{row.key}`{{style="white-space:nowrap"}} | {default} | {meaning} |')
            parts.append("")
    return "\n".join(parts)


def as_markdown(text: str) -> str:
    """A docstring with the headings that Griffe knows, and links in the place of roles."""
    text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
    return _ROLE.sub(lambda found: _link(found[1]), text)


def _link(target: str) -> str:
    """A link to what is shown of that name, or of the class that it is a method of; else the name alone."""
    for wanted in (target, target.rpartition(".")[0]):
        found = [name for name in public_names() if wanted and f".{name}".endswith(f".{wanted}")]
        if found:
            return f"[`{target}`][{min(found, key=len)}]"
    return f"`{target}`"


class Docstrings(griffe.Extension):
    """Docstrings as Markdown; a field of a dataclass that has a help is explained by that."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)
        elif isinstance(obj, griffe.Attribute):
            default, told = _field(str(obj.value))
            if told:
                obj.value, obj.docstring = default, griffe.Docstring(told, parent=obj)


def _field(value: str) -> tuple[str | None, str]:
    """The default and the help in ``field(default=..., metadata={"help": ...})``."""
    if not value.startswith("field("):
        return None, ""
    call = ast.parse(value, mode="eval").body
    options = {keyword.arg: keyword.value for keyword in getattr(call, "keywords", [])}
    told = options.get("metadata")
    entries = zip(told.keys, told.values, strict=True) if isinstance(told, ast.Dict) else ()
    helps = [
        text.value for key, text in entries if ast.unparse(key) == "'help'" and isinstance(text, ast.Constant)
    ]
    default = ast.unparse(options["default"]) if "default" in options else None
    return default, str(helps[0]) if helps else ""
