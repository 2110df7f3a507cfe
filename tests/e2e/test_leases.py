"""A lane belongs to one worker at a time: seen from the mail server, with a worker that is stopped in the middle of its sessions."""
import os
import signal
import time

import pytest

from support.dns import Dns
from support.fleet import Fleet, rows
from support.process import BIN, Process, free_port, wait_until
from support.smtp import Server

LANE = "lane-1=127.10.1.1/probe1.sender.test"
DOMAINS = [f"stall{i}.test" for i in range(1, 5)]
PEOPLE = ["ann", "bob"]
ADDRESSES = [f"{name}@{domain}" for domain in DOMAINS for name in (*PEOPLE, "nobody", "noone")]


@pytest.fixture
def stalled(work, stopping):
    port = free_port("127.77.0.1")
    server = Server("127.77.0.1", port, PEOPLE)
    dns = Dns(work, {domain: (f"mx.{domain}", "127.77.0.1") for domain in DOMAINS})
    fleet = Fleet(f"{work}/data", LANES=LANE, DNS=dns.server, SMTP_PORT=port, ALLOW_TARGETS="127.0.0.0/8", UNSAFE_LANES="on",
                  PACE="off", STARTTLS="never")
    stopping.extend([server, dns, fleet])
    return work, fleet.start(), server, stopping


def begin(work, fleet, name):
    with open(f"{work}/{name}.csv", "w") as f:
        f.write("email\n" + "\n".join(ADDRESSES) + "\n")
    return fleet.verify_in_background(f"{work}/{name}.csv", f"{work}/{name}-results.csv")


def check(work, name):
    for row in rows(f"{work}/{name}-results.csv"):
        want = "mailbox_accepted" if row["email"].split("@")[0] in PEOPLE else "mailbox_not_found"
        assert row["rollcall_reason"] == want, row


def lease(fleet):
    cursor = fleet.database().cursor()
    cursor.execute("SELECT epoch, worker FROM lane_lease")
    return cursor.fetchone()


def after(sessions, moment):
    return [line for s in sessions for at, line in s.commands if at > moment]


def stopped_in_its_sessions(fleet, server):
    """Stops the fleet's worker while every domain's session waits for a reply; its process, its sessions, and when that was."""
    worker = fleet.pids("worker")[0]
    wait_until("a session of every domain to wait", lambda: sum(s.waiting and s.pid == worker for s in server.sessions) == len(DOMAINS),
               60)
    os.kill(worker, signal.SIGSTOP)
    wait_until("the worker to stand still", lambda: open(f"/proc/{worker}/stat").read().rsplit(")", 1)[1].split()[0] == "T")
    return worker, [s for s in server.sessions if s.pid == worker and s.open], time.monotonic()


def test_a_worker_that_wakes_within_its_lease_goes_on(stalled):
    """So that the next test can fail: what was kept back comes, and the same sessions send their next commands."""
    work, fleet, server, _ = stalled
    server.held = True
    client = begin(work, fleet, "short")
    worker, sessions, moment = stopped_in_its_sessions(fleet, server)
    server.held = False
    server.release()
    os.kill(worker, signal.SIGCONT)
    wait_until("the job to end", lambda: not client.alive(), 60)
    assert all(after([s], moment) for s in sessions)
    check(work, "short")


def test_a_worker_that_wakes_after_its_lease_says_no_word(stalled, show):
    work, fleet, server, running = stalled
    server.held = True
    client = begin(work, fleet, "long")
    worker, sessions, moment = stopped_in_its_sessions(fleet, server)
    epoch, first = lease(fleet)

    with open(f"{fleet.data}/message-key") as f:
        key = f.read().strip()
    env = {**fleet.env, "ROLLCALL_BROKERS": f"@{fleet.data}/broker", "ROLLCALL_MESSAGE_KEY": key}
    for name in ("ROLLCALL_DATA", "ROLLCALL_LISTEN"):
        env.pop(name)
    second = Process([f"{BIN}/rollcall-worker"], f"{work}/second.log", env=env)
    running.append(second)
    server.held = False
    wait_until("the second worker to have the lane", lambda: lease(fleet)[1] != first, 75, 0.1)
    taken = time.monotonic() - moment
    assert lease(fleet)[0] > epoch
    wait_until("the second worker to finish the job", lambda: not client.alive(), 60)
    check(work, "long")

    # every reply that was kept back is in the first one's sockets when it wakes
    server.release()
    wait_until("the replies to be sent", lambda: not any(s.waiting for s in sessions))
    assert not after(sessions, moment), "the worker was not stopped"
    before = len(server.sessions)
    os.kill(worker, signal.SIGCONT)
    wait_until("its sessions to be closed", lambda: not any(s.open for s in sessions), 10)
    fleet.process.wait_for("lane_lease_ended", 10)
    assert after(sessions, moment) == []
    assert {s.pid for s in server.sessions if s.commands and s.commands[-1][0] > moment} == {second.pid}
    assert all(s.pid != worker for s in server.sessions[before:])

    # handed back, the lane is the first worker's again, under an epoch of its own, and it works
    running.remove(second)
    second.stop()
    wait_until("the first worker to have the lane again", lambda: lease(fleet)[1] == first, 30, 0.1)
    again = begin(work, fleet, "again")
    wait_until("the job to end", lambda: not again.alive(), 60)
    check(work, "again")
    assert {s.pid for s in server.sessions[before:]} == {worker}
    show(f"stopped in {len(sessions)} sessions; the lane was another worker's after {taken:.0f} s; woken: 0 commands")
