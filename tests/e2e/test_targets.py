"""Where a worker connects to, read from its system calls: to nobody outside of what is allowed, whatever the DNS says."""
import ipaddress
import re

import pytest
from support.fleet import Fleet, compare, lanes
from support.process import Process, wait_until
from support.world import World

CONNECT = re.compile(r'connect\(\d+, \{sa_family=AF_INET6?, sin6?_port=htons\((\d+)\), .*?"([0-9a-fA-F.:]+)"')
POINTING_INSIDE = ("private_mx", "private_mx_6", "loopback_mx", "private_first_mx")


@pytest.mark.short
def test_no_connection_to_who_is_not_allowed(work, stopping, show):
    world = World(work, mix="honest", seed=23, rows=1200, time_scale=1000, share=",".join(f"{b}=8" for b in POINTING_INSIDE))
    stopping.append(world)
    fleet = Fleet(f"{work}/data", LANES=lanes(), TIME_SCALE=1000, **world.env)
    stopping.append(fleet)
    fleet.start()
    calls = f"{work}/calls"
    strace = Process(["strace", "-f", "-qq", "-e", "trace=connect", "-o", calls, "-p", str(fleet.pids("worker")[0])], f"{work}/strace.log")
    stopping.append(strace)
    status = f"/proc/{fleet.pids('worker')[0]}/status"
    wait_until("strace to hold the worker", lambda: "TracerPid:\t0\n" not in open(status).read(), 10)
    out = f"{work}/results.csv"
    fleet.cli("verify", world.list, "-o", out, check=True)
    stats = world.stats()
    compare(world.truth, out, world.stats_file)
    strace.stop()

    smtp, other = set(), set()
    with open(calls) as f:
        for port, address in CONNECT.findall(f.read()):
            (smtp if int(port) == world.smtp_port else other).add(ipaddress.ip_address(address))
    allowed = ipaddress.ip_network(world.env["ALLOW_TARGETS"])
    show(f"connect() to {len(smtp)} mail servers, all within {allowed}; besides to {', '.join(map(str, sorted(other)))} (broker, resolver)")
    assert len(smtp) > 20, smtp
    assert not [a for a in smtp if a.version != 4 or a not in allowed]
    # the broker and the resolver: what the operator named, never what a domain said
    assert other <= {ipaddress.ip_address("127.0.0.1")}, other
    assert stats["trapped"] == 0
