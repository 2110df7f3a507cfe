"""A worker without a coordinator: tests/bench/feeder leads it. For what is between one worker and its servers only."""
import collections
import os
import select
import socket
import subprocess
import threading
import time

from .process import BIN, Process, wait_until

BENCH_BIN = os.environ.get("ROLLCALL_BENCH_BIN", BIN)


def targets(path, **world):
    """Writes the targets of such a world to `path`; returns the first one's address and domain, which the others count on from."""
    flags = [f"--{k}={v}" for k, v in world.items()]
    subprocess.run([f"{BIN}/mailworld", *flags, f"--write-targets={path}"], check=True, stdout=subprocess.DEVNULL)
    with open(path) as f:
        address, *_, recipient = f.readline().split()
    return address, recipient.split("@")[1]


class Worker:
    """One worker, on an embedded broker of its own."""

    def __init__(self, directory, port, core=None, source="127.10.1.1", **more):
        os.makedirs(directory, exist_ok=True)
        pin = ["taskset", "-c", "1"] if core is not None else []
        self.address = f"{directory}/broker"
        self.broker = Process([*pin, f"{BIN}/rollcall-broker", f"--address-file={self.address}"], f"{directory}/broker.log")
        self.broker.wait_for("ready")
        env = {k: v for k, v in os.environ.items() if not k.startswith("ROLLCALL_")}
        env.update(ROLLCALL_BROKERS="@" + self.address, ROLLCALL_LANES=f"bench={source}/probe.bench.test",
                   ROLLCALL_SMTP_PORT=str(port), ROLLCALL_ALLOW_TARGETS="127.0.0.0/8", ROLLCALL_PACE="off",
                   ROLLCALL_UNSAFE_LANES="on", ROLLCALL_DNS="127.0.0.1:1", **{"ROLLCALL_" + k: v for k, v in more.items()})
        pin = ["taskset", "-c", str(core)] if core is not None else []
        self.process = Process([*pin, f"{BIN}/rollcall-worker"], f"{directory}/worker.log", env=env)
        self.process.wait_for(" started ")

    def feed(self, *flags, **popen):
        with open(self.address) as f:
            brokers = f.read().strip()
        return subprocess.Popen(["taskset", "-c", "1", f"{BENCH_BIN}/bench-feeder", f"--brokers={brokers}", *flags],
                                stdout=subprocess.PIPE, text=True, **popen)

    def stop(self):
        self.process.stop()
        self.broker.stop()


class Trickle(threading.Thread):
    """Servers that send one octet of a greeting every so many seconds, and never come to its end."""

    def __init__(self, address, port, every=1):
        super().__init__(daemon=True)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.socket.listen(4096)
        self.socket.setblocking(False)
        self.address, self.every = address, every
        self.open, self.sent, self.gone = [], [], set()  # peers, the octets that each has had, those that have hung up
        self.start()

    def hold(self, worker, count):
        """Has `count` sessions of the worker's at once; they are let go where what is returned is terminated."""
        holder = worker.feed("--first=1000000", f"--shards={count}", "--recipients=1", f"--mx-first={self.address}", "--mx-count=1",
                             f"--window={count}", "--hold")
        wait_until(f"{count} slow servers to have us", lambda: len(self.open) >= count, 120)
        return holder

    def wait_octets(self, n):
        """Until each has sent `n` octets more."""
        until = [sent + n for sent in self.sent]
        wait_until("each to have sent", lambda: all(sent >= least for sent, least in zip(self.sent, until)), 60)

    def alive(self):
        return len(self.open) - len(self.gone)

    def run(self):
        coming = select.poll()
        coming.register(self.socket, select.POLLIN)
        due = collections.deque()  # (when, whose turn it is): all wait as long, so that they stay in order
        while True:
            wait = max(0, due[0][0] - time.monotonic()) if due else None
            if coming.poll(wait and 1000 * wait):
                self.accept(due)
            while due and due[0][0] <= time.monotonic():
                when, n = due.popleft()
                self.send(n)
                due.append((when + self.every, n))

    def accept(self, due):
        try:
            while True:
                peer = self.socket.accept()[0]
                self.sent.append(0)
                self.open.append(peer)
                due.append((time.monotonic() + self.every, len(self.open) - 1))
        except BlockingIOError:
            pass

    def send(self, n):
        try:
            self.open[n].send(b"220-"[self.sent[n]:self.sent[n] + 1] or b"x")
        except OSError:
            self.gone.add(n)
        self.sent[n] += 1
