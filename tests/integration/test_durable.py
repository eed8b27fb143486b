"""A broker with a data directory: it dies, and nothing is lost.

Real programs, real signals. What was confirmed is there after kill -9; calls
that were blocked go on; sessions resume with their leases; dead and delayed
items, pauses and keys survive.
"""
import json
import os
import random
import time

from baozi_disk import Disk, why_not
from baozi_test import (ROOT, SANITIZED, Process, Skip, check, contains,
                        equal, main, path, run, test, wait_until, write)
from churn import churn, disk_bytes
from ledger import OFTEN, Crowd, Durable

SEED = int(os.environ.get("BAOZI_TEST_SEED", "1"))
ROUNDS = 40 if os.environ.get("BAOZI_TEST_LONG") else 8


def show(broker, queue, *names):
    stat = broker.stat(queue)
    return tuple(stat[name] for name in names)


@test("[P1 P2 P4] kill -9 under load loses nothing that was confirmed")
def _():
    chance = random.Random(SEED)
    with Durable(path("data"), *OFTEN) as broker:
        broker.cli("queue", "create", "jobs")
        crowd = Crowd(broker.url, "jobs", producers=3, workers=3,
                      sizes=(0, 300, 70000))
        slowest = 0
        for _round in range(ROUNDS):
            time.sleep(chance.uniform(0.02, 0.5))
            slowest = max(slowest, broker.kill_and_start())
        counts = crowd.finish(broker)
    check(counts["put"] > 50 * ROUNDS, f"too little happened: {counts}")
    equal(counts["fail"], 0, "calls that failed")
    print(f"# {ROUNDS} kills, seed {SEED}: {counts}; "
          f"slowest start {slowest:.2f} s")


@test("[S4.5 S3.5] join, get and put that were blocked go on after a restart")
def _():
    with Durable(path("data")) as broker:
        broker.cli("queue", "create", "full", "--maxsize", "1")
        broker.cli("queue", "create", "empty")
        broker.cli("put", "full", "one")
        put = broker.start("baozi", "put", "full", "two")
        get = broker.start("baozi", "get", "empty", "--timeout", "30s")
        join = broker.start("baozi", "join", "full")
        wait_until(lambda: show(broker, "full", "parked_puts", "joiners") ==
                   (1, 1) and show(broker, "empty", "parked_gets") == (1,),
                   what="all three wait")
        broker.kill_and_start()
        wait_until(lambda: show(broker, "full", "parked_puts", "joiners") ==
                   (1, 1) and show(broker, "empty", "parked_gets") == (1,),
                   what="all three wait again")
        equal(broker.cli("get", "full").stdout, "one", "first")
        equal(put.wait(), 0, "the put that was blocked")
        equal(broker.cli("get", "full").stdout, "two", "second")
        equal(join.wait(), 0, "the join that was blocked")
        broker.cli("put", "empty", "bun")
        equal(get.wait(), 0, "the get that was blocked")
        equal(get.stdout(), "bun", "what it got")


@test("[S9] a session resumes with its leases; the others' items come back")
def _():
    with Durable(path("data")) as broker:
        broker.cli("put", "jobs", "a", "b")
        holder = broker.start("baozi-worker", "jobs", "-c", "1", "--shell",
                              "--exec", "sleep 1.5")
        wait_until(lambda: show(broker, "jobs", "leased") == (1,),
                   what="an item is leased")
        broker.kill_and_start()
        wait_until(lambda: show(broker, "jobs", "done", "leased") == (1, 1),
                   what="it is done, and the other one is leased")
        holder.kill()
        wait_until(lambda: show(broker, "jobs", "ready") == (1,),
                   what="the dead worker's item is back")


