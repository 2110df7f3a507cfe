"""How lanes stand: blocked at one provider and fine elsewhere, tried again with a few, paused by the fleet; draining, warming up."""
import json
import re
import subprocess

import pytest

from support.dns import Dns
from support.fleet import Fleet, lanes, rows
from support.process import BIN, Process, free_port, wait_until
from support.smtp import Server

BANNED = "550 5.7.606 Access denied, banned sending IP [{}]. To request removal from this list please visit https://sender.office.com/"
PEOPLE = [f"user{i:02}" for i in range(30)]
MICROSOFT, ELSEWHERE = "tenant.test", "elsewhere.test"


class Site:
    def __init__(self, work, stopping, count, domains=(), tenants=(), **env):
        port = free_port("127.77.0.1")
        self.microsoft = Server("127.77.0.1", port, PEOPLE)
        self.elsewhere = Server("127.77.0.2", port, PEOPLE)
        stopping.extend([self.microsoft, self.elsewhere])
        mx = {MICROSOFT: ("tenant.mail.protection.outlook.com", "127.77.0.1"), ELSEWHERE: ("mx.elsewhere.test", "127.77.0.2")}
        mx.update({domain: (f"mx.{domain}", "127.77.0.2") for domain in domains})
        mx.update({domain: (f"{domain.split('.')[0]}.mail.protection.outlook.com", "127.77.0.1") for domain in tenants})
        dns = Dns(work, mx)
        stopping.append(dns)
        self.work = work
        self.fleet = Fleet(f"{work}/data", **{"LANES": lanes(count), "DNS": dns.server, "SMTP_PORT": port, "ALLOW_TARGETS": "127.0.0.0/8",
                                              "UNSAFE_LANES": "on", "PACE": "off", "HARVEST_GUARD": "off", **env})
        stopping.append(self.fleet)
        self.stopping = stopping
        self.fleet.start()
        self.sources = {lane["bind_address"]: lane["name"] for lane in self.lanes()}

    def begin(self, name, addresses):
        with open(f"{self.work}/{name}.csv", "w") as f:
            f.write("email\n" + "\n".join(addresses) + "\n")
        client = self.fleet.verify_in_background(f"{self.work}/{name}.csv", f"{self.work}/{name}.out.csv")
        self.stopping.append(client)
        return client

    def results(self, name):
        return {r["email"]: r for r in rows(f"{self.work}/{name}.out.csv")}

    def lanes(self):
        status, answer = self.fleet.get("/v1/lanes")
        assert status == 200
        return answer["lanes"]

    def lane(self, name):
        status, answer = self.fleet.get(f"/v1/lanes/{name}")
        assert status == 200
        return answer


def asked(server):
    """Recipients of each session, in order of the sessions; controls are those who are nobody's."""
    return [(s.source, [line for _, line in s.commands if line.upper().startswith("RCPT")]) for s in server.sessions]


def test_blocked_at_one_provider_fine_elsewhere_and_back_by_a_few(work, stopping, show):
    site = Site(work, stopping, 1, TIME_SCALE=300)
    [source] = site.sources
    site.fleet.cli("check", f"nobody@{MICROSOFT}", check=True)  # it was received once
    site.microsoft.blocked[source] = BANNED.format(source)
    client = site.begin("list", [f"{u}@{MICROSOFT}" for u in PEOPLE] + [f"{u}@{ELSEWHERE}" for u in PEOPLE])

    def health(wanted):
        lane = site.lane("lane-1")
        return lane if [p["health"] for p in lane["providers"]] == [wanted] else None
    lane = wait_until("the lane to be blocked at Microsoft", lambda: health("blocked"), 60)
    assert lane["state"] == "active" and lane["health"] == "blocked"
    assert lane["providers"][0]["mx_group"] == "microsoft365" and "banned sending IP" in lane["providers"][0]["reason"]
    assert lane["health_reason"].startswith("blocked at microsoft365: 550 5.7.606")
    listed = site.fleet.cli("lanes", check=True).stdout
    assert re.search(r"^lane-1 +active +blocked .*blocked at microsoft365: 550 5\.7\.606", listed, re.M), listed
    # elsewhere it goes on
    wait_until("the other domain to be done",
               lambda: sum(len(r) for _, r in asked(site.elsewhere)) >= len(PEOPLE), 60)
    before = len(site.microsoft.sessions)
    del site.microsoft.blocked[source]
    wait_until("the job to end", lambda: not client.alive(), 120, 0.1)
    found = site.results("list")
    assert {r["rollcall_reason"] for r in found.values()} == {"mailbox_accepted"} and len(found) == 60
    after = [r for _, r in asked(site.microsoft)[before:] if r]
    people = [[line for line in r if re.search("user[0-9]", line)] for r in after]
    assert len(people[0]) <= 5 and sum(len(p) for p in people) == len(PEOPLE), people
    assert "lane_on_probation" in site.fleet.process.said() and "lane_well" in site.fleet.process.said()
    assert site.lane("lane-1")["health"] == "ok"
    show(f"after the block: {[len(p) for p in people]} recipients a session")


