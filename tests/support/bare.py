"""A worker without a coordinator: tests/bench/feeder leads it. For what is between one worker and its servers only."""
import os
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
        self.address, self.every, self.sent = address, every, 0
        self.open, self.since, self.gone = [], [], set()  # peers, the round each came in, those that have hung up
        self.start()

    def hold(self, worker, count):
        """Has `count` sessions of the worker's at once; they are let go where what is returned is terminated."""
        holder = worker.feed("--first=1000000", f"--shards={count}", "--recipients=1", f"--mx-first={self.address}", "--mx-count=1",
                             f"--window={count}", "--hold")
        wait_until(f"{count} slow servers to have us", lambda: len(self.open) >= count, 120)
        return holder

    def wait_rounds(self, n):
        """Until each has sent `n` octets more."""
        until = self.sent + n + 1  # the round that is under way may have passed some
        wait_until("each to have sent", lambda: self.sent >= until, 60)

    def alive(self):
        return len(self.open) - len(self.gone)

    def run(self):
        while True:
            end = time.monotonic() + self.every
            try:
                while True:
                    self.open.append(self.socket.accept()[0])
                    self.since.append(self.sent)
            except BlockingIOError:
                pass
            for n, (peer, since) in enumerate(zip(self.open, self.since)):
                at = self.sent - since
                try:
                    peer.send(b"220-"[at:at + 1] or b"x")
                except OSError:
                    self.gone.add(n)
                if n % 200 == 0:  # spread over most of the time
                    time.sleep(0.01 * self.every)
            self.sent += 1
            time.sleep(max(0, end - time.monotonic()))
