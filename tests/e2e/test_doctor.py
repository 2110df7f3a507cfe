"""`rollcall doctor`, and a fleet whose lane is not fit: everything right passes, and each thing wrong alone has its sentence."""
import os
import subprocess

import pytest

from support.dns import Dns
from support.fleet import Fleet, rows
from support.process import BIN, Process, free_port, wait_until
from support.smtp import Server

IP = "127.10.1.1"
HELO = "probe1.sender.test"
REVERSE = "1.1.10.127.in-addr.arpa"
LANE = f"lane-1={IP}/{HELO}"
SPF = "v=spf1 ip4:127.10.0.0/16 -all"


class Site:
    """A sender's own domain and mail server, right unless told otherwise."""

    def __init__(self, work, stopping, mx=True, ptr=HELO, a=IP, spf=SPF, people=("abuse", "postmaster"), greeting="220 mx.sender.test ESMTP",
                 listed=False, closed=False, more=()):
        self.port = free_port("127.77.0.1")
        self.server = None
        if not closed:
            self.server = Server("127.77.0.1", self.port, people, greeting)
            stopping.append(self.server)
        lines = [*more]
        if ptr:
            lines.append(f"ptr-record={REVERSE},{ptr}")
        if a:
            lines.append(f"address=/{HELO}/{a}")  # a host-record would bring a PTR with it
        if spf:
            lines.append(f"txt-record={HELO},{spf}")
        if listed:
            lines.append("host-record=1.1.10.127.bl.test,127.0.0.2")
        lines.append("local=/10.127.in-addr.arpa/")
        self.dns = Dns(work, {HELO: ("mx.sender.test", "127.77.0.1")} if mx else {}, lines)
        stopping.append(self.dns)

    @property
    def env(self):
        return {"LANES": LANE, "DNS": self.dns.server, "SMTP_PORT": str(self.port), "ALLOW_TARGETS": "127.0.0.0/8"}


def doctor(env, *args):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ROLLCALL_")}
    clean.update({"ROLLCALL_" + k: v for k, v in env.items()})
    clean.setdefault("ROLLCALL_DATA", "/nonexistent")
    return subprocess.run([f"{BIN}/rollcall", "doctor", *args], env=clean, capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL)


def findings(out):
    """{check: (result, sentence)} of the lines below a lane or the machine."""
    found = {}
    for line in out.splitlines():
        if line.startswith("  "):
            result, check, text = line.split(None, 2)
            found[check] = (result, text)
    return found


