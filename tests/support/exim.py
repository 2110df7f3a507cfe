"""A real Exim with a greylist in its ACL, as administrators write it: an SQLite table of (network, sender, recipient)."""
import glob
import os
import re
import shutil
import sqlite3

from . import debs
from .process import Process, wait_until

CONF = """primary_hostname = {host}
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
pid_file_path = {dir}/exim.pid
exim_path = {root}/usr/sbin/exim4
exim_user = Debian-exim
exim_group = Debian-exim
never_users = root
local_interfaces = {address}
daemon_smtp_ports = {port}
disable_ipv6 = true
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
queue_only
smtp_accept_max = 200
sqlite_dbfile = {dir}/db/grey.sqlite
domainlist local = {domains}
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
begin acl
acl_rcpt:
  deny  message = relay not permitted
        domains = ! +local
  warn  set acl_m_k = ${{quote_sqlite:${{mask:$sender_host_address/24}}|$sender_address|$local_part@$domain}}
        set acl_m_t = ${{lookup sqlite {{SELECT t FROM g WHERE k='$acl_m_k';}}{{$value}}{{}}}}
  warn  condition = ${{if eq{{$acl_m_t}}{{}}}}
        set acl_m_x = ${{lookup sqlite {{INSERT OR IGNORE INTO g VALUES('$acl_m_k',$tod_epoch);}}}}
  defer condition = ${{if eq{{$acl_m_t}}{{}}{{yes}}{{${{if <{{${{eval:$tod_epoch-$acl_m_t}}}}{{{delay}}}}}}}}}
        logwrite = asked $sender_host_address greylisted $local_part@$domain
        message = 451 4.7.1 Greylisted, please come back later
  warn  logwrite = asked $sender_host_address passed $local_part@$domain
  deny  message = 550 5.1.1 <$local_part@$domain> unknown user
        ! verify = recipient
  accept
acl_data:
  discard log_message = discarded by the test's server
begin routers
known:
  driver = redirect
  condition = ${{lookup{{$local_part@$domain}}lsearch{{{dir}/users}}{{yes}}{{no}}}}
  data = :blackhole:
"""


def unpack():
    return debs.unpack("exim", ["exim4-daemon-heavy", "exim4-base", "libidn12", "libmariadb3", "libspf2-2t64|libspf2-2"])


class Exim:
    """`mailboxes` exist behind the greylist, which lets a (network, sender, recipient) through `delay` seconds after it first asked."""

    def __init__(self, directory, address, port, domains, mailboxes, delay, host="mx.exim.test"):
        assert os.geteuid() == 0, "Exim drops privileges itself and must be started by root: run make test as root"
        self.root = unpack()
        debs.user("Debian-exim")
        shutil.rmtree(directory, ignore_errors=True)
        for d in ("spool", "log", "db"):
            os.makedirs(f"{directory}/{d}")
        debs.reachable(directory)
        self.dir, self.address, self.port = directory, address, port
        with open(f"{directory}/users", "w") as f:
            f.writelines(f"{m}\n" for m in mailboxes)
        with open(f"{directory}/exim.conf", "w") as f:
            f.write(CONF.format(dir=directory, root=self.root, host=host, address=address, port=port, delay=delay,
                                domains=" : ".join(domains)))
        with sqlite3.connect(f"{directory}/db/grey.sqlite") as c:
            c.execute("CREATE TABLE g(k TEXT PRIMARY KEY, t INTEGER)")
        c.close()
        for d in ("spool", "log", "db", "db/grey.sqlite"):
            shutil.chown(f"{directory}/{d}", "Debian-exim", "Debian-exim")
        self.process = None

    def start(self):
        libraries = glob.glob(f"{self.root}/usr/lib/*-linux-gnu*") + [f"{self.root}/usr/lib"]
        self.process = Process([f"{self.root}/usr/sbin/exim4", "-C", f"{self.dir}/exim.conf", "-bdf"], f"{self.dir}/out",
                               env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": ":".join(libraries)})
        wait_until("Exim's greeting", self._greets, 30, 0.1)
        return self

    def _greets(self):
        assert self.process.alive(), "Exim ended:\n" + self.process.said() + self.log()[-3000:]
        return debs.greets(self.address, self.port)

    def log(self):
        try:
            with open(f"{self.dir}/log/mainlog", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def asked(self):
        """[(recipient, client address, let through)] in order, from its own log."""
        return [(recipient, ip, word == "passed")
                for ip, word, recipient in re.findall(r"asked (\S+) (greylisted|passed) (\S+)", self.log())]

    def stop(self):
        if self.process:
            self.process.stop()