def test_throttled_slows_down_on_the_same_lane(work, stopping):
    site = Site(work, stopping, 2, TIME_SCALE=60)
    for source in site.sources:
        site.elsewhere.blocked[source] = "450 4.7.1 You are sending too many messages, slow down"
    client = site.begin("list", [f"{u}@{ELSEWHERE}" for u in PEOPLE])
    lane = wait_until("a lane to be slow", lambda: next((x for x in site.lanes() if x["providers"]), None), 60, 0.02)
    [provider] = lane["providers"]
    assert (provider["mx_group"], provider["health"]) == ("elsewhere.test", "slow") and provider["until"]
    assert lane["state"] == "active" and lane["health"] == "slow"
    assert lane["health_reason"].startswith("slow at elsewhere.test: 450 4.7.1 You are sending too many")
    site.elsewhere.blocked.clear()
    wait_until("the job to end", lambda: not client.alive(), 120, 0.1)
    assert {r["rollcall_reason"] for r in site.results("list").values()} == {"mailbox_accepted"}
    assert {site.sources[source] for source, r in asked(site.elsewhere) if r} == {lane["name"]}, "to another lane is no way out"
    assert site.lane(lane["name"])["moves"] == []


def test_a_big_provider_is_spread_over_the_lanes_of_its_profile(work, stopping):
    """Four for Microsoft 365, of six. Each of its domains keeps its own, in the next job too."""
    tenants = [f"tenant{i:02}.test" for i in range(16)]
    site = Site(work, stopping, 6, tenants=tenants)

    def homes(name, user):
        before = len(site.microsoft.sessions)
        client = site.begin(name, [f"{user}@{d}" for d in tenants])
        wait_until(f"the {name} job to end", lambda: not client.alive(), 60, 0.1)
        found = {}
        for source, recipients in asked(site.microsoft)[before:]:
            for line in recipients:
                found.setdefault(line.split("@")[1].rstrip(">"), set()).add(site.sources[source])
        assert set(found) == set(tenants) and all(len(h) == 1 for h in found.values()), found
        return found
    first = homes("first", "user00")
    assert len({lane for h in first.values() for lane in h}) == 4, first
    assert homes("second", "user01") == first


def test_blocked_again_holds_twice_as_long(work, stopping):
    site = Site(work, stopping, 1, TIME_SCALE=3600)
    [source] = site.sources
    site.fleet.cli("check", f"nobody@{MICROSOFT}", check=True)  # it was received once
    site.microsoft.blocked[source] = BANNED.format(source)
    site.begin("list", [f"{u}@{MICROSOFT}" for u in PEOPLE])
    cursor = site.fleet.database().cursor()

    def hold(strikes):
        cursor.execute("SELECT extract(epoch FROM until - since)::float8 FROM lane_hold WHERE health = 2 AND strikes = %s", (strikes,))
        row = cursor.fetchone()
        return row and row[0]
    for strikes, seconds in ((1, 1), (2, 2), (3, 4)):
        held = wait_until(f"block {strikes}", lambda: hold(strikes), 60, 0.02)
        assert seconds - 0.5 < held < seconds + 0.5, (strikes, held)


