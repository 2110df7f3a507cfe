"""Lists that lie over every verdict: what a tenant never mails, the operator's spam traps, disposable and role names, slips of popular domains."""
import hashlib
import json
import os

import pytest
from support.fleet import Fleet, lanes, rows
from support.process import BIN, wait_until
from support.world import World
import subprocess

WORLD = """
[domain shop.test]
behaviour = honest
mx = 10 mx1.shop.test 127.90.0.1
mailbox = ann
mailbox = bob
mailbox = info
mailbox = trap
mailbox = hidden
absent = gone
absent = away

[domain whole.test]
behaviour = honest
mx = 10 mx1.whole.test 127.90.0.2
mailbox = carol
absent = nobody

[domain yahoo.com]
behaviour = yahoo
mx = 1 mta5.am0.yahoodns.net
mailbox = first
mailbox = second
mailbox = third

[domain trapped.test]
behaviour = honest
mx = 10 mx1.trapped.test 127.90.0.3
mailbox = dave

[domain gmaill.com]
behaviour = honest
mailbox = erin

[domain parked.test]
behaviour = catch_all
mx = 10 park-mx.above.com
mailbox = gina

[domain throwaway.test]
behaviour = honest
mx = 10 mx.temp-mail.io
mailbox = hugo
absent = nobody

[domain nul.test]
behaviour = null_mx
mailbox = frank
"""


@pytest.fixture
def fleet(work, stopping):
    with open(f"{work}/world", "w") as f:
        f.write(WORLD)
    with open(f"{work}/traps", "w") as f:
        f.write("# ours\ntrap@shop.test\ntrapped.test\nsha256:" + hashlib.sha256(b"hidden@shop.test").hexdigest() + "\n")
    world = World(work, world=f"{work}/world", time_scale=600)
    stopping.append(world)
    fleet = Fleet(f"{work}/data", LANES=lanes(1), TIME_SCALE=600, SPAM_TRAPS=f"{work}/traps", **world.env)
    stopping.append(fleet)
    fleet.world = world
    return fleet.start()


def verify(fleet, work, addresses, *args):
    with open(f"{work}/list.txt", "w") as f:
        f.write("".join(a + "\n" for a in addresses))
    fleet.cli("verify", f"{work}/list.txt", "-o", f"{work}/out.csv", *args, check=True)
    found = {}
    for r in rows(f"{work}/out.csv"):
        found[r["email"]] = r
    return found


def called(row):
    return row["rollcall_status"], row["rollcall_reason"]


def entries(fleet):
    return {json.loads(line)["entry"] for line in fleet.cli("suppress", "list", "--json", check=True).stdout.splitlines()}


