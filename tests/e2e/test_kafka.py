"""The same job on a real Kafka and a real PostgreSQL, each private to the run, with the services started by hand."""
from support.fleet import Fleet, compare, lanes
from support.kafka import Kafka
from support.postgres import Postgres
from support.world import World


def test_the_job_on_a_real_kafka_and_a_real_postgresql(work, stopping, show):
    kafka = Kafka(f"{work}/kafka")
    stopping.append(kafka)
    kafka.start()
    postgres = Postgres(f"{work}/postgres")
    stopping.append(postgres)
    postgres.start()
    world = World(work, mix="demo", seed=5, rows=2000, time_scale=1000)
    stopping.append(world)
    fleet = Fleet(f"{work}/data", LANES=lanes(), TIME_SCALE=1000, BROKERS=kafka.brokers, DATABASE=postgres.conninfo,
                  **world.env)
    stopping.append(fleet)
    fleet.start()
    assert not fleet.pids("broker") and not fleet.pids("postgres"), "the embedded ones must not run beside the real ones"
    with postgres.connect() as c:
        cursor = c.cursor()
        cursor.execute("SHOW server_version")
        show(f"PostgreSQL {cursor.fetchone()[0]}")

    out = f"{work}/results.csv"
    fleet.cli("verify", world.list, "-o", out, check=True)
    world.stats()
    compare(world.truth, out, world.stats_file)

    for topic in ("rollcall.shards", "rollcall.reports"):
        ends = kafka.end_offsets(topic)
        show(f"{topic}: end offsets as kcat sees them: {({p: n for p, n in ends.items() if n})}")
        assert sum(ends.values()) > 0
