"""A list over a world in which every behaviour that mailworld has goes on at once: silent, hostile, greylisting, throttling, broken servers and
name servers, each with the same share. Time limits of the protocol are short, as options allow; waits between attempts pass 600 times as fast,
on both sides. ROLLCALL_SOAK_ROWS makes the list longer (`make soak`: 100,000)."""
import os

import pytest
from support.fleet import Fleet, compare, lanes
from support.world import World

SCALE = 600
ROWS = int(os.environ.get("ROLLCALL_SOAK_ROWS", "10000"))
# A late greeting comes after 1.5 s and Exchange's refusals after 5 s; what takes longer never comes.
LIMITS = {"TIMEOUT_CONNECT": "4s", "TIMEOUT_GREETING": "4s", "TIMEOUT_EHLO": "4s", "TIMEOUT_STARTTLS": "4s", "TIMEOUT_HANDSHAKE": "4s",
          "TIMEOUT_MAIL": "4s", "TIMEOUT_RCPT": "9s", "TIMEOUT_RESOLVE": "8s"}


@pytest.mark.parametrize("seed", os.environ.get("ROLLCALL_SOAK_SEEDS", "1").split())
def test_no_wrong_verdict_in_a_world_of_every_behaviour(work, stopping, show, seed):
    grown = max(1, ROWS // 10000)
    world = World(work, mix="every", seed=seed, rows=ROWS, domains=600 * grown, mx=150 * grown, time_scale=SCALE)
    stopping.append(world)
    fleet = Fleet(f"{work}/data", LANES=lanes(), TIME_SCALE=SCALE, **LIMITS, **world.env)
    stopping.append(fleet)
    fleet.start()
    out = f"{work}/results.csv"
    fleet.cli("verify", world.list, "-o", out, check=True, timeout=1800)
    stats = world.stats()
    table = compare(world.truth, out, world.stats_file)  # DATA, BDAT, foreign retries and connections into a trap: none
    show(table.strip().replace("\n", "\n  "))
    # nothing of it was left out: a world that is easier than it says would prove nothing
    for counter in ("greylist_passed", "greylisted", "throttled", "starved", "cut_by_421", "hostile", "too_many", "tls_sessions", "dns_tcp"):
        assert stats[counter] > 0, counter
    assert stats["vrfy"] == stats["relay_denied"] == stats["too_early"] == stats["plain_after_starttls"] == 0
    assert stats["max_rss_kb"] > 0 and set(stats["by_source"]) <= {"127.10.1.1", "127.10.2.1"}
