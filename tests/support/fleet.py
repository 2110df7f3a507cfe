"""`rollcall up` and its clients, as a user runs them."""
import csv
import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request

import psycopg2

from .process import BIN, ROOT, Process, descendants, wait_until

ROLES = {"worker": "rollcall-worker", "coordinator": "rollcall-coordinator", "broker": "rollcall-broker", "postgres": "postgres"}


def lanes(count=2, first=10):
    """A ROLLCALL_LANES value of `count` loopback identities."""
    return " ".join(f"lane-{i}=127.{first}.{i}.1/probe{i}.sender.test" for i in range(1, count + 1))


class Fleet:
    """One `rollcall up`. `env`: ROLLCALL_* settings without the prefix."""

    def __init__(self, directory, fresh=True, **env):
        self.data = directory
        if fresh:
            shutil.rmtree(directory, ignore_errors=True)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("ROLLCALL_")}
        self.env["ROLLCALL_DATA"] = directory
        self.env["ROLLCALL_LISTEN"] = "127.0.0.1:0"
        self.env.update({"ROLLCALL_" + k: str(v) for k, v in env.items()})
        self.process = None

    def start(self, ready=True):
        os.makedirs(os.path.dirname(self.data), exist_ok=True)
        self.process = Process([f"{BIN}/rollcall", "up", "--data", self.data], self.data.rstrip("/") + ".log", env=self.env)
        if ready:
            wait_until("the fleet to be ready", self.ready, 90, 0.1)
        return self

    def ready(self):
        assert self.process.alive(), "rollcall up ended:\n" + self.process.said()[-4000:]
        try:
            return self.get("/readyz", key=False)[0] == 200
        except (OSError, FileNotFoundError):
            return False

    @property
    def url(self):
        with open(f"{self.data}/url") as f:
            return f.read().strip()

    @property
    def key(self):
        with open(f"{self.data}/key") as f:
            return f.read().strip()

    def request(self, method, path, body=None, key=True, headers=None):
        """(status, parsed JSON or text)."""
        r = urllib.request.Request(self.url + path, data=body, method=method, headers=dict(headers or {}))
        if key:
            r.add_header("Authorization", "Bearer " + self.key)
        try:
            with urllib.request.urlopen(r, timeout=60) as a:
                status, text = a.status, a.read().decode()
        except urllib.error.HTTPError as e:
            status, text = e.code, e.read().decode()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def get(self, path, key=True):
        return self.request("GET", path, key=key)

    def cli(self, *args, stdin=None, timeout=600, check=False):
        """Runs `rollcall ARGS` against this fleet."""
        r = subprocess.run([f"{BIN}/rollcall", *args], env=self.env, capture_output=True, text=True, timeout=timeout,
                           stdin=subprocess.DEVNULL if stdin is None else None, input=stdin)
        if check:
            assert r.returncode == 0, f"rollcall {' '.join(args)}: exit {r.returncode}\n{r.stdout[-2000:]}\n{r.stderr[-4000:]}"
        return r

    def verify_in_background(self, path, out):
        return Process([f"{BIN}/rollcall", "verify", path, "-o", out], out + ".log", env=self.env)

    def pids(self, role):
        """The processes of a role below `up`; of PostgreSQL the postmaster only."""
        found = []
        for pid, line in descendants(self.process.pid).items():
            program = os.path.basename(line.split(" ")[0]) if line else ""
            if program == ROLES[role]:
                found.append(pid)
        return found

    def kill(self, role):
        pids = self.pids(role)
        assert pids, f"no {role} process under rollcall up"
        os.kill(pids[0], signal.SIGKILL)
        return pids[0]

    def stop(self, sig=signal.SIGINT):
        if self.process:
            below = descendants(self.process.pid) if self.process.alive() else {}
            self.process.stop(sig, timeout=60)
            left = {p: line for p, line in below.items() if os.path.exists(f"/proc/{p}/exe")}
            wait_until("every process of the fleet to end",
                       lambda: not [p for p in left if os.path.exists(f"/proc/{p}/exe") and os.readlink(f"/proc/{p}/exe")], 10)

    def database(self):
        """A psycopg2 connection to the fleet's database, whose place `rollcall up` wrote down."""
        if "ROLLCALL_DATABASE" in self.env:
            c = psycopg2.connect(self.env["ROLLCALL_DATABASE"])
        else:
            with open(f"{self.data}/database") as f:
                c = psycopg2.connect(f.read().strip())
        c.autocommit = True
        c.cursor().execute("SET search_path = rollcall")
        return c


def compare(truth, results, stats=None):
    """The table of verdict against truth; fails when a row is wrong. The table goes to the test's output, and back to the caller."""
    r = subprocess.run([f"{ROOT}/tools/demo-table", truth, results, *([stats] if stats else [])], capture_output=True, text=True)
    print(r.stdout, r.stderr)
    assert r.returncode == 0, r.stdout[-12000:] + r.stderr[-2000:]
    return r.stdout


def rows(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))
