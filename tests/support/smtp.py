"""A mail server of a few lines, for what mailworld is too honest for: it can keep replies back, and knows which process asks."""
import os
import socket
import threading
import time


def owner_of(port):
    """The process whose socket has local `port`; None: nobody's any more."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as f:
            lines = [line.split() for line in f][1:]
        for fields in lines:
            if int(fields[1].rsplit(":", 1)[1], 16) != port or fields[9] == "0":
                continue
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    for fd in os.listdir(f"/proc/{pid}/fd"):
                        if os.readlink(f"/proc/{pid}/fd/{fd}") == f"socket:[{fields[9]}]":
                            return int(pid)
                except OSError:
                    continue
    return None


class Session:
    def __init__(self, source, pid):
        self.source, self.pid = source, pid
        self.commands = []      # (monotonic seconds, line)
        self.waiting = False    # its reply is kept back
        self.open = True


class Server:
    """`people`: local parts that exist. Replies to RCPT wait while `held`, until `release()`."""

    def __init__(self, address, port, people=(), greeting="220 mx.test ESMTP"):
        self.people = set(people)
        self.greeting = greeting
        self.blocked = {}  # source: what it is told at RCPT, whomever it asks for
        self.held = False
        self.go = threading.Event()
        self.sessions = []
        self.port = port
        self.socket = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        threading.Thread(target=self._accept, daemon=True).start()

    def release(self):
        self.go.set()

    def stop(self):
        self.go.set()
        self.socket.close()

    def _accept(self):
        while True:
            try:
                connection, peer = self.socket.accept()
            except OSError:
                return
            session = Session(peer[0], owner_of(peer[1]))
            self.sessions.append(session)
            threading.Thread(target=self._talk, args=(connection, session), daemon=True).start()

    def _reply(self, session, line):
        word = line[:4].upper()
        if word == "RCPT" and session.source in self.blocked:
            return self.blocked[session.source]
        if word == "RCPT":
            local = line.split("<", 1)[1].split("@", 1)[0]
            return "250 2.1.5 Ok" if local in self.people else "550 5.1.1 User unknown"
        return {"QUIT": "221 2.0.0 Bye", "DATA": "502 5.5.1 No"}.get(word, "250 2.0.0 Ok")

    def _talk(self, connection, session):
        try:
            connection.sendall(self.greeting.encode() + b"\r\n")
            with connection.makefile("rb") as lines:
                for raw in lines:
                    line = raw.decode(errors="replace").strip()
                    session.commands.append((time.monotonic(), line))
                    if self.held and line.upper().startswith("RCPT"):
                        session.waiting = True
                        self.go.wait()
                        session.waiting = False
                    connection.sendall(self._reply(session, line).encode() + b"\r\n")
        except OSError:
            pass
        session.open = False
        connection.close()
