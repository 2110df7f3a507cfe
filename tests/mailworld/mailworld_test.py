"""The replies and answers of mailworld, asked for over real sockets, and what demo-table makes of its truth."""
import csv
import json
import os
import pathlib
import signal
import smtplib
import socket
import struct
import subprocess
import time

import pytest

MAILWORLD = os.environ.get("MAILWORLD", "build/dev/bin/mailworld")
DEMO_TABLE = pathlib.Path(__file__).resolve().parents[2] / "tools" / "demo-table"
SCALE = 1000  # postgrey's 300 s pass in 300 ms

WORLD = """
# Each behaviour once. Addresses are given, so that the test knows where to knock.
[domain honest.test]
mx = 10 mx.honest.test 127.90.0.1
mailbox = ann
mailbox = full full
mailbox = later full_temporary
mailbox = off disabled
mailbox = odd policy
absent = nobody
[domain shared.test]
behaviour = catch_all
mx = 10 mx.honest.test
[domain grey.test]
behaviour = greylist_postgrey
mx = 10 mx.grey.test 127.90.0.2
mailbox = ann
[domain screen.test]
behaviour = postscreen
mx = 10 mx.screen.test 127.90.0.3
mailbox = ann
[domain busy.test]
behaviour = throttling
mx = 10 mx.busy.test 127.90.0.4
mailbox = ann
[domain short.test]
behaviour = mid_session_421
mx = 10 mx.short.test 127.90.0.5
mailbox = ann
[domain one.test]
behaviour = one_recipient
mx = 10 mx.one.test 127.90.0.6
mailbox = ann
[domain slow.test]
behaviour = no_pipelining
mx = 10 mx.slow.test 127.90.0.7
mailbox = ann
[domain old.test]
behaviour = helo_only
mx = 10 mx.old.test 127.90.0.8
mailbox = ann
[domain half.test]
behaviour = dead_first_mx
mx = 10 mx1.half.test 127.90.0.9
mx = 20 mx2.half.test 127.90.0.10
mailbox = ann
[domain milter.test]
behaviour = greylist_milter
mx = 10 mx.milter.test 127.90.0.11
mailbox = ann
[domain auth.test]
behaviour = auth_required
mx = 10 mx.auth.test 127.90.0.12
[domain null.test]
behaviour = null_mx
[domain gone.test]
behaviour = nxdomain
[domain broken.test]
behaviour = servfail
[domain empty.test]
behaviour = no_mail_server
[domain plain.test]
behaviour = a_only
mx = 0 plain-host.test 127.90.0.13
mailbox = ann
[domain inside.test]
behaviour = private_mx
"""


