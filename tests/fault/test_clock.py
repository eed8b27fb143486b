"""The wall clock jumps by two hours, under a running broker and between two
of its lives: row F18 of the fault matrix. Leases, delays and timeouts are in
broker time [S3.4], which does not jump.
"""
import os
import signal
import time

from baozi_test import PATIENCE, Skip, check, equal, main, path, test, \
    wait_until, write
from ledger import Durable

LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
HOURS_2_S = 7200


class Clock:
    """The wall clock as a broker sees it."""

    def __init__(self):
        if not os.path.exists(LIBRARY):
            raise Skip(f"needs {LIBRARY}")
        self.prefix = ("env", f"LD_PRELOAD={LIBRARY}",
                       f"FAKETIME_TIMESTAMP_FILE={path('wall')}",
                       "FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1")
        self.jump(0)

    def jump(self, seconds):
        write("wall.new", f"{seconds:+d}\n")
        os.rename(path("wall.new"), path("wall"))


def seconds_of(act):
    begin = time.monotonic()
    result = act()
    return time.monotonic() - begin, result


def hour_of(broker):
    """The hour that the broker writes into a line of its log now."""
    lines = len(broker.stderr().splitlines())
    broker.signal(signal.SIGHUP)  # which is worth a line
    wait_until(lambda: len(broker.stderr().splitlines()) > lines,
               what="a line")
    return broker.stderr().splitlines()[-1][:len("time=2026-01-01T00")]


@test("[S3.4] the wall clock jumps by two hours, there and back: no lease, "
      "delay or timeout ends early or late (F18)")
def _():
    clock = Clock()
    for jump in (HOURS_2_S, -HOURS_2_S):
        clock.jump(0)
        data = path(f"data.{jump}")
        with Durable(data, prefix=clock.prefix,
                     url=f"ipc://{path(f'broker.{jump}')}") as broker:
            broker.cli("queue", "create", "jobs", "--lease", "5s")
            broker.cli("put", "jobs", "held")
            holder = broker.start("baozi-worker", "jobs", "-c", "1", "-q",
                                  "--shell", "--exec", "sleep 2")
            wait_until(lambda: broker.stat("jobs")["leased"] == 1,
                       what="it is held")
            broker.cli("queue", "create", "later")
            before = hour_of(broker)
            broker.cli("put", "later", "bun", "--delay", "3s")
            clock.jump(jump)
            late, got = seconds_of(lambda: broker.cli("get", "later"))
            equal(got.stdout, "bun", "the delayed item")
            check(2.5 < late < 4 * PATIENCE, f"it came after {late:.2f} s")
            late, got = seconds_of(
                lambda: broker.cli("get", "later", "--timeout", "1s"))
            equal(got.returncode, 1, "a second one")
            check(1 <= late < 2 * PATIENCE, f"EMPTY after {late:.2f} s")
            equal(holder.stop(), 0, "the holder")
            stat = broker.stat("jobs")
            equal((stat["done"], stat["redelivered"]), (1, 0),
                  "done, redelivered")
            check(hour_of(broker) != before, "the clock did not jump")


@test("[S3.4 S9] a restart two hours earlier or later: the clock goes on from "
      "where it was, and no lease of the last life ends at once (F18)")
def _():
    clock = Clock()
    data = path("data")
    with Durable(data, prefix=clock.prefix) as broker:
        # two hours of downtime count for max_run too
        broker.cli("queue", "create", "jobs", "--lease", "20s", "--max-run",
                   "6h")
        broker.cli("put", "jobs", "held", "other")
        broker.cli("put", "jobs", "soon", "--delay", "2s")
        broker.cli("put", "jobs", "far", "--delay", "6h")
        holder = broker.start("baozi-worker", "jobs", "-c", "1", "-q",
                              "--max-tasks", "1", "--shell", "--exec",
                              "sleep 3")
        wait_until(lambda: broker.stat("jobs")["leased"] >= 1,
                   what="an item is held")
        for jump in (-HOURS_2_S, HOURS_2_S):
            broker.kill()
            clock.jump(jump)
            broker.start_again()
        wait_until(lambda: broker.stat("jobs")["done"] == 3, 30,
                   "held, other and soon are done")
        stat = broker.stat("jobs")
        equal((stat["delayed"], stat["redelivered"], stat["dead"]), (1, 0, 0),
              "delayed, redelivered, dead")
        equal(holder.stop(), 0, "the holder")


main()
