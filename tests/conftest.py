import os
import shutil
import sys
import zlib

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from support import data_watch, sanitizers  # noqa: E402
from support.process import BIN, WORK  # noqa: E402


def pytest_configure(config):
    if not os.path.exists(f"{BIN}/rollcall"):
        pytest.exit(f"{BIN}/rollcall is missing: run `make` first, or `make test`, which does it all", 2)
    sanitizers.begin()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    """What only the whole run can tell fails the whole run."""
    if data_watch.report()[1] or sanitizers.reports():
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter):
    lines, bad = data_watch.report()
    if lines:
        terminalreporter.section("what must never be sent, to whom it must never be sent: " + ("SEEN" if bad else "none"), sep="-", red=bad, green=not bad)
        for line in lines:
            terminalreporter.write_line("  " + line)
    for path, text in sanitizers.reports():
        terminalreporter.section(f"a sanitizer's report: {path}", sep="-", red=True)
        terminalreporter.write_line(text)


@pytest.fixture
def work(request):
    """A fresh directory of the test's own; kept when the test fails, so that its logs can be read."""
    name = request.node.name.replace("[", "-").replace("]", "").replace("/", "_")
    if len(name) > 30:  # the path of a Unix socket below it (PostgreSQL's, Postfix's) must stay below 108 bytes
        name = f"{name[:21]}-{zlib.crc32(name.encode()):08x}"
    directory = os.path.join(WORK, name)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    os.chmod(WORK, 0o755)
    os.chmod(directory, 0o755)
    failed_before = request.session.testsfailed
    yield directory
    data_watch.scan(directory)
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
