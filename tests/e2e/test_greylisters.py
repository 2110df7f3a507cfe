"""Greylisting on the programs that people run, side by side on loopback: Postfix with postgrey, Exim, OpenSMTPD, postscreen.

Their delays are compressed by their own settings, our waits by ROLLCALL_TIME_SCALE. What they were asked is read from their own logs."""
import csv
import itertools
import os
import re
import shutil

import pytest
from support import data_watch
from support.dns import Dns
from support.exim import Exim
from support.fleet import Fleet, rows
from support.opensmtpd import OpenSmtpd
from support.postfix import Postfix
from support.postgrey import Postgrey
from support.process import WORK, free_port, wait_until
from support.world import World

DELAY_S = 3
GIVEN = ["anna", "bruno", "carla", "david", "elena", "felix", "greta", "henry", "irene", "jakob", "klara", "louis", "maria",
         "nils", "olga", "peter", "rita", "simon", "tanja", "ulrich"]
FAMILY = ["abel", "brandt", "conti", "duval", "ekman", "ferrari", "garcia", "hansen", "ivanov", "jansen", "keller", "lopez",
          "moreau", "novak", "olsen", "petrov", "quinn", "rossi", "schmidt", "tanaka"]
NAMES = [f"{g}.{f}" for g, f in itertools.product(GIVEN, FAMILY)]
GREYLISTED = 22  # the reason, as the database has it
# of each server: who is in the list and exists, who is in it and does not, who exists and is asked for later
REAL, UNKNOWN, LATER = NAMES[:200], NAMES[200:300], NAMES[300:400]
# two networks of two lanes each, one MAIL FROM for all
LANES = {"home-1": "127.10.1.1", "home-2": "127.10.1.2", "away-1": "127.77.1.1", "away-2": "127.77.1.2"}


class Greylister:
    """One mail server with a greylist. `asked`: its own record; `attempts` that a greylisted row takes; `defers` at least so many rows."""

    def __init__(self, label, domain, address, asked, attempts=2, defers=len(REAL)):
        self.label, self.domain, self.address = label, domain, address
        self.asked, self.attempts, self.defers = asked, attempts, defers


def postscreen_asked(postfix):
    """[(recipient, client address, False)]: postscreen's deferrals, from Postfix's log. Whom it lets through it does not name."""
    return [(to, ip, False) for ip, to in
            re.findall(r"reject: RCPT from \[([0-9.]+)\]:\d+: 450 4\.3\.2 .*?to=<([^>]*)>", postfix.log())]


@pytest.fixture(scope="module")
def greylisters():
    directory = os.path.join(WORK, "greylisters")
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    os.chmod(WORK, 0o755)
    started = []

    def start(thing):
        started.append(thing)
        return thing.start() or thing

    def mailboxes(domain):
        return [f"{n}@{domain}" for n in REAL + LATER]
    port = free_port("127.30.1.1")
    found = []
    try:
        for label, name, net, after in (("Postfix + postgrey", "postgrey", 1, 0), ("the same, client auto-whitelist", "awl", 2, 1)):
            policy = start(Postgrey(f"{directory}/{name}-policy", DELAY_S, whitelist_after=after))
            domain, address = f"{name}.test", f"127.30.{net}.1"
            server = start(Postfix(f"{directory}/{name}", address, port, [domain], mailboxes(domain), host=f"mx.{domain}",
                                   policy=policy.port))
            found.append(Greylister(label, domain, address, policy.asked))
        exim = start(Exim(f"{directory}/exim", "127.30.3.1", port, ["exim.test"], mailboxes("exim.test"), DELAY_S))
        found.append(Greylister("Exim, greylist in its ACL", "exim.test", exim.address, exim.asked))
        smtpd = start(OpenSmtpd(f"{directory}/opensmtpd", "127.30.4.1", port, mailboxes("opensmtpd.test"), DELAY_S))
        found.append(Greylister("OpenSMTPD, greylist filter", "opensmtpd.test", smtpd.address, smtpd.asked))
        screen = start(Postfix(f"{directory}/postscreen", "127.30.5.1", port, ["postscreen.test"], mailboxes("postscreen.test"),
                               host="mx.postscreen.test", postscreen=True))
        # what postscreen wants is a second connection within seconds, whoever is asked for: the same attempt, by the worker's own timers
        found.append(Greylister("Postfix postscreen", "postscreen.test", screen.address, lambda: postscreen_asked(screen),
                                attempts=1, defers=1))
        dns = Dns(directory, {g.domain: (f"mx.{g.domain}", g.address) for g in found})
        started.append(dns)
        yield found, dns.server, port
    finally:
        for thing in reversed(started):
            thing.stop()
    data_watch.scan(directory)
    shutil.rmtree(directory, ignore_errors=True)


