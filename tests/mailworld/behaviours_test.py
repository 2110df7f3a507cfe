"""Every behaviour that needs more than a reply to be told: greylisters' keys and windows, limits, TLS, hostile servers, broken DNS."""
import socket
import ssl
import struct
import subprocess
import time

import pytest

from mailworld_test import MAILWORLD, World, until_passed

SCALE = 1000  # 25 minutes pass in 1.5 s, 4 hours in 14.4 s

SERVERS = [  # domain, behaviour, variant; the n-th listens at 127.90.0.n
    ("sql.test", "greylist_sqlgrey", 0), ("rspamd.test", "greylist_rspamd", 0), ("spamd.test", "greylist_spamd", 0),
    ("cpanel.test", "greylist_cpanel", 0), ("plesk.test", "greylist_plesk", 0), ("mime.test", "greylist_mimecast", 0),
    ("haraka.test", "greylist_haraka", 0), ("when.test", "greylist_says_when", 0),
    ("stress.test", "postfix_stress", 0), ("few.test", "few_recipients", 0), ("bsdfew.test", "opensmtpd_few", 0),
    ("exim.test", "exim_limits", 0), ("exchange.test", "exchange_limits", 0), ("lie.test", "pipelining_lie", 0),
    ("late.test", "late_greeting", 0), ("tar.test", "tarpit", 0), ("relay.test", "relay_denied", 0),
    ("g554.test", "greets_554", 0), ("g521.test", "greets_521", 0), ("junk.test", "junk_text", 0), ("lf.test", "bare_lf", 0),
    ("utf8.test", "utf8_mailbox", 0), ("ascii.test", "utf8_unsupported", 0), ("offered.test", "starttls_offered", 0),
    ("required.test", "starttls_required", 0), ("injected.test", "starttls_injected", 0), ("mute-tls.test", "starttls_silent", 0),
    *((f"broken{i}.test", "starttls_broken", i) for i in range(6)),
    *((f"starve{i}.test", "starving", i) for i in range(5)),
    *((f"{kind.replace('_', '')}{i}.test", kind, i) for kind in ("silence", "trickle", "reset", "hang_up", "half_close", "cut_421", "endless_reply",
                                                            "huge_line", "changing_codes", "code_000", "code_999", "no_line_end", "reset_once")
      for i in range(4)),
    ("alias.test", "alias", 0), ("hostalias.test", "mx_alias", 0), ("cut.test", "truncated_dns", 0), ("slow.test", "slow_dns", 0),
    ("flaky.test", "flaky_dns", 0), ("unverified.test", "unverified_all", 0),
]
AT = {name: n for n, (name, _, _) in enumerate(SERVERS, 1)}
WORLD = "".join(f"[domain {name}]\nbehaviour = {behaviour}\nvariant = {variant}\nmx = 10 mx.{name} 127.90.0.{AT[name]}\nmailbox = ann\n"
                for name, behaviour, variant in SERVERS) + """
[domain lame.test]
behaviour = lame_dns
[domain mute.test]
behaviour = silent_dns
[domain pointer.test]
behaviour = dns_pointer_loop
[domain loop.test]
behaviour = alias_loop
[domain six.test]
behaviour = aaaa_only
mx = 10 mx.six.test 2fff::25
[domain home.test]
behaviour = loopback_mx
mx = 10 mx.home.test 127.0.0.1
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    path = folder / "world.ini"
    path.write_text(WORLD)
    made = World(folder, "--world", str(path), "--time-scale", str(SCALE))
    yield made
    made.close()


class Talk:
    """A session in lines, as octets."""

    def __init__(self, world, name, source="127.0.0.1"):
        self.socket = socket.create_connection((f"127.90.0.{AT[name]}", world.port), timeout=10, source_address=(source, 0))
        self.file = self.socket.makefile("rb")

    def reply(self):
        lines = []
        while True:
            line = self.file.readline()
            if not line:
                raise EOFError
            lines.append(line)
            if line[3:4] != b"-":
                return b"".join(lines)

    def say(self, text):
        self.socket.sendall(text.encode() + b"\r\n")
        return self.reply()

    def starttls(self):
        assert self.say("EHLO p.test").startswith(b"250-")
        assert self.say("MAIL FROM:<v@p.test>")[:9] in (b"530 5.7.0", b"250 2.1.0")
        answer = self.say("STARTTLS")
        if not answer.startswith(b"220"):
            return answer
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)
        self.file = self.socket.makefile("rb")
        return answer

    def close(self):
        self.file.close()
        self.socket.close()


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def ask(world, name, local="ann", **who):
    return world.ask(AT[name], f"{local}@{name}", **who)[0]


@pytest.mark.parametrize("name, least_s", [("sql.test", .3), ("rspamd.test", .3), ("spamd.test", 1.5), ("cpanel.test", .6), ("plesk.test", .3),
                                           ("mime.test", .06), ("haraka.test", .6), ("when.test", .12)])
def test_a_greylister_lets_in_after_its_time(world, name, least_s):
    started = time.monotonic()
    assert ask(world, name)[0] // 100 == 4
    time.sleep(least_s * 0.8)  # an early retry would cost Plesk's penalty: one ask, well before the time, is enough
    if name != "plesk.test":
        early = ask(world, name)[0]
        assert early // 100 == 4 or time.monotonic() - started > least_s, "on a slow machine it is no longer early"
    until_passed(lambda: ask(world, name), 10) if name != "plesk.test" else time.sleep(least_s * 0.4)
    assert ask(world, name)[0] == 250
    assert time.monotonic() - started > least_s
    assert ask(world, name)[0] == 250, "a pass is kept"


@pytest.mark.parametrize("name, alike, foreign", [
    ("sql.test", {"source": "127.0.0.9"}, {"source": "127.0.1.9"}),
    ("rspamd.test", {"source": "127.0.1.9"}, {"source": "127.0.64.1"}),
    ("spamd.test", {}, {"helo": "other.test"}),
    ("cpanel.test", {"helo": "other.test"}, {"source": "127.0.0.9"}),
    ("plesk.test", {"helo": "other.test"}, {"sender": "other@probe.test"}),
    ("mime.test", {"helo": "other.test"}, {"sender": "other@probe.test"}),
    ("haraka.test", {"helo": "other.test"}, {"source": "127.0.0.9"}),
])
def test_a_greylister_knows_who_comes_back(world, name, alike, foreign):
    if ask(world, name)[0] != 250:  # the test before has passed; alone, this one waits itself
        time.sleep(2)
        assert ask(world, name)[0] == 250
    assert ask(world, name, **alike)[0] == 250
    assert ask(world, name, **foreign)[0] // 100 == 4


def test_plesk_asks_for_no_recipient_and_punishes_haste(world):
    who = {"source": "127.0.0.77"}
    together = world.ask(AT["plesk.test"], *[f"{local}@plesk.test" for local in ("ann", "bob", "cid")], **who)
    assert [code for code, _ in together] == [450] * 3, "one session is no retry of itself"
    assert ask(world, "plesk.test", **who)[0] == 450  # at once: 2 minutes more
    time.sleep(0.31)
    assert ask(world, "plesk.test", **who)[0] == 450
    time.sleep(0.55)
    assert ask(world, "plesk.test", **who)[0] == 250
    assert ask(world, "plesk.test", local="nobody", **who)[0] == 550, "another recipient is not delayed"


def test_spamd_closes_its_window_and_starts_again(world):
    before = world.stats()["greylist_restarts"]
    assert ask(world, "spamd.test", local="late")[0] == 451
    time.sleep(14.5)
    assert ask(world, "spamd.test", local="late")[0] == 451
    assert world.stats()["greylist_restarts"] == before + 1
    time.sleep(1.6)
    assert ask(world, "spamd.test", local="late")[0] == 550


def test_postfix_under_stress_ends_at_the_first_error(world):
    answer = world.raw(AT["stress.test"], b"EHLO p.test\r\nMAIL FROM:<v@p.test>\r\n" + b"RCPT TO:<no@stress.test>\r\n" * 3)
    assert answer.count("550 5.1.1") == 1 and answer.splitlines()[-1].startswith("421 4.7.0")


@pytest.mark.parametrize("name, code", [("few.test", 452), ("bsdfew.test", 451)])
def test_few_recipients(world, name, code):
    answers = world.ask(AT[name], *[f"ann@{name}"] * 7)
    assert [c for c, _ in answers] == [250] * 5 + [code] * 2 and b"oo many recipients" in answers[6][1]


def test_exim_counts_commands_and_connections(world):
    before = world.stats()["sessions_open"]  # of tests whose servers have not noticed their end yet
    talk = Talk(world, "exim.test")
    talk.reply(), talk.say("EHLO p.test")
    said = [talk.say("NOOP") for _ in range(11)]
    assert said[9].startswith(b"250") and said[10] == b"554 Too many nonmail commands\r\n"
    with pytest.raises(EOFError):
        talk.reply()
    talk.close()
    until(lambda: world.stats()["sessions_open"] == before)
    many = [Talk(world, "exim.test") for _ in range(21)]
    greetings = [t.reply()[:3] for t in many]
    assert greetings == [b"220"] * 20 + [b"421"]
    for t in many:
        t.close()


def test_exchange_takes_its_time_for_errors(world):
    started = time.monotonic()
    assert ask(world, "exchange.test", local="nobody")[0] == 550
    assert 4.9 < time.monotonic() - started < 9


def test_the_liar_about_pipelining(world):
    assert ask(world, "lie.test")[0] == 250
    before = world.stats()
    answer = world.raw(AT["lie.test"], b"EHLO p.test\r\nMAIL FROM:<v@p.test>\r\n")
    assert answer.endswith("554 5.5.0 Error: SMTP protocol synchronization\r\n")
    assert world.stats()["pipelining_lies"] == before["pipelining_lies"] + 1
    assert world.stats()["too_early"] == before["too_early"]


def test_slow_ones_are_slow(world):
    started = time.monotonic()
    assert ask(world, "late.test")[0] == 250 and 1.4 < time.monotonic() - started < 5
    started = time.monotonic()
    assert ask(world, "tar.test")[0] == 250 and 0.4 < time.monotonic() - started < 4


def test_greetings_that_refuse(world):
    for name, code in (("g554.test", b"554"), ("g521.test", b"521")):
        talk = Talk(world, name)
        assert talk.reply()[:3] == code
        with pytest.raises(EOFError):
            talk.reply()
        talk.close()


def test_relay_is_denied_to_postmaster_too(world):
    assert [ask(world, "relay.test", local=local)[0] for local in ("ann", "postmaster")] == [554, 554]


def test_junk_and_bare_line_ends(world):
    talk = Talk(world, "junk.test")
    greeting = talk.reply()
    assert b"\0\0" in greeting and b"\xff" in greeting
    talk.say("EHLO p.test"), talk.say("MAIL FROM:<v@p.test>")
    assert talk.say("RCPT TO:<no@junk.test>").startswith(b"550 5.1.1")
    talk.close()
    talk = Talk(world, "lf.test")
    assert b"\r" not in talk.reply() + talk.say("EHLO p.test")
    talk.close()


def test_smtputf8(world):
    for name, extension, parameter, code in (("utf8.test", True, " SMTPUTF8", b"550 5.1.1"), ("utf8.test", True, "", b"553 5.6.7"),
                                             ("ascii.test", False, "", b"553 5.6.7")):
        talk = Talk(world, name)
        talk.reply()
        assert (b"SMTPUTF8" in talk.say("EHLO p.test")) == extension
        talk.say("MAIL FROM:<v@p.test>" + parameter)
        assert talk.say(f"RCPT TO:<j\u00fcrgen@{name}>").startswith(code)
        talk.close()


def test_starttls_is_wanted_and_real(world):
    for name in ("required.test", "offered.test"):
        talk = Talk(world, name)
        talk.reply()
        assert talk.starttls().startswith(b"220")
        assert b"STARTTLS" not in talk.say("EHLO p.test")
        assert talk.say("MAIL FROM:<v@p.test>").startswith(b"250")
        assert talk.say(f"RCPT TO:<ann@{name}>").startswith(b"250")
        assert talk.say(f"RCPT TO:<no@{name}>").startswith(b"550")
        assert talk.say("QUIT").startswith(b"221")
        talk.close()
    assert ask(world, "offered.test")[0] == 250, "without TLS as well"


def test_starttls_with_plain_text_behind_it(world):
    talk = Talk(world, "injected.test")
    talk.reply(), talk.say("EHLO p.test")
    talk.socket.sendall(b"STARTTLS\r\n")
    time.sleep(0.2)
    assert talk.socket.recv(1000).endswith(b"250 2.1.5 Ok\r\n")  # a careful client throws it away, and goes on
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    talk.socket = context.wrap_socket(talk.socket)
    talk.file = talk.socket.makefile("rb")
    assert talk.say("EHLO p.test").startswith(b"250-")
    talk.close()


@pytest.mark.parametrize("variant", range(6))
def test_starttls_that_breaks(world, variant):
    talk = Talk(world, f"broken{variant}.test")
    talk.reply()
    if variant == 0:
        assert talk.starttls().startswith(b"454 4.7.0")
    else:
        with pytest.raises((OSError, EOFError)) as error:
            talk.starttls()
            talk.say("EHLO p.test")
        assert not isinstance(error.value, TimeoutError), error.value
    talk.close()


def test_starttls_and_silence(world):
    talk = Talk(world, "mute-tls.test")
    talk.reply()
    talk.socket.settimeout(1)
    with pytest.raises((TimeoutError, socket.timeout)):
        talk.starttls()
    talk.close()


@pytest.mark.parametrize("variant, code", list(enumerate((252, 421, 503, 530, 550))))
def test_starving(world, variant, code):
    name = f"starve{variant}.test"
    codes = [c for c, _ in world.ask(AT[name], *[f"ann@{name}"] * 13)]
    assert codes == [250] * 12 + [code]
    time.sleep(0.25)
    assert ask(world, name)[0] == 250, "clear again after its time"


STAGES = ["greeting", "EHLO p.test", "MAIL FROM:<v@p.test>", "RCPT TO:<ann@{}>"]


def at_stage(talk, name, stage):
    """What is said at the stage; the stages before must be sound."""
    for n, command in enumerate(STAGES[:stage + 1]):
        if n:
            talk.socket.sendall(command.format(name).encode() + b"\r\n")
        if n < stage:
            assert talk.reply()[:1] == b"2"


def reset_at(world, name, stage):
    """At the greeting the reset may come before connect() has returned."""
    with pytest.raises(ConnectionResetError):
        talk = Talk(world, name)
        at_stage(talk, name, stage)
        assert talk.socket.recv(1) == b"never"


@pytest.mark.parametrize("stage", range(4))
@pytest.mark.parametrize("kind", ["silence", "trickle", "reset", "hang_up", "half_close", "cut_421", "endless_reply", "huge_line",
                                  "changing_codes", "code_000", "code_999", "no_line_end"])
def test_hostile_servers(world, kind, stage):
    name = f"{kind.replace('_', '')}{stage}.test"
    if kind == "reset":
        reset_at(world, name, stage)
        return
    talk = Talk(world, name)
    at_stage(talk, name, stage)
    if kind in ("hang_up", "half_close"):
        assert talk.socket.recv(1) == b""
        if kind == "half_close":
            talk.socket.sendall(b"NOOP\r\n" * 3)  # it reads on
    elif kind == "silence":
        talk.socket.settimeout(0.3)
        with pytest.raises((TimeoutError, socket.timeout)):
            talk.socket.recv(1)
    elif kind == "trickle":
        started = time.monotonic()
        assert talk.socket.recv(100) + talk.socket.recv(100) == b"22"
        assert time.monotonic() - started > 0.9
    elif kind == "cut_421":
        assert talk.reply().startswith(b"421")
    elif kind in ("endless_reply", "huge_line"):
        got = b""
        while len(got) < 1 << 20:
            got += talk.socket.recv(1 << 16)
        assert (got.count(b"\n") > 1000) == (kind == "endless_reply")
    elif kind == "changing_codes":
        assert talk.socket.recv(1000).split(b"\r\n")[1].startswith(b"550-")
    elif kind in ("code_000", "code_999"):
        assert talk.socket.recv(1000)[:3] == kind[-3:].encode()
    else:
        assert b"\n" not in talk.socket.recv(1000)
    talk.close()


@pytest.mark.parametrize("stage", range(4))
def test_a_reset_for_the_first_session_only(world, stage):
    name = f"resetonce{stage}.test"
    reset_at(world, name, stage)
    assert ask(world, name)[0] == 250


@pytest.mark.parametrize("name", ["alias.test", "hostalias.test", "cut.test", "slow.test", "unverified.test"])
def test_odd_dns_leads_to_the_server(world, name):
    query = dict(zip(("mx", "host"), ((name, 15), (f"mx.{name}", 1))))
    for question in query.values():
        answer = resolve(world, *question)
        assert answer["rcode"] == 0
        if name == "cut.test":
            assert answer["flags"] & 0x0200 and not answer["records"]
            answer = resolve(world, *question, tcp=True)
        kinds = [kind for kind, _ in answer["records"]]
        assert kinds[-1] == question[1]
        assert kinds.count(5) == {"alias.test": {15: 2, 1: 0}, "hostalias.test": {15: 0, 1: 1}}.get(name, {15: 0, 1: 0})[question[1]]
        assert (answer["took"] > 0.6) == (name == "slow.test")


def resolve(world, name, kind, tcp=False):
    """The answer's records as (type, rdata), without following names."""
    question = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + struct.pack("!BHH", 0, kind, 1)
    query = struct.pack("!6H", 4711, 0x0100, 1, 0, 0, 0) + question
    started = time.monotonic()
    if tcp:
        with socket.create_connection(("127.0.0.1", world.dns_port), timeout=10) as connection:
            connection.sendall(struct.pack("!H", len(query)) + query)
            answer = connection.recv(4096)[2:]
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
            connection.settimeout(2)
            connection.sendto(query, ("127.0.0.1", world.dns_port))
            answer = connection.recv(4096)
    took = time.monotonic() - started
    _, flags, _, answers, _, _ = struct.unpack("!6H", answer[:12])
    at, records = 12 + len(question), []
    for _ in range(answers):
        while answer[at] and answer[at] < 0xc0:
            at += 1 + answer[at]
        at += 2 if answer[at] else 1
        record, _, _, size = struct.unpack("!HHIH", answer[at:at + 10])
        records.append((record, answer[at + 10:at + 10 + size]))
        at += 10 + size
    return {"flags": flags, "rcode": flags & 15, "records": records, "took": took, "raw": answer}