def test_what_is_listed_is_not_asked(fleet, work):
    # a file with a header and one bad cell: the rest is taken, and what was not is told
    with open(f"{work}/never.csv", "w") as f:
        f.write("id,who\n1,Bob@Shop.TEST\n2,@whole.test\n3,no address\n4,first@yahoo.com\n")
    r = fleet.cli("suppress", "add", f"{work}/never.csv", "--column", "who")
    assert r.returncode == 2 and "3 added, 0 there already" in r.stdout and "row 3" in r.stderr, (r.stdout, r.stderr)
    assert entries(fleet) == {"bob@shop.test", "@whole.test", "first@yahoo.com"}
    again = fleet.cli("suppress", "add", "bob@shop.test", "BOB@shop.test", "new.example", check=True)
    assert "1 added, 1 there already" in again.stdout
    fleet.cli("suppress", "remove", "new.example", check=True)
    assert fleet.cli("suppress", "remove", "new.example").returncode == 2
    assert fleet.cli("suppress", "add", f"{work}/nothing.csv").returncode == 2

    before = fleet.world.stats()
    found = verify(fleet, work, ["ann@shop.test", "BOB@shop.test", "info@shop.test", "trap@shop.test", "Hidden@shop.test", "gone@shop.test",
                                 "carol@whole.test", "nobody@whole.test", "first@yahoo.com", "second@yahoo.com", "third@yahoo.com",
                                 "dave@trapped.test", "erin@gmaill.com", "x@mailinator.com", "frank@nul.test", "not an address"])
    assert called(found["ann@shop.test"]) == ("valid", "mailbox_accepted")
    assert called(found["BOB@shop.test"]) == ("do_not_mail", "suppressed")
    assert called(found["info@shop.test"]) == ("role_based", "role_account") and found["info@shop.test"]["rollcall_role"] == "true"
    assert called(found["gone@shop.test"]) == ("invalid", "mailbox_not_found")
    assert called(found["carol@whole.test"]) == called(found["nobody@whole.test"]) == ("do_not_mail", "suppressed")
    for trap in ("trap@shop.test", "Hidden@shop.test", "dave@trapped.test"):
        assert called(found[trap]) == ("do_not_mail", "spam_trap")
    assert called(found["x@mailinator.com"]) == ("do_not_mail", "disposable_domain")
    assert called(found["frank@nul.test"]) == ("invalid", "null_mx")
    assert called(found["not an address"]) == ("invalid", "bad_syntax")
    # Yahoo's sample is taken among those who may be asked at all
    assert called(found["first@yahoo.com"]) == ("do_not_mail", "suppressed")
    assert called(found["second@yahoo.com"]) == called(found["third@yahoo.com"]) == ("unknown", "provider_accepts_all")
    assert {found["second@yahoo.com"]["rollcall_attempts"], found["third@yahoo.com"]["rollcall_attempts"]} == {"0", "1"}
    # a slip is asked as it stands, and told
    assert called(found["erin@gmaill.com"]) == ("valid", "mailbox_accepted")
    assert found["erin@gmaill.com"]["rollcall_did_you_mean"] == "erin@gmail.com"
    assert not any(r["rollcall_did_you_mean"] for e, r in found.items() if e != "erin@gmaill.com")
    for listed in ("BOB@shop.test", "carol@whole.test", "trap@shop.test", "dave@trapped.test", "x@mailinator.com"):
        assert found[listed]["rollcall_attempts"] == "0" and not found[listed]["rollcall_smtp_code"]
    after = fleet.world.stats()
    asked = {ip: n - before["sessions_by_mx"].get(ip, 0) for ip, n in after["sessions_by_mx"].items()}
    assert asked["127.90.0.1"] > 0
    assert "127.90.0.2" not in asked and "127.90.0.3" not in asked, "a domain that is listed as a whole was met"


def test_refusals_go_on_the_list(fleet, work):
    found = verify(fleet, work, ["ann@shop.test", "gone@shop.test", "Away@shop.test", "info@shop.test", "second@yahoo.com"],
                   "--suppress-invalid")
    assert called(found["gone@shop.test"]) == ("invalid", "mailbox_not_found")
    wait_until("the refusals to be listed", lambda: entries(fleet) == {"gone@shop.test", "away@shop.test"}, 20)
    status, page = fleet.get("/v1/suppressions?domain=shop.test&limit=1")
    assert status == 200 and page["total"] == 2 and page["next"] and page["suppressions"][0]["reason"] == "mailbox_not_found"
    assert page["suppressions"][0]["job"] and page["suppressions"][0]["added_at"]
    status, rest = fleet.get(f"/v1/suppressions?domain=shop.test&limit=1&cursor={page['next']}")
    assert status == 200 and rest["next"] is None and rest["suppressions"][0]["entry"] != page["suppressions"][0]["entry"]
    # the next list that holds them does not ask again
    found = verify(fleet, work, ["gone@shop.test", "away@shop.test", "ann@shop.test"])
    assert called(found["gone@shop.test"]) == called(found["away@shop.test"]) == ("do_not_mail", "suppressed")
    assert called(found["ann@shop.test"]) == ("valid", "mailbox_accepted")


