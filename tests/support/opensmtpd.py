"""A real OpenSMTPD with a greylisting filter, which answers before the server looks for the recipient."""
import os
import re
import shutil
import subprocess
import sys

from . import debs
from .process import Process, wait_until

PACKAGE = "opensmtpd"

CONF = """table rcpts file:{dir}/rcpts
table anyvirt {{ "@" = nobody }}
filter grey proc-exec "{python} {dir}/grey.py {delay} {dir}/asked"
listen on {address} port {port} hostname {host} filter grey
action sink mda "/bin/cat >/dev/null" virtual <anyvirt>
match from any for rcpt-to <rcpts> action sink
"""

# OpenSMTPD's filter protocol (smtpd-filters(7)): greylists by /24, sender and recipient, and writes down who asked.
FILTER = '''import sys, time
delay, log = float(sys.argv[1]), open(sys.argv[2], "a", buffering=1)
seen, client, sender = {}, {}, {}
def out(s):
    sys.stdout.write(s + "\\n")
    sys.stdout.flush()
for line in sys.stdin:
    f = line.rstrip("\\n").split("|")
    if f[0] == "config" and f[1] == "ready":
        for what in ("report|smtp-in|link-connect", "filter|smtp-in|mail-from", "filter|smtp-in|rcpt-to"):
            out("register|" + what)
        out("register|ready")
    elif f[0] == "report" and f[4] == "link-connect":
        client[f[5]] = f[8].rsplit(":", 1)[0]
    elif f[0] == "filter":
        session, token, argument, result = f[5], f[6], "|".join(f[7:]), "proceed"
        if f[4] == "mail-from":
            sender[session] = argument
        else:
            ip = client.get(session, "")
            first = seen.setdefault((ip.rsplit(".", 1)[0], sender.get(session), argument), time.time())
            if time.time() - first < delay:
                result = "reject|451 4.7.1 Greylisted, come back later"
            log.write("%s %s %s\\n" % (argument.strip("<>"), ip, "passed" if result == "proceed" else "greylisted"))
        out("filter-result|%s|%s|%s" % (session, token, result))
'''

# smtpd's paths are compiled in: a mount namespace of its own gives it its own spool, socket and helpers.
START = """mount -t tmpfs -o mode=755 t /var/spool && mkdir -m 711 /var/spool/smtpd && mount -t tmpfs -o mode=755 t /run &&
mount --bind {root}/usr/libexec /usr/libexec && exec {root}/usr/sbin/smtpd -d -f {dir}/smtpd.conf"""


def unpack():
    """7 and later; Debian 12's own (6.8) cannot do TLS with today's OpenSSL, its backports' can."""
    candidate = subprocess.run(["apt-cache", "policy", PACKAGE], capture_output=True, text=True).stdout
    found = re.search(r"Candidate: (\d+)\.", candidate)
    return debs.unpack("opensmtpd", [PACKAGE], backports=None if found and int(found[1]) >= 7 else "bookworm-backports")


class OpenSmtpd:
    """`mailboxes` exist behind the greylist, which lets a (network, sender, recipient) through `delay` seconds after it first asked."""

    def __init__(self, directory, address, port, mailboxes, delay, host="mx.opensmtpd.test"):
        assert os.geteuid() == 0, "OpenSMTPD drops privileges itself and must be started by root: run make test as root"
        self.root = unpack()
        for name in ("opensmtpd", "opensmtpq"):
            debs.user(name)
        os.makedirs("/var/lib/opensmtpd/empty", exist_ok=True)
        os.makedirs("/usr/libexec", exist_ok=True)
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        debs.reachable(directory)
        self.dir, self.address, self.port = directory, address, port
        with open(f"{directory}/rcpts", "w") as f:
            f.writelines(f"{m}\n" for m in mailboxes)
        with open(f"{directory}/grey.py", "w") as f:
            f.write(FILTER)
        open(f"{directory}/asked", "w").close()
        os.chmod(f"{directory}/asked", 0o666)  # the filter runs as OpenSMTPD's own user
        with open(f"{directory}/smtpd.conf", "w") as f:
            f.write(CONF.format(dir=directory, python=os.path.realpath(sys.executable), address=address, port=port, host=host,
                                delay=delay))
        os.chmod(f"{directory}/smtpd.conf", 0o600)
        self.process = None

    def start(self):
        command = START.format(root=self.root, dir=self.dir)
        # In a chroot the root is no mount point, and its propagation cannot be changed; nobody else sees the mounts there either.
        private = subprocess.run(["unshare", "-m", "--propagation", "private", "true"], capture_output=True).returncode == 0
        self.process = Process(["unshare", "-m", "--propagation", "private" if private else "unchanged", "sh", "-c", command],
                               f"{self.dir}/out")
        wait_until("OpenSMTPD's greeting", self._greets, 30, 0.1)
        return self

    def _greets(self):
        assert self.process.alive(), "OpenSMTPD ended:\n" + self.process.said()[-3000:]
        return debs.greets(self.address, self.port)

    def asked(self):
        """[(recipient, client address, let through)] in order, from its filter."""
        with open(f"{self.dir}/asked") as f:
            return [(recipient, ip, word == "passed") for recipient, ip, word in (line.split() for line in f)]

    def stop(self):
        if self.process:
            self.process.stop()