def test_the_fleet_leaves_a_provider_alone_that_blocks_several(work, stopping):
    site = Site(work, stopping, 3, TIME_SCALE=60)
    for source in site.sources:
        site.microsoft.blocked[source] = BANNED.format(source)
    cursor = site.fleet.database().cursor()
    # the provider is spread over its lanes; every one of them is blocked
    site.begin("list", [f"{u}@{MICROSOFT}" for u in PEOPLE] + [f"{u}@{ELSEWHERE}" for u in PEOPLE])
    cursor.execute("INSERT INTO lane_hold (lane, mx_group, until, health, why) SELECT number, 'microsoft365', now() + interval '1 minute', "
                   "2, 'seeded' FROM lane WHERE name <> 'lane-1' ON CONFLICT DO NOTHING")
    wait_until("the fleet to leave it alone", lambda: site.fleet.get("/v1/lanes")[1]["pauses"], 60)
    [pause] = site.fleet.get("/v1/lanes")[1]["pauses"]
    assert pause["mx_group"] == "microsoft365" and pause["lanes"] >= 2
    cursor.execute("SELECT extract(epoch FROM until - since)::float8 FROM mx_group_pause")
    assert abs(cursor.fetchone()[0] - 12 * 3600 / 60) < 1
    assert "mx_group_paused mx_group=microsoft365" in site.fleet.process.said()
    assert "the fleet leaves microsoft365 alone until" in site.fleet.cli("lanes", check=True).stdout
    sessions = len(site.microsoft.sessions)
    wait_until("the other domain to be done", lambda: sum(len(r) for _, r in asked(site.elsewhere)) >= len(PEOPLE), 60)
    assert len(site.microsoft.sessions) <= sessions + 3  # what was out already


def test_however_many_hold_a_lane_off_the_others_are_asked(work, stopping):
    blocked, free = [f"b{i:03}.test" for i in range(150)], [f"f{i:02}.test" for i in range(40)]
    site = Site(work, stopping, 1, domains=blocked + free, TIME_SCALE=60)
    cursor = site.fleet.database().cursor()
    cursor.execute("INSERT INTO lane_hold (lane, mx_group, until, health, why) SELECT number, unnest(%s), now() + interval '1 hour', 2, 'seeded' "
                   "FROM lane", (blocked,))
    client = site.begin("list", [f"{PEOPLE[0]}@{domain}" for domain in blocked + free])
    wait_until("all others to be done", lambda: site.fleet.get("/v1/jobs")[1]["jobs"] and
               site.fleet.get("/v1/jobs")[1]["jobs"][0]["done"] == len(free), 30)
    assert sum(len(recipients) for _, recipients in asked(site.elsewhere)) >= len(free)
    cursor.execute("SELECT count(DISTINCT mx_group) FROM shard WHERE mx_group = ANY(%s)", (blocked,))
    assert cursor.fetchone()[0] == len(blocked)
    # and when the time is up, it is their turn
    cursor.execute("UPDATE lane_hold SET until = now() WHERE mx_group = ANY(%s)", (blocked,))
    wait_until("the list to be done", lambda: not client.alive(), 120)
    assert {r["rollcall_reason"] for r in site.results("list").values()} == {"mailbox_accepted"}


def test_a_draining_lane_takes_nothing_new(work, stopping):
    domains = [f"d{i:02}.test" for i in range(16)]
    site = Site(work, stopping, 2, domains)
    first = site.begin("first", [f"user00@{d}" for d in domains])
    wait_until("the first job to end", lambda: not first.alive(), 60, 0.1)
    homes = {}
    for source, recipients in asked(site.elsewhere):
        for line in recipients:
            homes.setdefault(line.split("@")[1].rstrip(">"), set()).add(site.sources[source])
    assert all(len(h) == 1 for h in homes.values()) and {n for h in homes.values() for n in h} == {"lane-1", "lane-2"}, homes

    # an MX group keeps its lane in the next job
    before = len(site.elsewhere.sessions)
    second = site.begin("second", [f"user01@{d}" for d in domains])
    wait_until("the second job to end", lambda: not second.alive(), 60, 0.1)
    for source, recipients in asked(site.elsewhere)[before:]:
        for line in recipients:
            assert homes[line.split("@")[1].rstrip(">")] == {site.sources[source]}

    assert site.fleet.cli("lanes", "drain", "lane-1", check=True).stdout.startswith("lane-1: draining")
    assert site.fleet.cli("lanes", "drain", "lane-9").returncode == 2
    site.fleet.process.wait_for("lane_draining lane=lane-1")
    before = len(site.elsewhere.sessions)
    third = site.begin("third", [f"user02@{d}" for d in domains])
    wait_until("the third job to end", lambda: not third.alive(), 60, 0.1)
    assert {site.sources[source] for source, r in asked(site.elsewhere)[before:] if r} == {"lane-2"}
    cursor = site.fleet.database().cursor()

    def theirs():
        again = site.begin("again", [f"user03@{d}" for d in domains])
        wait_until("one more job to end", lambda: not again.alive(), 60, 0.1)
        cursor.execute("SELECT count(*) FROM mx_group_lane m JOIN lane l ON l.number = m.lane WHERE l.name = 'lane-1'")
        return cursor.fetchone()[0] == 0
    wait_until("every MX group to have the other lane", theirs, 60)

    assert site.fleet.cli("lanes", "activate", "lane-1", check=True).stdout.startswith("lane-1: active")
    site.fleet.process.wait_for("lane_activated lane=lane-1")


