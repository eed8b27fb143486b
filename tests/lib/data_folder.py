"""A broker's data folder, looked at with `baozi log`, and harmed."""
import json
import os

from baozi_test import Broker, contains, equal, run, path

HEAD = 4096  # of a segment
RECORD = 56  # head of a record


def records(data):
    """What `baozi log dump` says, one dict a record."""
    found = run("baozi", "log", "dump", data, "--format", "json")
    equal(found.returncode, 0, found.stderr)
    return [json.loads(line) for line in found.stdout.splitlines()]


def marks(data):
    found = records(data)
    return found and found[-1]["kind"] == "mark"


def segment(data, number=1):
    return os.path.join(data, f"segment-{number:016x}")


def flip(file, offset):
    with open(file, "r+b") as opened:
        opened.seek(offset)
        byte = opened.read(1)[0]
        opened.seek(offset)
        opened.write(bytes([byte ^ 0x40]))


def refused(data):
    """The broker does not start; what it says."""
    found = run("baozi-broker", "--data", data, "--listen",
                "ipc://" + path("refused"), "--http", "off")
    equal(found.returncode, 74, found.stderr)
    return found.stderr


def stat(data):
    return json.loads(run("baozi", "log", "stat", data, "--format",
                          "json").stdout)


def listed(data, number):
    """What the manifest says of that segment, or None."""
    return next((s for s in stat(data)["segments"] if
                 s["number"] == number and s["state"] == "closed"), None)


def outlived(broker, data, count=12):
    """`count` items of 4 MiB in the first segment, which both checkpoints are
    younger than; the number of the younger one."""
    for i in range(count):
        broker.cli("put", "kept", input=bytes([65 + i]) * (4 << 20))
    for _ in range(60):
        broker.cli("put", "jobs", input=b"x" * (4 << 20))
        broker.cli("get", "jobs")
        images = stat(data)["checkpoints"]
        first = listed(data, 1)
        if first and len(images) == 2 and \
                images[1]["replay_lsn"] > first["last_lsn"]:
            return images[0]["number"]
    raise AssertionError("no two checkpoints behind the first segment")


def all_of(broker, queue):
    """Takes what is there; each item is one letter, again and again."""
    letters = ""
    while True:
        found = broker.cli("get", queue, "--no-wait")
        if found.returncode != 0:
            return letters
        equal(found.stdout, found.stdout[:1] * (4 << 20), "one item")
        letters += found.stdout[:1]
