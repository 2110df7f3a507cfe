"""Whether the demo's world can be decided at all: a slow, small verifier that knows only the public rules gets every row right.

It shares nothing with the product, so a disagreement between the product and the truth has a second opinion.
"""
import concurrent.futures
import csv
import os
import random
import re
import smtplib
import string
import subprocess
import time

import pytest

from mailworld_test import MAILWORLD, World

SCALE = 1500
ATTEMPTS_S = [0, 330, 2100, 12600]
ROLES = {"info", "sales", "support", "abuse", "security", "webmaster", "hostmaster", "marketing", "noc", "postmaster"}
BATCH = 9

REFUSALS = [  # the words or codes that decide, first match first
    (r"greylist", "greylisted"),
    (r"\b530\b", "auth_required"),
    (r"spamhaus", "ip_blocked"),
    (r"^\d+[ -]5\.7\.1.*policy", "policy_rejected"),
    (r"^\d+[ -][45]\.2\.2", "mailbox_full"),
    (r"^\d+[ -]5\.2\.1", "mailbox_disabled"),
    (r"^252", "cannot_verify"),
    (r"^550", "mailbox_not_found"),
    (r"^4", "temporary_failure"),
]
STATUS = {"mailbox_not_found": "invalid", "mailbox_disabled": "invalid"}


# What smtplib and a resolver of twenty lines cannot speak to; each has its own test in behaviours_test.py.
BEYOND = {"reset", "reset_once", "hang_up", "half_close", "endless_reply", "huge_line", "changing_codes", "code_000", "code_999", "junk_text",
          "bare_lf", "idn", "utf8_mailbox", "utf8_unsupported", "truncated_dns", "flaky_dns", "slow_dns", "alias", "mx_alias", "private_mx_6",
          "few_recipients", "exim_limits", "tarpit", "late_greeting", "starttls_required", "starttls_injected", "starttls_broken", "pipelining_lie",
          "starving", "loopback_mx", "private_first_mx", "exchange_limits", "postfix_stress", "opensmtpd_few", "relay_denied", "greets_521",
          "cut_421"}


class Domain:
    """One domain's mailboxes, from the first attempt to the last."""

    def __init__(self, world, name, locals_):
        self.world, self.name = world, name
        self.control = "".join(random.choices(string.ascii_lowercase, k=14))
        self.waiting = list(locals_)
        self.replies = {}
        self.batch = BATCH

    def hosts(self):
        """The addresses to try in order, or the verdict."""
        rcode, mx = self.world.dns(self.name, 15)
        if rcode:
            return None, {3: ("invalid", "domain_not_found"), 2: ("unknown", "dns_failure")}[rcode]
        if mx == [(0, "")]:
            return None, ("invalid", "null_mx")
        names = [host for _, host in sorted(mx)] or [self.name]
        addresses = [ip for host in names for ip in self.world.dns(host, 1)[1]]
        if not addresses:
            return None, ("invalid", "no_mail_server")
        if not any(ip.startswith("127.") for ip in addresses):
            return None, ("invalid", "mx_unroutable")
        return addresses, None

    def connect(self, addresses):
        for ip in addresses:
            client = smtplib.SMTP(timeout=20, local_hostname="probe.test")
            try:
                client.connect(ip, self.world.port)
                client.ehlo_or_helo_if_needed()
                return client
            except (ConnectionRefusedError, smtplib.SMTPServerDisconnected):  # a greeting of 421 is followed by the end
                client.close()
        return None

    def ask(self, client, locals_):
        """Replies until the session is cut."""
        answers = {}
        code, text = client.mail("verify@probe.test")
        for local in locals_:
            if code == 250:
                try:
                    reply = client.rcpt(f"{local}@{self.name}")
                except smtplib.SMTPServerDisconnected:
                    break
            else:
                reply = code, text
            if reply[0] == 421:
                break
            answers[local] = f"{reply[0]} {reply[1].decode()}"
            if "4.5.3" in answers[local]:
                self.batch = 1
                del answers[local]
                break
        client.close()
        return answers

    def attempt(self, addresses):
        todo = [*self.waiting, *([self.control] if self.control not in self.replies or
                                 self.replies[self.control].startswith("4") else [])]
        for _ in range(4 * len(todo)):
            if not todo:
                break
            client = self.connect(addresses)
            if not client:
                return False
            answers = self.ask(client, todo[:self.batch])
            if not answers:
                break  # throttled: next time
            self.replies.update(answers)
            todo = [local for local in todo if local not in answers]
        self.waiting = [local for local in self.waiting if self.replies.get(local, "4").startswith("4")]
        return True

    def verdicts(self):
        started = time.monotonic()
        all_rows = list(self.waiting)
        addresses, verdict = self.hosts()
        if not addresses:
            return {local: verdict for local in all_rows}
        for due_s in ATTEMPTS_S:
            time.sleep(max(0, started + due_s / SCALE + 0.005 - time.monotonic()))
            if not self.attempt(addresses):
                return {local: ("unknown", "connection_failed") for local in all_rows}
            control = self.replies.get(self.control, "4")
            if not self.waiting and not control.startswith("4"):
                break
        return {local: self.verdict(local) for local in all_rows}

    def verdict(self, local):
        reply = self.replies.get(local, "")
        if reply.startswith("250"):
            if self.name in ("yahoo.com", "aol.com"):
                return "unknown", "provider_accepts_all"
            if self.replies[self.control].startswith("250"):
                return "catch_all", "domain_accepts_all"
            assert self.replies[self.control].startswith("550"), self.replies[self.control]
            return ("role_based", "role_account") if local in ROLES else ("valid", "mailbox_accepted")
        reason = next((name for words, name in REFUSALS if re.search(words, reply, re.IGNORECASE | re.DOTALL)), "(none)")
        return STATUS.get(reason, "unknown"), reason


@pytest.mark.parametrize("seed", os.environ.get("MAILWORLD_SEEDS", "1").split())
def test_every_row_of_the_demo_can_be_decided(tmp_path, seed):
    flags = ["--seed", seed, "--rows", "3000", "--domains", "200", "--mx", "100", "--time-scale", str(SCALE)]
    subprocess.run([MAILWORLD, *flags, "--truth", str(tmp_path / "truth.csv")], check=True)
    with open(tmp_path / "truth.csv", newline="", encoding="utf-8") as file:
        truth = [row for row in csv.DictReader(file) if row["reason"] not in ("blank", "bad_syntax")
                 and row["behaviour"] not in BEYOND]
    domains = {}
    for row in truth:
        local, domain = row["email"].strip().lower().split("@")
        domains.setdefault(domain, {})[local] = (row["status"], row["reason"], row["behaviour"])
    world = World(tmp_path, *flags)
    try:
        with concurrent.futures.ThreadPoolExecutor(len(domains)) as pool:
            jobs = {name: pool.submit(Domain(world, name, rows).verdicts) for name, rows in domains.items()}
        wrong = [(local, name, rows[local], verdict) for name, rows in domains.items()
                 for local, verdict in jobs[name].result().items() if verdict != rows[local][:2]]
        stats = world.stats()
    finally:
        world.close()
    assert not wrong
    assert stats["foreign_retries"] == stats["relay_denied"] == stats["data"] == 0
    assert stats["greylist_passed"] > 300 and stats["throttled"] > 0 and stats["cut_by_421"] > 0
