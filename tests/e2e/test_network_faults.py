"""The machine's network fails under a running worker: a lane's address goes from the interface, ephemeral ports run out. Each in a network
namespace of its own, which the test enters by running itself again under unshare(1)."""
import os
import subprocess
import sys

import pytest
from support.fleet import Fleet, compare, rows
from support.process import wait_until
from support.world import World

INSIDE = "ROLLCALL_TEST_INSIDE"
GONE = "10.77.0.1"


def in_a_namespace(request):
    """True: we are inside. False: it has been run there, and passed."""
    if os.environ.get(INSIDE):
        return True
    if os.geteuid() != 0:
        pytest.skip("a network namespace with an address of its own needs root")
    r = subprocess.run(["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, "-m", "pytest", "-q", "-s",
                        str(request.node.fspath) + "::" + request.node.name], env={**os.environ, INSIDE: "1"}, capture_output=True, text=True,
                       timeout=280)
    print(r.stdout, r.stderr)
    assert r.returncode == 0, r.stdout[-6000:] + r.stderr[-2000:]
    return False


def lane(fleet, name):
    return next(found for found in fleet.get("/v1/lanes")[1]["lanes"] if found["name"] == name)


def test_a_lane_s_address_goes_and_comes_back(request, work, stopping):
    if not in_a_namespace(request):
        return
    subprocess.run(["ip", "address", "add", f"{GONE}/32", "dev", "lo"], check=True)
    world = World(work, mix="honest", seed=3, rows=3000, domains=300, mx=60, reply_delay="60ms", time_scale=1000)
    stopping.append(world)
    fleet = Fleet(f"{work}/data", LANES=f"stays=127.10.1.1/stays.sender.test goes={GONE}/goes.sender.test", TIME_SCALE=1000, **world.env)
    stopping.append(fleet)
    fleet.start()
    out = f"{work}/results.csv"
    client = fleet.verify_in_background(world.list, out)
    stopping.append(client)
    wait_until("both lanes to work", lambda: {"127.10.1.1", GONE} <= set(world.stats()["by_source"]), 60)
    subprocess.run(["ip", "address", "del", f"{GONE}/32", "dev", "lo"], check=True)
    gone = wait_until("the lane to be known as unfit", lambda: not lane(fleet, "goes")["granted"] and lane(fleet, "goes"), 90)
    before = world.stats()["by_source"]
    print("without its address:", gone)
    assert client.alive(), "the job has ended without the lane: nothing was shown"
    subprocess.run(["ip", "address", "add", f"{GONE}/32", "dev", "lo"], check=True)
    wait_until("the job to end", lambda: not client.alive(), 200)
    assert client.popen.returncode == 0, client.said()
    after = world.stats()
    print("sessions and recipients by source, as it went and at the end:", before, after["by_source"])
    # what was done before is not done again: at most what was under way, once more
    assert after["rcpt"] <= 2 * 3300, after
    compare(world.truth, out, world.stats_file)


def test_ephemeral_ports_run_out(request, work, stopping):
    if not in_a_namespace(request):
        return
    # one mail server, and fewer ports towards it than there are sessions to be had at once
    world = World(work, mix="honest", seed=4, rows=1500, domains=300, mx=1, reply_delay="100ms", time_scale=1000)
    stopping.append(world)
    fleet = Fleet(f"{work}/data", LANES="one=127.10.1.1/one.sender.test", TIME_SCALE=1000, **world.env)
    stopping.append(fleet)
    fleet.start()
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as f:
        f.write("61000 61015")
    out = f"{work}/results.csv"
    fleet.cli("verify", world.list, "-o", out, check=True, timeout=240)
    stats = world.stats()
    compare(world.truth, out, world.stats_file)
    print(f"{len(rows(out))} rows through 16 ports: {stats['sessions']} sessions, {stats['sessions_open_most']} at once at most")
    assert stats["sessions_open_most"] <= 16
