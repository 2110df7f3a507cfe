"""A real Postfix as the receiving side: Debian's package, unpacked and not installed, on one loopback address, with its own log."""
import os
import re
import shutil

from . import debs
from .process import Process, wait_until

MAIN = """compatibility_level = 3.6
queue_directory = {dir}/spool
data_directory = {dir}/data
command_directory = {root}/usr/sbin
daemon_directory = {root}/usr/lib/postfix/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {dir}/etc
import_environment = MAIL_CONFIG MAIL_LOGTAG TZ LANG=C LD_LIBRARY_PATH
mail_owner = postfix
setgid_group = postdrop
syslog_name = postfix
maillog_file = {dir}/maillog
maillog_file_prefixes = {dir}
myhostname = {host}
mydestination =
local_recipient_maps =
mynetworks = 127.0.0.1/32
inet_interfaces = all
inet_protocols = ipv4
smtpd_peername_lookup = no
virtual_mailbox_domains = {domains}
virtual_mailbox_maps = texthash:{dir}/etc/mailboxes
virtual_transport = discard:
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = {restrictions}
"""

# postgrey answers DEFER_IF_PERMIT: whom a later restriction refuses for good hears of that, and the rest are greylisted.
GREYLISTED = "check_policy_service inet:127.0.0.1:{policy}, reject_unlisted_recipient, permit"

# postscreen(8) in front: a client passes once it has been through the tests behind the greeting.
POSTSCREEN = """postscreen_greet_wait = 1s
postscreen_greet_action = enforce
postscreen_pipelining_enable = yes
postscreen_pipelining_action = enforce
postscreen_access_list = permit_mynetworks
postscreen_cache_map = btree:$data_directory/postscreen_cache
"""

PLAIN_FRONT = "{address}:{port} inet n - n - - smtpd\n"
POSTSCREEN_FRONT = """{address}:{port} inet n - n - 1 postscreen
smtpd pass - - n - - smtpd
dnsblog unix - - n - 0 dnsblog
tlsproxy unix - - n - 0 tlsproxy
"""
MASTER = """pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
proxymap unix - - n - - proxymap
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


def unpack():
    """Debian's postfix, and the users that it stands on."""
    root = debs.unpack("postfix", ["postfix"])
    debs.user("postfix", group="postdrop")
    return root


class Postfix:
    """`mailboxes`: addresses that exist; "@domain" makes a catch-all. `policy`: port of a greylisting policy service."""

    def __init__(self, directory, address, port, domains, mailboxes, host="mx.known.test", policy=None, postscreen=False):
        assert os.geteuid() == 0, "Postfix drops privileges itself and must be started by root: run make test as root"
        self.dir, self.address, self.port = directory, address, port
        self.root = unpack()
        shutil.rmtree(directory, ignore_errors=True)
        for d in ("etc", "spool", "data"):
            os.makedirs(f"{directory}/{d}")
        debs.reachable(directory)  # Postfix's own user must reach its directories
        shutil.chown(f"{directory}/data", "postfix")
        fields = {"dir": directory, "root": self.root, "host": host, "domains": ", ".join(domains), "address": address,
                  "port": port,
                  "restrictions": GREYLISTED.format(policy=policy) if policy else "reject_unlisted_recipient, permit"}
        with open(f"{directory}/etc/main.cf", "w") as f:
            f.write(MAIN.format(**fields) + (POSTSCREEN if postscreen else ""))
        with open(f"{directory}/etc/master.cf", "w") as f:
            f.write((POSTSCREEN_FRONT if postscreen else PLAIN_FRONT).format(**fields) + MASTER)
        with open(f"{directory}/etc/mailboxes", "w") as f:
            f.writelines(f"{m} x\n" for m in mailboxes)
        for d in "active bounce corrupt defer deferred flush hold incoming private saved trace".split():
            os.mkdir(f"{directory}/spool/{d}", 0o700)
            shutil.chown(f"{directory}/spool/{d}", "postfix")
        for d, mode in (("maildrop", 0o730), ("public", 0o710)):
            os.mkdir(f"{directory}/spool/{d}")
            os.chmod(f"{directory}/spool/{d}", mode)
            shutil.chown(f"{directory}/spool/{d}", "postfix", "postdrop")
        os.mkdir(f"{directory}/spool/pid")
        self.process = None

    def start(self):
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MAIL_CONFIG": f"{self.dir}/etc",
               "LD_LIBRARY_PATH": f"{self.root}/usr/lib/postfix"}
        self.process = Process([f"{self.root}/usr/lib/postfix/sbin/master", "-c", f"{self.dir}/etc", "-d"],
                               f"{self.dir}/out", env=env)
        wait_until("Postfix's greeting", self._greets, 60, 0.1)
        return self

    def _greets(self):
        assert self.process.alive(), "Postfix ended:\n" + self.process.said() + self.log()[-3000:]
        return debs.greets(self.address, self.port)

    def log(self):
        try:
            with open(f"{self.dir}/maillog", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def sessions(self):
        """[(client IP, {command: count})] of every ended session, from Postfix's own `disconnect` lines."""
        found = []
        for ip, rest in re.findall(r"disconnect from \S+\[([0-9a-f.:]+)\] (.*)", self.log()):
            counts = dict(re.findall(r"(\w+)=([0-9/]+)", rest))
            found.append((ip, counts))
        return found

    def stop(self):
        if self.process:
            self.process.stop()