def test_what_was_never_sent_leaves_a_draining_lane_and_is_on_record(work, stopping):
    domains = [f"d{i:02}.test" for i in range(8)]
    site = Site(work, stopping, 2, domains)
    site.elsewhere.held = True
    site.microsoft.held = True
    client = site.begin("list", [f"{u}@{d}" for d in domains for u in PEOPLE])
    cursor = site.fleet.database().cursor()
    wait_until("sessions to wait", lambda: any(s.waiting for s in site.elsewhere.sessions), 60)
    # one that has not left yet, as it would stand behind a full window
    cursor.execute("SELECT job FROM shard LIMIT 1")
    cursor.execute("INSERT INTO shard (job, kind, class, lane, domain_no, mx_group, first_uid, n) SELECT job, 1, 2, (SELECT number FROM "
                   "lane WHERE name = 'lane-1'), domain_no, mx_group, first_uid, 1 FROM job_domain WHERE mx_group IS NOT NULL ORDER BY "
                   "domain_no LIMIT 1 RETURNING id")
    [shard] = cursor.fetchone()
    cursor.execute("UPDATE job SET state = 'paused'")
    cursor.execute("UPDATE shard SET state = 0, attempt = 0 WHERE id = %s", (shard,))
    status, lane = site.fleet.request("POST", "/v1/lanes/lane-1/drain", b"")
    assert status == 200 and lane["state"] == "draining"

    def moved():
        cursor.execute("SELECT l.name FROM shard s JOIN lane l ON l.number = s.lane WHERE s.id = %s", (shard,))
        return cursor.fetchone() == ("lane-2",)
    wait_until("the shard to move", moved, 30)
    [move] = [m for m in site.lane("lane-1")["moves"] if m["count"] == 1]
    assert (move["from"], move["to"], move["reason"], move["greylist_clock_restarted"]) == ("lane-1", "lane-2", "draining", False)
    assert "lane_moved lane=lane-1 why=draining" in site.fleet.process.said()
    site.elsewhere.release()
    cursor.execute("DELETE FROM shard WHERE id = %s", (shard,))
    cursor.execute("UPDATE job SET state = 'running'")
    wait_until("the job to end", lambda: not client.alive(), 90, 0.1)


def test_a_new_lane_has_a_budget_for_the_day(work, stopping):
    """And keeps it to the last recipient: a shard that is larger leaves in part."""
    site = Site(work, stopping, 1, WARMUP="20,40")
    lane = site.lane("lane-1")
    assert lane["state"] == "warming_up" and lane["warming_up"] == {"day": 1, "recipients_a_day": 20, "sent": 0}
    client = site.begin("list", [f"{u}@{ELSEWHERE}" for u in PEOPLE])
    wait_until("the budget to be spent", lambda: site.lane("lane-1")["warming_up"]["sent"] == 20)
    cursor = site.fleet.database().cursor()

    def queued():
        cursor.execute("SELECT cardinality(uids) FROM shard WHERE state = 0 AND kind = 1")
        return cursor.fetchall()
    assert wait_until("the rest to wait", queued, 30) == [(10,)]

    def people():
        return {name for _, recipients in asked(site.elsewhere) for line in recipients for name in re.findall("<(user[0-9]+)@", line)}
    assert len(people()) == 20 and client.alive()
    # a day later there is more; the leader reads that when it begins to lead
    cursor.execute("UPDATE lane SET first_seen = first_seen - interval '1 day'")
    site.fleet.kill("coordinator")
    wait_until("the job to end", lambda: not client.alive(), 90, 0.1)
    assert site.lane("lane-1")["warming_up"] == {"day": 2, "recipients_a_day": 40, "sent": 10} and people() == set(PEOPLE)


