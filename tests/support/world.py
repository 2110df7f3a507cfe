"""mailworld: the simulated mail internet, as a child of the test."""
import json
import os
import signal
import subprocess

from .process import BIN, Process, free_port, wait_until


class World:
    """A world of `flags` (a dict of mailworld's own options); writes its list and its truth, then serves them."""

    def __init__(self, directory, **flags):
        os.makedirs(directory, exist_ok=True)
        self.list = os.path.join(directory, "list.csv")
        self.truth = os.path.join(directory, "truth.csv")
        self.stats_file = os.path.join(directory, "stats.json")
        self.smtp_port, self.dns_port = free_port(), free_port()
        made = [f"--{k.replace('_', '-')}={v}" for k, v in flags.items()]
        subprocess.run([f"{BIN}/mailworld", *made, f"--write-list={self.list}", f"--truth={self.truth}"], check=True,
                       stdout=subprocess.DEVNULL)
        self.process = Process([f"{BIN}/mailworld", *made, f"--dns=127.0.0.1:{self.dns_port}", f"--smtp-port={self.smtp_port}",
                                f"--stats={self.stats_file}"], os.path.join(directory, "mailworld.log"))
        self.process.wait_for("mailworld ready")

    @property
    def env(self):
        """The ROLLCALL_* settings (without prefix) that point a fleet at this world."""
        return {"DNS": f"127.0.0.1:{self.dns_port}", "SMTP_PORT": self.smtp_port, "ALLOW_TARGETS": "127.64.0.0/10",
                "UNSAFE_LANES": "on", "PACE": "off"}

    def stats(self):
        """mailworld's counters, as of now."""
        try:
            before = os.stat(self.stats_file).st_mtime_ns
        except FileNotFoundError:
            before = 0
        self.process.popen.send_signal(signal.SIGUSR1)

        def written():
            try:
                return os.stat(self.stats_file).st_mtime_ns != before
            except FileNotFoundError:
                return False
        wait_until("mailworld's counters", written, 10, 0.01)
        with open(self.stats_file) as f:
            return json.load(f)

    def stop(self):
        self.process.stop()
