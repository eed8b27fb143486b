"""Many small items pass one old one, and the disk is watched meanwhile."""
import json
import os
import time

from baozi_test import check, equal, path
from ledger import Durable

ITEM_BYTES, MAXSIZE = 100, 50000
SEGMENT = 64 << 20
# What lies in the log for an item besides its payload, and in a checkpoint;
# generous, and little beside the segments.
FACT_BYTES, IMAGE_BYTES = 60, 60


def disk_bytes(folder):
    """Of all files there; they come and go."""
    total = 0
    for entry in os.scandir(folder):
        try:
            total += entry.stat().st_blocks * 512
        except FileNotFoundError:
            pass
    return total


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10
    raise AssertionError("no RssAnon")


def churn(items):
    """The bound of broker/JOURNAL.md holds while so many items come and go
    beside one that stays."""
    limit = int(2.5 * MAXSIZE * (ITEM_BYTES + FACT_BYTES) + 6.75 * SEGMENT +
                8 * MAXSIZE * IMAGE_BYTES)
    disk = memory = early = 0
    with Durable(path("data")) as broker:
        equal(broker.cli("put", "old", "bun", "--delay", "10h").returncode, 0,
              "the old one")
        begin = time.monotonic()
        bench = broker.start(
            "baozi", "bench", "-p", "2", "-c", "2", "--count", str(items),
            "--window", "1024", "--maxsize", str(MAXSIZE), "-q",
            "--size", str(ITEM_BYTES), "--format", "json")
        while bench.popen.poll() is None:
            disk = max(disk, disk_bytes(path("data")))
            memory = max(memory, resident_bytes(broker.pid))
            if time.monotonic() - begin < 2:
                early = memory
            time.sleep(0.05)
        took = time.monotonic() - begin
        equal(bench.wait(), 0, "exit code of baozi bench")
        told = json.loads(bench.stdout())
        equal((told["taken"], told["missing"], told["doubled"]),
              (items, 0, 0), "taken, missing, doubled")
        equal(broker.stat("old")["delayed"], 1, "the old one")
    print(f"# {items} items in {took:.0f} s: at most {disk >> 20} MiB on the "
          f"disk (allowed: {limit >> 20}), {memory >> 20} MiB in memory")
    check(disk <= limit, f"{disk >> 20} MiB on the disk")
    check(memory <= 2 * early + (64 << 20), f"{memory >> 20} MiB in memory, "
          f"{early >> 20} after 2 s")
