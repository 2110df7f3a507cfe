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

    def _reply(self, session, line):
        word = line[:4].upper()
        if word == "MAIL" and self.lies is not None and self.lied >= self.lies:
            self.lies = 0
        elif word == "RCPT" and self.clear:
            self.clear -= 1
        elif word == "RCPT" and self.lies != 0:
            self.lied += 1
            return "550 5.1.1 User unknown"
        return super()._reply(session, line)


class Chatterer(Server):
    """Has a word more for each recipient than was asked for."""

    def _reply(self, session, line):
        return super()._reply(session, line) + ("\r\n250 2.0.0 And good day" if line[:4].upper() == "RCPT" else "")


class Taker(Server):
    """Takes whatever comes."""

    def _reply(self, session, line):
        return "250 2.1.5 Ok" if line[:4].upper() == "RCPT" else super()._reply(session, line)


class Late(Server):
    """Hangs up on its first caller."""

    def _talk(self, connection, session):
        if len(self.sessions) == 1:
            session.open = False
            connection.close()
            return
        super()._talk(connection, session)


def verdicts(work, stopping, server, domain, people, dns_lines=()):
    dns = Dns(work, {domain: (f"mx.{domain}", "127.90.7.1")}, dns_lines)
    fleet = Fleet(f"{work}/data", LANES=lanes(1), DNS=dns.server, SMTP_PORT=server.port, ALLOW_TARGETS="127.0.0.0/8", UNSAFE_LANES="on",
                  PACE="off", TIME_SCALE=20000)
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


def test_a_backup_that_was_never_told_who_is_there(work, stopping):
    server = Late("127.90.7.1", free_port(), LIVING)
    backup = Server("127.90.7.2", server.port)
    stopping.append(backup)
    found = verdicts(work, stopping, server, "backup.test", LIVING[:3] + GONE[:3],
                     ["mx-host=backup.test,mx2.backup.test,20", "host-record=mx2.backup.test,127.90.7.2"])
    assert backup.sessions, "the better host hung up"
    assert {found[who] for who in LIVING[:3]} == {("valid", "mailbox_accepted")}
    assert {found[who] for who in GONE[:3]} == {("invalid", "mailbox_not_found")}


def test_the_control_of_one_host_does_not_vouch_for_another(work, stopping):
    """Two hosts of one preference: the first is honest, the second takes everything; and the first has no time when the third list comes."""
    first = Server("127.90.7.1", free_port(), LIVING)
    second = Taker("127.90.7.2", first.port)
    stopping.append(second)
    dns = Dns(work, {"equal.test": ("mx1.equal.test", "127.90.7.1")}, ["mx-host=equal.test,mx2.equal.test,10", "host-record=mx2.equal.test,127.90.7.2"])
    fleet = Fleet(f"{work}/data", LANES=lanes(1), DNS=dns.server, SMTP_PORT=first.port, ALLOW_TARGETS="127.0.0.0/8", UNSAFE_LANES="on",
                  PACE="off", TIME_SCALE=20000)
    stopping += [dns, fleet]
    fleet.start()

    def ask(*people):
        with open(f"{work}/list.txt", "w") as f:
            f.writelines(f"{who}@equal.test\n" for who in people)
        fleet.cli("verify", f"{work}/list.txt", "-o", f"{work}/out.csv", check=True)
        return [(r["rollcall_reason"], r["rollcall_mx"]) for r in rows(f"{work}/out.csv")]

    # whichever was asked by lot: the honest one is made the one that is known
    db = fleet.database()
    (reason, mx), = ask(LIVING[0])
    assert reason == ("mailbox_accepted" if mx == "mx1.equal.test" else "domain_accepts_all")
    db.cursor().execute("UPDATE domain_knowledge SET control = 1, control_host = 'mx1.equal.test'")
    assert ask(*LIVING[1:6]) == [("mailbox_accepted", "mx1.equal.test")] * 5
    first.greeting = "421 4.3.2 Busy, come back later"
    assert ask(LIVING[6], GONE[0]) == [("domain_accepts_all", "mx2.equal.test")] * 2
