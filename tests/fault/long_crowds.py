"""Crowds of clients that mean well: thousands that are connected and idle, and
a hundred thousand that come and go.

Prints what an idle client takes of the broker's memory, and what all of them
take of its processor: mute, and saying their heartbeats (each once a minute,
so 167 a second). BAOZI_IDLE_SECONDS is how long is measured.
"""
import os
import resource
import time

import hostile
from baozi_test import Broker, check, equal, main, test, wait_until
from fault import (Helper, descriptors, free_url, processor_seconds,
                   resident_kib)

RAW, PROCESSES, LIBRARY = 10000, 8, 500
SECONDS = float(os.environ.get("BAOZI_IDLE_SECONDS", "60"))


def crowds(broker, kind, count, processes):
    """Starts so many clients; all are welcomed when this returns."""
    started = [Helper("crowd", broker.url, count // processes, kind)
               for _ in range(processes)]
    for crowd in started:
        wait_until(lambda c=crowd: "ready" in c.stdout() or
                   c.popen.poll() is not None, 120, "the crowd is welcomed")
        check("ready" in crowd.stdout(), crowd.stderr())
    return started


def measure(kind, count, processes):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    check(limit >= count * 1.2 + 100, f"needs {count} descriptors: {limit}")
    with Broker("--listen", free_url(), "--memory-limit", "1GiB") as broker:
        local, broker.url = broker.url, broker.stdout().split()[3]
        before = resident_kib(broker.pid)
        begin = time.monotonic()
        started = crowds(broker, kind, count, processes)
        took = time.monotonic() - begin
        time.sleep(3)
        each = (resident_kib(broker.pid) - before) / count
        spent = processor_seconds(broker.pid)
        time.sleep(SECONDS)
        spent = processor_seconds(broker.pid) - spent
        share = 100 * spent / SECONDS
        broker.url = local
        sessions = broker.cli("workers").stdout.count("\n")
        for crowd in started:
            crowd.end_input()
            equal(crowd.wait(60), 0, "the crowd: " + crowd.stderr())
        beats = [crowd.stdout().split("\n")[1].split() for crowd in started]
        said = sum(int(words[0]) for words in beats)
        answered = sum(int(words[2]) for words in beats)
        print(f"# {count} idle clients ({kind}), welcomed in {took:.1f} s: "
              f"{each:.1f} KiB each, {share:.2f} % of a core over "
              f"{SECONDS:.0f} s; {said} heartbeats, {answered} answered",
              flush=True)
        equal(answered, said, "heartbeats answered")
        check(sessions >= count, f"{sessions} sessions are left")
    return each, share


@test("10,000 idle clients: under 60 KiB each, under 1 % of a core")
def _():
    each, share = measure("mute", RAW, PROCESSES)
    check(each < 60, f"{each:.1f} KiB a client")
    check(share < 1, f"{share:.2f} % of a core")


@test("10,000 idle clients that say their heartbeats: each is answered, "
      "under 60 KiB each, under 5 % of a core")
def _():
    each, share = measure("beating", RAW, PROCESSES)
    check(each < 60, f"{each:.1f} KiB a client")
    check(share < 5, f"{share:.2f} % of a core")


@test("500 idle clients of the library: under 60 KiB each, under 1 % of a "
      "core")
def _():
    each, share = measure("library", LIBRARY, 1)
    check(each < 60, f"{each:.1f} KiB a client")
    check(share < 1, f"{share:.2f} % of a core")


@test("100,000 that come, say HELLO and go, 64 at a time: no descriptor and "
      "no memory stays (F20)")
def _():
    with Broker("--listen", free_url(), "--memory-limit", "1GiB") as broker:
        tcp = broker.stdout().split()[3]
        before = descriptors(broker.pid)
        for _ in range(40):  # 10,000 of them to begin with
            hostile.storm(tcp)
        sizes = [resident_kib(broker.pid)]
        begin = time.monotonic()
        for _ in range(4):
            for _ in range(88):
                hostile.storm(tcp)
            sizes.append(resident_kib(broker.pid))
        took = time.monotonic() - begin
        wait_until(lambda: descriptors(broker.pid) <= before, 10,
                   "descriptors are given back")
        rate = 4 * 88 * 256 / took
        print(f"# {rate:.0f} connections/s; memory after 10, 33, 55, 78 and "
              f"100 thousand: {', '.join(str(kib) for kib in sizes)} KiB")
        check(sizes[-1] - sizes[-2] < 1024, f"memory grows: {sizes} KiB")
        check(rate > 1000, f"{rate:.0f} connections/s")


main()
