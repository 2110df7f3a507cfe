"""Child processes of a test: started in a group of their own, watched by their output, never outliving the run."""
import ctypes
import os
import signal
import socket
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("ROLLCALL_TEST_BUILD", os.path.join(ROOT, "build", "release"))
BIN = os.path.join(BUILD, "bin")
WORK = os.environ.get("ROLLCALL_TEST_DIR", "/var/tmp/rollcall-test")

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port(address="127.0.0.1"):
    with socket.socket() as s:
        s.bind((address, 0))
        return s.getsockname()[1]


def wait_until(what, condition, timeout=60.0, every=0.05):
    """Polls `condition` until it is true; fails with `what` after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout:.0f} s in vain for {what}")
        time.sleep(every)


def answers(address, port):
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


class Process:
    """One child with its log file; `stop()` is safe at any time and may be called twice."""

    def __init__(self, argv, log, env=None, **popen):
        self.log = log
        os.makedirs(os.path.dirname(log), exist_ok=True)
        self._out = open(log, "ab")
        self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self._out, stderr=subprocess.STDOUT,
                                      env=env, start_new_session=True, preexec_fn=die_with_parent, **popen)

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def said(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def wait_for(self, text, timeout=60.0):
        def seen():
            if text in self.said():
                return True
            if not self.alive():
                raise AssertionError(f"{self.popen.args[0]} ended with {self.popen.returncode} before it said {text!r}:\n"
                                     + self.said()[-3000:])
            return False
        wait_until(f"{text!r} in {self.log}", seen, timeout)

    def stop(self, sig=signal.SIGTERM, timeout=30.0):
        if self.alive():
            self.popen.send_signal(sig)
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self.popen.wait()
                raise AssertionError(f"{self.popen.args[0]} did not end within {timeout:.0f} s; log: {self.log}")
        self._out.close()
        return self.popen.returncode


def descendants(pid):
    """{pid: command line} of every process below `pid`."""
    parents, names = {}, {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as f:
                stat = f.read()
            with open(f"/proc/{entry}/cmdline") as f:
                names[int(entry)] = f.read().replace("\0", " ").strip()
        except OSError:
            continue
        fields = stat.rsplit(")", 1)[1].split()
        if fields[0] != "Z":
            parents[int(entry)] = int(fields[1])
    found, todo = {}, [pid]
    while todo:
        parent = todo.pop()
        for child, of in parents.items():
            if of == parent and child not in found:
                found[child] = names.get(child, "")
                todo.append(child)
    return found