class World:
    def __init__(self, folder, *flags):
        self.stats_path = folder / "stats.json"
        self.control = f"/tmp/mailworld-test-{os.getpid()}"
        self.process = subprocess.Popen(
            [MAILWORLD, "--dns", "127.0.0.1:0", "--smtp-port", "0", "--stats", str(self.stats_path),
             "--control", self.control, *flags],
            stdout=subprocess.PIPE, text=True)
        words = self.process.stdout.readline().split()
        assert words[:2] == ["mailworld", "ready"]
        ready = dict(word.split("=") for word in words[2:])
        self.port = int(ready["smtp"])
        self.dns_port = int(ready["dns"].split(":")[1])

    def stats(self):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.control)
            return json.load(connection.makefile())

    def session(self, host, source="127.0.0.1", helo="probe.test"):
        client = smtplib.SMTP(timeout=10, source_address=(source, 0), local_hostname=helo)
        client.connect(f"127.90.0.{host}", self.port)
        client.ehlo_or_helo_if_needed()
        return client

    def ask(self, host, *recipients, sender="verify@probe.test", **who):
        with self.session(host, **who) as client:
            client.mail(sender)
            return [client.rcpt(recipient) for recipient in recipients]

    def raw(self, host, data):
        """Everything that comes back for octets sent in one go, to the end of the connection."""
        with socket.create_connection((f"127.90.0.{host}", self.port), timeout=10) as connection:
            connection.recv(1000)
            connection.sendall(data)
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return answer.decode()

    def dns(self, name, kind, tcp=False):
        """(rcode, [address or (preference, host)])"""
        question = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + struct.pack("!BHH", 0, kind, 1)
        query = struct.pack("!6H", 4711, 0x0100, 1, 0, 0, 0) + question
        if tcp:
            with socket.create_connection(("127.0.0.1", self.dns_port), timeout=10) as connection:
                connection.sendall(struct.pack("!H", len(query)) + query)
                answer = connection.recv(4096)[2:]
        else:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
                connection.settimeout(10)
                connection.sendto(query, ("127.0.0.1", self.dns_port))
                answer = connection.recv(4096)
        ident, flags, _, answers, _, _ = struct.unpack("!6H", answer[:12])
        assert ident == 4711 and flags & 0x8400 == 0x8400
        at, found = 12 + len(question), []
        for _ in range(answers):
            _, record, _, _, size = struct.unpack("!HHHIH", answer[at:at + 12])
            data = answer[at + 12:at + 12 + size]
            at += 12 + size
            if record == 1:
                found.append(socket.inet_ntoa(data))
                continue
            labels, i = [], 2
            while data[i]:
                labels.append(data[i + 1:i + 1 + data[i]].decode())
                i += 1 + data[i]
            found.append((struct.unpack("!H", data[:2])[0], ".".join(labels)))
        return flags & 15, found

    def close(self):
        self.process.terminate()
        said = self.process.communicate(timeout=10)[0].splitlines()[-1]
        assert json.loads(said) == json.loads(self.stats_path.read_text())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    path = folder / "world.ini"
    path.write_text(WORLD)
    made = World(folder, "--world", str(path), "--time-scale", str(SCALE))
    yield made
    made.close()


def until_passed(ask, seconds):
    """Asks until the greylister lets go; how long that took."""
    started = time.monotonic()
    while True:
        code, text = ask()
        if code == 250:
            return time.monotonic() - started
        assert code in (450, 451), text
        assert time.monotonic() - started < seconds
        time.sleep(0.01)


def test_each_mailbox_gets_its_own_reply(world):
    replies = world.ask(1, "ann@honest.test", "ANN@Honest.Test", "nobody@honest.test", "full@honest.test",
                        "later@honest.test", "off@honest.test", "odd@honest.test", "postmaster@honest.test")
    assert [code for code, _ in replies] == [250, 250, 550, 552, 452, 550, 554, 250]
    assert [text.decode()[:5] for _, text in replies[2:7]] == ["5.1.1", "5.2.2", "4.2.2", "5.2.1", "5.7.1"]


def test_catch_all_domain_lives_on_the_same_server(world):
    assert world.ask(1, "x8f3kq@shared.test")[0][0] == 250
    assert world.ask(1, "ann@grey.test")[0] == (554, b"5.7.1 <ann@grey.test>: Relay access denied")


def test_postgrey_keys_by_network_sender_and_recipient(world):
    assert world.ask(2, "ann@grey.test")[0] == (
        450, b"4.2.0 <ann@grey.test>: Recipient address rejected: Greylisted, "
             b"see http://postgrey.schweikert.ch/help/dom.html")
    # The recipient is not looked at before: one that does not exist is greylisted alike.
    assert world.ask(2, "nobody@grey.test")[0][0] == 450
    assert 0.2 < until_passed(lambda: world.ask(2, "ann@grey.test")[0], 5) < 2
    assert world.ask(2, "ann@grey.test", source="127.0.0.9")[0][0] == 250
    assert world.ask(2, "ann@grey.test", source="127.0.1.9")[0][0] == 450
    assert world.ask(2, "ann@grey.test", sender="other@probe.test")[0][0] == 450


