"""`results?review=true`: the queue of what a person should look at, 554 and kin."""
import csv
import io
import os

from support.fleet import Fleet, lanes
from support.world import World

WORLD = """[domain honest.test]
behaviour = honest
mx = 10 mx.honest.test 127.90.0.1
mailbox = ann
mailbox = pat policy
mailbox = sue full
absent = nobody
"""


def test_review_queue(work, stopping):
    os.makedirs(work, exist_ok=True)
    with open(f"{work}/world", "w") as f:
        f.write(WORLD)
    world = World(f"{work}/mw", world=f"{work}/world")
    stopping.append(world)
    fleet = Fleet(f"{work}/data", LANES=lanes(1), TIME_SCALE=3000, **world.env)
    stopping.append(fleet)
    fleet.start()
    fleet.cli("verify", world.list, "-o", f"{work}/out.csv", check=True)
    job = fleet.get("/v1/jobs")[1]["jobs"][0]["id"]

    def emails(query):
        status, text = fleet.get(f"/v1/jobs/{job}/results?format=csv&{query}")
        assert status == 200, text
        return {row["email"]: row["rollcall_reason"] for row in csv.DictReader(io.StringIO(text))}

    assert emails("review=true") == {"pat@honest.test": "policy_rejected"}
    rest = emails("review=false")
    assert set(rest) == {"ann@honest.test", "sue@honest.test", "nobody@honest.test"} and "policy_rejected" not in rest.values()