@test("[S1 S5.4 S7] dead and delayed items, pauses and keys survive")
def _():
    with Durable(path("data")) as broker:
        broker.cli("queue", "create", "jobs", "--max-deliveries", "1")
        broker.cli("put", "jobs", "poison", "--header", "kind=bad")
        broker.worker("jobs", "-q", "--until-empty", "--shell", "--exec",
                      "echo no >&2; exit 1")
        broker.cli("put", "jobs", "later", "--delay", "1h")
        broker.cli("put", "jobs", "first", "--dedup-key", "k",
                   "--dedup-window", "1h")
        broker.cli("queue", "pause", "jobs", "--out")
        before = broker.stat("jobs")
        broker.kill_and_start()
        after = broker.stat("jobs")
        for name in ("dead", "delayed", "ready", "paused", "accepted", "died",
                     "unfinished"):
            equal(after[name], before[name], name)
        equal((after["dead"], after["delayed"], after["ready"]), (1, 1, 1),
              "dead, delayed, ready")
        rows = broker.cli("browse", "jobs", "--state", "dead", "--format",
                          "json").stdout
        contains(rows, "no")
        again = broker.cli("put", "jobs", "second", "--dedup-key", "k",
                           "--dedup-window", "1h", "--format", "json").stdout
        equal(json.loads(again)["duplicate"], True, "the key is remembered")


@test("[S7] a put that was repeated after kill -9 is stored once")
def _():
    with Durable(path("data")) as broker:
        broker.cli("queue", "create", "jobs")
        put = [broker.start("baozi", "put", "jobs", f"bun {n}")
               for n in range(20)]
        broker.kill_and_start()
        for process in put:
            equal(process.wait(), 0, "a put")
        equal(show(broker, "jobs", "accepted"), (20,), "accepted")


@test("[S9] memory queues begin anew; their joins are LOST, never OK")
def _():
    with Durable(path("data")) as broker:
        broker.cli("queue", "create", "jobs", "--durability", "memory")
        broker.cli("queue", "create", "kept", "--durability", "os")
        broker.cli("put", "jobs", "a")
        broker.cli("put", "kept", "a")
        join = broker.start("baozi", "join", "jobs")
        wait_until(lambda: show(broker, "jobs", "joiners") == (1,),
                   what="the join waits")
        broker.kill_and_start()
        equal(join.wait(), 74, "the join's exit code")
        contains(join.stderr(), "LOST")
        equal(show(broker, "jobs", "ready", "accepted"), (0, 0), "memory")
        equal(show(broker, "kept", "ready"), (1,), "os")


@test("[S8 S11] SIGTERM leaves a checkpoint; two brokers never share a folder")
def _():
    with Durable(path("data")) as broker:
        broker.cli("put", "jobs", *[f"bun {n}" for n in range(100)])
        second = run("baozi-broker", "--data", path("data"), "--listen",
                     f"ipc://{path('other')}")
        equal(second.returncode, 74, "exit code of the second broker")
        contains(second.stderr, "another broker")
        equal(broker.stop(), 0, "exit code")
        contains(broker.stderr(), "event=checkpoint")
        broker.start_again()
        contains(broker.stderr(), "facts=0")
        equal(show(broker, "jobs", "ready"), (100,), "ready")
        equal(broker.cli("get", "jobs").stdout, "bun 0", "the first one")


def resident_mb(pid):
    for line in read_file(f"/proc/{pid}/status").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) // 1024
    raise AssertionError("no RssAnon")


def read_file(name):
    with open(name, encoding="ascii") as file:
        return file.read()


def backlog(megabytes, limit_mb, item_kb):
    """More on the disk than fits into memory, out again in order; with a
    restart in the middle."""
    with Durable(path("data"), "--memory-limit", f"{limit_mb}MiB") as broker:
        broker.cli("queue", "create", "jobs")
        crowd = Crowd(broker.url, "jobs", producers=1, workers=0,
                      sizes=(item_kb * 1024,))
        wait_until(lambda: show(broker, "jobs", "bytes")[0] > megabytes << 20,
                   300, what="the backlog")
        equal(crowd.producers[0].stop(), 0, "the producer")
        full_mb = resident_mb(broker.pid)
        took = broker.kill_and_start()
        restarted_mb = resident_mb(broker.pid)
        crowd.eat(broker.url)
        counts = crowd.finish(broker, 300)
        got = [int(name.split("-")[1]) for name in crowd.read()["got"]]
        equal(got, sorted(got), "the order")
    # A sanitizer's shadow and quarantine are no part of what is promised.
    most_mb = limit_mb * (4 if SANITIZED else 1)
    check(full_mb < most_mb, f"{full_mb} MB in memory")
    check(restarted_mb < most_mb, f"{restarted_mb} MB after the restart")
    print(f"# {counts['put']} items, {megabytes} MB: {full_mb} MB resident, "
          f"{restarted_mb} MB after a restart of {took:.2f} s")


