"""A list over mailworld's `providers`: every large provider and gateway under the MX names that he really has, each as he behaves (greylisting
gateways, Outlook.com's one recipient a session, Hotmail's yes to anything, Yahoo's always), and the shipped profiles against them."""
import re
import subprocess

import pytest
from support.fleet import Fleet, compare, lanes, rows
from support.process import BIN
from support.world import World

SCALE = 100  # Hotmail gets honest after 200 s without us: 2 s here, long against a busy machine's pauses
OF = {"gmail": "gmail", "workspace": "workspace", "workspace_catch_all": "workspace", "outlook": "outlook", "hotmail": "outlook",
      "live": "outlook", "microsoft365": "microsoft365", "microsoft365_catch_all": "microsoft365", "yahoo": "yahoo", "yahoo_252": "yahoo",
      "yahoo_refusing": "yahoo", "aol": "aol", "icloud": "icloud", "icloud_catch_all": "icloud", "proofpoint": "proofpoint",
      "greylist_mimecast": "mimecast", "barracuda": "barracuda"}


@pytest.mark.parametrize("seed", ["1"])
def test_no_wrong_verdict_in_the_all_provider_world(work, stopping, show, seed):
    made = {"mix": "providers", "seed": seed, "rows": 1500, "domains": 90, "mx": 24}
    world = World(work, time_scale=SCALE, **made)
    stopping.append(world)
    fleet = Fleet(f"{work}/data", LANES=lanes(), TIME_SCALE=SCALE, **world.env)
    stopping.append(fleet)
    fleet.start()
    out = f"{work}/results.csv"
    fleet.cli("verify", world.list, "-o", out, check=True, timeout=900)
    stats = world.stats()
    table = compare(world.truth, out, world.stats_file)  # DATA, BDAT, foreign retries: none
    show(table.strip().replace("\n", "\n  "))
    found = {}
    for truth, row in zip(rows(world.truth), rows(out), strict=True):
        if truth["behaviour"] in OF:
            assert row["rollcall_provider"] == OF[truth["behaviour"]], (truth, row)
            found.setdefault(truth["behaviour"], []).append(row)
    assert set(found) == set(OF), "a provider without a row proves nothing"
    # Yahoo and AOL: a hundredth was asked, the rest named without a connection; where the sample was refused, everybody was asked
    for behaviour in ("yahoo", "yahoo_252", "aol"):
        asked = [r for r in found[behaviour] if r["rollcall_attempts"] != "0"]
        assert 0 < len(asked) <= 1 + len(found[behaviour]) // 50, (behaviour, len(asked), len(found[behaviour]))
        assert all(r["rollcall_grade"] == "risky" for r in found[behaviour])
    assert all(r["rollcall_attempts"] != "0" for r in found["yahoo_refusing"])
    printed = subprocess.run([f"{BIN}/mailworld", *(f"--{k}={v}" for k, v in made.items()), "--print-world"], check=True, text=True,
                             capture_output=True).stdout
    yahoo = re.findall(r"^(127\S+) .*\bmta\d\.am0\.yahoodns\.net$", printed, re.M)
    assert len(yahoo) == 3 and 0 < sum(stats["sessions_by_mx"].get(ip, 0) for ip in yahoo) < 30, "Yahoo was not left alone"
    # the gateways' first no was heard, and waited out
    for behaviour in ("proofpoint", "barracuda", "greylist_mimecast"):
        assert all(int(r["rollcall_attempts"]) >= 1 for r in found[behaviour])
    assert stats["greylist_passed"] > 100 and stats["throttled"] > 0 and stats["vrfy"] == 0
