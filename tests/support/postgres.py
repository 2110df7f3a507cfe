"""A real PostgreSQL cluster, private to the run: own directory, own Unix socket, a port, no contact with the machine's own."""
import glob
import os
import pwd
import shutil
import signal
import subprocess

import psycopg2

from .process import Process, free_port, wait_until


def bin_dir():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: int(p.split("/")[-2]))
    assert found, "no PostgreSQL server under /usr/lib/postgresql: run tools/setup test"
    return found[-1]


def as_postgres():
    """Popen arguments that give up root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return {}
    who = pwd.getpwnam("postgres")
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


class Postgres:
    def __init__(self, directory):
        self.dir = directory
        self.port = free_port()
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres", "postgres")
        # TCP with a password, as a fleet of several machines would have it
        self.password = "roll'call secret"
        pwfile = os.path.join(directory, "password")
        with open(pwfile, "w") as f:
            f.write(self.password)
        if os.geteuid() == 0:
            shutil.chown(pwfile, "postgres", "postgres")
        subprocess.run([f"{bin_dir()}/initdb", "-D", f"{directory}/data", "-U", "rollcall", "--pwfile", pwfile, "-A",
                        "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"], check=True, stdout=subprocess.DEVNULL,
                       cwd="/", **as_postgres())
        self.process = None

    def start(self):
        self.run()
        connection = self.connect("postgres")
        connection.autocommit = True
        connection.cursor().execute("CREATE DATABASE rollcall")
        connection.close()
        return self

    def run(self):
        self.process = Process([f"{bin_dir()}/postgres", "-D", f"{self.dir}/data", "-p", str(self.port), "-c",
                                "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.dir}"],
                               os.path.join(self.dir, "log") if os.geteuid() else f"{self.dir}.log", cwd="/", **as_postgres())
        wait_until("PostgreSQL to answer", self._answers, 60)

    def _answers(self):
        assert self.process.alive(), "PostgreSQL ended:\n" + self.process.said()[-3000:]
        try:
            self.connect("postgres").close()
            return True
        except psycopg2.OperationalError:
            return False

    def connect(self, database="rollcall"):
        return psycopg2.connect(host="127.0.0.1", port=self.port, user="rollcall", password=self.password, dbname=database)

    @property
    def conninfo(self):
        quoted = self.password.replace("\\", "\\\\").replace("'", "\\'")
        return f"host=127.0.0.1 port={self.port} user=rollcall password='{quoted}' dbname=rollcall"

    def stop(self):
        if self.process:
            self.process.stop(signal.SIGINT)