def fleet_for(work, dns, port, scale, schedule="330s,700s,12600s"):
    lanes = " ".join(f"{name}={address}/{name}.sender.test" for name, address in LANES.items())
    return Fleet(f"{work}/data", LANES=lanes, DNS=dns, SMTP_PORT=port, ALLOW_TARGETS="127.0.0.0/8", UNSAFE_LANES="on", PACE="off",
                 TIME_SCALE=scale, RETRY_SCHEDULE=schedule, MAIL_FROM="verify@sender.test")


def verify(fleet, work, name, addresses):
    with open(f"{work}/{name}.csv", "w", newline="") as f:
        csv.writer(f).writerows([["email"], *([a] for a in addresses)])
    fleet.cli("verify", f"{work}/{name}.csv", "-o", f"{work}/{name}.out.csv", check=True)
    return {r["email"]: r for r in rows(f"{work}/{name}.out.csv")}


def mixed(domain):
    """The living and the dead as a list brings them."""
    real, unknown = iter(REAL), iter(UNKNOWN)
    return [f"{n}@{domain}" for pair in zip(real, real, unknown) for n in pair]


def foreign(asked, wanted):
    """Recipients of `wanted` that were asked for again from another address."""
    clients = {}
    for recipient, client, _ in asked:
        if recipient in wanted:
            clients.setdefault(recipient, set()).add(client)
    return [r for r, ips in clients.items() if len(ips) > 1]


def test_every_greylister_is_resolved_from_one_identity(greylisters, work, stopping, show):
    servers, dns, port = greylisters
    fleet = fleet_for(work, dns, port, scale=100)
    stopping.append(fleet)
    fleet.start()
    wanted = {g: mixed(g.domain) for g in servers}
    found = verify(fleet, work, "first", [a for row in zip(*wanted.values()) for a in row])
    asked = {g: g.asked() for g in servers}
    again = verify(fleet, work, "second", [a for row in zip(*wanted.values()) for a in row])

    table, failures = [], []
    for g in servers:
        truth = {f"{n}@{g.domain}": ("valid", "mailbox_accepted") for n in REAL}
        truth.update({f"{n}@{g.domain}": ("invalid", "mailbox_not_found") for n in UNKNOWN})
        said = {a: (found[a]["rollcall_status"], found[a]["rollcall_reason"]) for a in truth}
        wrong = {a: said[a] for a in truth if said[a][0] in ("valid", "invalid") and said[a] != truth[a]}
        open_ = {a: said[a] for a in truth if said[a][0] not in ("valid", "invalid")}
        strangers = foreign(asked[g], truth)
        attempts = [int(found[a]["rollcall_attempts"]) for a in truth]
        greylisted = {r for r, _, passed in asked[g] if not passed and r in truth}
        second = [int(again[a]["rollcall_attempts"]) for a in truth]
        table.append(f"{g.label:<32} {len(truth) - len(open_):>5} of {len(truth)} {len(wrong):>6} {len(strangers):>8} "
                     f"{sum(attempts) / len(attempts):>9.2f} {len(greylisted):>11} {sum(second) / len(second):>11.2f}")
        if wrong or open_ or strangers:
            failures.append((g.label, dict(list(wrong.items())[:3]), dict(list(open_.items())[:3]), strangers[:3]))
        if len(greylisted) < g.defers:
            failures.append((g.label, "its greylist saw too few", len(greylisted)))
        if max(attempts) != g.attempts:
            failures.append((g.label, "attempts", sorted(set(attempts))))
        if set(second) != {1}:
            failures.append((g.label, "a second job was greylisted", sorted(set(second))))
        if {a: again[a]["rollcall_reason"] for a in truth} != {a: said[a][1] for a in truth}:
            failures.append((g.label, "the second job says otherwise"))
    show("\n  ".join([f"{'server':<32} {'resolved':>12} {'wrong':>6} {'foreign':>8} {'attempts':>9} {'greylisted':>11} "
                      f"{'second job':>11}", *table]))
    assert not failures, failures

    # postgrey's pass for a client: people it has never heard of are let through at once from this address
    awl = servers[1]
    later = verify(fleet, work, "later", [f"{n}@{awl.domain}" for n in LATER])
    assert {(r["rollcall_reason"], r["rollcall_attempts"]) for r in later.values()} == {("mailbox_accepted", "1")}


