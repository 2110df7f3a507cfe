"""postgrey, the greylisting policy service that most Postfix servers run: Debian's package, unpacked, with a delay of its own setting."""
import glob
import os
import re
import shutil
import signal

from . import debs
from .process import Process, answers, free_port, wait_until

PACKAGES = ["postgrey", "libnet-server-perl", "libio-multiplex-perl", "libberkeleydb-perl", "libnetaddr-ip-perl", "libnet-dns-perl",
            "libdigest-hmac-perl", "libsocket6-perl", "libio-socket-inet6-perl", "libnet-cidr-perl", "libregexp-ipv6-perl"]


def unpack():
    return debs.unpack("postgrey", PACKAGES)


class Postgrey:
    """`delay` seconds; `whitelist_after` passes a client address is let through for good (0: never)."""

    def __init__(self, directory, delay, whitelist_after=0):
        debs.user("postgrey")
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        # It loads modules after it has given up root, and the checkout may stand where nobody else may go (below /root).
        self.root = f"{directory}/root"
        shutil.copytree(unpack(), self.root, symlinks=True)
        debs.reachable(directory)
        shutil.chown(directory, "postgrey", "postgrey")
        for name in ("clients", "recipients"):
            open(f"{directory}/{name}", "w").close()
        self.dir, self.port = directory, free_port()
        self.argv = ["perl", "-T", f"-I{self.root}/usr/share/perl5"]
        self.argv += [f"-I{d}" for d in glob.glob(f"{self.root}/usr/lib/*/perl5/5.*")]
        self.argv += [f"{self.root}/usr/sbin/postgrey", f"--inet=127.0.0.1:{self.port}", f"--dbdir={directory}",
                      f"--whitelist-clients={directory}/clients", f"--whitelist-recipients={directory}/recipients",
                      f"--pidfile={directory}/pid", "--hostname=mx.test", f"--delay={delay}",
                      f"--auto-whitelist-clients={whitelist_after}"]
        self.process = None

    def start(self):
        self.process = Process(self.argv, f"{self.dir}/log", env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        wait_until("postgrey to answer", self._answers, 30, 0.1)
        return self

    def _answers(self):
        assert self.process.alive(), "postgrey ended:\n" + self.process.said()[-3000:]
        return answers("127.0.0.1", self.port)

    def asked(self):
        """[(recipient, client address, let through)] in order, from its own log."""
        found = []
        for line in self.process.said().splitlines():
            said = dict(re.findall(r"(\w+)=([^,]*)(?:, |$)", line))
            if "action" in said and "recipient" in said:
                found.append((said["recipient"], said["client_address"], said["action"] == "pass"))
        return found

    def stop(self):
        if self.process:
            self.process.stop(signal.SIGKILL)  # it may take a minute over a polite signal, and nobody needs its files
