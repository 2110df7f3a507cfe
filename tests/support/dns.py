"""dnsmasq as the resolver of tests whose mail servers are real."""
import os

from .process import Process, free_port


class Dns:
    """`mx`: {domain: (host, address)}; `more`: further lines of dnsmasq's, such as ptr-record=NAME,TARGET."""

    def __init__(self, directory, mx, more=()):
        self.port = free_port()
        self.server = f"127.0.0.1:{self.port}"
        argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces",
                "--listen-address=127.0.0.1", f"--port={self.port}", "--user=root" if os.geteuid() == 0 else "--user=",
                "--pid-file=", "--log-facility=-", "--local=/test/"]
        for domain, (host, address) in mx.items():
            argv += [f"--mx-host={domain},{host},10", f"--host-record={host},{address}"]
        argv += [f"--{line}" for line in more]
        self.process = Process(argv, os.path.join(directory, "dnsmasq.log"))
        self.process.wait_for("started")

    def stop(self):
        self.process.stop()
