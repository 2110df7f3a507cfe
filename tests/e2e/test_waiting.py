"""A million addresses that wait cost nothing, and 100,000 that fall due in the same second leave as a paced stream."""
import csv
import os
import re
import shutil
import subprocess
import time
from collections import Counter, defaultdict

from support.fleet import Fleet, compare, lanes
from support.looks import wait_looks
from support.process import BIN, ROOT, wait_until
from support.world import World

WAITING = 1000000
JOBS = 100
LOOKS = 30  # of the coordinator for what is due: 6 s, and in them two sweeps of what else may wait

DUE = 100000
# The default provider of the rules that the second test gives the fleet.
CONNECTIONS, PER_MINUTE = 3, 3000
# What the leader lets out at most (ARCHITECTURE.md, the embedded broker): 3 MiB a lane, each shard taken for 700 octets and 40 a recipient.
LANE_OCTETS, SHARD_OCTETS, RECIPIENT_OCTETS = 3 << 20, 700, 40


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


class Reads:
    """Rows and blocks of the tables of waiting rows that anybody has read, by PostgreSQL's own counters."""

    def __init__(self, cursor):
        self.cursor = cursor

    def now(self):
        self.cursor.execute("SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint FROM pg_stat_user_tables"
                            " WHERE relname = 'deferred'")
        rows = self.cursor.fetchone()[0]
        self.cursor.execute("SELECT sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::bigint FROM pg_statio_user_tables"
                            " WHERE relname = 'deferred'")
        return rows, self.cursor.fetchone()[0]

    def during_looks(self):
        """(rows, blocks) for each look at all jobs, while the coordinator looks LOOKS times."""
        rows, blocks = self.now()
        looks = wait_looks(self.cursor, JOBS, LOOKS)
        rows_after, blocks_after = self.now()
        return (rows_after - rows) / looks, (blocks_after - blocks) / looks


def test_a_million_waiting_addresses_cost_nothing(work, stopping, show):
    """Neither rows read nor memory of the coordinator grow with what is not due."""
    world = World(f"{work}/world", mix="honest", domains=10, mx=2, rows=100)
    stopping.append(world)
    fleet = Fleet(f"{work}/data", **{**world.env, "LANES": lanes(2)})
    stopping.append(fleet)
    fleet.start()
    cursor = fleet.database().cursor()
    per_job = WAITING // JOBS
    waits = ("INSERT INTO deferred (job, uid, domain_no, attempt, tries, reason, first_at, due_at, lane, mx_host, mx_address)"
             " SELECT j.id, u, (u - 1) / 20 + 1, 1, 1, 0, now(), now() + interval '1 hour' + (u / 20) % 3600 * interval '1 second', 0,"
             " 'mx.waiting.test', '127.90.0.1' FROM job j, generate_series({}, {}) u WHERE j.public_id LIKE 'waiting-%'")
    cursor.execute("INSERT INTO job (public_id, tenant, state, format, row_count, item_count, domain_count)"
                   f" SELECT 'waiting-' || g, 1, 'running', 'txt', {per_job}, {per_job}, {per_job // 20} FROM generate_series(1, {JOBS}) g")
    cursor.execute("INSERT INTO job_domain (job, domain_no, domain, first_uid, n, state, mx_group, lane) SELECT j.id, d, 'd' || d || '.test',"
                   f" (d - 1) * 20 + 1, 20, 2, 'mx' || d % 100, 0 FROM job j, generate_series(1, {per_job // 20}) d WHERE j.public_id LIKE 'waiting-%'")
    # one of each job: the coordinator has the same questions as later
    cursor.execute(waits.format(1, 1))
    cursor.execute("ANALYZE")
    # autovacuum reads blocks as well; and what it would learn of the table's growth is not known yet when it grows
    cursor.execute("ALTER TABLE deferred SET (autovacuum_enabled = off)")
    coordinator = fleet.pids("coordinator")[0]
    reads = Reads(cursor)
    few_rows, few_blocks = reads.during_looks()
    few_kb = resident_kb(coordinator)
    start = time.monotonic()
    cursor.execute(waits.format(2, per_job))
    show(f"{WAITING} waiting rows put in in {time.monotonic() - start:.0f} s")
    # what the INSERT did itself is told before anything is counted
    cursor.execute("SELECT pg_stat_force_next_flush()")
    many_rows, many_blocks = reads.during_looks()
    many_kb = resident_kb(coordinator)
    show(f"each look for what is due, {JOBS} jobs: {few_rows:.0f} rows and {few_blocks:.0f} blocks read with {JOBS} waiting, {many_rows:.0f} and "
         f"{many_blocks:.0f} with {WAITING}; the coordinator {few_kb / 1024:.1f} and {many_kb / 1024:.1f} MiB resident")
    assert many_rows <= few_rows + JOBS, "rows that are not due are read"
    # an index of a million entries is two levels deeper than one of a hundred
    assert many_blocks <= few_blocks + 4 * 2 * JOBS
    assert many_kb <= few_kb + 2048
    # and it is there for others meanwhile
    fleet.cli("verify", world.list, "-o", f"{work}/results.csv", check=True)
    compare(world.truth, f"{work}/results.csv")


