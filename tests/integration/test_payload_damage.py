"""A payload that is damaged on the disk, where a start does not look."""
import json
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
from baozi_test import *  # noqa: E402,F403
from data_folder import *  # noqa: E402,F403

SIZE = 4 << 20  # of an item of outlived()
ORIGIN = tempfile.TemporaryDirectory()  # the folder that all begin with


def old(name):
    """A folder whose first segment has twelve items, 'A' to 'L', and is older
    than both checkpoints."""
    origin = os.path.join(ORIGIN.name, "data")
    if not os.path.exists(origin):
        broker = Broker(data=origin)
        outlived(broker, origin)
        broker.stop()
    data = path(name)
    shutil.copytree(origin, data)
    return data


def place_of(data, letter):
    """An offset amid that item's payload in the first segment."""
    with open(segment(data), "rb") as file:
        found = file.read().find(letter.encode() * SIZE)
    check(found >= 0, f"{letter} is not there")
    return found


def harmed(name, letters):
    data = old(name)
    for letter in letters:
        flip(segment(data), place_of(data, letter) + SIZE // 2)
    return data


def tail(data):
    """The records that a start reads."""
    replay = stat(data)["checkpoints"][0]["replay_lsn"]
    found = run("baozi", "log", "dump", data, "--from", str(replay),
                "--format", "json")
    return [json.loads(line) for line in found.stdout.splitlines()]


def get(broker, queue="kept"):
    return broker.cli("get", queue, "--timeout", "1s")


def stopped(broker):
    """It ended for the damage, and said where that is."""
    equal(broker.wait(), 74, "exit code of the broker")
    said = next(line for line in broker.stderr().splitlines()
                if "event=damaged" in line)
    for part in ("segment-0000000000000001", "offset=", "queue=", "item=",
                 "baozi log repair --quarantine"):
        contains(said, part)


@test("[P8 S9] a damaged payload that a start does not read: never served; "
      "it is named, repaired, and everything else is there")
def _():
    data = harmed("one", "C")
    offset = place_of(old("clean"), "C")
    for letters in ("AB", ""):  # the second start is no better
        broker = Broker(data=data)
        for letter in letters:
            equal(get(broker).stdout, letter * SIZE, "an item that is whole")
        got = get(broker)
        check(got.returncode != 0 and got.stdout == "", "it was served")
        stopped(broker)
    found = run("baozi", "log", "verify", data)
    equal(found.returncode, 1)
    for part in (f"DAMAGE: segment-0000000000000001, offset {offset}",
                 "queue number", "item 3", "a broker starts here",
                 f"baozi log repair --quarantine {data}"):
        contains(found.stdout, part)
    verdict = json.loads(run("baozi", "log", "verify", data, "--format",
                             "json").stdout)
    check(not verdict["good"], verdict)
    equal([place["item"] for place in verdict["places"]
           if not place["harmless"]], [3])
    found = run("baozi", "log", "repair", "--quarantine", data)
    equal(found.returncode, 0, found.stderr)
    contains(found.stdout, f"segment-0000000000000001, offset {offset}")
    contains(run("baozi", "log", "verify", data).stdout,
             "a broker starts here")
    broker = Broker(data=data)
    contains(broker.stderr(), "event=payloads_lost")
    shown = json.loads(broker.cli("queue", "show", "kept", "--format",
                                  "json").stdout)
    equal((shown["purged"], shown["ready"]), (1, 9))
    equal(all_of(broker, "kept"), "DEFGHIJKL")
    equal(broker.cli("join", "kept", "--timeout", "5s").returncode, 0)
    broker.stop()
    broker = Broker(data=data)
    check("payloads_lost" not in broker.stderr(), broker.stderr())
    broker.stop()


@test("[P8 S9] a dead item with a damaged payload: a redrive ends the broker, "
      "which says why; a repair forgets the dead item")
def _():
    data = old("dead")
    broker = Broker(data=data)
    worked = broker.worker("kept", "-c", "1", "--shell", "--exec",
                           "cat > /dev/null; exit 65", "--until-empty")
    equal(worked.returncode, 0, worked.stderr)
    broker.kill()
    flip(segment(data), place_of(data, "B") + 9)
    broker = Broker(data=data)
    broker.cli("redrive", "kept", "--all")
    stopped(broker)
    equal(run("baozi", "log", "repair", "--quarantine", data).returncode, 0)
    broker = Broker(data=data)
    contains(broker.stderr(), "event=payloads_lost")
    equal(broker.cli("redrive", "kept", "--all").returncode, 0)
    equal(all_of(broker, "kept"), "ACDEFGHIJKL")
    broker.stop()


@test("[P8 S9] damage that a start reads, and damaged payloads that it does "
      "not: one repair for both")
def _():
    data = harmed("both", "ADL")
    broker = Broker(data=data)
    for i in range(5):
        equal(broker.cli("put", "small", f"{i}").returncode, 0)
    wait_until(lambda: tail(data)[-1]["kind"] == "mark", 5,
               "a MARK behind the last batch")
    broker.kill()
    puts = [r for r in tail(data) if r["kind"] == "entry" and r["queue"] > 0]
    flip(segment(data, puts[-2]["segment"]), puts[-2]["offset"] + RECORD)
    contains(refused(data), f"lsn {puts[-2]['lsn']}")
    told = json.loads(run("baozi", "log", "repair", "--quarantine", data,
                          "--format", "json").stdout)
    equal([lost["item"] for lost in told["payloads"]], [1, 4, 12])
    check(told["last_lsn"] < puts[-2]["lsn"] <= told["lost_last_lsn"], told)
    aside = os.path.join(data, told["quarantine"])
    with open(os.path.join(aside, "payloads.txt"), encoding="utf-8") as file:
        equal([line.split()[-2] for line in file],
              ["item=1", "item=4", "item=12"])
    equal(os.path.getsize(os.path.join(aside, "payloads")) // SIZE, 3)
    broker = Broker(data=data)
    contains(broker.stderr(), "event=payloads_lost")
    equal(all_of(broker, "kept"), "BCEFGHIJK")
    got = [broker.cli("get", "small", "--no-wait").stdout for _ in range(5)]
    check(got[:2] == ["0", "1"] and got[-1] == "", got)
    broker.stop()


main()
