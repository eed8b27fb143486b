"""Other versions: row F33 of the fault matrix. A data directory of a newer
format is refused and stays as it is; what another build left is opened; a
broker is replaced under clients that do not notice more than the delay.

The sanitizers' build stands for the other version: its programs differ in
every byte, and it is there whenever tests are.
"""
import hashlib
import os
import signal
import time

import baozi_test
from baozi_disk import set_format
from baozi_test import (BUILD, PATIENCE, check, contains, equal, main, path,
                        run, test)
from ledger import Crowd, Durable

OTHER = os.path.join(os.path.dirname(BUILD), "build/asan/bin")
PROTOCOL_EXIT = 76
FORMAT = 1  # today's
ROUNDS = 4
SMALL = ("--memory-limit", "256MiB")  # a sanitizer maps all of it


class by_build:
    """Programs come from another build inside of this."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        baozi_test.BUILD, self.folder = self.folder, baozi_test.BUILD

    def __exit__(self, *_):
        baozi_test.BUILD = self.folder


def left_behind(name):
    """A data directory with ten items, as kill -9 leaves it."""
    data = path(name)
    with Durable(data, *SMALL) as broker:
        broker.cli("put", "jobs", *[f"bun-{n}" for n in range(10)])
        broker.stop()
        broker.start_again()  # so that there is a checkpoint, too
        broker.cli("put", "jobs", "bun-10")
        broker.kill_and_start()
    return data


def contents(data):
    """{name: digest of its bytes}, but for the lock."""
    found = {}
    for name in os.listdir(data):
        if name != "lock":
            with open(os.path.join(data, name), "rb") as file:
                found[name] = hashlib.sha256(file.read()).hexdigest()
    return found


def what_is_there(broker):
    return broker.cli("get", "jobs", "--count", "0", "--no-wait",
                      "--lines").stdout.split()


@test("[S9 F33] a directory of a newer format is refused, with the place and "
      "the way out, and not a byte of it changes")
def _():
    data = left_behind("data")
    set_format(data, FORMAT + 1)
    before = contents(data)
    check(len(before) > 3, f"there is little to change: {list(before)}")
    for code, says, name, *words in (
            (PROTOCOL_EXIT, "\n  do: ", "baozi-broker", "--data", data,
             "--listen", f"ipc://{path('refused')}", "--http", "off"),
            (PROTOCOL_EXIT, "\n  do: ", "baozi", "log", "repair",
             "--quarantine", data),
            (1, "manifest.0, offset 0", "baozi", "log", "verify", data)):
        found = run(name, *words)
        said = found.stdout + found.stderr
        equal(found.returncode, code, f"exit code of {name} {words}: {said}")
        contains(said, "newer", name)
        contains(said, says, name)
        equal(contents(data), before, f"bytes after {name} {words}")
    set_format(data, FORMAT)
    with Durable(data, *SMALL) as broker:
        equal(what_is_there(broker), [f"bun-{n}" for n in range(11)], "items")


@test("[S9 F33] what another build left is opened, and the other way round")
def _():
    with by_build(OTHER):
        data = left_behind("data")
    with Durable(data, *SMALL) as broker:
        equal(broker.cli("get", "jobs").stdout, "bun-0", "its first item")
        broker.kill()
        with by_build(OTHER):
            broker.start_again()
            equal(what_is_there(broker), [f"bun-{n}" for n in range(1, 11)],
                  "the others")


@test("[S8 S3.5 F33] a broker is replaced by another build, again and again; "
      "its clients live on")
def _():
    with Durable(path("data"), *SMALL) as broker:
        broker.cli("queue", "create", "jobs")
        crowd = Crowd(broker.url, "jobs", producers=2, workers=2,
                      sizes=(0, 3000))
        slowest = 0
        for number in range(ROUNDS):
            time.sleep(0.3 * PATIENCE)
            broker.signal(signal.SIGTERM)
            equal(broker.wait(), 0, "exit code of the old broker")
            with by_build(BUILD if number % 2 else OTHER):
                slowest = max(slowest, broker.start_again())
        counts = crowd.finish(broker)
        # what came while a broker drained was refused, as it should be
        refused = {why for _item, why in crowd.read()["fail"]}
        check(refused <= {"DRAINING"}, f"calls failed with {refused}")
        check(counts["put"] > 10 * ROUNDS, f"too little happened: {counts}")
    print(f"# {ROUNDS} other brokers: {counts}; slowest start {slowest:.2f} s")


main()
