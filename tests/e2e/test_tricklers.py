"""Ten thousand servers at once that send an octet a second: all others finish meanwhile. What that costs them is in `make bench`."""
import json
import resource
import signal

from support.bare import Trickle, Worker, targets
from support.world import World

SLOW, SHARDS, RECIPIENTS = 10000, 400, 10
WORLD = {"mix": "bench", "domains": 100, "mx": 20, "rows": 5000}


def test_ten_thousand_tricklers_hold_nobody_up(work, stopping, show):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    count = min(SLOW, most - 500)
    if count < SLOW:
        show(f"only {count} tricklers: a process may have {most} descriptors here (ulimit -Hn)")
    world = World(f"{work}/world", **WORLD)
    stopping.append(world)
    worker = Worker(work, world.smtp_port, TIMEOUT_GREETING="300s")
    stopping.append(worker)
    slow = Trickle("127.60.0.3", world.smtp_port)
    holder = slow.hold(worker, count)
    slow.wait_octets(2)
    address, domain = targets(f"{work}/targets", **WORLD)
    feeder = worker.feed(f"--shards={SHARDS}", f"--recipients={RECIPIENTS}", f"--per-session={RECIPIENTS}", f"--mx-first={address}",
                         f"--mx-count={WORLD['mx']}", f"--domain={domain}")
    said = json.loads(feeder.communicate(timeout=120)[0])
    assert (said["shards"], said["answers"], said["other"]) == (SHARDS, SHARDS * RECIPIENTS, 0)
    assert said["accepted"] + said["refused"] == said["answers"]
    # and meanwhile not one of the slow was given up, or lost
    slow.wait_octets(2)
    assert slow.alive() == count
    holder.send_signal(signal.SIGTERM)
    holder.communicate(timeout=30)
