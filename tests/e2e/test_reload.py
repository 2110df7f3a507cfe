"""SIGHUP: the coordinator and the worker read data/ anew; a file that is wrong is refused by name, and the running rules stay."""
import json
import os
import re
import shutil
import signal

import pytest
from support.fleet import Fleet, lanes
from support.process import ROOT, wait_until
from support.world import World

WORLD = """[domain honest.test]
behaviour = honest
mx = 10 mx.honest.test 127.90.0.1
mailbox = ann
""" + "".join(f"absent = nobody{i}\n" for i in range(4))
# Whatever a server refuses with 550 says nothing of the mailbox
CAUTIOUS = "cautious: code=550 stage=rcpt -> unclear policy\n"


@pytest.fixture
def fleet(work, stopping):
    os.makedirs(work, exist_ok=True)
    with open(f"{work}/world", "w") as f:
        f.write(WORLD)
    world = World(f"{work}/mw", world=f"{work}/world")
    stopping.append(world)
    shutil.copytree(f"{ROOT}/data", f"{work}/rules")
    fleet = Fleet(f"{work}/data", LANES=lanes(1), RULES_DIR=f"{work}/rules", TIME_SCALE=3000, **world.env)
    stopping.append(fleet)
    return fleet.start()


def events(fleet, what):
    """(program, rest of the line) of each such log line, in order."""
    return re.findall(rf"rollcall-(coordinator|worker)\b.*?\b{what}\b(.*)", fleet.process.said())


def reload(fleet, event):
    """SIGHUP to `rollcall up`; what both services say to it."""
    before = len(events(fleet, event))
    fleet.process.popen.send_signal(signal.SIGHUP)
    wait_until(f"{event} of both services", lambda: len(events(fleet, event)) == before + 2, 20)
    said = dict(events(fleet, event)[before:])
    assert set(said) == {"coordinator", "worker"}
    return said


def reason(fleet, address):
    run = fleet.cli("check", address, "--json", check=True)
    return json.loads(run.stdout.splitlines()[0])["rollcall"]["reason"]


def test_reload(work, fleet):
    replies = f"{work}/rules/replies"
    with open(replies) as f:
        shipped = f.read()
    first = dict(events(fleet, "rules_loaded"))
    version = re.search(r"version=([0-9a-f]{16})", first["worker"])[1]
    assert version in first["coordinator"]
    pids = fleet.pids("coordinator"), fleet.pids("worker")
    assert reason(fleet, "nobody0@honest.test") == "mailbox_not_found"

    with open(replies, "w") as f:
        f.write(CAUTIOUS)
    said = reload(fleet, "rules_loaded")
    assert all("rules=1 " in line and version not in line for line in said.values())
    assert reason(fleet, "nobody1@honest.test") != "mailbox_not_found"

    for name, broken, why in (("replies", CAUTIOUS + "\n\nx: code=550 -> sender nonsense\n", "replies:4: there is no category"),
                              ("providers", "[a]\nmx = a.test\nhonesty = so-so\n", "providers:3: honesty is")):
        kept = open(f"{work}/rules/{name}").read()
        with open(f"{work}/rules/{name}", "w") as f:
            f.write(broken)
        said = reload(fleet, "rules_kept")
        assert all(f"{work}/rules/{why}" in line for line in said.values()), said
        with open(f"{work}/rules/{name}", "w") as f:
            f.write(kept)
    assert reason(fleet, "nobody2@honest.test") != "mailbox_not_found"

    with open(replies, "w") as f:
        f.write(shipped)
    said = reload(fleet, "rules_loaded")
    assert all(version in line for line in said.values())
    assert reason(fleet, "nobody3@honest.test") == "mailbox_not_found"
    assert (fleet.pids("coordinator"), fleet.pids("worker")) == pids, "nobody was started anew"