def test_held_domains_stand_before_nobody(work, stopping):
    """What falls due in a domain that the harvest guard holds is put off to the end of the hold, and others leave."""
    world = World(f"{work}/world", mix="honest", domains=10, mx=2, rows=100)
    stopping.append(world)
    fleet = Fleet(f"{work}/data", **{**world.env, "LANES": lanes(1)})
    stopping.append(fleet)
    fleet.start()
    cursor = fleet.database().cursor()
    cursor.execute("INSERT INTO job (public_id, tenant, state, format, row_count, item_count, domain_count) VALUES ('held', 1, 'paused', 'txt', 5020, "
                   "5020, 2) RETURNING id")
    job = cursor.fetchone()[0]
    cursor.execute("INSERT INTO job_domain (job, domain_no, domain, first_uid, n, state, mx_group, lane, held_at) VALUES (%s, 1, 'held.test', 1, 5000, 2,"
                   " 'held.test', 0, now() - interval '1 hour'), (%s, 2, 'free.test', 5001, 20, 2, 'free.test', 0, NULL)", (job, job))
    cursor.execute("INSERT INTO deferred (job, uid, domain_no, attempt, tries, reason, first_at, due_at, lane) SELECT %s, u, CASE WHEN u <= 5000 THEN 1 "
                   "ELSE 2 END, 1, 1, 0, now(), now() - interval '10 min' + u * interval '1 ms', 0 FROM generate_series(1, 5020) u", (job,))
    cursor.execute("UPDATE job SET state = 'running' WHERE id = %s", (job,))

    def left():
        cursor.execute("SELECT domain_no, n FROM shard WHERE job = %s", (job,))
        return cursor.fetchall()
    assert wait_until("the other domain's rows to leave", left, 30) == [(2, 20)]

    def put_off():
        cursor.execute("SELECT count(*) FROM deferred f JOIN job_domain d USING (job, domain_no) WHERE job = %s AND domain_no = 1 AND f.shard IS NULL"
                       " AND abs(extract(epoch FROM f.due_at - d.held_at) - 86400) < 1", (job,))
        return cursor.fetchone()[0] == 5000
    wait_until("the held ones to be put off", put_off, 30)
    assert {domain for domain, _ in left()} == {2}


# ------------------------------------------------------------------------------------------------------------------------------------

WATCH = """
CREATE TABLE seen (n bigint GENERATED ALWAYS AS IDENTITY, id bigint, job bigint, kind int, lane int, mx_group text, rows int, was int, became int);
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO rollcall.seen (id, job, kind, lane, mx_group, rows, was, became)
	VALUES (NEW.id, NEW.job, NEW.kind, NEW.lane, NEW.mx_group, NEW.n, OLD.state, NEW.state);
	RETURN NEW;
END $$;
CREATE TRIGGER watch AFTER UPDATE OF state ON shard FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION watch();
"""
SENT = 1


class Stream:
    """What was out at each moment, from every change of a shard's state in the order in which they were made."""

    def __init__(self, cursor):
        cursor.execute("SELECT id, job, kind, lane, mx_group, rows, was, became FROM seen ORDER BY n")
        self.lane_shards, self.lane_octets, self.rows, self.groups = Counter(), Counter(), 0, defaultdict(Counter)
        self.most_lane_shards = self.most_lane_octets = self.most_rows = self.most_group_shards = self.most_group_rows = 0
        self.times_sent = Counter()
        for id_, job, kind, lane, group, rows, was, became in cursor.fetchall():
            if became == SENT:
                self.times_sent[id_] += 1
                self.count(kind, lane, group, rows, 1)
            elif was == SENT:
                self.count(kind, lane, group, rows, -1)

    def count(self, kind, lane, group, rows, by):
        self.lane_shards[lane] += by
        self.lane_octets[lane] += by * (SHARD_OCTETS + rows * RECIPIENT_OCTETS)
        self.most_lane_shards = max(self.most_lane_shards, self.lane_shards[lane])
        self.most_lane_octets = max(self.most_lane_octets, self.lane_octets[lane])
        if kind != 1:
            return
        self.rows += by * rows
        of = self.groups[lane, group]
        of["shards"] += by
        of["rows"] += by * rows
        self.most_rows = max(self.most_rows, self.rows)
        self.most_group_shards = max(self.most_group_shards, of["shards"])
        if of["shards"] > 1:
            self.most_group_rows = max(self.most_group_rows, of["rows"])


