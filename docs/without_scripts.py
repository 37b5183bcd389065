"""Takes out of notebooks' pages what would fetch scripts from other hosts, or none: MathJax and Mermaid."""

import re

_MERMAID = r'<script type="module">(?:(?!</script>).)*mermaid(?:(?!</script>).)*</script>'
_SCRIPTS = re.compile(rf'{_MERMAID}|<script src=""> *</script>', re.DOTALL)


def on_page_content(html, **_):
    """What MkDocs calls with the content of every page; returns what it shall be."""
    return _SCRIPTS.sub("", html)