@test("[P7 S6] a backlog larger than memory drains in order, across a restart")
def _():
    if os.environ.get("BAOZI_TEST_LONG"):
        backlog(2048, 256, 200)
    else:
        backlog(256, 64, 60)


@test("[P7 S9] one old item pins nothing: the disk is bounded by what lives")
def _():
    churn = (5000 if os.environ.get("BAOZI_TEST_LONG") else 700) << 20
    size = 200 << 10
    most = 0
    with Durable(path("data")) as broker:
        broker.cli("queue", "create", "jobs", "--maxsize", "20")
        broker.cli("put", "old", "bun", "--delay", "1h")
        crowd = Crowd(broker.url, "jobs", producers=2, workers=2,
                      sizes=(size,))
        while show(broker, "jobs", "done")[0] * size < churn:
            most = max(most, disk_bytes(path("data")))
            time.sleep(0.05)
        counts = crowd.finish(broker)
        equal(show(broker, "old", "delayed"), (1,), "the old one")
    # 2.5 times what lives and 432 MiB (broker/JOURNAL.md); what lives is the
    # old item and at most 24 others.
    limit = int(2.5 * 24 * size) + (432 << 20)
    check(most <= limit, f"{most >> 20} MiB on the disk")
    print(f"# {counts['put']} items, {counts['put'] * size >> 20} MiB churned, "
          f"at most {most >> 20} MiB on the disk")


@test("[P7 S9] 800,000 small items pass one old one (50 million: "
      "tests/fault/long_churn.py)")
def _():
    churn(800000)


@test("[P8] a flipped byte of what was confirmed: it refuses to start")
def _():
    broker = Durable(path("data"))
    for n in range(20):
        broker.cli("put", "jobs", f"a bun that was confirmed, number {n:02}")
    broker.kill()
    wanted = b"a bun that was confirmed, number 03"
    for entry in os.scandir(path("data")):
        with open(entry.path, "r+b") as file:
            place = file.read().find(wanted)
            if place >= 0:
                file.seek(place)
                file.write(b"A")
                damaged = entry.name
    done = run("baozi-broker", "--data", path("data"), "--http", "off",
               "--listen", f"ipc://{path('other')}")
    equal(done.returncode, 74, "exit code")
    contains(done.stderr, damaged)
    contains(done.stderr, "why:")
    contains(done.stderr, "do:")
    equal(done.stdout, "", "it never said that it listens or is ready")


@test("[S9] a memory limit that is too small for what is there is refused")
def _():
    lines = "".join(f"{n}\n" for n in range(150000))
    for checkpoint in (False, True):
        broker = Durable(path("data"))
        done = broker.producer("jobs", "-q", input=lines)
        equal(done.returncode, 0, "the producer")
        equal(broker.stop() if checkpoint else -broker.kill(),
              0 if checkpoint else 9, "how it ended")
        done = run("baozi-broker", "--data", path("data"), "--http", "off",
                   "--memory-limit", "64MiB", "--listen",
                   f"ipc://{path('other')}")
        equal(done.returncode, 78, "exit code: " + done.stderr)
        contains(done.stderr, "raise --memory-limit")
    with Durable(path("data")) as broker:
        equal(show(broker, "jobs", "ready"), (300000,), "ready")


@test("[S9] a backup of a busy broker starts, with all that was confirmed")
def _():
    with Durable(path("data")) as broker:
        broker.cli("queue", "create", "kept")
        broker.cli("put", "kept", *[f"bun {n}" for n in range(100)])
        broker.cli("queue", "create", "jobs")
        crowd = Crowd(broker.url, "jobs", producers=2, workers=2,
                      sizes=(0, 200000))
        time.sleep(1)
        # However fast segments are used again, it ends, at the first try.
        for name in "copy", "second", "third", "fourth":
            done = broker.cli("backup", "--data", path("data"), path(name))
            equal(done.returncode, 0, "baozi backup: " + done.stderr)
        again = broker.cli("backup", "--data", path("data"), path("copy"))
        equal(again.returncode, 74, "a backup into a folder that is not empty")
        # No broker has run in it, so there is no lock file.
        good = broker.cli("log", "verify", path("second"))
        equal(good.returncode, 0, "log verify of a backup: " + good.stderr)
        before = len(crowd.read()["put"])
        with Durable(path("fourth"), url=f"ipc://{path('other')}") as copy:
            equal(show(copy, "kept", "ready", "accepted"), (100, 100), "fourth")
        with Durable(path("copy"), url=f"ipc://{path('other')}") as copy:
            equal(show(copy, "kept", "ready", "accepted"), (100, 100), "kept")
            check(show(copy, "jobs", "accepted")[0] <= before + 100, "jobs")
            equal(copy.cli("get", "kept").stdout, "bun 0", "the first one")
            equal(copy.cli("queue", "purge", "jobs").returncode, 0, "purge")
        crowd.finish(broker)


