"""What all commands of these tests share."""

import pytest
from programs import environment


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory):
    """A folder for what XLA compiles, which processes of one session share."""
    # Workers of pytest-xdist have folders of their own in one that they share.
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / "compiled"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(folder).items():
            patch.setenv(name, value)
        yield folder
