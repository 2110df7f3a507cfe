"""Kill -9 in the middle of a job: afterwards every row has one result, equal to the truth, and a shard went out again."""
import pytest
from support.fleet import Fleet, compare, lanes, rows
from support.process import wait_until
from support.world import World


@pytest.mark.parametrize("role", ["worker", "coordinator", "postgres", "broker"])
def test_no_row_is_lost_or_doubled(work, stopping, show, role):
    # servers that think, so that shards are out for seconds
    world = World(work, mix="demo", seed=23, rows=6000, time_scale=1000, reply_delay="150ms")
    stopping.append(world)
    fleet = Fleet(f"{work}/data", LANES=lanes(), TIME_SCALE=1000, **world.env)
    stopping.append(fleet)
    fleet.start()
    database = fleet.database()
    cursor = database.cursor()
    out = f"{work}/results.csv"
    client = fleet.verify_in_background(world.list, out)
    stopping.append(client)

    def in_the_middle():
        """(done, all, outstanding) as soon as 20% of the results are in; shards must be out at that moment."""
        cursor.execute("""SELECT (SELECT sum(n) FROM job_count c WHERE c.job = j.id), j.item_count,
                                 (SELECT count(*) FROM shard s WHERE s.job = j.id AND s.state = 1)
                          FROM job j WHERE j.item_count IS NOT NULL""")
        row = cursor.fetchone()
        return row and row[0] and row[0] >= 0.2 * float(row[1]) and row[2] > 0 and row
    done, total, outstanding = wait_until("20% of the results, with shards out", in_the_middle, 60, 0.01)
    pid = fleet.kill(role)
    show(f"kill -9 {role} ({pid}) at {done} of {total} results, {outstanding} shards outstanding")
    assert done < 0.8 * float(total), "too late to prove anything"

    wait_until("another one in its place", lambda: [p for p in fleet.pids(role) if p != pid], 60)
    wait_until("the client to end", lambda: not client.alive(), 300, 0.2)
    assert client.popen.returncode == 0, client.said()[-3000:]
    world.stats()
    compare(world.truth, out, world.stats_file)

    database = fleet.database()
    cursor = database.cursor()
    cursor.execute("SELECT item_count, row_count FROM job")
    items, row_count = cursor.fetchone()
    cursor.execute("SELECT count(*), count(DISTINCT uid) FROM result")
    assert cursor.fetchone() == (items, items)
    cursor.execute("SELECT sum(n) FROM job_count")
    assert cursor.fetchone()[0] == items
    assert len(rows(out)) == row_count
    cursor.execute("SELECT count(*), max(attempt) FROM shard WHERE attempt > 1")
    again, most = cursor.fetchone()
    show(f"{items} results, each once; {again} shards went out again, at most {most} times")
    assert again > 0
