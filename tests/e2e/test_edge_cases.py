"""What everybody in the field asks of a verifier first, on a whole fleet over a small world: a mailbox at an honest provider, one at a provider
that says yes to everybody, one behind a greylister, one at a catch-all domain; and beside each, one that does not exist."""
import json

from support.fleet import Fleet, lanes
from support.world import World

SCALE = 600
WORLD = """
[domain gmail.com]
behaviour = gmail
mx = 5 gmail-smtp-in.l.google.com
mx = 10 alt1.gmail-smtp-in.l.google.com
mailbox = ann.example
absent = nobody.there.example

[domain yahoo.com]
behaviour = yahoo
mx = 1 mta5.am0.yahoodns.net
mx = 1 mta6.am0.yahoodns.net
mailbox = bob.example
mailbox = bert.example

[domain greylisted.test]
behaviour = greylist_postgrey
mailbox = carol
absent = nobody

[domain catchall.test]
behaviour = catch_all
mailbox = dave
mailbox = no.such.person
"""


def test_the_fields_edge_cases(work, stopping):
    with open(f"{work}/world", "w") as f:
        f.write(WORLD)
    world = World(work, world=f"{work}/world", time_scale=SCALE)
    stopping.append(world)
    fleet = Fleet(f"{work}/data", LANES=lanes(1), TIME_SCALE=SCALE, **world.env)
    stopping.append(fleet)
    fleet.start()
    fleet.cli("verify", world.list, "-o", f"{work}/results.csv", check=True)
    job = json.loads(fleet.cli("jobs", "list", "--json", check=True).stdout.splitlines()[0])["id"]
    row = {}
    for n in range(1, 9):
        status, one = fleet.get(f"/v1/jobs/{job}/rows/{n}")
        assert status == 200 and one["final"], one
        row[one["email"]] = one

    def called(email):
        r = row[email]["rollcall"]
        return r["status"], r["grade"], r["reason"]

    # Gmail: honest
    assert called("ann.example@gmail.com") == ("valid", "valid", "mailbox_accepted")
    assert called("nobody.there.example@gmail.com") == ("invalid", "invalid", "mailbox_not_found")

    # Yahoo: risky, and says why; asked or not
    assert called("bob.example@yahoo.com") == called("bert.example@yahoo.com") == ("unknown", "risky", "provider_accepts_all")
    asked = [row[e]["rollcall"]["attempts"] for e in ("bob.example@yahoo.com", "bert.example@yahoo.com")]
    assert sorted(asked) == [0, 1], "one stands for both, and its 250 made nobody valid"
    status, page = fleet.get(row["bob.example@yahoo.com"]["rollcall"]["docs"], key=False)
    assert status == 200 and page.startswith("# provider_accepts_all\n")

    # greylisted: the first attempt says come back, only the second says yes or no
    for email, verdict, answer in (("carol@greylisted.test", ("valid", "valid", "mailbox_accepted"), "250 "),
                                   ("nobody@greylisted.test", ("invalid", "invalid", "mailbox_not_found"), "550 ")):
        assert called(email) == verdict
        first, second = row[email]["attempts"]
        assert first["attempt"] == 1 and first["outcome"].startswith("450 4.2.0 ") and "Greylisted" in first["outcome"], first
        assert second["attempt"] == 2 and second["outcome"].startswith(answer), second
        assert [first[k] for k in ("lane", "source_ip", "helo", "mail_from", "mx_address")] == \
               [second[k] for k in ("lane", "source_ip", "helo", "mail_from", "mx_address")]
        assert row[email]["rollcall"]["attempts"] == 2
    said = " ".join(line["text"] for line in row["carol@greylisted.test"]["attempts"][1]["conversation"])
    assert "random address" in said, "the yes was checked against a made-up name"

    # catch-all: flagged, whoever it is
    for email in ("dave@catchall.test", "no.such.person@catchall.test"):
        assert called(email) == ("catch_all", "risky", "domain_accepts_all")
        assert row[email]["rollcall"]["catch_all"] is True

    stats = world.stats()
    assert stats["data"] == stats["bdat"] == stats["foreign_retries"] == 0 and stats["greylist_passed"] >= 2