def rules_with_pace(directory):
    """The shipped rules with another pace for servers of no known provider: that of small ones would take this test an hour."""
    shutil.copytree(f"{ROOT}/data", directory)
    with open(f"{directory}/providers") as f:
        text = f.read()
    head, default, rest = text.partition("\n[default]\n")
    block, gap, rest = rest.partition("\n\n")
    block = re.sub(r"^connections = .*$", f"connections = {CONNECTIONS}", block, flags=re.M)
    block = re.sub(r"^recipients_per_minute = .*$", f"recipients_per_minute = {PER_MINUTE}", block, flags=re.M)
    assert f"recipients_per_minute = {PER_MINUTE}" in block
    with open(f"{directory}/providers", "w") as f:
        f.write(head + default + block + gap + rest)
    for root, _, _ in os.walk(directory):
        os.chmod(root, 0o755)


def write_list(path, rows):
    """The rows as a list, and their truth."""
    with open(path + ".txt", "w") as f:
        f.write("".join(r["email"] + "\n" for r in rows))
    with open(path + ".truth", "w", newline="") as f:
        out = csv.DictWriter(f, rows[0].keys(), lineterminator="\n")
        out.writeheader()
        out.writerows({**r, "row": i} for i, r in enumerate(rows, 1))


def split_list(world, work):
    """The world's rows: 100,000 for the stream, one of each of their domains, and another tenant's of other domains."""
    with open(world.truth, newline="") as f:
        domains = defaultdict(list)
        for r in csv.DictReader(f):
            domains[r["email"].split("@")[1].lower()].append(r)
    other, stream = [], []
    for of_domain in domains.values():
        (other if len(other) < 300 else stream).extend(of_domain)
    stream = stream[:DUE]
    assert len(stream) == DUE
    first = {r["email"].split("@")[1].lower(): r for r in stream}
    write_list(f"{work}/stream", stream)
    write_list(f"{work}/first", list(first.values()))
    write_list(f"{work}/other", other)
    return len(other)


HOLD = """
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.state = 'paused'; RETURN NEW; END $$;
CREATE TRIGGER hold BEFORE UPDATE OF state ON job FOR EACH ROW WHEN (NEW.name = 'stream' AND OLD.state = 'planning') EXECUTE FUNCTION hold();
"""
GREYLISTED = 22  # common/reply/reason.h


def let_all_wait(fleet, cursor, path):
    """A job whose every address has been asked for once, as the record has it, and waits; paused. Its domains were looked up by job 1."""
    cursor.execute(HOLD)
    with open(path, "rb") as f:
        status, job = fleet.request("POST", "/v1/jobs?name=stream", f.read(), headers={"Content-Type": "text/plain"})
    assert status == 201, job

    def planned():
        cursor.execute("SELECT id FROM job WHERE public_id = %s AND state = 'paused'", (job["id"],))
        return cursor.fetchone()
    number = wait_until("the plan", planned, 60, 0.1)[0]
    cursor.execute("UPDATE job_domain d SET state = 2, attempts = 1, first_at = now(), mx_group = k.mx_group, provider = k.provider, lane = k.lane,"
                   " resolution = k.resolution FROM job_domain k WHERE d.job = %s AND k.job = 1 AND k.domain = d.domain AND k.lane IS NOT NULL", (number,))
    cursor.execute("INSERT INTO deferred (job, uid, domain_no, attempt, tries, reason, first_at, due_at, lane, smtp_code) SELECT i.job, i.uid,"
                   " i.domain_no, 1, 1, %s, now() - interval '330 s', date_trunc('second', now()) - interval '1 s' + i.uid %% 1000 * interval '1 ms',"
                   " d.lane, 450 FROM item i JOIN job_domain d USING (job, domain_no) WHERE i.job = %s", (GREYLISTED, number))
    cursor.execute("SELECT count(*), max(due_at) - min(due_at) < interval '1 second' FROM deferred WHERE job = %s", (number,))
    assert cursor.fetchone() == (DUE, True)
    return job["id"], number


