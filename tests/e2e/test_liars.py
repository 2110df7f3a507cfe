"""Servers that do not mean what they say: a living mailbox is not called invalid because of them."""
from support.dns import Dns
from support.fleet import Fleet, lanes, rows
from support.process import free_port
from support.smtp import Server

LIVING = [f"ann{i}.real" for i in range(30)]
GONE = [f"bob{i}.gone" for i in range(10)]


class Liar(Server):
    """Tells one from the other for its first `clear` recipients, of all sessions together; then it refuses whoever comes in the words that it has
    for strangers, until at a session's beginning it has refused `lies`. None: for ever."""

    def __init__(self, *args, clear, lies, **more):
        self.clear, self.lies, self.lied = clear, lies, 0
        super().__init__(*args, **more)

    def _reply(self, line):
        word = line[:4].upper()
        if word == "MAIL" and self.lies is not None and self.lied >= self.lies:
            self.lies = 0
        elif word == "RCPT" and self.clear:
            self.clear -= 1
        elif word == "RCPT" and self.lies != 0:
            self.lied += 1
            return "550 5.1.1 User unknown"
        return super()._reply(line)


class Chatterer(Server):
    """Has a word more for each recipient than was asked for."""

    def _reply(self, line):
        return super()._reply(line) + ("\r\n250 2.0.0 And good day" if line[:4].upper() == "RCPT" else "")


def verdicts(work, stopping, server, domain, people, **more):
    dns = Dns(work, {domain: (f"mx.{domain}", "127.90.7.1")})
    # one after the other: what the server said to the first rows is known when the others leave
    fleet = Fleet(f"{work}/data", LANES=lanes(1), DNS=dns.server, SMTP_PORT=server.port, ALLOW_TARGETS="127.0.0.0/8", UNSAFE_LANES="on",
                  PACE="off", TIME_SCALE=20000, **more)
    stopping += [server, dns, fleet]
    fleet.start()
    with open(f"{work}/list.txt", "w") as f:
        f.writelines(f"{who}@{domain}\n" for who in people)
    fleet.cli("verify", f"{work}/list.txt", "-o", f"{work}/out.csv", check=True)
    return {r["email"].split("@")[0]: (r["rollcall_status"], r["rollcall_reason"]) for r in rows(f"{work}/out.csv")}


def test_a_server_that_refuses_everybody_for_a_while(work, stopping):
    server = Liar("127.90.7.1", free_port(), LIVING, clear=12, lies=60)
    found = verdicts(work, stopping, server, "liar.test", LIVING + GONE)
    assert server.lied >= 60
    assert {found[who] for who in LIVING} == {("valid", "mailbox_accepted")}
    assert {found[who] for who in GONE} == {("invalid", "mailbox_not_found")}


def test_a_server_that_refuses_everybody_from_now_on(work, stopping):
    server = Liar("127.90.7.1", free_port(), LIVING, clear=12, lies=None)
    found = verdicts(work, stopping, server, "liar.test", LIVING + GONE)
    assert {found[who] for who in LIVING} == {("valid", "mailbox_accepted"), ("unknown", "throttled")}
    assert {found[who] for who in GONE} <= {("unknown", "throttled")}


def test_a_server_that_says_too_much(work, stopping):
    server = Chatterer("127.90.7.1", free_port(), LIVING)
    found = verdicts(work, stopping, server, "talks.test", LIVING[:3] + GONE[:3])
    assert set(found.values()) == {("unknown", "protocol_error")}
