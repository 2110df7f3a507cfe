"""rollcall explain: replies in, one line of JSON each, in order, whatever stands in them; no server."""
import json
import os
import random
import shutil
import subprocess

import pytest
from support.process import BIN

KEYS = ["reply", "code", "enhanced", "fault", "category", "rule", "status", "reason", "retry_after_s"]
FAULTS = {"none", "recipient", "domain", "sender", "temporary", "unclear"}
CATEGORIES = {"accepted", "forwarded", "mailbox_not_found", "mailbox_disabled", "mailbox_full", "name_not_allowed", "not_local",
              "greylisted", "rate_limited", "ip_blocked", "policy", "auth_required", "cannot_verify", "too_many_recipients",
              "service_unavailable", "temporary", "routing", "protocol", "unclear"}


def explain(data, *options, env=None):
    env = dict({k: v for k, v in os.environ.items() if not k.startswith("ROLLCALL_")}, **(env or {}))
    return subprocess.run([f"{BIN}/rollcall", "explain", *options], input=data, capture_output=True, env=env, timeout=60)


def objects(data, *options):
    run = explain(data, *options)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.decode().split("\n")[:-1]]


def test_contract():
    replies = [b"550-5.1.1 The email account that you tried to reach\\n550 5.1.1 does not exist", b"250 2.1.5 Ok", b"252 2.0.0 perhaps",
               b"450 4.7.1 Greylisted, please try again in 300 seconds", b"", b"hello", b"554 5.7.1 no"]
    rows = objects(b"\n".join(replies))
    assert [list(row) for row in rows] == [KEYS] * len(replies)
    assert [row["reply"] for row in rows] == [r.decode() for r in replies]
    assert [(r["code"], r["enhanced"], r["fault"], r["category"], r["status"], r["reason"], r["retry_after_s"]) for r in rows] == [
        (550, "5.1.1", "recipient", "mailbox_not_found", "invalid", "mailbox_not_found", None),
        (250, "2.1.5", "none", "accepted", "valid", "mailbox_accepted", None),
        (252, "2.0.0", "none", "cannot_verify", "unknown", "cannot_verify", None),
        (450, "4.7.1", "temporary", "greylisted", "unknown", "greylisted", 300),
        (None, None, "unclear", "unclear", "unknown", "protocol_error", None),
        (None, None, "unclear", "unclear", "unknown", "protocol_error", None),
        (554, "5.7.1", "unclear", "policy", "unknown", "policy_rejected", None)]
    assert rows[4]["rule"] is None
    why = objects(b"550 5.1.1 User unknown\n", "--why")
    assert list(why[0]) == KEYS + ["beat"] and "fallback-550" in why[0]["beat"] and why[0]["rule"] not in why[0]["beat"]


def test_stages():
    line = b"550 5.1.1 User unknown\n220 mx ESMTP\n421 4.3.2 closing\n"
    for stage in ("connect", "ehlo", "mail"):
        rows = objects(line, "--stage", stage)
        assert all(row["fault"] != "recipient" and row["status"] not in ("invalid", "valid") for row in rows), rows
        assert rows[1]["status"] is None and rows[1]["reason"] is None
        assert rows[2]["reason"] == "server_unavailable"
    assert objects(line, "--stage", "rcpt") == objects(line)


@pytest.mark.parametrize("options, word", [
    (["--provider", "nobody"], 'there is no provider "nobody"'), (["--stage", "data"], 'there is no stage "data"'),
    (["--loud"], "--loud"), (["file.txt"], "standard input"), (["--stage"], "takes a value"),
    (["--rules", "/nonexistent"], "/nonexistent")])
def test_misuse(options, word):
    run = explain(b"550 x\n", *options)
    assert run.returncode == 2 and not run.stdout and word in run.stderr.decode()


def test_provider():
    row, = objects(b"421 4.7.0 come back tomorrow\n", "--provider", "gmail")
    assert row["category"] == "rate_limited"
    assert objects(b"421 4.7.0 come back tomorrow\n")[0]["category"] == "service_unavailable"


def test_hostile_lines():
    """Each input line has exactly one line of output, in order, whatever its octets."""
    chance = random.Random(7)
    pieces = [b"550 ", b"5.1.1 ", b"user unknown", b"\\n", b"\\r\\n", b"\\", b'"', b"\0", b"\x1b[31m", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80",
              "пользователь не найден".encode(), "存在しません".encode(), b"\r", b"\x7f", b"421-", b"450 try again in 999999999999999999999 hours ",
              b"<a@b.test>", b"%s%n", b"#5.1.1", b"#5.", b":::", b"12:34:56"]
    lines = [b"".join(chance.choice(pieces) for _ in range(chance.randrange(12))) for _ in range(3000)]
    lines += [b"550 " + bytes(o for o in chance.randbytes(200) if o != 10) for _ in range(500)]
    lines += [b"\\n".join(b"550-line %d" % i for i in range(99)) + b"\\n550 5.1.1 user unknown"]
    lines += [b"", b"\r", b"\0\0\0", b"550", b"550 ", b"55", b"5500 x", b"650 x", b"-550"]
    rows = objects(b"\n".join(lines) + b"\n", "--why")
    assert len(rows) == len(lines)
    for line, row in zip(lines, rows):
        assert list(row) == KEYS + ["beat"] and row["fault"] in FAULTS and row["category"] in CATEGORIES
        shown = line[:-1] if line.endswith(b"\r") else line
        try:
            assert row["reply"] == shown.decode()
        except UnicodeDecodeError:
            assert "\ufffd" in row["reply"]
    assert rows[3500]["category"] == "mailbox_not_found" and rows[3500]["reply"].startswith("550-line 0")


def test_huge_lines():
    """What decides stands behind 60,000 octets; beyond what the rules look at, that is said."""
    filler = b"x " * 30000
    run = explain(b"550 " + filler + b"user unknown\n550 " + b"y" * 20_000_000 + b"\n550 after\n")
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0 and len(rows) == 3
    assert rows[0]["reply"] == (b"550 " + filler + b"user unknown").decode() and rows[0]["category"] == "mailbox_not_found"
    assert len(rows[1]["reply"]) == 16 << 20 and rows[2]["reply"] == "550 after"
    assert "line 2 is longer than 16 MiB" in run.stderr.decode() and "line 2: the rules looked at its first 65536" in run.stderr.decode()
    assert "line 1" not in run.stderr.decode()


def test_answers_as_it_reads():
    with subprocess.Popen([f"{BIN}/rollcall", "explain"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for code in (550, 450):
            process.stdin.write(b"%d x\n" % code)
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["code"] == code
        process.stdin.close()
        assert process.wait(10) == 0


def test_own_rules(tmp_path):
    """A folder, or a file of replies; what is wrong in it is named with file, line and reason."""
    own = tmp_path / "mine"
    own.write_text("mine: text=\"sesame\" code=550 -> sender policy\n")
    run = explain(b"550 open sesame\n", "--rules", str(own))
    assert json.loads(run.stdout)["rule"] == "mine"
    assert json.loads(explain(b"550 open sesame\n", env={"ROLLCALL_RULES_DIR": str(own)}).stdout)["rule"] == "mine"
    data = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", "data"))
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    with open(folder / "replies", "a") as f:
        f.write("\nbad: code=550 -> sender nonsense\n")
    line = (folder / "replies").read_text().count("\n")
    run = explain(b"", "--rules", str(folder))
    assert run.returncode == 2 and f"{folder}/replies:{line}:" in run.stderr.decode() and "nonsense" in run.stderr.decode()
