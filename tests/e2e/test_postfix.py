"""A real Postfix as the receiving side, with its own limits in force; what it saw is read from its own log."""
import csv

from support.dns import Dns
from support.fleet import Fleet, lanes, rows
from support.postfix import Postfix
from support.process import free_port

REAL = [f"user{i:03}@known.test" for i in range(200)]
UNKNOWN = [f"nobody{i:03}@known.test" for i in range(200)]
CAUGHT = [f"anyone{i:02}@catchall.test" for i in range(20)]


def test_200_real_200_unknown_and_a_catch_all(work, stopping, show):
    address = "127.30.0.1"
    port = free_port(address)
    postfix = Postfix(f"{work}/postfix", address, port, ["known.test", "catchall.test"], REAL + ["@catchall.test"])
    stopping.append(postfix)
    postfix.start()
    dns = Dns(work, {"known.test": ("mx.known.test", address), "catchall.test": ("mx.known.test", address)})
    stopping.append(dns)
    fleet = Fleet(f"{work}/data", LANES=lanes(1), DNS=dns.server, SMTP_PORT=port, ALLOW_TARGETS="127.0.0.0/8",
                  UNSAFE_LANES="on", PACE="off", TIME_SCALE=100)
    stopping.append(fleet)
    fleet.start()

    # as a list comes: the living and the dead mixed, so that nobody takes it for harvesting
    mixed = [a for pair in zip(REAL, UNKNOWN) for a in pair] + CAUGHT
    with open(f"{work}/list.csv", "w", newline="") as f:
        csv.writer(f).writerows([["email"], *([a] for a in mixed)])
    fleet.cli("verify", f"{work}/list.csv", "-o", f"{work}/results.csv", check=True)

    found = {r["email"]: (r["rollcall_status"], r["rollcall_reason"]) for r in rows(f"{work}/results.csv")}
    wrong = {a: found[a] for a in REAL if found[a] != ("valid", "mailbox_accepted")}
    wrong.update({a: found[a] for a in UNKNOWN if found[a] != ("invalid", "mailbox_not_found")})
    wrong.update({a: found[a] for a in CAUGHT if found[a] != ("catch_all", "domain_accepts_all")})
    assert not wrong and len(found) == 420, wrong

    sessions = [s for s in postfix.sessions() if "mail" in s[1] or "rcpt" in s[1]]
    recipients = sum(int(counts["rcpt"].split("/")[-1]) for _, counts in sessions if "rcpt" in counts)
    sources = {ip for ip, _ in sessions}
    show(f"Postfix's own log: {len(sessions)} sessions, {recipients} RCPT, from {sorted(sources)}; "
         f"DATA in {sum('data' in c or 'bdat' in c for _, c in sessions)} of them")
    assert recipients >= 420
    assert sources == {"127.10.1.1"}
    assert not [c for _, c in sessions if "data" in c or "bdat" in c]
    assert "too many errors" not in postfix.log()
