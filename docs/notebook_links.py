"""Links of notebooks to the sources of pages, which mkdocs-jupyter leaves as they are, lead to the pages."""

import re

_LINK = re.compile(r'(<a href="(?![a-z]+:)[^"#]+)\.(?:md|ipynb)(?=[#"])')


def on_page_content(html, page, **_):
    """What MkDocs calls with the content of every page; returns what it shall be."""
    return _LINK.sub(r"\1.html", html) if page.file.src_uri.endswith(".ipynb") else html
