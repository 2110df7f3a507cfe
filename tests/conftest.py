import os
import shutil
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from support.process import BIN, WORK  # noqa: E402


def pytest_configure(config):
    if not os.path.exists(f"{BIN}/rollcall"):
        pytest.exit(f"{BIN}/rollcall is missing: run `make` first, or `make test`, which does it all", 2)


@pytest.fixture
def work(request):
    """A fresh directory of the test's own; kept when the test fails, so that its logs can be read."""
    directory = os.path.join(WORK, request.node.name.replace("[", "-").replace("]", "").replace("/", "_"))
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    os.chmod(WORK, 0o755)
    os.chmod(directory, 0o755)
    failed_before = request.session.testsfailed
    yield directory
    if request.session.testsfailed == failed_before:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def show(capsys):
    """Prints on the screen, also where the test passes: what was measured or read from somebody else's log."""
    def say(text):
        with capsys.disabled():
            print("\n  " + text, flush=True)
    return say


@pytest.fixture
def stopping():
    """A list of things with stop(); they are stopped in reverse order, whatever the test does."""
    things = []
    yield things
    errors = []
    for thing in reversed(things):
        try:
            thing.stop()
        except Exception as e:  # the others must be stopped too
            errors.append(e)
    if errors:
        raise errors[0]