def test_broken_dns(world):
    assert resolve(world, "lame.test", 15)["rcode"] == 5
    assert [resolve(world, "flaky.test", 15)["rcode"] for _ in range(2)] == [2, 0]
    with pytest.raises((TimeoutError, socket.timeout)):
        resolve(world, "mute.test", 15)
    assert [kind for kind, _ in resolve(world, "loop.test", 15)["records"]] == [5, 5]
    answer = resolve(world, "pointer.test", 15)
    (kind, data), = answer["records"]
    pointer = struct.unpack("!H", data[2:])[0]
    assert kind == 15 and answer["raw"][pointer & 0x3fff:][:2] == data[2:]
    assert resolve(world, "mx.six.test", 1)["records"] == []
    assert resolve(world, "mx.six.test", 28)["records"] == [(28, socket.inet_pton(socket.AF_INET6, "2fff::25"))]


def test_whoever_walks_into_a_trap_is_counted(world):
    before = world.stats()["trapped"]
    with socket.create_connection(("127.0.0.1", world.port), timeout=10) as connection:
        assert connection.recv(1) == b""
    assert world.stats()["trapped"] == before + 1


def test_the_mix_of_every_behaviour_has_each():
    out = subprocess.run([MAILWORLD, "--mix", "every", "--print-world"], check=True, capture_output=True, text=True).stdout
    table = out.split("\n\n")[0].splitlines()[1:]
    assert len(table) > 90 and all(int(line.split()[1]) >= 50 for line in table)
    assert subprocess.run([MAILWORLD, "--mix", "every", "--check"], check=False).returncode == 0


def test_the_mix_of_providers_has_each_under_its_names():
    made = [MAILWORLD, "--mix", "providers", "--rows", "1500", "--domains", "90", "--mx", "24"]
    out = subprocess.run([*made, "--print-world"], check=True, capture_output=True, text=True).stdout
    for host in ("gmail-smtp-in.l.google.com", "aspmx.l.google.com", "outlook-com.olc.protection.outlook.com", "mx01.mail.icloud.com",
                 "mta5.am0.yahoodns.net", "mx-aol.mail.gm0.yahoodns.net", "eu-smtp-inbound-1.mimecast.com"):
        assert f" {host}\n" in out
    for zone in (".mail.protection.outlook.com", ".gslb.pphosted.com", ".ess.barracudanetworks.com"):
        assert f"{zone}\n" in out
    assert subprocess.run([*made, "--check"], check=False).returncode == 0
    alone = subprocess.run([*made, "--share", "workspace=0", "--check"], check=False, capture_output=True, text=True)
    assert alone.returncode == 1 and "lives on the servers of workspace" in alone.stderr
