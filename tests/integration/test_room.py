"""A disk that is nearly full, and nobody knows it yet.

The broker decides first and writes then: it must not accept more than the
disk has room for, also if no write ever failed before. What is refused is
told so, everything else goes on, and it is accepted when there is room.
"""
import os
import time

from baozi_disk import Disk, why_not
from baozi_library import OK, STORAGE_FULL, Library
from baozi_test import (Skip, check, equal, main, path, test, wait_until,
                        write)
from ledger import Durable

LARGE = b"x" * (32 << 20)
PATIENCE_MS = 60000
LOOK = 0.1  # more than BAO_LOG_LOOK_US: what others take is seen by then


def ready(broker, queue):
    return broker.stat(queue)["ready"]


def settle_all(library, client, queue, count):
    for _item in range(count):
        status, _seconds, item = library.get(client, queue, PATIENCE_MS)
        equal(status, OK, "a get")
        equal(library.done(client, item), OK, "task_done")


@test("[S9 F7] a message larger than what the disk has left is refused; get, "
      "task_done and small puts go on, and it is accepted when there is room")
def _():
    if why_not():
        raise Skip(why_not())
    with Disk(megabytes=1200) as disk:
        broker, library = Durable(disk.path("data")), Library()
        broker.cli("queue", "create", "jobs")
        client = library.open(broker.url)
        equal(library.put_many(client, "jobs", [b"small"] * 3, PATIENCE_MS),
              OK, "a put of what is small")
        # The reserve is there, and five of eight large ones would fit.
        filler = disk.fill(leave=320 << 20)
        time.sleep(LOOK)
        equal(library.put_many(client, "jobs", [LARGE] * 8, PATIENCE_MS),
              STORAGE_FULL, "a message of 8 x 32 MiB")
        equal(broker.popen.poll(), None, "the broker lives")
        equal(library.put_many(client, "jobs", [LARGE], PATIENCE_MS), OK,
              "one of them")
        equal(library.put_many(client, "jobs", [b"small"] * 3, PATIENCE_MS),
              OK, "small ones")
        settle_all(library, client, "jobs", 7)
        equal(broker.cli("join", "jobs").returncode, 0, "the join")
        os.remove(filler)
        wait_until(lambda: library.put_many(client, "jobs", [LARGE] * 8,
                                            PATIENCE_MS) == OK,
                   30, "the message, when there is room")
        broker.kill_and_start()
        equal(ready(broker, "jobs"), 8, "ready")
        settle_all(library, client, "jobs", 8)
        library.close(client)
        equal(broker.stop(), 0, "exit code")


@test("[S9 F7] large puts that waited and are let in at once: those that find "
      "no room are refused, the others are there after a crash")
def _():
    if why_not():
        raise Skip(why_not())
    waiting = 10
    with Disk(megabytes=700) as disk:
        broker = Durable(disk.path("data"))
        broker.cli("queue", "create", "jobs", "--maxsize", "1")
        broker.cli("put", "jobs", "small")
        write("large", LARGE)
        puts = []
        for _put in range(waiting):
            with open(path("large"), "rb") as large:
                puts.append(broker.start("baozi", "put", "jobs", stdin=large))
        wait_until(lambda: broker.stat("jobs")["parked_puts"] == waiting, 60,
                   "all of them wait")
        filler = disk.fill(leave=200 << 20)
        time.sleep(LOOK)
        broker.cli("queue", "set", "jobs", "--maxsize", "100")
        codes = [put.wait(60) for put in puts]
        equal(broker.popen.poll(), None, "the broker lives")
        accepted = codes.count(0)
        equal(codes.count(75), waiting - accepted, f"exit codes {codes}")
        check(0 < accepted < waiting, f"{accepted} of {waiting} accepted")
        print(f"# {accepted} of {waiting} accepted")
        equal(ready(broker, "jobs"), accepted + 1, "ready")
        broker.kill_and_start()
        equal(ready(broker, "jobs"), accepted + 1, "ready after a crash")
        for _item in range(accepted + 1):
            equal(broker.cli("get", "jobs").returncode, 0, "a get")
        equal(broker.cli("join", "jobs").returncode, 0, "the join")
        # Nobody else gives anything back: what was settled is room again.
        wait_until(lambda: broker.cli("put", "jobs", input=LARGE).returncode ==
                   0, 30, "a large put")
        os.remove(filler)
        equal(broker.stop(), 0, "exit code")


if __name__ == "__main__":
    main()