def network(ip):
    return ip.rsplit(".", 1)[0]


def test_a_retry_from_a_foreign_lane_stays_greylisted(greylisters, work, stopping, show):
    """The same fleet, its due rows moved to other lanes by hand: what the sticky lane is good for, and that the test above can fail."""
    servers, dns, port = greylisters
    chosen = [g for g in servers if g.domain in ("postgrey.test", "exim.test", "opensmtpd.test")]
    fleet = fleet_for(work, dns, port, scale=30)
    stopping.append(fleet)
    fleet.start()
    addresses = [f"{n}@{g.domain}" for n in LATER[:60] for g in chosen]
    before = {g: len(g.asked()) for g in chosen}
    with open(f"{work}/list.csv", "w", newline="") as f:
        csv.writer(f).writerows([["email"], *([a] for a in addresses)])
    client = fleet.verify_in_background(f"{work}/list.csv", f"{work}/out.csv")
    stopping.append(client)
    cursor = fleet.database().cursor()

    def waiting():
        cursor.execute("SELECT count(*) FROM deferred WHERE shard IS NULL AND attempt = 1")
        return cursor.fetchone()[0] == len(addresses)
    wait_until("every address to wait for its retry", waiting, 60, 0.05)
    cursor.execute("SELECT number, bind_address FROM lane")
    address = dict(cursor.fetchall())
    cursor.execute("SELECT domain, lane FROM job_domain")
    home = dict(cursor.fetchall())
    lanes = {}
    for domain, own in home.items():
        lanes[domain] = [own,
                         next(n for n, a in address.items() if n != own and network(a) == network(address[own])),
                         next(n for n, a in address.items() if network(a) != network(address[own]))]
        for part in (1, 2):
            cursor.execute("UPDATE deferred d SET lane = %s FROM job_domain j WHERE j.job = d.job AND j.domain_no = d.domain_no "
                           "AND j.domain = %s AND d.uid %% 3 = %s AND d.shard IS NULL", (lanes[domain][part], domain, part))
    cursor.execute("SELECT i.local || '@' || j.domain, d.lane, d.attempt FROM deferred d JOIN item i USING (job, uid) "
                   "JOIN job_domain j ON j.job = d.job AND j.domain_no = d.domain_no")
    moved = cursor.fetchall()
    assert {attempt for _, _, attempt in moved} == {1}, "they were moved too late"
    lane_of = {a: lane for a, lane, _ in moved}
    wait_until("the job to end", lambda: not client.alive(), 120, 0.2)

    found = {r["email"]: r for r in rows(f"{work}/out.csv")}
    table = []
    for g in chosen:
        retries = {}
        for recipient, ip, passed in g.asked()[before[g]:]:
            if recipient in retries:
                retries[recipient].append((ip, passed))
            else:
                retries[recipient] = []
        for part, name in enumerate(("its own lane", "another lane of the same /24", "a lane of another network")):
            lane = lanes[g.domain][part]
            mine = [a for a in addresses if a.endswith("@" + g.domain) and lane_of[a] == lane]
            first = [retries[a][0] for a in mine]
            let = sum(passed for _, passed in first)
            attempts = {int(found[a]["rollcall_attempts"]) for a in mine}
            table.append(f"{g.label:<26} {name:<30} {let:>2} of {len(mine)} let through at the first retry, "
                         f"attempts {sorted(attempts)}")
            assert len(mine) >= 15 and {ip for ip, _ in first} == {address[lane]}, table
            assert let == (0 if part == 2 else len(mine)) and attempts == {3 if part == 2 else 2}, table
            assert {found[a]["rollcall_reason"] for a in mine} == {"mailbox_accepted"}
    show("\n  ".join(table))


SPAMD_WORLD = """[domain spamd.test]
behaviour = greylist_spamd
mx = 10 mx.spamd.test
"""


