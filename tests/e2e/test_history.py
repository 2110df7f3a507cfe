"""What addresses answered before, what a verdict rests on, and verdicts given anew from their evidence."""
import json
import os
import re
import shutil
import signal

import pytest
from support.fleet import Fleet, compare, lanes, rows
from support.process import ROOT, wait_until
from support.world import World

SMALL = """[domain honest.test]
behaviour = honest
mx = 10 mx.honest.test 127.90.0.1
mailbox = ann
mailbox = bob
mailbox = info
mailbox = old1 disabled
mailbox = old2 disabled
""" + "".join(f"absent = nobody{i}\n" for i in range(4)) + """
[domain all.test]
behaviour = catch_all
mx = 10 mx.all.test 127.90.0.2
mailbox = carol
"""
# An account that is closed is none
CLOSED = 'gone: text="recipient address rejected: this mailbox is disabled" code=550 enhanced=5.2.1 stage=rcpt -> recipient mailbox_not_found mailbox strong\n'


def small_world(work, stopping):
    with open(f"{work}/world", "w") as f:
        f.write(SMALL)
    world = World(f"{work}/mw", world=f"{work}/world")
    stopping.append(world)
    return world


def small_fleet(work, stopping, world, **env):
    shutil.copytree(f"{ROOT}/data", f"{work}/rules")
    fleet = Fleet(f"{work}/data", LANES=lanes(1), RULES_DIR=f"{work}/rules", TIME_SCALE=3000, **world.env, **env)
    stopping.append(fleet)
    return fleet.start()


def verify(fleet, path, out, *args):
    """The job's id."""
    return re.match(r"job (\S+)", fleet.cli("verify", path, "-o", out, *args, check=True).stderr)[1]


def regrade(fleet, job, *args):
    return json.loads(fleet.cli("regrade", job, "--json", *args, check=True).stdout)


def new_rules(fleet, work):
    """The running rules, with CLOSED among them."""
    before = fleet.process.said().count("rules_loaded")
    with open(f"{work}/rules/replies", "a") as f:
        f.write(CLOSED)
    fleet.process.popen.send_signal(signal.SIGHUP)
    wait_until("both services to have read the rules", lambda: fleet.process.said().count("rules_loaded") == before + 2, 20)


def test_under_the_same_rules_the_evidence_says_the_same(work, stopping, show):
    world = World(work, mix="demo", seed=21, rows=2000, time_scale=1000)
    stopping.append(world)
    fleet = Fleet(f"{work}/data", LANES=lanes(), TIME_SCALE=1000, **world.env)
    stopping.append(fleet)
    fleet.start()
    job = verify(fleet, world.list, f"{work}/out.csv")
    compare(world.truth, f"{work}/out.csv")
    sent = world.stats()["rcpt"]
    said = regrade(fleet, job)
    show(f"regrade of {said['rows']} rows: {said['same']} the same")
    assert said["rows"] > 1800 and not said["applied"]
    assert said["same"] == said["rows"], said
    # written, it changes nothing either
    assert regrade(fleet, job, "--apply")["same"] == said["rows"]
    fleet.cli("jobs", "results", job, "-o", f"{work}/again.csv", check=True)
    assert rows(f"{work}/again.csv") == rows(f"{work}/out.csv")
    assert world.stats()["rcpt"] == sent


def test_new_rules_are_shown_before_they_are_applied(work, stopping):
    world = small_world(work, stopping)
    fleet = small_fleet(work, stopping, world)
    job = verify(fleet, world.list, f"{work}/out.csv")
    first = rows(f"{work}/out.csv")
    version = {r["rollcall_rules"] for r in first}
    assert len(version) == 1 and re.fullmatch(r"[0-9a-f]{16}", version.pop())
    counts = fleet.get(f"/v1/jobs/{job}")[1]["counts"]
    new_rules(fleet, work)
    sent = world.stats()["rcpt"]

    shown = regrade(fleet, job)
    assert not shown["applied"] and shown["changed"] == 2 and shown["same"] == shown["rows"] - 2, shown
    assert [(c["from"]["reason"], c["to"]["reason"], c["rows"]) for c in shown["changes"]] == \
        [("mailbox_disabled", "mailbox_not_found", 2)]
    assert {s["email"].split("@")[0] for s in shown["samples"]} == {"old1", "old2"}
    assert all(first[s["row"] - 1]["email"] == s["email"] and s["rule"] == "gone" for s in shown["samples"])
    text = fleet.cli("regrade", job, check=True).stdout
    assert "invalid/mailbox_disabled -> invalid/mailbox_not_found" in text and "Nothing was written" in text
    fleet.cli("jobs", "results", job, "-o", f"{work}/same.csv", check=True)
    assert rows(f"{work}/same.csv") == first and fleet.get(f"/v1/jobs/{job}")[1]["counts"] == counts

    assert regrade(fleet, job, "--apply")["changed"] == 2
    fleet.cli("jobs", "results", job, "-o", f"{work}/new.csv", check=True)
    new = rows(f"{work}/new.csv")
    for was, now in zip(first, new):
        closed = was["rollcall_reason"] == "mailbox_disabled"
        assert now["rollcall_reason"] == ("mailbox_not_found" if closed else was["rollcall_reason"])
        assert now["rollcall_rules"] == shown["rules"] != was["rollcall_rules"]
        assert now["rollcall_checked_at"] == was["rollcall_checked_at"]
    got = fleet.get(f"/v1/jobs/{job}")[1]
    assert got["counts"]["reason"] == {r: sum(1 for n in new if n["rollcall_reason"] == r) for r in {n["rollcall_reason"] for n in new}}
    assert got["state"] == "done" and got["done"] == len(new)
    assert regrade(fleet, job)["same"] == len(new)
    assert world.stats()["rcpt"] == sent, "a regrade asks nobody"