def test_foreign_retries_are_counted(world):
    before = world.stats()
    world.ask(2, "first@grey.test")
    world.ask(2, "first@grey.test")
    assert world.stats()["foreign_retries"] == before["foreign_retries"]
    world.ask(2, "first@grey.test", source="127.0.0.2")
    world.ask(2, "first@grey.test", helo="other.test")
    assert world.stats()["foreign_retries"] == before["foreign_retries"] + 2


def test_milter_greylist_keys_by_exact_address(world):
    assert until_passed(lambda: world.ask(11, "ann@milter.test")[0], 10) > 1.7
    assert world.ask(11, "ann@milter.test", source="127.0.0.9")[0][0] == 451


def test_postscreen_lets_in_who_comes_back(world):
    assert world.ask(3, "ann@screen.test")[0] == (450, b"4.3.2 Service currently unavailable")
    # Until the server has seen the first session end.
    assert until_passed(lambda: world.ask(3, "ann@screen.test")[0], 5) < 2


def test_throttle_closes_and_opens_again(world):
    with world.session(4) as client:
        client.mail("verify@probe.test")
        codes = [client.rcpt("ann@busy.test")[0] for _ in range(21)]
    assert codes == [250] * 20 + [421]
    deadline = time.monotonic() + 5
    while world.ask(4, "ann@busy.test")[0][0] == 421:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_421_cuts_a_pipelined_session(world):
    answer = world.raw(5, b"EHLO p.test\r\nMAIL FROM:<v@p.test>\r\n" + b"RCPT TO:<ann@short.test>\r\n" * 9)
    assert answer.count("250 2.1.5 Ok") == 5
    assert answer.splitlines()[-1].startswith("421 4.3.2")


def test_one_recipient_a_session(world):
    assert [code for code, _ in world.ask(6, "ann@one.test", "ann@one.test")] == [250, 452]


def test_early_commands_end_the_session_without_pipelining(world):
    with world.session(7) as client:
        assert not client.has_extn("pipelining")
    assert world.raw(7, b"EHLO p.test\r\nMAIL FROM:<v@p.test>\r\n").startswith("554 5.5.0")


def test_helo_only(world):
    with world.session(8) as client:
        assert client.ehlo_resp.startswith(b"5.5.1") and client.helo_resp.startswith(b"mx.old.test")
        client.mail("verify@probe.test")
        assert client.rcpt("ann@old.test")[0] == 250


def test_first_mx_is_dead(world):
    with pytest.raises(ConnectionRefusedError):
        world.session(9)
    assert world.ask(10, "ann@half.test")[0][0] == 250


def test_authentication_is_wanted_at_mail(world):
    with world.session(12) as client:
        assert client.mail("verify@probe.test")[0] == 530


def test_postfix_slows_down_after_ten_errors_and_hangs_up_at_twenty(world):
    started = time.monotonic()
    answer = world.raw(1, b"EHLO p.test\r\nMAIL FROM:<v@p.test>\r\n" + b"RCPT TO:<nobody@honest.test>\r\n" * 11 + b"QUIT\r\n")
    assert 1.9 < time.monotonic() - started < 4
    assert answer.count("550 5.1.1") == 11 and answer.splitlines()[-1].startswith("221")


def test_data_is_counted_and_refused(world):
    before = world.stats()["data"]
    with world.session(1) as client:
        client.mail("verify@probe.test")
        client.rcpt("ann@honest.test")
        assert client.docmd("DATA")[0] == 554
    assert world.stats()["data"] == before + 1


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("name, kind, expected", [
    ("honest.test", 15, (0, [(10, "mx.honest.test")])),
    ("mx.honest.test", 1, (0, ["127.90.0.1"])),
    ("half.test", 15, (0, [(10, "mx1.half.test"), (20, "mx2.half.test")])),
    ("null.test", 15, (0, [(0, "")])),
    ("gone.test", 15, (3, [])),
    ("nowhere.test", 1, (3, [])),
    ("broken.test", 15, (2, [])),
    ("empty.test", 15, (0, [])),
    ("empty.test", 1, (0, [])),
    ("plain.test", 15, (0, [])),
    ("plain.test", 1, (0, ["127.90.0.13"])),
    ("inside.test", 15, (0, [(10, "mx1.inside.test")])),
    ("mx1.inside.test", 1, (0, ["10.0.0.1"])),
    ("example.com", 15, (5, [])),
])
def test_dns(world, name, kind, expected, tcp):
    assert world.dns(name, kind, tcp) == expected


