"""Between the attempts: workers and coordinators that die, and clocks that are set; seen from the greylisting servers' side."""
import http.server
import json
import os
import threading

import pytest

from support.clock import Clock
from support.fleet import Fleet, compare, lanes, rows
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


def silent_for(fleet, hours):
    """As if nobody had offered lane-1 for so long: its age is read by whoever begins to lead."""
    fleet.database().cursor().execute("UPDATE lane SET last_seen = now() - %s * interval '1 hour' WHERE name = 'lane-1'", (hours,))
    fleet.kill("coordinator")


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


def shown_by_check(fleet, row):
    """What `rollcall check` makes of a row that the server has sent."""
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps(row).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        return fleet.cli("check", "--url", f"http://127.0.0.1:{server.server_port}", row["email"], check=True).stdout


def test_a_lane_that_is_gone_is_waited_for_24_hours(greylisted, work):
    """Then what a greylister knows from it starts anew elsewhere, and each row and the lane say so."""
    world, fleet, client, cursor = greylisted()
    fleet.stop()
    fleet.env["ROLLCALL_LANES"] = lanes(2).split()[1]
    fleet.start()
    cursor = fleet.database().cursor()
    cursor.execute("SELECT d.job, d.uid FROM deferred d JOIN lane l ON l.number = d.lane WHERE l.name = 'lane-1'")
    waiting = set(cursor.fetchall())
    assert 0 < len(waiting) < 108
    # of what was never sent one piece, to see that it was looked at: it goes at once
    cursor.execute("INSERT INTO shard (job, kind, class, lane, domain_no, mx_group, first_uid, n) SELECT d.job, 1, 2, d.lane, d.domain_no, "
                   "j.mx_group, d.uid, 1 FROM deferred d JOIN lane l ON l.number = d.lane AND l.name = 'lane-1' JOIN job_domain j ON j.job = "
                   "d.job AND j.domain_no = d.domain_no ORDER BY d.job, d.uid LIMIT 1 RETURNING id")
    [piece] = cursor.fetchone()
    silent_for(fleet, 23)

    def moved_on():
        cursor.execute("SELECT l.name FROM shard s JOIN lane l ON l.number = s.lane WHERE s.id = %s", (piece,))
        return cursor.fetchone() == ("lane-2",)
    wait_until("the unsent piece to move", moved_on, 60, 0.1)
    cursor.execute("SELECT d.job, d.uid FROM deferred d JOIN lane l ON l.number = d.lane WHERE l.name = 'lane-1' AND attempt = 1")
    assert set(cursor.fetchall()) == waiting
    wait_until("nobody to hold the lane", lambda: fleet.get("/v1/lanes/lane-1")[1]["state"] == "dead", 60, 0.2)

    silent_for(fleet, 25)
    wait_until("the job to end", lambda: not client.alive(), 180, 0.2)
    # lane-2 was a stranger to them, and came neither too early nor too late
    stats = world.stats()
    assert stats["greylist_early"] == 0 and stats["foreign_retries"] > 0
    compare(world.truth, f"{work}/results.csv")
    found = rows(f"{work}/results.csv")
    assert len(found) == 108 and {r["rollcall_lane"] for r in found} == {"lane-2"}

    [job] = fleet.get("/v1/jobs")[1]["jobs"]
    moved_rows = []
    for n in range(1, 109):
        row = fleet.get(f"/v1/jobs/{job['id']}/rows/{n}")[1]
        attempts = [a["lane"] for a in row["attempts"]]
        if row["moves"]:
            moved_rows.append(row)
            *piece, move = row["moves"]
            assert len(piece) <= 1 and all(not m["greylist_clock_restarted"] for m in piece), row["moves"]
            assert (move["from"], move["to"], move["reason"], move["greylist_clock_restarted"]) == ("lane-1", "lane-2", "gone", True), move
            assert attempts == ["lane-1", "lane-2", "lane-2"], row
            assert row["attempts"][0]["at"] < move["at"] < row["attempts"][1]["at"]
        else:
            assert attempts == ["lane-2", "lane-2"], row
    assert len(moved_rows) == len(waiting), "every row that moved, and no other"
    moves = fleet.get("/v1/lanes/lane-1")[1]["moves"]
    assert sum(m["count"] for m in moves if m["greylist_clock_restarted"]) == len(waiting)
    assert [m["count"] for m in moves if not m["greylist_clock_restarted"]] == [1]
    shown = fleet.cli("lanes", "show", "lane-1", check=True).stdout
    assert "lane-1 -> lane-2, 18 of " in shown and "gone; its greylist clock began anew" in shown, shown
    said = shown_by_check(fleet, moved_rows[-1])
    assert "from lane lane-1 to lane-2: gone; a greylister's clock begins anew there" in said, said
    assert said.index("lane lane-1 from 127.10.1.1") < said.index("moved at") < said.index("lane lane-2 from 127.10.2.1"), said
