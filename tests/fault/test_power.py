"""The disk fails under a real broker: rows F2, F3, F5, F6 and F7 of the fault
matrix. Power goes, a sync fails, a write is cut short, the disk is full;
whatever was confirmed is there afterwards, and nothing is called good that is
not.

BAOZI_POWER_CUTS says how many cuts the first test makes (BAOZI_TEST_LONG:
100); BAOZI_TEST_SEED draws other moments. Disk calls fail through
shim/failing_disk.c, which needs no right that a user lacks.
"""
import errno
import os
import random
import shutil
import threading
import time

from baozi_disk import Disk, why_not
from baozi_library import OK, Library
from baozi_test import (PATIENCE, ROOT, Process, Skip, check, equal, main,
                        path, read, test, wait_until, write)
from ledger import OFTEN, Crowd, Durable

LONG = bool(os.environ.get("BAOZI_TEST_LONG"))
CUTS = int(os.environ.get("BAOZI_POWER_CUTS", "100" if LONG else "4"))
SEED = int(os.environ.get("BAOZI_TEST_SEED", "1"))
OS_WINDOW_S = 1.0  # 50 ms and the time of a sync; the rest is patience
STORAGE_FAILED_EXIT = 74
UNREACHABLE_EXIT = 69
SHIM = os.path.join(ROOT, "build/release/tests/fault/shim",
                    "failing_disk.so")


def disk(megabytes=768):
    if why_not():
        raise Skip(why_not())
    return Disk(megabytes)


def cut_and_restore(broker, disk_, killed_first):
    """The power goes and comes back. Whichever dies first, the broker or the
    disk, the other one follows before anybody can look."""
    if killed_first:
        broker.kill()
        disk_.cut()
    else:
        disk_.cut()
        time.sleep(0.02)
        broker.kill()
    disk_.restore()
    return broker.start_again()


@test("[S9 P1 P2 P4 P5] the power goes under load, again and again: what was "
      "confirmed at `disk` is there (F3)")
def _():
    chance = random.Random(SEED)
    with disk() as cord, Durable(cord.path("data"), *OFTEN) as broker:
        broker.cli("queue", "create", "jobs")
        crowd = Crowd(broker.url, "jobs", producers=3, workers=2,
                      sizes=(0, 300, 20000))
        slowest = 0
        for number in range(CUTS):
            time.sleep(chance.uniform(0.02, 0.6))
            slowest = max(slowest, cut_and_restore(broker, cord,
                                                   number % 3 != 0))
        counts = crowd.finish(broker)
        check(counts["put"] > 20 * CUTS, f"too little happened: {counts}")
        print(f"# {CUTS} power cuts, seed {SEED}: {counts}; slowest start "
              f"{slowest:.2f} s")


class Stream:
    """Puts "CUT.0", "CUT.1" and so on, one after the other, until it is told
    to end or one is not confirmed; `confirmed` has the moment of each one that
    was."""

    def __init__(self, library, url, cut):
        self.library, self.cut, self.confirmed = library, cut, []
        self.ending = False
        self.client = library.open(url)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ending and self.library.put(
                self.client, "jobs", f"{self.cut}.{len(self.confirmed)}",
                100)[0] == OK:
            self.confirmed.append(time.monotonic())

    def end(self):
        self.thread.join()
        self.library.close(self.client)


def cut_a_stream(broker, cord, library, number, chance):
    """A power cut while somebody puts to an `os` queue: (how many were
    confirmed, how many of them are lost, seconds from the confirmation of the
    first of these to the cut)."""
    stream = Stream(library, broker.url, number)
    time.sleep(chance.uniform(0.1, 1.5))
    stream.ending = True
    begin = time.monotonic()
    cut_and_restore(broker, cord, number % 3 != 0)
    stream.end()
    confirmed = [moment for moment in stream.confirmed if moment < begin]
    puts = [f"{number}.{n}" for n in range(len(confirmed))]
    there = what_is_there(broker)
    if there[-1:] == [f"{number}.{len(puts)}"]:
        there.pop()  # it was on its way, and was sent once more
    wrong = [n for n, one in enumerate(there) if puts[n:n + 1] != [one]]
    equal(wrong, [], f"places, of {len(there)}, where it is not in order")
    lost = len(puts) - len(there)
    return len(puts), lost, begin - confirmed[len(there)] if lost else 0


@test("[S9 P1] a power cut takes from an `os` queue only what was confirmed "
      "within its window (F3)")
