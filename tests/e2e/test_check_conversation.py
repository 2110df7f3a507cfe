"""`rollcall check` on one address of every behaviour that mailworld has: the whole conversation is on the screen, with what was asked and said, the
rule that spoke, waits and retries, and who we were."""
import concurrent.futures
import csv
import re
import subprocess

import pytest
from support.fleet import Fleet, lanes
from support.process import BIN
from support.world import World
from test_every_behaviour import LIMITS, SCALE

DNS_ONLY = {"null_mx": "a null MX", "nxdomain": "no such domain", "servfail": "no usable answer", "lame_dns": "no usable answer",
            "silent_dns": "no usable answer", "dns_pointer_loop": "no usable answer", "alias_loop": "no usable answer",
            "no_mail_server": "neither an MX record nor an address", "private_mx": "no mail server of it may be connected to",
            "private_mx_6": "no mail server of it may be connected to", "loopback_mx": "no mail server of it may be connected to",
            "aaaa_only": "its mail servers have no address that this lane can reach"}
NO_SERVER = {"bad_syntax", "blank"}
SAMPLED = {"yahoo", "aol"}  # not every address is asked: a verdict without a connection is right too
# What a server that breaks off, or breaks the protocol, looks like; the stage differs.
BROKEN = {"reset": "the server closed the connection", "hang_up": "the server closed the connection",
          "half_close": "the server closed the connection", "silence": "no answer within the time limit",
          "trickle": "no answer within the time limit", "no_line_end": "no answer within the time limit",
          "endless_reply": "no SMTP reply", "huge_line": "no SMTP reply", "changing_codes": "no SMTP reply", "code_000": "no SMTP reply",
          "code_999": "no SMTP reply", "dead_mx": "the connection was refused", "cut_421": "S: 421", "greets_554": "S: 554",
          "greets_521": "S: 521", "starttls_broken": "TLS|STARTTLS", "starttls_silent": "STARTTLS", "utf8_unsupported": "SMTPUTF8"}
RETRIED = {"greylist_postgrey", "greylist_catch_all", "greylist_milter", "greylist_sqlgrey", "greylist_rspamd", "greylist_spamd", "greylist_cpanel",
           "greylist_plesk", "greylist_haraka", "unverified", "unverified_all", "greylist_forever"}
OTHER_VERDICT = {"rejects_all": "policy_rejected"}  # one address alone is too few to say that all are refused


@pytest.fixture(scope="module")
def conversations(tmp_path_factory):
    """{behaviour: (truth, what check printed)}"""
    work = str(tmp_path_factory.mktemp("check"))
    subprocess.run(["chmod", "-R", "a+rX", str(tmp_path_factory.getbasetemp().parent)], check=True)
    world = World(work, mix="every", seed=3, rows=4000, domains=300, mx=150, time_scale=SCALE)
    fleet = Fleet(f"/var/tmp/rollcall-check-{world.smtp_port}", LANES=lanes(), TIME_SCALE=SCALE, **LIMITS, **world.env)
    try:
        fleet.start()
        chosen = {}
        with open(world.truth, newline="") as f:
            for row in csv.DictReader(f):
                # a hostile server's first one acts at the greeting; a row that is there says more than one that is not
                if row["behaviour"] not in chosen or (row["status"] == "valid" and chosen[row["behaviour"]]["status"] != "valid"):
                    chosen[row["behaviour"]] = row
        with concurrent.futures.ThreadPoolExecutor(len(chosen)) as pool:
            said = {name: pool.submit(fleet.cli, "check", "--", row["email"].strip(), timeout=300)
                    for name, row in chosen.items() if name != "blank"}
        yield {name: (chosen[name], r.result()) for name, r in said.items()}
    finally:
        fleet.stop()
        world.stop()
        subprocess.run(["rm", "-rf", fleet.data, fleet.data + ".log"], check=True)


def behaviours():
    out = subprocess.run([f"{BIN}/mailworld", "--mix", "every", "--print-world"], check=True, capture_output=True, text=True).stdout
    return [line.split()[0] for line in out.split("\n\n")[0].splitlines()[1:] if line.split()[0] != "blank"]


@pytest.mark.parametrize("name", behaviours())
def test_the_conversation_is_told(conversations, name):
    truth, run = conversations[name]
    text = run.stdout
    assert run.returncode == 0, run.stderr
    local, _, domain = truth["email"].strip().lower().rpartition("@")
    assert f"{local}@{domain.encode('idna').decode() if name == 'idn' else domain}" in text.lower()
    reason = OTHER_VERDICT.get(name, truth["reason"])
    assert re.search(rf"\n  verdict: \w+, {reason}\b.*\n$", text), text
    if name in NO_SERVER or (name in SAMPLED and "attempt 1" not in text):
        return
    assert "asked the DNS" in text, text
    if name in DNS_ONLY:
        assert DNS_ONLY[name] in text, text
        return
    # who asked whom
    identities = re.findall(r"\n  attempt \d+, \S+, lane (lane-\d) from (127\.10\.\d\.1) as (probe\d\.sender\.test) for (verify@\S+), to", text)
    if name != "dead_mx":
        assert identities and len(set(identities)) == 1, text
        assert "connected to" in text, text
    if name in BROKEN:
        assert re.search(BROKEN[name], text), text
        return
    for line in ("S: 220", "C: EHLO", "C: MAIL FROM:<verify@", "[a message would come from here]"):
        assert line in text, text
    if name != "auth_required" or "C: RCPT TO" in text:
        assert "C: RCPT TO:<" in text and "[would you take it for this one?]" in text, text
    assert re.search(r"\^ rule \S+: \w+", text), text
    if truth["status"] in ("valid", "role_based", "catch_all"):
        assert "would it take a random address" in text, text
        # under stress Postfix has said 421 before anybody could say QUIT
        assert "C: QUIT   [that was all: no message follows]" in text or name == "postfix_stress", text
    if name.startswith("starttls_") and truth["status"] == "valid" and name in ("starttls_required", "starttls_injected"):
        assert "C: STARTTLS" in text and "encrypted from here on: TLSv1" in text, text
    if name == "starttls_injected":
        assert "octets came in plain text behind that: nobody reads them" in text, text
    if name in RETRIED:
        assert "attempt 2" in text and re.search(r"\n  waited \d+\.\d s\n", text) and "may pass" in text, text


def test_it_is_shown(conversations, show):
    for name in ("greylist_spamd", "starttls_required"):
        show(conversations[name][1].stdout.strip().replace("\n", "\n  "))
