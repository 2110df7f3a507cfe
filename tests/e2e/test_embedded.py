"""The main job on the embedded defaults: `rollcall up`, a list, the truth."""
import os
import pwd
import signal
import subprocess

import pytest
from support.fleet import Fleet, compare, lanes, rows
from support.process import BIN, BUILD, Process, descendants, wait_until
from support.world import World


@pytest.mark.short
def test_a_list_ends_with_the_truth(work, stopping):
    world = World(work, mix="demo", seed=7, rows=3000, time_scale=1000)
    stopping.append(world)
    fleet = Fleet(f"{work}/data", LANES=lanes(), TIME_SCALE=3000, **world.env)
    stopping.append(fleet)
    fleet.start()
    out = f"{work}/results.csv"
    fleet.cli("verify", world.list, "-o", out, check=True)
    world.stats()
    compare(world.truth, out, world.stats_file)

    # the same, as NDJSON: every input row once, in order
    jobs = fleet.get("/v1/jobs")[1]["jobs"]
    assert len(jobs) == 1 and jobs[0]["state"] == "done"
    assert jobs[0]["done"] == jobs[0]["rows"] == len(rows(out))


def test_an_unfinished_job_goes_on_after_a_second_up(work, stopping):
    world = World(work, mix="demo", seed=11, rows=2000, time_scale=300, reply_delay="50ms")
    stopping.append(world)
    fleet = Fleet(f"{work}/data", LANES=lanes(), TIME_SCALE=300, **world.env)
    stopping.append(fleet)
    fleet.start()
    out = f"{work}/results.csv"
    client = fleet.verify_in_background(world.list, out)
    stopping.append(client)

    def some():
        jobs = fleet.get("/v1/jobs")[1]["jobs"]
        return jobs and jobs[0]["done"] > 0 and jobs[0]["state"] != "done" and jobs[0]
    job = wait_until("the first results", some, 60)
    fleet.stop(signal.SIGINT)
    client.stop(signal.SIGKILL)

    again = Fleet(f"{work}/data", fresh=False, LANES=lanes(), TIME_SCALE=300, **world.env)
    stopping.append(again)
    again.start()
    again.cli("jobs", "wait", job["id"], check=True)
    again.cli("jobs", "results", job["id"], "-o", out, check=True)
    compare(world.truth, out)


def test_a_second_up_on_a_running_directory_is_refused(work, stopping):
    fleet = Fleet(f"{work}/data", LANES=lanes(1), UNSAFE_LANES="on", ALLOW_TARGETS="127.0.0.0/8").start()
    stopping.append(fleet)
    second = fleet.cli("up", "--data", fleet.data)
    assert second.returncode not in (0, None)
    assert fleet.data in second.stderr and len(second.stderr.strip().splitlines()) == 1, second.stderr


def test_a_data_directory_of_200_characters(work, stopping):
    directory = work + "/" + "d" * (200 - len(work) - 1)
    fleet = Fleet(directory, LANES=lanes(1), UNSAFE_LANES="on", ALLOW_TARGETS="127.0.0.0/8").start()
    stopping.append(fleet)
    assert fleet.get("/v1/jobs")[0] == 200


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_it_started_outlives_it(work, stopping, sig):
    fleet = Fleet(f"{work}/data", LANES=lanes(1), UNSAFE_LANES="on", ALLOW_TARGETS="127.0.0.0/8").start()
    stopping.append(fleet)
    below = descendants(fleet.process.pid)
    assert len(below) > 4
    fleet.process.popen.send_signal(sig)
    fleet.process.popen.wait(60)
    wait_until("its processes to end", lambda: not [p for p in below if alive(p)], 30)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_root_is_told_of_a_directory_that_postgres_cannot_reach(work):
    if os.geteuid() != 0:
        pytest.fail("this test speaks of root: run make test as root")
    os.mkdir(f"{work}/closed", 0o700)
    r = subprocess.run([f"{BIN}/rollcall", "up", "--data", f"{work}/closed/data"], capture_output=True, text=True, timeout=60)
    assert r.returncode != 0
    assert f"{work}/closed" in r.stderr and "postgres" in r.stderr, r.stderr


def test_an_ordinary_user_can_run_it(work, stopping):
    if os.geteuid() != 0:
        pytest.fail("this test changes its user: run make test as root")
    name = "rollcall-test"
    try:
        who = pwd.getpwnam(name)
    except KeyError:
        subprocess.run(["useradd", "-r", "-M", "-d", "/nonexistent", "-s", "/usr/sbin/nologin", name], check=True)
        who = pwd.getpwnam(name)
    # the checkout may stand where nobody else may go (below /root): as a user finds it, installed
    subprocess.run(["cmake", "--install", BUILD, "--prefix", f"{work}/usr"], check=True, stdout=subprocess.DEVNULL)
    home = f"{work}/home"
    os.mkdir(home)
    os.chown(home, who.pw_uid, who.pw_gid)
    fleet = Fleet(f"{home}/data", LANES=lanes(1), UNSAFE_LANES="on", ALLOW_TARGETS="127.0.0.0/8")
    fleet.env.update(HOME=home, USER=name)
    fleet.process = Process([f"{work}/usr/bin/rollcall", "up", "--data", fleet.data], f"{work}/up.log", env=fleet.env, cwd="/",
                            user=who.pw_uid, group=who.pw_gid, extra_groups=[])
    stopping.append(fleet)
    wait_until("the fleet to be ready", fleet.ready, 90, 0.1)
    for pid in descendants(fleet.process.pid):
        assert os.stat(f"/proc/{pid}").st_uid == who.pw_uid
    assert fleet.get("/v1/jobs")[0] == 200