def test_counters(world):
    stats = world.stats()
    world.process.send_signal(signal.SIGUSR1)
    assert json.loads(world.process.stdout.readline())["sessions"] == stats["sessions"]
    assert stats["by_source"]["127.0.0.1"]["sessions"] > 0
    assert sum(stats["sessions_by_mx"].values()) == stats["sessions"]
    assert sum(stats["sessions_by_recipients"].values()) + stats["sessions_open"] == stats["sessions"]


def mailworld(*flags):
    return subprocess.run([MAILWORLD, *flags], check=False, capture_output=True, text=True)


@pytest.mark.parametrize("seed", range(1, 21))
def test_any_seed_keeps_the_promises_of_the_demo(seed):
    assert mailworld("--check", "--seed", str(seed)).returncode == 0


def test_the_same_seed_makes_the_same_list(tmp_path):
    for name in ("a", "b"):
        mailworld("--seed", "5", "--write-list", str(tmp_path / name), "--truth", str(tmp_path / f"{name}.truth"))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a.truth").read_bytes() == (tmp_path / "b.truth").read_bytes()


def test_wrong_input_is_named(tmp_path):
    (tmp_path / "w").write_text("[domain a.test]\nbehaviour = kind\n")
    assert "line 2" in mailworld("--world", str(tmp_path / "w"), "--check").stderr
    assert mailworld("--mix", "none", "--check").returncode == 1
    assert mailworld("--world", "/nonexistent", "--check").returncode == 1
    assert mailworld("--dns", "192.0.2.1:53").returncode == 1


@pytest.fixture
def demo(tmp_path):
    """A list's truth and the results that a correct verifier writes."""
    truth, results = tmp_path / "truth.csv", tmp_path / "results.csv"
    mailworld("--seed", "3", "--rows", "1000", "--domains", "60", "--mx", "20", "--truth", str(truth))
    with open(truth, newline="", encoding="utf-8") as file:
        rows = [[row["email"], row["status"], row["reason"]] for row in csv.DictReader(file)]
    assert len(rows) == 1000

    def write(changed):
        with open(results, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["email", "rollcall_status", "rollcall_reason"]] + changed)
        return subprocess.run([DEMO_TABLE, truth, results], check=False, capture_output=True, text=True)

    return rows, write


def test_demo_table_takes_the_truth_for_right(demo):
    rows, write = demo
    outcome = write(rows)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize("spoil", [
    lambda rows: rows[:-1],
    lambda rows: rows + [rows[0]],
    lambda rows: [rows[0][:2] + ["greylisted"]] + rows[1:],
    lambda rows: [[rows[0][0], "unknown", rows[0][2]]] + rows[1:] if rows[0][1] != "unknown" else rows[1:],
    lambda rows: rows[::-1],
])
def test_demo_table_finds_what_is_wrong(demo, spoil):
    rows, write = demo
    assert write(spoil([list(row) for row in rows])).returncode == 1


@pytest.mark.parametrize("name, code", [("data", 1), ("foreign_retries", 1), ("sessions", 0)])
def test_demo_table_looks_at_the_counters(demo, tmp_path, name, code):
    rows, write = demo
    write(rows)
    stats = {"data": 0, "bdat": 0, "foreign_retries": 0, "retries": 0, "sessions": 0, "rcpt": 0, "by_source": {}}
    stats[name] = 1
    (tmp_path / "stats.json").write_text(json.dumps(stats))
    assert subprocess.run([DEMO_TABLE, tmp_path / "truth.csv", tmp_path / "results.csv", tmp_path / "stats.json"],
                          check=False, stdout=subprocess.DEVNULL).returncode == code
