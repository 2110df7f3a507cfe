"""Rows held up by our own fault: waited for where the lane can heal, and called so where nothing says that it can. And what a tenant's
earlier verdict says of a row that ends without one."""
import socketserver
import threading

from support.dns import Dns
from support.fleet import Fleet, lanes, rows
from support.process import free_port, wait_until

BUSY = b"451 4.3.0 Temporary failure, please try later\r\n"
BLOCKED = b"550 5.7.1 Service unavailable; client host [127.0.0.1] blocked using zen.spamhaus.org\r\n"


class Server:
    """A mail server that knows a few people, and turns everybody's client away while `blocks` says so, or puts everybody off while `busy` does."""

    def __init__(self, address, port, people):
        self.blocks, self.busy, self.asked, people = threading.Event(), threading.Event(), [], {p.encode() for p in people}
        server = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self):
                self.wfile.write(b"220 mx.test ESMTP\r\n")
                for line in self.rfile:
                    verb = line[:4].upper()
                    if verb == b"RCPT":
                        local = line.split(b"<")[1].split(b"@")[0]
                        server.asked.append(local.decode())
                        self.wfile.write(BLOCKED if server.blocks.is_set() else BUSY if server.busy.is_set() else b"250 2.1.5 Ok\r\n" if local in people
                                         else b"550 5.1.1 <" + local + b"@x>: user unknown\r\n")
                    elif verb == b"QUIT":
                        self.wfile.write(b"221 bye\r\n")
                        return
                    else:
                        self.wfile.write(b"250 Ok\r\n")

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self.server = socketserver.ThreadingTCPServer((address, port), Session)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def test_a_blocked_lane_is_waited_for_where_it_can_heal(work, stopping):
    port = free_port()
    once, never = Server("127.90.3.1", port, ["ann", "bob", "carol"]), Server("127.90.3.2", port, ["dora"])
    stopping += [once, never]
    dns = Dns(work, {"once.test": ("mx.once.test", "127.90.3.1"), "never.test": ("mx.never.test", "127.90.3.2")})
    stopping.append(dns)
    # an hour is 6 s here: the lane is blocked for 1 h, again for 2 h, and 8 hours from the first attempt are the last resort
    fleet = Fleet(f"{work}/data", LANES=lanes(1), DNS=dns.server, SMTP_PORT=port, ALLOW_TARGETS="127.0.0.0/8", UNSAFE_LANES="on",
                  PACE="off", TIME_SCALE=600, RETRY_SCHEDULE="30s")
    stopping.append(fleet)
    fleet.start()

    def check(*addresses):
        with open(f"{work}/list.txt", "w") as f:
            f.write("\n".join(addresses) + "\n")
        fleet.cli("verify", f"{work}/list.txt", "-o", f"{work}/out.csv", check=True)
        return [(r["rollcall_reason"], int(r["rollcall_attempts"])) for r in rows(f"{work}/out.csv")]

    assert check("ann@once.test") == [("mailbox_accepted", 1)]
    never.blocks.set()
    assert check("dora@never.test") == [("ip_blocked", 2)], "these servers have never answered this lane"

    once.blocks.set()
    with open(f"{work}/bob.txt", "w") as f:
        f.write("bob@once.test\n")
    client = fleet.verify_in_background(f"{work}/bob.txt", f"{work}/bob.csv")
    stopping.append(client)
    wait_until("the whole schedule", lambda: once.asked.count("bob") >= 2, 60)
    db = fleet.database().cursor()

    def waits():
        db.execute("SELECT healing FROM deferred WHERE shard IS NULL AND attempt = 2")
        return db.fetchall() == [(True,)]
    wait_until("the row to wait for its lane", waits, 30)
    bob = fleet.get("/v1/jobs")[1]["jobs"][0]
    assert bob["state"] == "waiting_retry"
    row = fleet.get(f"/v1/jobs/{bob['id']}/rows/1")[1]
    assert row["rollcall"]["reason"] == "ip_blocked" and not row["final"] and row["next_attempt_at"]

    def blocked_for_long():
        db.execute("SELECT count(*) FROM lane_health WHERE mx_group = 'once.test' AND blocked_since < now() - interval '1100 ms'")
        return db.fetchone()[0] == 1
    wait_until("ten of our minutes to pass", blocked_for_long, 30)
    once.blocks.clear()
    # as soon as the block is over, and with it the row that waits for the lane
    assert check("carol@once.test") == [("mailbox_accepted", 1)]
    wait_until("the row to be tried again", lambda: not client.alive(), 60)
    [healed] = rows(f"{work}/bob.csv")
    assert (healed["rollcall_reason"], healed["rollcall_attempts"]) == ("mailbox_accepted", "3")
    assert healed["rollcall_checked_at"] < row["next_attempt_at"], "it was not waited for, only the time ran out"


def test_what_ends_without_a_verdict_has_a_score_that_knows_the_last_one(work, stopping):
    port = free_port()
    server = Server("127.90.3.3", port, ["ann", "bob"])
    stopping.append(server)
    dns = Dns(work, {"known.test": ("mx.known.test", "127.90.3.3")})
    stopping.append(dns)
    fleet = Fleet(f"{work}/data", LANES=lanes(1), DNS=dns.server, SMTP_PORT=port, ALLOW_TARGETS="127.0.0.0/8", UNSAFE_LANES="on",
                  PACE="off", TIME_SCALE=3000, RETRY_SCHEDULE="30s,60s,90s")
    stopping.append(fleet)
    fleet.start()

    def check(*locals):
        with open(f"{work}/list.txt", "w") as f:
            f.write("".join(f"{local}@known.test\n" for local in locals))
        fleet.cli("verify", f"{work}/list.txt", "-o", f"{work}/out.csv", check=True)
        return {r["email"].split("@")[0]: r for r in rows(f"{work}/out.csv")}

    first = check("ann", "gone")
    assert [first[p]["rollcall_status"] for p in ("ann", "gone")] == ["valid", "invalid"]
    server.busy.set()
    again = check("ann", "gone", "bob")
    assert {r["rollcall_reason"] for r in again.values()} == {"temporary_failure"}, "that it is not known stands"
    score = {local: int(r["rollcall_score"]) for local, r in again.items()}
    assert score["gone"] < score["bob"] < score["ann"], score
    # a failed probe takes nothing from the good one: it still counts
    server.busy.clear()
    with open(f"{work}/list.txt", "w") as f:
        f.write("ann@known.test\n")
    asked = len(server.asked)
    fleet.cli("verify", f"{work}/list.txt", "-o", f"{work}/out.csv", "--max-age", "1d", check=True)
    assert rows(f"{work}/out.csv")[0]["rollcall_checked_at"] == first["ann"]["rollcall_checked_at"] and len(server.asked) == asked