def test_waiting_along_with_a_greylister_is_no_fault(work, stopping):
    site = Site(work, stopping, 1, TIME_SCALE=60)
    [source] = site.sources
    cursor = site.fleet.database().cursor()
    # what another list has taught: address and sender are all that it knows
    cursor.execute("INSERT INTO greylist_window (mx_group, too_early_s, enough_s, passes, refusals, late, key, seen_at) VALUES "
                   "('elsewhere.test', 0, 300, 3, 0, 0, 2, now())")
    site.elsewhere.blocked[source] = "450 4.2.0 Greylisted, please try again in 300 seconds"
    client = site.begin("list", [f"{u}@{ELSEWHERE}" for u in PEOPLE])
    lane = wait_until("the lane to wait along", lambda: next((x for x in site.lanes() if x["providers"]), None), 60, 0.02)
    [provider] = lane["providers"]
    assert (provider["mx_group"], provider["health"]) == ("elsewhere.test", "greylisted") and provider["until"]
    assert lane["health"] == "ok" and lane["health_reason"].startswith("greylisted at elsewhere.test: it greylists by our address alone")
    assert re.search(r"^lane-1 +active +ok .*greylisted at elsewhere.test", site.fleet.cli("lanes", check=True).stdout, re.M)
    del site.elsewhere.blocked[source]
    wait_until("the job to end", lambda: not client.alive(), 90, 0.1)
    assert {r["rollcall_reason"] for r in site.results("list").values()} == {"mailbox_accepted"}


@pytest.mark.parametrize("option, value, named", (("WARMUP", "50,20", "less than the day before"), ("WARMUP", "x", "recipients a day"),
                                                  ("RETRY_SCHEDULE", "330s,100s", "each must be later than the one before")))
def test_wrong_settings_name_themselves(option, value, named, work, stopping):
    fleet = Fleet(f"{work}/data", LANES=lanes(1), UNSAFE_LANES="on", ALLOW_TARGETS="127.0.0.0/8", **{option: value})
    stopping.append(fleet)
    fleet.start(ready=False)
    wait_until("it to end", lambda: not fleet.process.alive(), 60)
    assert f"ROLLCALL_{option}" in fleet.process.said() and named in fleet.process.said()


def test_lanes_that_cannot_be_stand_in_nobodys_way(work, stopping):
    """What makes no sense is set aside, an address of another machine is offered and not granted: each named, the others go on."""
    bad = {"b=127.10.1.1/second.test": "both bind 127.10.1.1", "c=127.10.3.1/no_host": "`no_host` is no host name for HELO",
           "d=[2001:db8::9]@127.10.4.1/d.test": "one family", "e=192.0.2.77/e.test": "192.0.2.77"}
    site = Site(work, stopping, 1, LANES=" ".join([lanes(1), *bad, "z=127.10.9.1/z.test"]))
    said = site.fleet.process.said()
    for words in bad.values():
        assert [line for line in said.splitlines() if words in line and "ROLLCALL_LANES" in line], (words, said)
    shown = wait_until("the lanes to be known", lambda: {x["name"]: x for x in site.lanes()} if "e" in {x["name"] for x in site.lanes()} else None, 30)
    assert shown["lane-1"]["state"] == shown["z"]["state"] == "active"
    assert shown["e"]["state"] == "unfit" and "192.0.2.77" in shown["e"]["reason"] and "ROLLCALL_LANES" in shown["e"]["reason"]
    client = site.begin("list", [f"{u}@{ELSEWHERE}" for u in PEOPLE])
    wait_until("the job to end", lambda: not client.alive(), 60, 0.1)
    assert {r["rollcall_reason"] for r in site.results("list").values()} == {"mailbox_accepted"}


