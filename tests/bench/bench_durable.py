#!/usr/bin/python3
"""Durable puts through a real broker against the disk alone.

    tests/bench/bench_durable.py [ROUNDS] [FOLDER]      5 rounds, in /var/tmp

In turns, so that both meet the same disk:

  window 128  four producers with 128 unconfirmed puts of 100 bytes each, and
              a bare loop of pwrite + fdatasync of batches as large as the
              broker's were; asked for is 60 % of the puts that the bare loop
              would carry
  window 1    one producer that waits for each confirmation, a bare fdatasync,
              and the round trip of a put that nobody syncs; asked for are 1.5
              of the one and one of the other

How much the broker synced at a time is read from its log afterwards: what each
trailer says to be durable changes with every sync that returned.
"""
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BAOZI_BUILD",
                                       os.path.join(ROOT, "build")))
TESTS = os.path.join(ROOT, "build", "release", "tests")
ROUND_MS = 1500
QUIET_S = 0.5


def out(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True).stdout


class Bench:
    def __init__(self, folder):
        self.folder, self.data = folder, os.path.join(folder, "data")
        self.url = f"ipc://{folder}/broker"
        self.last_lsn = 0
        # No image within a round: it would free segments, and the log must
        # still have every sync of the round when they are counted.
        self.broker = subprocess.Popen(
            [os.path.join(BUILD, "baozi-broker"), "--data", self.data,
             "--checkpoint-every", "1GiB", "--http", "off", "--listen",
             self.url], stdout=subprocess.PIPE,
            stderr=open(os.path.join(folder, "log"), "ab"))
        for line in self.broker.stdout:
            if line == b"ready\n":
                return
        raise SystemExit("the broker did not start")

    def cli(self, *words):
        out(os.path.join(BUILD, "baozi"), *words, "--url", self.url)

    def producers(self, count, queue, window):
        """Puts a second of all, and the median of the medians in us."""
        started = [subprocess.Popen(
            [os.path.join(TESTS, "integration", "putter"), self.url, queue,
             str(window), str(ROUND_MS)], stdout=subprocess.PIPE, text=True)
            for _ in range(count)]
        told = [process.communicate()[0].split() for process in started]
        self.cli("queue", "purge", queue)
        self.settle()
        return (sum(int(words[0]) for words in told) * 1000 / ROUND_MS,
                statistics.median(int(words[1]) for words in told))

    def settle(self):
        """Until the broker has written what follows a round: an image, the
        next segments."""
        before, since = None, time.monotonic()
        while time.monotonic() - since < QUIET_S:
            with open(f"/proc/{self.broker.pid}/io", encoding="ascii") as file:
                now = re.search(r"^wchar: \d+", file.read(), re.M).group()
            if now != before:
                before, since = now, time.monotonic()
            time.sleep(0.02)

    def batches(self, puts):
        """Of the last round: (bytes of one sync, puts in it)."""
        text = out(os.path.join(BUILD, "baozi"), "log", "dump", self.data,
                   "--from", str(self.last_lsn + 1))
        lines = text.splitlines()
        durable = {line.rsplit("durable=", 1)[1] for line in lines
                   if " batch_end " in line}
        size = sum(56 + (int(found.group(1)) + 7) // 8 * 8 for found in
                   (re.search(r" bytes=(\d+)", line) for line in lines)
                   if found)
        if lines:
            self.last_lsn = int(lines[-1].split()[0])
        syncs = max(len(durable), 1)
        return size // syncs, puts / syncs

    def bare(self, size):
        words = out(os.path.join(TESTS, "bench", "bench_log"), self.folder,
                    str(size), "2").split()
        return float(words[0]), float(words[1])

    def stop(self):
        self.broker.terminate()
        self.broker.wait()


def four(bench, rounds):
    ratios = []
    print("four producers, window 128:")
    for _ in range(rounds):
        rate, _p50 = bench.producers(4, "jobs", 128)
        size, each = bench.batches(rate * ROUND_MS / 1000)
        syncs, _p50 = bench.bare(size)
        ratios.append(rate / (syncs * each))
        print(f"  {rate:9.0f} puts/s, {size:6} bytes and {each:4.0f} puts a "
              f"sync; bare {syncs:6.0f} syncs/s would carry "
              f"{syncs * each:9.0f}: {ratios[-1]:.2f}")
    print(f"  median {statistics.median(ratios):.2f} of the bare loop "
          "(asked for: 0.60)")


def one(bench, rounds):
    ratios = []
    print("one producer, window 1:")
    for _ in range(rounds):
        rate, durable = bench.producers(1, "jobs", 1)
        size, _each = bench.batches(rate * ROUND_MS / 1000)
        _rate, trip = bench.producers(1, "quick", 1)
        _syncs, bare = bench.bare(size)
        ratios.append(durable / (1.5 * bare + trip))
        print(f"  put p50 {durable:5.0f} us; bare fdatasync p50 {bare:5.0f} "
              f"us, round trip p50 {trip:5.0f} us: {ratios[-1]:.2f} of 1.5 "
              "syncs and a trip")
    print(f"  median {statistics.median(ratios):.2f} (asked for: at most "
          "1.00)")


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    above = sys.argv[2] if len(sys.argv) > 2 else (
        os.environ.get("TMPDIR", "/var/tmp"))
    folder = tempfile.mkdtemp(prefix="baozi-bench-", dir=above)
    try:
        bench = Bench(folder)
        bench.cli("queue", "create", "jobs")
        bench.cli("queue", "create", "quick", "--durability", "memory")
        four(bench, rounds)
        one(bench, rounds)
        bench.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
