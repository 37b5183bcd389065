"""Pages that run packages beside ours are skipped where these are not installed."""

import importlib.util

import pytest

#: The packages that pages of `docs/compared` import, which are the extra `peers`.
PEERS = {"asdex.md": "asdex", "casadi.md": "casadi", "sparsejac.md": "sparsejac"}


def pytest_collection_modifyitems(items):
    for item in items:
        page = getattr(getattr(item, "callspec", None), "params", {}).get("page")
        if page is None or page.parent.name != "compared" or "run" not in item.name:
            continue
        peer = PEERS.get(page.name)
        if peer is not None and importlib.util.find_spec(peer) is None:
            item.add_marker(pytest.mark.skip(reason=f"{peer} is not installed: pip install '.[peers]'"))