@test("[S9] a full disk: puts are refused, the rest works, and it clears")
def _():
    if why_not():
        raise Skip(why_not())
    with Disk(megabytes=400) as disk:
        broker = Durable(disk.path("data"))
        broker.cli("queue", "create", "jobs", "--max-deliveries", "0")
        small = broker.cli("put", "jobs", "small")
        equal(small.returncode, 0, "a put with room")
        bun, puts = b"x" * (4 << 20), 0
        while True:
            done = broker.cli("put", "jobs", input=bun)
            if done.returncode != 0:
                break
            puts += 1
            check(puts < 200, "400 MB took 800 MB")
        equal(done.returncode, 75, "exit code of the refused put")
        contains(done.stderr, "disk is full")
        check(puts > 25, f"only {puts} puts of 4 MB went into 400 MB")
        equal(broker.cli("put", "jobs", input=bun).returncode, 75, "again")
        # What frees room works: all of it goes out.
        equal(show(broker, "jobs", "ready"), (puts + 1,), "ready")
        for _item in range(puts + 1):
            equal(broker.cli("get", "jobs").returncode, 0, "a get")
        equal(broker.cli("join", "jobs").returncode, 0, "the join")
        wait_until(lambda: broker.cli("put", "jobs", input=bun).returncode ==
                   0, 30, "there is room again")
        broker.kill_and_start()
        check(show(broker, "jobs", "ready")[0] >= 1, "what was put at last")
        equal(broker.stop(), 0, "exit code")


def segments(folder):
    """How many there are, and the number of the newest."""
    numbers = [int(name[8:], 16) for name in os.listdir(folder)
               if name.startswith("segment-")]
    return len(numbers), max(numbers)


def image_rooms(folder):
    """Files that have or will have an image of the broker's state."""
    return sum(os.stat(os.path.join(folder, name)).st_blocks * 512 >= 16 << 20
               for name in os.listdir(folder) if name.startswith("checkpoint"))


RESULTS = os.path.join(ROOT, "build/release/tests",
                       "integration/results")


class Results:
    """Items that want a result, all put; `give` settles as many as it is
    given sizes and returns what came, [(status, bytes)]."""

    def __init__(self, broker, count):
        self.lines, self.go = 1, path("go")
        self.process = Process(RESULTS, broker.url, "sums", str(count),
                               self.go)
        wait_until(lambda: self.process.stdout() == "put\n", 30, "all are put")

    def give(self, sizes):
        """`sizes`: [(bytes, "ask" or "leave")]"""
        write("sizes", "".join(f"{size} {word}\n" for size, word in sizes))
        os.rename(path("sizes"), self.go)
        equal(self.process.wait(120), 0, "exit code of results")
        return [(status, int(size)) for status, size in
                (line.split() for line in
                 self.process.stdout().splitlines()[1:])]


@test("[S9 P7] a disk that stays full: results of twice the reserve pass "
      "through it; when the log is at its end get is refused and what frees "
      "room goes on; it clears")