def test_a_list_belongs_to_its_tenant_and_client(fleet, work):
    def key(*args):
        env = {k: v for k, v in fleet.env.items() if k not in ("ROLLCALL_DATA", "ROLLCALL_LANES")}
        with open(f"{fleet.data}/database") as f:
            env["ROLLCALL_DATABASE"] = f.read().strip()
        r = subprocess.run([f"{BIN}/rollcall-coordinator", "key", "--role", "submit", *args], env={"PATH": os.environ["PATH"], **env},
                           capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r.stderr
        return r.stdout.split()[-1]

    other, client = key("--tenant", "other"), key("--client", "acme")

    def ask(secret, method, path, body=None):
        return fleet.request(method, path, body, key=False, headers={"Authorization": "Bearer " + secret})

    assert fleet.request("POST", "/v1/suppressions", b"ann@shop.test\n")[1]["added"] == 1
    assert ask(client, "POST", "/v1/suppressions", b"bob@shop.test\n")[1]["added"] == 1
    assert ask(other, "GET", "/v1/suppressions")[1]["total"] == 0
    assert [s["entry"] for s in ask(client, "GET", "/v1/suppressions")[1]["suppressions"]] == ["bob@shop.test"]
    assert ask(client, "POST", "/v1/suppressions?client=rival", b"x@shop.test\n")[0] == 403
    assert fleet.get("/v1/suppressions")[1]["total"] == 2
    # neither another tenant's nor, for all of a client's rights, the tenant's own entries can be taken off
    assert ask(other, "DELETE", "/v1/suppressions?entry=ann@shop.test")[0] == 404
    assert ask(client, "DELETE", "/v1/suppressions?entry=ann@shop.test")[0] == 404

    def reasons(secret):
        status, job = ask(secret, "POST", "/v1/jobs", b"ann@shop.test\nbob@shop.test\n")
        assert status == 201
        wait_until("the job", lambda: ask(secret, "GET", f"/v1/jobs/{job['id']}")[1]["state"] == "done", 60)
        return [ask(secret, "GET", f"/v1/jobs/{job['id']}/rows/{n}")[1]["rollcall"]["reason"] for n in (1, 2)]

    assert reasons(other) == ["mailbox_accepted", "mailbox_accepted"]
    assert reasons(fleet.key) == ["suppressed", "mailbox_accepted"]
    assert reasons(client) == ["suppressed", "suppressed"]
    assert ask(fleet.key, "DELETE", "/v1/suppressions?entry=ann@shop.test")[0] == 204
    assert reasons(fleet.key) == ["mailbox_accepted", "mailbox_accepted"]
    # what is no list, and no entry
    assert ask(other, "DELETE", "/v1/suppressions?entry=nothing")[0] == 400
    status, bad = ask(other, "POST", "/v1/suppressions", b"hello\n")
    assert status == 200 and bad["added"] == 0 and bad["bad"] == 1


def test_domains_that_are_a_risk(fleet, work):
    def risk(*addresses):
        return {e: r["rollcall_domain_risk"] for e, r in verify(fleet, work, addresses).items()}

    # by their mail servers; the verdict is what the servers say
    found = verify(fleet, work, ["gina@parked.test", "hugo@throwaway.test", "nobody@throwaway.test", "ann@shop.test", "frank@nul.test"])
    assert called(found["gina@parked.test"]) == ("catch_all", "domain_accepts_all")
    assert called(found["hugo@throwaway.test"]) == ("valid", "mailbox_accepted")
    assert called(found["nobody@throwaway.test"]) == ("invalid", "mailbox_not_found")
    assert {e: r["rollcall_domain_risk"] for e, r in found.items()} == {
        "gina@parked.test": "true", "hugo@throwaway.test": "true", "nobody@throwaway.test": "true", "ann@shop.test": "false",
        "frank@nul.test": "false"}
    # by their age, once this installation has known domains for long enough to tell
    with fleet.database() as c:
        c.cursor().execute("UPDATE domain_knowledge SET first_seen = now() - interval '200 days' WHERE domain = 'shop.test'")
    assert risk("ann@shop.test", "carol@whole.test", "second@yahoo.com") == {
        "ann@shop.test": "false", "carol@whole.test": "true", "second@yahoo.com": "false"}
    with fleet.database() as c:
        c.cursor().execute("UPDATE domain_knowledge SET first_seen = now() - interval '31 days' WHERE domain = 'whole.test'")
    assert risk("carol@whole.test", "nobody@whole.test") == {"carol@whole.test": "false", "nobody@whole.test": "false"}