def test_a_hundred_thousand_due_in_one_second(work, stopping, show):
    """They leave within the caps, a domain's together on its lane, each is answered once, and nobody else waits for them."""
    world = World(f"{work}/world", mix="honest", domains=4200, mx=1000, rows=DUE * 102 // 100)
    stopping.append(world)
    other_count = split_list(world, work)
    rules_with_pace(f"{work}/rules")
    fleet = Fleet(f"{work}/data", **{**world.env, "LANES": lanes(2), "PACE": "on", "HARVEST_GUARD": "off", "RULES_DIR": f"{work}/rules"})
    stopping.append(fleet)
    fleet.start()
    cursor = fleet.database().cursor()
    with open(f"{fleet.data}/database") as f:
        env = {"PATH": os.environ["PATH"], "ROLLCALL_DATABASE": f.read().strip()}
    key = subprocess.run([f"{BIN}/rollcall-coordinator", "key", "--role", "submit", "--tenant", "other"], env=env, check=True,
                         capture_output=True, text=True).stdout.strip()
    fleet.cli("verify", f"{work}/first.txt", "-o", f"{work}/first.csv", check=True)
    name, job = let_all_wait(fleet, cursor, f"{work}/stream.txt")
    # one lane each: what the caps are held against
    cursor.execute("SELECT mx_group FROM job_domain WHERE job = %s GROUP BY 1 HAVING count(DISTINCT lane) > 1", (job,))
    assert cursor.fetchall() == []
    cursor.execute("SELECT domain_no, count(*), min(lane) FROM deferred WHERE job = %s GROUP BY 1", (job,))
    domains = {d: (n, lane) for d, n, lane in cursor.fetchall()}
    assert len(domains) > 4000 and max(n for n, _ in domains.values()) <= 100
    cursor.execute(WATCH)
    start = time.monotonic()
    cursor.execute("UPDATE job SET state = 'running' WHERE id = %s", (job,))

    # somebody else's list, as soon as the stream flows
    def flows():
        cursor.execute(f"SELECT count(*) FROM seen WHERE became = {SENT}")
        return cursor.fetchone()[0] > 0
    wait_until("the first of them to leave", flows, 60, 0.02)
    r = subprocess.run([f"{BIN}/rollcall", "verify", f"{work}/other.txt", "-o", f"{work}/other.csv"],
                       env={**fleet.env, "ROLLCALL_KEY": key, "ROLLCALL_URL": fleet.url}, capture_output=True, text=True, timeout=300)
    assert r.returncode == 0, r.stderr
    other_took = time.monotonic() - start
    cursor.execute("SELECT count(*) FROM result WHERE job = %s", (job,))
    answered = cursor.fetchone()[0]
    compare(f"{work}/other.truth", f"{work}/other.csv")

    wait_until("the job to end", lambda: fleet.get(f"/v1/jobs/{name}")[1]["state"] == "done", 300, 0.5)
    took = time.monotonic() - start
    status, text = fleet.get(f"/v1/jobs/{name}/results?format=csv")
    assert status == 200
    with open(f"{work}/results.csv", "w") as f:
        f.write(text)
    compare(f"{work}/stream.truth", f"{work}/results.csv")
    stream = Stream(cursor)
    show(f"{DUE} of {len(domains)} domains due in one second: {took:.0f} s until all had their result; at most {stream.most_rows} rows out at once, "
         f"{stream.most_lane_shards} shards and {stream.most_lane_octets} octets a lane, {stream.most_group_shards} shards of an MX group; another "
         f"tenant's {other_count} rows took {other_took:.0f} s, {answered} of the {DUE} had been answered by then")
    assert answered < DUE * 3 // 4, "the other tenant's list waited for the stream"

    # caps
    assert stream.most_group_shards <= CONNECTIONS
    assert stream.most_group_rows <= 4 * PER_MINUTE
    assert stream.most_lane_shards <= 4096
    assert stream.most_lane_octets <= LANE_OCTETS + SHARD_OCTETS + 100 * RECIPIENT_OCTETS
    assert stream.most_rows < DUE // 2
    assert set(stream.times_sent.values()) == {1}, "a shard was sent twice"

    # together, on the lane of the attempt before
    cursor.execute("SELECT domain_no, n, lane FROM shard WHERE job = %s", (job,))
    shards = cursor.fetchall()
    assert len(shards) == len(domains)
    assert {(d, n, lane) for d, n, lane in shards} == {(d, n, lane) for d, (n, lane) in domains.items()}

    # each once
    cursor.execute("SELECT count(*), count(DISTINCT uid), min(attempts), max(attempts) FROM result WHERE job = %s", (job,))
    assert cursor.fetchone() == (DUE, DUE, 2, 2)
    cursor.execute("SELECT sum(n) FROM job_count WHERE job = %s", (job,))
    assert cursor.fetchone()[0] == DUE
    assert world.stats()["data"] == 0