def test_openbsd_spamd_knows_us_by_address_and_helo(work, stopping, show):
    """spamd's window (25 minutes to 4 hours) and key (address, HELO, sender, recipient), simulated as it answers at RCPT: a third of the
    retries are moved to another lane by hand."""
    with open(f"{work}/world", "w") as f:
        f.write(SPAMD_WORLD + "".join(f"mailbox = {n}\n" for n in REAL[:60]) + "".join(f"absent = {n}\n" for n in UNKNOWN[:30]))
    world = World(work, world=f"{work}/world", time_scale=200)
    stopping.append(world)
    fleet = fleet_for(work, world.env["DNS"], world.env["SMTP_PORT"], scale=200, schedule="330s,2100s,4500s,12600s")
    stopping.append(fleet)
    fleet.start()
    client = fleet.verify_in_background(world.list, f"{work}/out.csv")
    stopping.append(client)
    cursor = fleet.database().cursor()

    def waiting():
        cursor.execute("SELECT count(*) FROM deferred WHERE shard IS NULL AND reason = %s", (GREYLISTED,))
        return cursor.fetchone()[0] == 90
    wait_until("every address to wait for its retry", waiting, 60, 0.05)
    before = world.stats()
    assert before["foreign_retries"] == 0
    cursor.execute("UPDATE deferred SET lane = (lane + 1) % 4 WHERE uid % 3 = 0 AND shard IS NULL RETURNING uid")
    moved = {uid for uid, in cursor.fetchall()}
    cursor.execute("SELECT i.uid, i.local FROM item i")
    uid_of = {f"{local}@spamd.test": uid for uid, local in cursor.fetchall()}
    wait_until("the job to end", lambda: not client.alive(), 180, 0.2)

    found = {r["email"]: r for r in rows(f"{work}/out.csv")}
    truth = {r["email"]: (r["status"], r["reason"]) for r in rows(world.truth)}
    assert {a: (r["rollcall_status"], r["rollcall_reason"]) for a, r in found.items()} == truth
    attempts = {home: {int(r["rollcall_attempts"]) for a, r in found.items() if (uid_of[a] in moved) != home} for home in (True, False)}
    foreign = world.stats()["foreign_retries"]
    show(f"OpenBSD spamd (simulated): {len(found)} of 90 resolved, 0 wrong; attempts on the lane itself {sorted(attempts[True])}, "
         f"on another {sorted(attempts[False])}; retries that the server took for a stranger's: {foreign}, of rows moved: {len(moved)}")
    assert len(moved) >= 20 and foreign >= len(moved)
    assert attempts[True] == {2} and min(attempts[False]) > 2


def test_what_a_greylister_wants_is_remembered(work, stopping, show):
    """An operator who wants more patience than most: his first domain pays for it, his second does not."""
    port = free_port("127.30.6.1")
    policy = Postgrey(f"{work}/policy", 6)
    stopping.append(policy)
    policy.start()
    domains = ["first.test", "second.test"]
    postfix = Postfix(f"{work}/postfix", "127.30.6.1", port, domains, [f"{n}@{d}" for n in REAL for d in domains],
                      host="mx.patience.test", policy=policy.port)
    stopping.append(postfix)
    postfix.start()
    dns = Dns(work, {d: ("mx.patience.test", "127.30.6.1") for d in domains})
    stopping.append(dns)
    # at this scale: tries after 1.7, 3.5 and 10.5 s
    fleet = fleet_for(work, dns.server, port, scale=200, schedule="330s,700s,2100s")
    stopping.append(fleet)
    fleet.start()
    asked = {}
    attempts = {}
    for d in domains:
        before = len(policy.asked())
        found = verify(fleet, work, d, [f"{n}@{d}" for n in REAL[:40]])
        assert {r["rollcall_reason"] for r in found.values()} == {"mailbox_accepted"}
        attempts[d] = {int(r["rollcall_attempts"]) for r in found.values()}
        asked[d] = sum(not passed for recipient, _, passed in policy.asked()[before:] if recipient in found)
    cursor = fleet.database().cursor()
    cursor.execute("SELECT mx_group, too_early_s, enough_s FROM greylist_window")
    (group, too_early, enough), = cursor.fetchall()
    show(f"{group}: {too_early} s are too early, {enough} s are enough; turned away {asked['first.test']} times at first, "
         f"{asked['second.test']} times then; attempts {attempts}")
    assert group == "patience.test" and 700 <= too_early < 1200 <= enough
    assert attempts == {"first.test": {4}, "second.test": {2}}
    assert asked == {"first.test": 120, "second.test": 40}
