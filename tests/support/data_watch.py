"""Whether anybody was ever sent DATA or BDAT, or connected to who must not be: what all servers of the run counted or logged,
mailworld as well as real ones.

Nothing of the product can do either; this looks at what arrived. `scan()` is called on a test's directory before it goes."""
import json
import os
import re

# Of Postfix: "disconnect from probe[127.0.0.1] ehlo=1 mail=1 rcpt=2 data=0/1 quit=1 commands=4/5"
POSTFIX = re.compile(r"postfix/\S*smtpd\[\d+\]: disconnect from \S+(.*)")
POSTFIX_DATA = re.compile(r" (?:data|bdat)=")
# What Exim and OpenSMTPD write only once a message was sent
EXIM_SESSION, EXIM_DATA = re.compile(r" asked \S+ (?:greylisted|passed) "), re.compile(r"discarded by the test's server|after DATA|BDAT")
OPENSMTPD_SESSION, OPENSMTPD_DATA = re.compile(r"\bsmtp connected\b"), re.compile(r"\bsmtp message\b")

totals = {}


def count(server, asked, data, trapped=0):
    """Adds what one server saw: `asked` sessions or questions, `data` of them with DATA or BDAT; `trapped`: to forbidden addresses."""
    row = totals.setdefault(server, {"servers": 0, "asked": 0, "data": 0, "trapped": 0})
    for name, more in (("servers", 1), ("asked", asked), ("data", data), ("trapped", trapped)):
        row[name] += more


def _mailworld(path):
    try:
        with open(path) as f:
            stats = json.load(f)
        count("mailworld", stats["sessions"], stats["data"] + stats["bdat"], stats.get("trapped", 0))
    except (ValueError, KeyError):
        return


def _log(path, server, session, data):
    with open(path, errors="replace") as f:
        lines = [line for line in f if session.search(line) or data.search(line)]
    asked = sum(1 for line in lines if session.search(line))
    if asked or lines:
        count(server, asked, sum(1 for line in lines if data.search(line)))


def scan(directory):
    for folder, _, files in os.walk(directory, onerror=lambda _: None):
        for name in files:
            path = os.path.join(folder, name)
            if name == "stats.json":
                _mailworld(path)
            elif name == "maillog":
                with open(path, errors="replace") as f:
                    ended = [m[1] for m in map(POSTFIX.search, f) if m]
                if ended:
                    count("Postfix", len(ended), sum(1 for e in ended if POSTFIX_DATA.search(e)))
            elif name == "mainlog":
                _log(path, "Exim", EXIM_SESSION, EXIM_DATA)
            elif name == "out":
                _log(path, "OpenSMTPD", OPENSMTPD_SESSION, OPENSMTPD_DATA)


def report():
    """(lines for the screen, whether anybody saw what must never be)."""
    lines = [f"{server}: {row['asked']} sessions at {row['servers']} server(s), DATA or BDAT in {row['data']}, "
             f"{row['trapped']} connections to forbidden addresses" for server, row in sorted(totals.items())]
    return lines, any(row["data"] or row["trapped"] for row in totals.values())
