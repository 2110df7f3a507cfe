"""What an operator gets wrong: one sentence that names it and says what to do, and an exit status that is not 0. What breaks at run
time is said in /readyz, and mends itself."""
import os
import signal
import socket
import subprocess

import pytest
from support.fleet import Fleet, lanes
from support.kafka import Kafka
from support.postgres import Postgres
from support.process import BIN, Process, free_port, wait_until


def run(program, timeout=90, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ROLLCALL_")}
    clean.update({"ROLLCALL_" + k: v for k, v in env.items()})
    return subprocess.run([f"{BIN}/{program}"], env=clean, capture_output=True, text=True, timeout=timeout)


def last_words(result):
    """What it said last on standard error; its exit status must not be 0."""
    assert result.returncode not in (0, None), result.stderr
    assert result.returncode > 0, f"killed by signal {-result.returncode}"
    lines = [line for line in result.stderr.strip().splitlines() if line]
    assert lines, "it ended without a word"
    return lines[-1]


def test_no_database():
    said = last_words(run("rollcall-coordinator", DATABASE="host=127.0.0.1 port=1 dbname=rollcall user=x", BROKERS="127.0.0.1:1",
                          DATABASE_WAIT="1s"))
    assert "127.0.0.1" in said and "database" in said.lower() and "ROLLCALL_DATABASE" in said, said


def test_wrong_credentials(work, stopping):
    postgres = Postgres(f"{work}/postgres").start()
    stopping.append(postgres)
    said = last_words(run("rollcall-coordinator", DATABASE=f"host=127.0.0.1 port={postgres.port} dbname=rollcall user=rollcall "
                          "password=wrong", BROKERS="127.0.0.1:1", DATABASE_WAIT="20s"))
    assert "password" in said and "ROLLCALL_DATABASE" in said, said


def test_a_newer_schema_is_refused(work, stopping):
    postgres = Postgres(f"{work}/postgres").start()
    stopping.append(postgres)
    env = {k: v for k, v in os.environ.items() if not k.startswith("ROLLCALL_")}
    env["ROLLCALL_DATABASE"] = postgres.conninfo
    subprocess.run([f"{BIN}/rollcall-coordinator", "migrate"], env=env, check=True, timeout=60)
    with postgres.connect() as c:
        c.cursor().execute("INSERT INTO rollcall.schema_version (version, name) VALUES (9999, 'from the future')")
    again = subprocess.run([f"{BIN}/rollcall-coordinator", "migrate"], env=env, capture_output=True, text=True, timeout=60)
    assert "9999" in last_words(again)


def test_a_port_in_use(work, stopping):
    postgres = Postgres(f"{work}/postgres").start()
    stopping.append(postgres)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = last_words(run("rollcall-coordinator", DATABASE=postgres.conninfo, BROKERS="127.0.0.1:1",
                              LISTEN=f"127.0.0.1:{port}"))
    assert str(port) in said and "ROLLCALL_LISTEN" in said, said


def test_no_broker():
    said = last_words(run("rollcall-worker", BROKERS="127.0.0.1:1", LANES=lanes(1), BROKER_WAIT="2s"))
    assert "127.0.0.1:1" in said and "ROLLCALL_BROKERS" in said, said


def test_an_address_that_the_machine_lacks():
    said = last_words(run("rollcall-worker", BROKERS="127.0.0.1:1", LANES="far=192.0.2.77/probe.sender.test"))
    assert "192.0.2.77" in said and "ROLLCALL_LANES" in said, said


@pytest.mark.parametrize("value, names", [
    ("a=127.0.0.9/h.test b=127.0.0.9/i.test", "`a` and `b` both bind 127.0.0.9"),
    ("a=127.0.0.9/h.test a=127.0.0.8/i.test", "`a`"),
    ("a=127.0.0.9/h.test b=127.0.0.8/not_a_host!", "not_a_host!"),
    ("a=127.0.0.9/h.test nonsense", "nonsense"),
])
def test_a_lane_that_makes_no_sense_is_set_aside(value, names):
    """The others go on: until they meet that there is no broker."""
    result = run("rollcall-worker", BROKERS="127.0.0.1:1", LANES=value, BROKER_WAIT="1s")
    aside = [line for line in result.stderr.splitlines() if "lane_set_aside" in line]
    assert len(aside) == 1 and names in aside[0] and "ROLLCALL_LANES" in aside[0], result.stderr
    assert "ROLLCALL_BROKERS" in last_words(result)


@pytest.mark.parametrize("value, names", [
    ("a=127.0.0.9/not_a_host!", "not_a_host!"),
    ("a=127.0.0.999/h.test", "127.0.0.999"),
    ("nonsense", "nonsense"),
])
def test_lanes_that_make_no_sense(value, names):
    said = last_words(run("rollcall-worker", BROKERS="127.0.0.1:1", LANES=value))
    assert names in said and "ROLLCALL_LANES" in said, said


def test_an_unknown_option_is_named():
    said = subprocess.run([f"{BIN}/rollcall-worker", "--lains=x"], capture_output=True, text=True, timeout=30)
    assert said.returncode != 0 and "--lains" in said.stderr


def test_kafka_and_postgresql_go_and_come_back(work, stopping):
    kafka = Kafka(f"{work}/kafka").start()
    stopping.append(kafka)
    postgres = Postgres(f"{work}/postgres").start()
    stopping.append(postgres)
    fleet = Fleet(f"{work}/data", LANES=lanes(1), UNSAFE_LANES="on", ALLOW_TARGETS="127.0.0.0/8", BROKERS=kafka.brokers,
                  DATABASE=postgres.conninfo).start()
    stopping.append(fleet)

    def lacks(word):
        status, body = fleet.get("/readyz", key=False)
        return status == 503 and word in str(body).lower() and body

    kafka.stop()
    print(wait_until("/readyz to miss the broker", lambda: lacks("broker"), 60, 0.1))
    kafka.start()
    wait_until("/readyz to be content again", fleet.ready, 90, 0.1)

    postgres.process.stop(signal.SIGINT)
    print(wait_until("/readyz to miss the database", lambda: lacks("database"), 60, 0.1))
    postgres.run()
    wait_until("/readyz to be content again", fleet.ready, 90, 0.1)
