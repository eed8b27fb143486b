"""A long mixed run (row F34): durable and memory queues, producers and workers
that live, are killed, or stand still for longer than their lease, and an
operator who looks, purges and redrives all the time. At the end the broker is
killed, started again and emptied, and the books are judged.

BAOZI_SOAK_SECONDS is how long (120). The broker is one process until then: its
memory, descriptors and threads are as flat as its data directory.
"""
import os
import random
import signal
import statistics
import time

from baozi_test import check, equal, main, path, test
from fault import descriptors, resident_kib
from ledger import Crowd, Durable

SECONDS = float(os.environ.get("BAOZI_SOAK_SECONDS", "120"))
SEED = int(os.environ.get("BAOZI_TEST_SEED", "1"))
LEASE = 2.0  # seconds
BACKLOG = 2000  # items of the durable queue
GROWTH_KIB = 24 << 10
DISK_BYTES = 1 << 30


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def folder_bytes(folder):
    return sum(os.stat(os.path.join(folder, name)).st_blocks * 512
               for name in os.listdir(folder))


class Nemesis:
    """What goes wrong, and what an operator does; drawn from a seed."""

    def __init__(self, broker, crowds):
        self.broker, self.crowds = broker, crowds
        self.chance = random.Random(SEED)
        self.stopped = []  # (process, when it goes on)
        self.counts = {}

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def kill_worker(self):
        crowd = self.chance.choice(self.crowds)
        number = self.chance.randrange(len(crowd.workers))
        crowd.kill_worker(number, self.broker.url)

    def kill_producer(self):
        crowd = self.chance.choice(self.crowds)
        crowd.kill_producer(self.chance.randrange(len(crowd.producers)),
                            self.broker.url)

    def stop_worker(self):
        worker = self.chance.choice(self.chance.choice(self.crowds).workers)
        if all(worker is not one for one, _when in self.stopped):
            worker.signal(signal.SIGSTOP)
            self.stopped.append((worker, time.monotonic() + 1.5 * LEASE))

    def poison(self):
        self.broker.cli("put", "poison", "bad")
        self.broker.worker("poison", "-c", "1", "--exec", "false",
                           "--until-empty")

    def look(self):
        words = self.chance.choice([
            ("browse", "jobs"), ("queue", "show", "notes"), ("queue", "ls"),
            ("stats",), ("peek", "jobs"), ("browse", "poison"),
            ("workers",), ("redrive", "poison", "--limit", "3"),
            ("queue", "purge", "poison"),
            ("queue", "purge", "poison", "--dead")])
        done = self.broker.cli(*words)
        check(done.returncode in (0, 1), f"{words}: {done.stderr}")
        self.count(" ".join(words[:2]))

    def go_on(self, all_of_them=False):
        now = time.monotonic()
        for worker, when in list(self.stopped):
            if all_of_them or now > when:
                worker.signal(signal.SIGCONT)
                self.stopped.remove((worker, when))

    def act(self):
        act = self.chance.choices(
            [self.kill_worker, self.kill_producer, self.stop_worker,
             self.poison, self.look], [3, 2, 2, 1, 6])[0]
        act()
        self.count(act.__name__)
        self.go_on()


def sample(broker, folder):
    return {"resident_kib": resident_kib(broker.pid),
            "descriptors": descriptors(broker.pid),
            "threads": threads(broker.pid), "disk": folder_bytes(folder)}


def flat(samples):
    """The second quarter against the last one, by their medians."""
    quarter = len(samples) // 4
    check(quarter > 3, f"too few samples: {len(samples)}")
    before, after = (
        {name: statistics.median(one[name] for one in part)
         for name in samples[0]}
        for part in (samples[quarter:2 * quarter], samples[-quarter:]))
    print(f"# the second quarter: {before}")
    print(f"# the last quarter:   {after}")
    check(after["resident_kib"] - before["resident_kib"] < GROWTH_KIB,
          "memory grows")
    check(abs(after["descriptors"] - before["descriptors"]) <= 4,
          "descriptors grow")
    equal(after["threads"], before["threads"], "threads")
    check(after["disk"] < DISK_BYTES, "the data directory grows")


def queues(broker):
    lease = ("--lease", f"{LEASE:.0f}s")
    for words in (("jobs", "--maxsize", str(BACKLOG)),
                  ("notes", "--durability", "memory", "--maxsize", "500"),
                  ("poison", "--max-deliveries", "1")):
        equal(broker.cli("queue", "create", *words, *lease).returncode, 0,
              f"queue create {words}")


@test(f"[F34 P1-P7] {SECONDS:.0f} s of everything: the books are right, the "
      "broker stays as it was")
def _():
    data = path("data")
    with Durable(data) as broker:
        queues(broker)
        jobs = Crowd(broker.url, "jobs", producers=3, workers=3,
                     sizes=(0, 300, 20000), name="j")
        notes = Crowd(broker.url, "notes", producers=2, workers=2,
                      sizes=(0, 3000), name="n")
        nemesis, samples = Nemesis(broker, [jobs, notes]), []
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            nemesis.act()
            samples.append(sample(broker, data))
            time.sleep(nemesis.chance.uniform(0, 0.3))
        nemesis.go_on(True)
        flat(samples)
        # what a memory queue holds ends with its broker
        notes.end(broker)
        counts = {"notes": notes.judge()}
        for producer in jobs.producers:
            equal(producer.stop(60), 0, "a producer's exit code")
        broker.kill_and_start()
        jobs.end(broker)
        counts["jobs"] = jobs.judge()
        stat = broker.stat("jobs")
        equal(stat["unfinished"], 0, "unfinished")
        check(stat["done"] >= counts["jobs"]["done"], "done by the books")
        check(counts["jobs"]["put"] > 10 * SECONDS, "too little happened")
    print(f"# seed {SEED}: {nemesis.counts}")
    print(f"# {counts}")


main()