def test_a_shard_of_an_unknown_lane_is_left_alone(work, stopping):
    """One that has come to the wrong worker, as the message that was meant for another lane's."""
    site = Site(work, stopping, 1)
    first = site.begin("first", [f"user00@{ELSEWHERE}"])
    wait_until("the first job to end", lambda: not first.alive(), 60, 0.1)
    files = {name: open(f"{work}/data/{name}").read().strip() for name in ("broker", "message-key")}
    other = Process([f"{BIN}/rollcall-worker"], f"{work}/other.log",
                    env={**site.fleet.env, "ROLLCALL_LANES": "other=127.10.5.1/other.test", "ROLLCALL_BROKERS": files["broker"],
                         "ROLLCALL_MESSAGE_KEY": files["message-key"]})
    stopping.append(other)
    wait_until("the other worker to have its lane", lambda: {x["name"]: x for x in site.lanes()}.get("other", {}).get("granted"), 60)
    numbers = {x["name"]: x["lane"] for x in site.lanes()}
    kcat = ["kcat", "-q", "-b", files["broker"], "-t", "rollcall.shards"]
    strays = subprocess.run([*kcat, "-C", "-p", str(numbers["lane-1"]), "-o", "beginning", "-c", "1", "-e"], check=True, capture_output=True).stdout
    with open(f"{work}/stray", "wb") as f:
        f.write(strays.removesuffix(b"\n"))
    subprocess.run([*kcat, "-P", "-p", str(numbers["other"]), f"{work}/stray"], check=True)
    other.wait_for("shard_of_unknown_lane")
    [line] = [x for x in other.said().splitlines() if "shard_of_unknown_lane" in x]
    assert f"lane={numbers['lane-1']} partition={numbers['other']} " in line and "ROLLCALL_BROKERS" in line, line
    # it goes on: the only lane that takes new work now is its own
    site.fleet.cli("lanes", "drain", "lane-1", check=True)
    site.fleet.process.wait_for("lane_draining lane=lane-1")

    def its_own():
        more = site.begin("more", [f"user01@{ELSEWHERE}"])
        wait_until("another job to end", lambda: not more.alive(), 60, 0.1)
        return site.results("more")[f"user01@{ELSEWHERE}"]["rollcall_lane"] == "other"
    wait_until("the other lane to be used", its_own, 60)


def test_lanes_as_json(work, stopping):
    site = Site(work, stopping, 1)
    answer = json.loads(site.fleet.cli("lanes", "--json", check=True).stdout)
    assert [lane["name"] for lane in answer["lanes"]] == ["lane-1"] and answer["pauses"] == []
    assert answer["lanes"][0]["fitness"] == "overridden"
    assert {f["check"] for f in answer["lanes"][0]["findings"]} >= {"reverse", "mx"}
    show_ = site.fleet.cli("lanes", "show", "lane-1", check=True).stdout
    assert "doctor     overridden" in show_ and " mx         the MAIL FROM domain" in show_


def test_where_all_lanes_drain_what_is_new_waits_and_nothing_stands(work, stopping):
    site = Site(work, stopping, 1)
    site.fleet.cli("lanes", "drain", "lane-1", check=True)
    cursor = site.fleet.database().cursor()
    client = site.begin("list", [f"{u}@{ELSEWHERE}" for u in PEOPLE])

    def planned():
        cursor.execute("SELECT count(*) FROM shard WHERE kind = 1 AND state = 0")
        return cursor.fetchone()[0]
    wait_until("the list to wait for a lane", planned, 60)
    assert site.fleet.get("/readyz")[0] == 200 and not asked(site.elsewhere)
    assert "there is no lane" not in site.fleet.process.said()
    site.fleet.cli("lanes", "activate", "lane-1", check=True)
    wait_until("the list to end", lambda: not client.alive(), 60)
    assert {r["rollcall_reason"] for r in site.results("list").values()} == {"mailbox_accepted"}


def test_a_paused_job_ends_at_its_deadline(work, stopping):
    site = Site(work, stopping, 1)
    [source] = site.sources
    site.microsoft.blocked[source] = BANNED.format(source)
    site.begin("list", [f"{u}@{MICROSOFT}" for u in PEOPLE])
    cursor = site.fleet.database().cursor()
    wait_until("the lane to be blocked", lambda: site.lane("lane-1")["health"] == "blocked", 60)
    [job] = site.fleet.get("/v1/jobs")[1]["jobs"]
    assert site.fleet.request("POST", f"/v1/jobs/{job['id']}/pause", b"")[0] == 200
    cursor.execute("UPDATE job SET deadline_at = now()")
    wait_until("the paused job to end", lambda: site.fleet.get(f"/v1/jobs/{job['id']}")[1]["state"] == "done", 60)
    cursor.execute("SELECT count(*) FROM result")
    assert cursor.fetchone()[0] == len(PEOPLE)