def _():
    chance = random.Random(SEED)
    library = Library()
    oldest_s = []
    lost = puts = 0
    with disk() as cord, Durable(cord.path("data")) as broker:
        broker.cli("queue", "create", "jobs", "--durability", "os")
        for number in range(max(CUTS // 2, 2)):
            done, less, oldest = cut_a_stream(broker, cord, library, number,
                                              chance)
            puts, lost = puts + done, lost + less
            oldest_s.append(oldest)
    check(puts > 100 * len(oldest_s), f"too little happened: {puts} puts")
    check(max(oldest_s) < OS_WINDOW_S * PATIENCE,
          f"lost {max(oldest_s):.3f} s after it was confirmed")
    oldest_s.sort()
    print(f"# {len(oldest_s)} power cuts, seed {SEED}: {puts} puts confirmed, "
          f"{lost} lost; the oldest of a cut {oldest_s[len(oldest_s) // 2]:.3f}"
          f" s old at the median, {oldest_s[-1]:.3f} s at most")


def failing(call, first, last, what):
    """Words before a broker's command, so that its disk calls fail."""
    return ("env", f"LD_PRELOAD={SHIM}",
            f"FAILING_DISK={call}:{first}-{last}:{what}")


def failing_when_armed(call, first, last, what):
    return failing(call, first, last, what) + (
        f"FAILING_DISK_ARM={path('armed')}",)


def arm(data):
    """Disk calls fail from now on: once nothing is prepared any more, so that
    they are those of the log itself."""
    since = time.monotonic()
    while time.monotonic() - since < 0.3:
        if "prepare.tmp" in os.listdir(data):
            since = time.monotonic()
        time.sleep(0.01)
    write("armed", "")


def disarm():
    os.remove(path("armed"))


def confirmed_puts(broker, count):
    """Puts one by one until one is refused: (confirmed, exit code, why)."""
    good = []
    for n in range(count):
        done = broker.cli("put", "jobs", f"bun-{n}", "--timeout", "5s")
        if done.returncode != 0:
            return good, done.returncode, done.stderr
        good.append(f"bun-{n}")
    return good, 0, ""


def what_is_there(broker):
    return broker.cli("get", "jobs", "--count", "0", "--no-wait",
                      "--lines").stdout.split()


def disk_calls():
    """The calls of a broker's life, in order: from a new folder over a few
    puts to its end."""
    book = path("calls")
    with Durable(path("counted"),
                 prefix=("env", f"LD_PRELOAD={SHIM}",
                         f"FAILING_DISK_COUNT={book}")) as broker:
        equal(len(confirmed_puts(broker, 10)[0]), 10, "puts")
    shutil.rmtree(path("counted"))
    return read(book).split()


def starts_or_dies(data, url, prefix):
    """A broker that may be killed at any moment; True if it became ready."""
    broker = Process("baozi-broker", "--data", data, "--http", "off",
                     "--listen", url, prefix=prefix)
    wait_until(lambda: broker.popen.poll() is not None or
               "ready" in broker.stdout().splitlines(), 20, "ready or dead")
    return broker


@test("[S9 P1 P2] kill -9 at any call of the disk: it starts again, with what "
      "was confirmed, each once (F2)")
def _():
    chance = random.Random(SEED)
    calls = disk_calls()
    # filling a segment is the same call some hundred times over
    turns = [n for n, call in enumerate(calls, 1)
             if n == 1 or call != calls[n - 2]]
    moments = turns if LONG else sorted(chance.sample(turns, 9))
    url = f"ipc://{path('broker')}"
    buns = [f"bun-{n}" for n in range(10)]
    for number, moment in enumerate(moments):
        how = ("kill", "killed", "torn")[number % 3]
        data = path(f"data.{moment}")
        first = starts_or_dies(data, url, failing("any", moment, moment, how))
        # the client lives on and repeats what was not answered
        put = Process("baozi", "put", "jobs", *buns, "--timeout", "60s",
                      "--url", url)
        wait_until(lambda: put.popen.poll() is not None or
                   first.popen.poll() is not None, 20, "done, or killed")
        first.kill()
        with Durable(data, url=url) as broker:
            equal(put.wait(), 0, f"call {moment} {how}: " + put.stderr())
            equal(what_is_there(broker), buns, f"call {moment} {how}")
        shutil.rmtree(data)
    print(f"# {len(moments)} of {len(calls)} disk calls, seed {SEED}")


def fails_under_puts(data, call, error):
    """Some puts are confirmed, then a call fails; all of what follows."""
    broken = Durable(data, prefix=failing_when_armed(call, 6, 10**9, error))
    broken.cli("queue", "create", "jobs")
    arm(data)
    good, code, why = confirmed_puts(broken, 60)
    check(0 < len(good) < 60, f"{len(good)} puts were confirmed")
    # told so, or, when it was between two requests, left alone
    check("STORAGE_FAILED" in why and code == STORAGE_FAILED_EXIT or
          "CONNECTION_LOST" in why and code == UNREACHABLE_EXIT,
          f"exit code of the put: {code}: {why}")
    equal(broken.wait(), STORAGE_FAILED_EXIT, "exit code of the broker")
    disarm()
    with Durable(data) as broker:
        there = what_is_there(broker)
        equal(there[:len(good)], good, "what was confirmed")
        check(len(there) <= len(good) + 1, f"ghosts: {there[len(good):]}")


@test("[S9] a sync that fails confirms nothing more: STORAGE_FAILED, exit 74 "
      "(F5)")
def _():
    fails_under_puts(path("data"), "fdatasync", errno.EIO)


@test("[S9] a write that fails does the same, for want of room too (F6)")
def _():
    fails_under_puts(path("data.1"), "pwrite", errno.EIO)
    fails_under_puts(path("data.2"), "pwrite", errno.ENOSPC)


@test("[S9] a write that is interrupted, or cut short, is finished (F6)")
def _():
    for what in (errno.EINTR, "short"):
        data = path(f"data.{what}")
        last = 9 if what == errno.EINTR else 10**9
        broker = Durable(data, prefix=failing_when_armed("pwrite", 3, last,
                                                         what))
        arm(data)
        good, code, why = confirmed_puts(broker, 30)
        equal((len(good), code), (30, 0), f"{what}: {why}")
        broker.kill()
        disarm()
        with Durable(data, url=broker.url) as again:
            equal(what_is_there(again), good, f"{what}: after kill -9")


main()
