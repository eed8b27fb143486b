"""The disk is full: row F7 of the fault matrix. A put is answered
STORAGE_FULL and nothing else changes: what was confirmed is there, get,
task_done and join go on, and when there is room again so do puts, by
themselves.
"""
import os

from baozi_disk import Disk, why_not
from baozi_test import (Skip, check, contains, equal, main, path, test,
                        wait_until)
from ledger import Durable

TRY_AGAIN_EXIT = 75
SEGMENT_MB = 64
ITEM_BYTES = 60000


def disk(megabytes):
    if why_not():
        raise Skip(why_not())
    return Disk(megabytes)


def fill_with_puts(broker):
    """Puts until there is no room: (how many were confirmed at least, the
    refusal)."""
    block = [path(f"item.{n}") for n in range(4)]
    for name in block:
        with open(name, "wb") as file:
            file.write(os.urandom(ITEM_BYTES))
    put = 0
    while True:
        done = broker.producer("jobs", "--file", *block, "--timeout", "2s")
        if done.returncode != 0:
            return put, done
        put += len(block)
        check(put < 10000, "600 MB went into the disk")


@test("[S9] a full disk: put answers STORAGE_FULL; get, task_done and join go "
      "on; room again, and puts go on (F7)")
def _():
    with disk(6 * SEGMENT_MB) as cord:
        with Durable(cord.path("data")) as broker:
            broker.cli("queue", "create", "jobs")
            broker.cli("put", "jobs", "first")
            filler = cord.fill()
            put, refused = fill_with_puts(broker)
            equal(refused.returncode, TRY_AGAIN_EXIT, refused.stderr)
            contains(refused.stderr, "STORAGE_FULL")
            ready = broker.stat("jobs")["ready"]
            check(ready >= put, f"{ready} are ready, {put} were confirmed")
            equal(broker.cli("get", "jobs").stdout, "first", "the first item")
            # everything that was put can be taken and settled, with no room
            for _number in range(20):
                equal(broker.cli("get", "jobs", "--count", "1").returncode, 0,
                      "a get while it is full")
            equal(broker.stat("jobs")["done"], 21, "done")
            os.remove(filler)
            wait_until(lambda: broker.cli("put", "jobs", "late", "--timeout",
                                          "1s").returncode == 0, 20,
                       "puts go on by themselves")
            left = broker.stat("jobs")["unfinished"]
            broker.kill_and_start()
            equal(broker.stat("jobs")["unfinished"], left, "after kill -9")
            done = broker.worker("jobs", "-q", "-c", "2", "--until-empty",
                                 "--exec", "true")
            equal(done.returncode, 0, done.stderr)
            equal(broker.cli("join", "jobs").returncode, 0, "join")


main()
