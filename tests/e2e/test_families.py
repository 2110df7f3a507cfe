"""Lanes of IPv4 and of IPv6 side by side: each domain is asked from one that can reach its mail servers."""
from support.dns import Dns
from support.fleet import Fleet, rows
from support.process import free_port, wait_until
from support.smtp import Server

FOUR, SIX = "127.77.0.1", "::1"
LANE_FOUR, LANE_SIX = "four=127.10.1.1/probe4.sender.test", "six=[::1]/probe6.sender.test"


class Site:
    """`count` domains whose mail server has an address of IPv4 only (4-N.test), and as many of IPv6 (6-N.test)."""

    def __init__(self, work, stopping, lanes, count, scale=1000):
        port = free_port(FOUR)
        self.four, self.six = Server(FOUR, port, {"ann"}), Server(SIX, port, {"ann"})
        stopping.extend([self.four, self.six])
        self.domains = {f"{family}-{i}.test": address for family, address in ((4, FOUR), (6, SIX)) for i in range(count)}
        dns = Dns(work, {domain: (f"mx.{domain}", address) for domain, address in self.domains.items()})
        stopping.append(dns)
        self.fleet = Fleet(f"{work}/data", LANES=lanes, DNS=dns.server, SMTP_PORT=port, ALLOW_TARGETS="127.0.0.0/8 ::1/128", UNSAFE_LANES="on",
                           PACE="off", HARVEST_GUARD="off", TIME_SCALE=scale)
        stopping.append(self.fleet)
        self.fleet.start()
        names = [lane.split("=")[0] for lane in lanes.split()]
        wait_until("every lane", lambda: all(self.fleet.get(f"/v1/lanes/{name}")[1].get("granted") for name in names), 60)


def test_each_domain_is_asked_from_a_lane_that_can_reach_it(work, stopping):
    site = Site(work, stopping, f"{LANE_FOUR} {LANE_SIX}", 20)
    with open(f"{work}/list.txt", "w") as f:
        f.write("".join(f"ann@{domain}\nbob@{domain}\n" for domain in site.domains))
    site.fleet.cli("verify", f"{work}/list.txt", "-o", f"{work}/out.csv", check=True, timeout=120)
    for row in rows(f"{work}/out.csv"):
        local, domain = row["email"].split("@")
        assert row["rollcall_reason"] == {"ann": "mailbox_accepted", "bob": "mailbox_not_found"}[local], row
        assert row["rollcall_lane"] == {FOUR: "four", SIX: "six"}[site.domains[domain]], row
        assert row["rollcall_attempts"] == "1", row
    assert {s.source for s in site.four.sessions} == {"127.10.1.1"}
    assert {s.source for s in site.six.sessions} == {"::1"}


def test_without_such_a_lane_it_is_said_so_and_the_job_ends(work, stopping):
    site = Site(work, stopping, LANE_FOUR, 1)
    said = site.fleet.cli("check", "ann@6-0.test", "ann@4-0.test", check=True, timeout=120).stdout
    assert "its mail servers have no address that this lane can reach" in said, said
    assert "verdict: unknown, connection_failed" in said and "verdict: valid, mailbox_accepted" in said, said
    assert not site.six.sessions


def test_the_lane_that_can_reach_it_comes_later(work, stopping):
    site = Site(work, stopping, LANE_FOUR, 1, scale=200)  # again after 1.6, 10 and 63 s
    out = f"{work}/out.csv"
    with open(f"{work}/list.txt", "w") as f:
        f.write("ann@6-0.test\n")
    client = site.fleet.verify_in_background(f"{work}/list.txt", out)
    stopping.append(client)
    wait_until("the job", lambda: site.fleet.get("/v1/jobs")[1]["jobs"], 30)
    wait_until("the domain to be found out of reach", lambda: site.fleet.get("/v1/jobs")[1]["jobs"][0]["state"] == "waiting_retry", 60, 0.02)
    site.fleet.stop()
    site.fleet.env["ROLLCALL_LANES"] = f"{LANE_FOUR} {LANE_SIX}"
    site.fleet.start()
    job = site.fleet.get("/v1/jobs")[1]["jobs"][0]["id"]
    wait_until("the job to end", lambda: site.fleet.get(f"/v1/jobs/{job}")[1]["state"] == "done", 150)
    site.fleet.cli("jobs", "results", job, "-o", out, check=True)
    [row] = rows(out)
    assert (row["rollcall_reason"], row["rollcall_lane"]) == ("mailbox_accepted", "six"), row