def _():
    if why_not():
        raise Skip(why_not())
    with Disk(megabytes=512) as disk:
        data, bun = disk.path("data"), b"x" * (4 << 20)
        broker = Durable(data)
        broker.cli("queue", "create", "sums", "--result-ttl", "1s")
        broker.cli("put", "kept", "a", "b", "c")
        broker.cli("put", "held", "bun")
        holder = broker.start("baozi-worker", "held", "-q", "--shell",
                              "--exec", f"while [ ! -e {path('end')} ]; do "
                              "sleep 0.1; done")
        results = Results(broker, 250)
        for _bun in range(26):
            equal(broker.cli("put", "ballast", input=bun).returncode, 0, "put")
        wait_until(lambda: segments(data)[0] == 5 and image_rooms(data) == 3,
                   30, "the reserve, the next one, and room for images")
        filler = disk.fill()
        while broker.cli("put", "ballast", input=bun).returncode == 0:
            pass
        first = segments(data)[1]
        asked, big = 32, 8 << 20
        given = results.give(
            [(big, "ask")] * asked + [(big, "leave")] * 20 +
            [(1 << 20, "leave")] * 10 + [(50000, "leave")] * 22 +
            [(500, "leave")] * 166)
        equal(given[:asked], [("OK", big)] * asked, "results")
        check(segments(data)[1] >= first + 3, "no segment was used again")
        equal(given[-1][0], "STORAGE_FULL", "the last get")
        contains(broker.cli("get", "kept").stderr, "disk is full")
        equal(broker.cli("put", "kept", "more").returncode, 75, "a put")
        write("end", "")
        equal(broker.cli("join", "held").returncode, 0, "a settle, a join")
        for queue in ("ballast", "sums"):
            equal(broker.cli("queue", "purge", queue).returncode, 0, "a purge")
        equal(show(broker, "kept", "ready"), (3,), "kept")
        os.remove(filler)
        wait_until(lambda: broker.cli("get", "kept").returncode == 0, 30,
                   "a get, when there is room again")
        wait_until(lambda: broker.cli("put", "kept", "d").returncode == 0, 30,
                   "a put")
        equal(holder.stop(), 0, "the worker")
        broker.kill_and_start()
        equal(show(broker, "kept", "ready"), (3,), "what is there at last")
        equal(broker.stop(), 0, "exit code")


def is_unused(file):
    """A segment that was prepared, or an image that was never ended."""
    with open(file, "rb") as opened:
        opened.seek(4096)
        return not any(opened.read(64)) or file.endswith(".tmp")


@test("[S9] a start without room on the disk says so, and loses nothing")
def _():
    if why_not():
        raise Skip(why_not())
    with Disk(megabytes=320) as disk:
        data = disk.path("data")
        broker = Durable(data)
        broker.cli("put", "jobs", *[f"bun {n}" for n in range(5)])
        broker.kill()
        for name in os.listdir(data):
            if name[:8] in ("segment-", "checkpoi", "prepare.") and is_unused(
                    os.path.join(data, name)):
                os.remove(os.path.join(data, name))
        filler = disk.fill()
        for _start in range(2):
            done = run("baozi-broker", "--data", data, "--http", "off",
                       "--listen", f"ipc://{path('other')}")
            equal(done.returncode, 74, "exit code: " + done.stderr)
            contains(done.stderr, "No space left")
            contains(done.stderr, "make room on that disk")
        os.remove(filler)
        broker.start_again()
        equal(show(broker, "jobs", "ready"), (5,), "ready")
        equal(broker.stop(), 0, "exit code")


@test("[S9] a disk that fails: nobody is told OK, and the broker ends with 74")
def _():
    if why_not():
        raise Skip(why_not())
    with Disk(megabytes=400) as disk:
        broker = Durable(disk.path("data"))
        broker.cli("queue", "create", "jobs", "--maxsize", "1")
        broker.cli("put", "jobs", "kept")
        join = broker.start("baozi", "join", "jobs")
        put = broker.start("baozi", "put", "jobs", "blocked")
        wait_until(lambda: show(broker, "jobs", "joiners", "parked_puts") ==
                   (1, 1), what="both wait")
        disk.cut()
        late = broker.start("baozi", "queue", "create", "late")
        equal(broker.wait(), 74, "exit code of the broker")
        contains(broker.stderr(), "event=storage_failed")
        for waited in (put, join):
            equal(waited.wait(), 74, "exit code of one that waited")
            contains(waited.stderr(), "disk failed")
        check(late.wait() in (69, 74), "it was told OK")
        disk.restore()
        broker.start_again()
        equal(show(broker, "jobs", "ready"), (1,), "what was confirmed")
        equal(broker.cli("get", "jobs").stdout, "kept", "the item")
        equal(broker.stop(), 0, "exit code")


if __name__ == "__main__":
    main()
