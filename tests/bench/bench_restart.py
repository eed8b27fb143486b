#!/usr/bin/python3
"""How long a broker with a data directory takes to start again.

    tests/bench/bench_restart.py [ITEMS] [BYTES]      1,000,000 of 100 bytes

Fills one queue, then prints the time from the start of the process to the
first item that a get brings: after kill -9, and after SIGTERM, which leaves a
checkpoint; and what memory and disk it takes. The kernel has the files in its
memory, as it has after a broker's death.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BAOZI_BUILD",
                                       os.path.join(ROOT, "build")))


def program(name):
    return os.path.join(BUILD, name)


class Bench:
    def __init__(self, folder):
        self.data = os.path.join(folder, "data")
        self.url = f"ipc://{folder}/broker"
        self.log = open(os.path.join(folder, "log"), "ab")

    def start(self):
        self.begin = time.monotonic()
        self.broker = subprocess.Popen(
            [program("baozi-broker"), "--data", self.data, "--http", "off",
             "--listen", self.url], stdout=subprocess.PIPE, stderr=self.log)
        for line in self.broker.stdout:
            if line == b"ready\n":
                return time.monotonic() - self.begin
        raise SystemExit(f"the broker did not start: see {self.log.name}")

    def stop(self, kill):
        if kill:
            self.broker.kill()
        else:
            self.broker.terminate()
        self.broker.wait()

    def client(self, name, *arguments, **more):
        return subprocess.run([program(name), *arguments, "--url", self.url],
                              check=True, **more)

    def fill(self, items, size):
        lines = b"".join(b"%0*d\n" % (size, n) for n in range(items))
        begin = time.monotonic()
        self.client("baozi-producer", "queue", "-q", input=lines)
        return time.monotonic() - begin

    def resident_mb(self):
        with open(f"/proc/{self.broker.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        return 0

    def restart(self, kill):
        """(seconds until ready, seconds until the first item, MB)"""
        self.stop(kill)
        ready = self.start()
        self.client("baozi", "get", "queue", stdout=subprocess.DEVNULL)
        return ready, time.monotonic() - self.begin, self.resident_mb()


def disk_mb(folder):
    return sum(entry.stat().st_blocks * 512
               for entry in os.scandir(folder)) / (1 << 20)


def main():
    items = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    folder = tempfile.mkdtemp(prefix="baozi-restart-")
    bench = Bench(folder)
    try:
        bench.start()
        took = bench.fill(items, size)
        print(f"put {items:,} items of {size} bytes: {took:.2f} s, "
              f"{bench.resident_mb():.0f} MB resident")
        for kill, name in ((True, "kill -9"), (False, "SIGTERM"),
                           (False, "SIGTERM")):
            ready, first, memory = bench.restart(kill)
            print(f"after {name}: ready in {ready:.3f} s, first item in "
                  f"{first:.3f} s, {memory:.0f} MB resident, "
                  f"{disk_mb(bench.data):.0f} MB on disk")
        bench.stop(True)
    finally:
        bench.log.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
