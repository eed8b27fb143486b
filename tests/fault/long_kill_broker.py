#!/usr/bin/python3
"""Kills a durable broker again and again while producers and workers live on.

    tests/fault/long_kill_broker.py [--kills 1000] [--seed 1]

Each round waits a random time of at most --most seconds (now and then none at
all, so that the start itself is hit), kills the broker with -9 and starts it
again on the same data; it writes images of its state all the time, so that
kills meet these too. Every hundred rounds the books are closed and judged
(tests/lib/ledger.py): no confirmed put is lost, none is settled twice, and the
broker's counts are those of the books. The queue lives on, so its counts do
too. Exit code 0 = all of it held.
"""
import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "lib"))

from baozi_test import check, equal, main, path, test  # noqa: E402
from ledger import OFTEN, Crowd, Durable  # noqa: E402

QUEUE = "jobs"
BOOKS = 100  # rounds between two judgements


def rounds(broker, chance, count, most):
    """`count` kills; the slowest start."""
    slowest = 0
    for _round in range(count):
        if chance.random() > 0.1:
            time.sleep(chance.uniform(0, most))
        slowest = max(slowest, broker.kill_and_start())
    return slowest


def run(arguments):
    chance = random.Random(arguments.seed)
    total, slowest, killed = 0, 0, 0
    begin = time.monotonic()
    with Durable(path("data"), *OFTEN) as broker:
        broker.cli("queue", "create", QUEUE)
        while killed < arguments.kills:
            count = min(BOOKS, arguments.kills - killed)
            crowd = Crowd(broker.url, QUEUE, producers=3, workers=3,
                          sizes=(0, 300, 70000), name=f"r{killed}p")
            slowest = max(slowest, rounds(broker, chance, count,
                                          arguments.most))
            killed += count
            crowd.end(broker)
            counts = crowd.judge()
            total += counts["put"]
            equal(counts["fail"], 0, "calls that failed")
            stat = broker.stat(QUEUE)
            equal(stat["unfinished"], 0, "unfinished")
            equal(stat["accepted"], total, "accepted by the books")
            equal(stat["done"], total, "done by the books")
            print(f"# {killed} kills, {total} items, slowest start "
                  f"{slowest:.2f} s, {time.monotonic() - begin:.0f} s",
                  flush=True)
    check(total > 10 * killed, f"too little happened: {total} items")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=float, default=0.4,
                        help="longest life of a broker in seconds")
    arguments = parser.parse_args()
    sys.argv[1:] = []
    return arguments


ARGUMENTS = parse()


@test(f"[P1-P4] {ARGUMENTS.kills} kills of the broker, seed {ARGUMENTS.seed}")
def _():
    run(ARGUMENTS)


if __name__ == "__main__":
    main()
