"""Between the attempts: workers and coordinators that die, and clocks that are set; seen from the greylisting servers' side."""
import os

import pytest

from support.clock import Clock
from support.fleet import Fleet, compare, lanes
from support.process import wait_until
from support.world import World

# 15 s of waiting for the 5 minutes of the servers and 16.5 s for ours
SCALE = 20
GREYLISTERS = ("postgrey", "sqlgrey")


@pytest.fixture
def greylisted(work, stopping):
    """A world of greylisters and a fleet; begins a job and returns when every address waits for its retry."""
    def begin(clock=None, **more):
        lines = []
        for i, name in enumerate(GREYLISTERS):
            for k in range(3):
                domain = f"{name}{k}.test"
                lines += [f"[domain {domain}]", f"behaviour = greylist_{name}", f"mx = 10 mx.{domain} 127.90.{i}.{k + 1}"]
                lines += [f"mailbox = user{n}" for n in range(12)] + [f"absent = nobody{n}" for n in range(6)]
        with open(f"{work}/world", "w") as f:
            f.write("\n".join(lines) + "\n")
        world = World(f"{work}/mailworld", world=f"{work}/world", time_scale=SCALE)
        stopping.append(world)
        fleet = Fleet(f"{work}/data", **{**world.env, "LANES": lanes(2), "TIME_SCALE": SCALE, "HARVEST_GUARD": "off", **more})
        if clock:
            fleet.env.update(clock.env)
        stopping.append(fleet)
        fleet.start()
        client = fleet.verify_in_background(world.list, f"{work}/results.csv")
        stopping.append(client)
        cursor = fleet.database().cursor()

        def waiting():
            cursor.execute("SELECT count(*), count(*) FILTER (WHERE shard IS NULL AND attempt = 1) FROM deferred")
            return cursor.fetchone() == (108, 108)
        wait_until("every address to wait for its retry", waiting, 30, 0.1)
        return world, fleet, client, cursor
    return begin


def due_times(cursor):
    cursor.execute("SELECT uid, due_at, first_at, lane FROM deferred ORDER BY uid")
    return cursor.fetchall()


def check_end(work, world, client):
    wait_until("the job to end", lambda: not client.alive(), 120, 0.2)
    compare(world.truth, f"{work}/results.csv")
    stats = world.stats()
    assert stats["foreign_retries"] == 0
    assert stats["greylist_early"] == 0, "a retry came before the server's time"
    assert stats["greylisted"] >= 108
    return stats


def test_a_worker_killed_between_the_attempts(greylisted, work):
    """`rollcall up` starts another: it takes the same lanes over and makes the retries from the same identities."""
    world, fleet, client, cursor = greylisted()
    before = due_times(cursor)
    cursor.execute("SELECT lane, worker, epoch FROM lane_lease ORDER BY lane")
    leases = cursor.fetchall()
    fleet.kill("worker")

    def taken_over():
        cursor.execute("SELECT lane, worker, epoch FROM lane_lease ORDER BY lane")
        now = cursor.fetchall()
        return all(n[1] != l[1] and n[2] > l[2] for n, l in zip(now, leases))
    wait_until("another worker to have both lanes", taken_over, 30, 0.1)
    assert due_times(cursor) == before
    check_end(work, world, client)


def test_a_coordinator_killed_between_the_attempts(greylisted, work):
    world, fleet, client, cursor = greylisted()
    before = due_times(cursor)
    pid = fleet.kill("coordinator")
    wait_until("another coordinator", lambda: [p for p in fleet.pids("coordinator") if p != pid], 30, 0.1)
    assert due_times(cursor) == before
    check_end(work, world, client)


@pytest.mark.parametrize("hour", (3600, -3600), ids=("forward", "back"))
def test_the_clock_is_set_by_an_hour(hour, greylisted, work):
    """The clock of the whole machine, PostgreSQL's too: nobody is asked before the time, nobody an hour late, and no lane changes hands."""
    clock = Clock(work)
    world, fleet, client, cursor = greylisted(clock)
    cursor.execute("SELECT lane, worker, epoch FROM lane_lease ORDER BY lane")
    leases = cursor.fetchall()
    before = {uid: (due, first) for uid, due, first, _ in due_times(cursor)}
    retries = world.stats()["retries"]
    clock.set(hour)
    wait_until("the coordinator to notice", lambda: "clock_moved" in fleet.process.said(), 10, 0.05)

    def moved():
        now = due_times(cursor)
        return now and all(abs((due - before[uid][0]).total_seconds() - hour) < 1 for uid, due, _, _ in now)
    wait_until("what waits to move along", moved, 10, 0.05)
    assert world.stats()["retries"] == retries, "a storm of retries"
    check_end(work, world, client)
    cursor.execute("SELECT lane, worker, epoch FROM lane_lease ORDER BY lane")
    assert cursor.fetchall() == leases