def test_what_is_fresh_enough_is_not_asked_again(work, stopping):
    world = small_world(work, stopping)
    fleet = small_fleet(work, stopping, world)
    verify(fleet, world.list, f"{work}/first.csv")
    first = {r["email"]: r for r in rows(f"{work}/first.csv")}
    sent = world.stats()["rcpt"]
    with open(f"{work}/list.csv", "w") as f:
        f.write("email\nANN@honest.test\nnobody0@honest.test\ncarol@all.test\n\ninfo@honest.test\n")
    job = verify(fleet, f"{work}/list.csv", f"{work}/second.csv", "--max-age", "1h")
    assert world.stats()["rcpt"] == sent, "nobody was asked"
    second = rows(f"{work}/second.csv")
    for row in second[:3] + second[4:]:
        was = first[row["email"].replace("ANN", "ann")]
        assert {k: v for k, v in row.items() if k.startswith("rollcall_")} == {k: v for k, v in was.items() if k.startswith("rollcall_")}
    # the evidence is that of the row it was taken from
    row = fleet.get(f"/v1/jobs/{job}/rows/2")[1]
    assert row["reused"] and any("550" in line["text"] for a in row["attempts"] for line in a["conversation"]), row
    assert not fleet.get(f"/v1/jobs/{job}/rows/4")[1]["reused"]
    said = regrade(fleet, job)
    assert said["same"] == said["rows"] == 4, said

    # one that is not known is asked, beside those that are
    with open(f"{work}/list.csv", "a") as f:
        f.write("nobody9@honest.test\n")
    verify(fleet, f"{work}/list.csv", f"{work}/third.csv", "--max-age", "1h")
    third = rows(f"{work}/third.csv")
    assert third[5]["rollcall_reason"] == "mailbox_not_found" and third[0]["rollcall_checked_at"] == first["ann@honest.test"]["rollcall_checked_at"]
    asked = world.stats()["rcpt"]
    assert sent < asked <= sent + 3, "the new one, perhaps its control"
    # and without the option everybody is
    verify(fleet, f"{work}/list.csv", f"{work}/fourth.csv")
    assert world.stats()["rcpt"] >= asked + 5
    assert rows(f"{work}/fourth.csv")[0]["rollcall_checked_at"] > first["ann@honest.test"]["rollcall_checked_at"]

    r = fleet.cli("verify", f"{work}/list.csv", "--max-age", "soon")
    assert r.returncode == 2 and "max_age" in r.stderr and "soon" in r.stderr
    # what is deleted is no history
    for j in fleet.get("/v1/jobs")[1]["jobs"]:
        assert fleet.request("DELETE", f"/v1/jobs/{j['id']}")[0] in (200, 204)
    asked = world.stats()["rcpt"]
    verify(fleet, f"{work}/list.csv", f"{work}/fifth.csv", "--max-age", "30d")
    assert world.stats()["rcpt"] >= asked + 5


def test_another_tenant_has_a_history_of_its_own(work, stopping):
    world = small_world(work, stopping)
    fleet = small_fleet(work, stopping, world)
    verify(fleet, world.list, f"{work}/first.csv")
    c = fleet.database().cursor()
    c.execute("INSERT INTO tenant (name) VALUES ('other') RETURNING id")
    c.execute("UPDATE api_key SET tenant = %s", (c.fetchone()[0],))
    sent = world.stats()["rcpt"]
    verify(fleet, world.list, f"{work}/second.csv", "--max-age", "30d")
    asked = world.stats()["rcpt"] - sent
    assert asked >= len(rows(f"{work}/second.csv")), f"asked {asked} only"


def test_regrade_says_what_is_wrong(work, stopping):
    fleet = Fleet(f"{work}/data", LANES=lanes(1), UNSAFE_LANES="on", ALLOW_TARGETS="127.0.0.0/8").start()
    stopping.append(fleet)
    assert fleet.request("POST", "/v1/jobs/nothing/regrade")[0] == 404
    assert fleet.request("POST", "/v1/jobs/nothing/regrade?apply=perhaps")[0] == 400
    r = fleet.cli("regrade", "nothing")
    assert r.returncode == 2 and "nothing" in r.stderr


def test_what_is_known_of_a_domain(work, stopping):
    world = small_world(work, stopping)
    fleet = small_fleet(work, stopping, world)
    verify(fleet, world.list, f"{work}/out.csv")
    status, honest = fleet.get("/v1/domains/HONEST.test")
    assert status == 200 and honest["domain"] == "honest.test", honest
    assert honest["control"]["state"] == "refused" and honest["control"]["lane"] == "lane-1"
    assert honest["resolution"]["mx"][0]["host"] == "mx.honest.test" and honest["mx_group"] == "honest.test"
    assert honest["first_seen"] and honest["accepted_at"] and honest["provider"] is None
    assert fleet.get("/v1/domains/all.test")[1]["control"]["state"] == "accepted"
    assert fleet.get("/v1/domains/nobody-asked.test")[0] == 404
    assert fleet.get("/v1/domains/not%20a%20domain")[0] == 400
    shown = fleet.cli("domains", "show", "honest.test", check=True).stdout
    assert "mx.honest.test" in shown and "refused" in shown
    assert fleet.cli("domains", "show", "nobody-asked.test").returncode == 2