def test_a_lane_with_everything_right_passes(work, stopping):
    site = Site(work, stopping)
    run = doctor(site.env, "--dnsbls", "bl.test")
    found = findings(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
    assert {result for result, _ in found.values()} == {"ok"}, run.stdout
    assert {"address", "port25", "reverse", "mx", "spf", "abuse", "postmaster", "dnsbl", "database", "broker", "files",
            "ports"} == set(found)
    assert run.stdout.splitlines()[-1] == "fit to probe"
    # from the lane's own address and identity, and not a word more than needed
    said = [line for s in site.server.sessions for _, line in s.commands]
    assert {s.source for s in site.server.sessions} == {IP}
    assert sorted(said) == sorted(["QUIT", f"EHLO {HELO}", f"MAIL FROM:<verify@{HELO}>", f"RCPT TO:<abuse@{HELO}>",
                                   f"RCPT TO:<postmaster@{HELO}>", "QUIT"]), said


WRONG = {
    "no reverse DNS": (dict(ptr=None), {}, "reverse", "FAIL", "has no reverse DNS: have whoever owns the address set its PTR record to"),
    "another reverse DNS": (dict(ptr="other.sender.test"), {}, "reverse", "FAIL",
                            f"the reverse DNS of {IP} is other.sender.test and the HELO name {HELO}: make them the same"),
    "it does not lead back": (dict(a="127.10.9.9"), {}, "reverse", "FAIL", f"give it the A record {IP}"),
    "port 25 closed": (dict(closed=True), {}, "port25", "FAIL", "cannot be reached from 127.10.1.1: connection refused"),
    "a greeting that turns us away": (dict(greeting="554 5.7.1 go away"), {}, "port25", "warn", 'greets 127.10.1.1 with "554 go away"'),
    "no MX": (dict(mx=False), {"DOCTOR_TARGET": "127.77.0.1"}, "mx", "FAIL",
              "has no MX record, so its sender looks forged: publish one, or set ROLLCALL_MAIL_FROM"),
    "no SPF": (dict(spf=None), {}, "spf", "warn", f'has no SPF record: publish the TXT record "v=spf1 ip4:{IP} -all"'),
    "SPF for somebody else": (dict(spf="v=spf1 ip4:192.0.2.0/24 -all"), {}, "spf", "warn", f"add ip4:{IP} to it"),
    "SPF with macros": (dict(spf="v=spf1 exists:%{i}.x.test -all"), {}, "spf", "warn", "cannot be told: the record of"),
    "abuse@ refused": (dict(people=("postmaster",)), {}, "abuse", "warn", 'is refused by mx.sender.test ("550 User unknown")'),
    "postmaster@ refused": (dict(people=("abuse",)), {}, "postmaster", "warn", "so make it take mail"),
    "on a block list": (dict(listed=True), {"DNSBLS": "bl.test"}, "dnsbl", "warn", f"{IP} is listed at bl.test"),
    "an address of another machine": ({}, {"LANES": f"lane-1={IP}@192.0.2.7/{HELO}"}, "address", "FAIL",
                                      "this machine does not have the address 192.0.2.7"),
    "a target that may not be connected to": ({}, {"ALLOW_TARGETS": "192.0.2.0/24"}, "port25", "warn",
                                              "name it in ROLLCALL_ALLOW_TARGETS"),
}
FOLLOWS = {"port 25 closed": {"abuse", "postmaster"}, "a greeting that turns us away": {"abuse", "postmaster"},
           "no MX": {"abuse", "postmaster"}, "an address of another machine": {"port25", "abuse", "postmaster"},
           "a target that may not be connected to": {"abuse", "postmaster"}}


@pytest.mark.parametrize("wrong", WRONG)
def test_each_fault_alone_has_its_sentence(wrong, work, stopping):
    site, env, check, result, sentence = WRONG[wrong]
    run = doctor({**Site(work, stopping, **site).env, **env})
    found = findings(run.stdout)
    assert found[check][0] == result and sentence in found[check][1], run.stdout + run.stderr
    assert run.returncode == (1 if result == "FAIL" else 0), run.stdout
    others = {c for c, (r, _) in found.items() if r != "ok"} - {check}
    assert others == FOLLOWS.get(wrong, set()), run.stdout


def test_a_resolver_that_is_silent_is_named(work):
    run = doctor({"LANES": LANE, "DNS": f"127.0.0.1:{free_port()}"})
    assert run.returncode == 1
    assert "is ROLLCALL_DNS right?" in findings(run.stdout)["reverse"][1]


def test_wrong_settings_are_named(work):
    run = doctor({"LANES": f"a={IP}/no_host_name"})
    assert run.returncode == 2 and "ROLLCALL_LANES" in run.stderr and "no_host_name" in run.stderr
    run = doctor({"LANES": f"a={IP}/{HELO} b={IP}/other.test", "DNS": "127.0.0.1:9"})
    assert "both bind 127.10.1.1" in run.stdout and run.returncode == 1
    run = doctor({"LANES": LANE, "DNSBLS": "not a list!"})
    assert run.returncode == 2 and "ROLLCALL_DNSBLS" in run.stderr


def test_a_database_that_is_not_there_is_named(work, stopping):
    site = Site(work, stopping)
    run = doctor({**site.env, "DATABASE": f"host={work} dbname=rollcall", "BROKERS": f"127.0.0.1:{free_port()}"})
    found = findings(run.stdout)
    assert found["database"][0] == "FAIL" and found["broker"][0] == "FAIL" and run.returncode == 1, run.stdout


def test_an_unfit_lane_probes_nothing_and_everybody_says_why(work, stopping):
    site = Site(work, stopping, ptr=None)
    fleet = Fleet(f"{work}/data", **site.env)
    stopping.append(fleet)
    fleet.start(ready=False)
    wait_until("/readyz to name the finding", lambda: "has no reverse DNS" in str(readyz(fleet)), 60, 0.1)
    code, ready = fleet.get("/readyz", key=False)
    assert code == 503 and ready["lacks"] == ["lanes"] and "lane lane-1: doctor: 127.10.1.1 has no reverse DNS" in ready["pieces"]["lanes"]
    before = len(site.server.sessions)
    with open(f"{work}/list.csv", "w") as f:
        f.write(f"email\nann@{HELO}\n")
    run = fleet.cli("verify", f"{work}/list.csv", "-o", f"{work}/out.csv")
    assert run.returncode == 4 and "has no reverse DNS" in run.stderr, run.stderr
    assert len(site.server.sessions) == before


def readyz(fleet):
    try:
        return fleet.get("/readyz", key=False)
    except (OSError, FileNotFoundError):
        return None


def test_a_fit_lane_probes_and_an_unfit_one_beside_it_does_not(work, stopping):
    """Two lanes, one of which has no reverse DNS: the other goes on alone. Overridden, both probe."""
    site = Site(work, stopping, people=("abuse", "postmaster", "ann"))
    env = {**site.env, "LANES": f"{LANE} lane-2=127.10.2.1/probe2.sender.test away=192.0.2.9/probe3.sender.test"}
    fleet = Fleet(f"{work}/data", **env)
    stopping.append(fleet)
    fleet.start()
    with open(f"{work}/list.csv", "w") as f:
        f.write(f"email\nann@{HELO}\nnobody@{HELO}\n")
    fleet.cli("verify", f"{work}/list.csv", "-o", f"{work}/out.csv", check=True)
    assert [r["rollcall_reason"] for r in rows(f"{work}/out.csv")] == ["mailbox_accepted", "mailbox_not_found"]
    assert {s.source for s in site.server.sessions if any("ann@" in line for _, line in s.commands)} == {IP}
    cursor = fleet.database().cursor()
    cursor.execute("SELECT name, refused, findings::text FROM lane_offer ORDER BY name")
    offers = {name: (refused, found) for name, refused, found in cursor.fetchall()}
    assert offers["lane-1"] == ("", "[]")
    assert "doctor: 127.10.2.1 has no reverse DNS" in offers["lane-2"][0] and '"reverse"' in offers["lane-2"][1]
    assert "this machine does not have the address 192.0.2.9" in offers["away"][0]
