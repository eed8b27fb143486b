"""Every hostile client of tests/lib/hostile.py beside an honest one: who
misbehaves is cut or refused, the broker's memory stays bounded, and the
honest client loses nothing.
"""
import contextlib
import json
import threading
import time

import hostile
from baozi_test import Broker, check, equal, main, test, wait_until
from fault import (Helper, Memory, descriptors, free_url,
                   processor_seconds, resident_kib)

MIB = 1024                        # KiB
LIMIT_MIB = 256                   # what the broker may use
PEAK_MIB = LIMIT_MIB // 4 + 64    # what floods may reach: a quarter, and slack
AFTER_MIB = 64
# These wait for deadlines of seconds; they do it together.
SLOW = ("squatting", "chosen_ids", "garbage", "old_greetings",
        "slow_greeting", "mute", "replay")


def go_on(broker, honest):
    """Waits until an honest client has done ten rounds more."""
    name = f"honest-{honest.pid}"
    rounds = broker.stat(name)["done"]
    wait_until(lambda: broker.stat(name)["done"] >= rounds + 10,
               what="the honest client is served")


def start_honest(broker, url):
    honest = Helper("honest", url, 600, 100)
    wait_until(lambda: f"honest-{honest.pid}" in
               broker.cli("queue", "ls").stdout,
               what="the honest client is there")
    go_on(broker, honest)
    return honest


@contextlib.contextmanager
def beside_an_honest_one(*arguments):
    """A broker with an honest client at work, and what they came to."""
    with Broker("--listen", free_url(), "--memory-limit", f"{LIMIT_MIB}MiB",
                *arguments) as broker:
        broker.tcp = broker.stdout().split()[3]
        honest = start_honest(broker, broker.tcp)
        memory = Memory(broker.pid)
        yield broker
        peak = memory.end()
        go_on(broker, honest)
        honest.end_input()
        equal(honest.wait(60), 0, "the honest client: " + honest.stderr())
        result = json.loads(honest.stdout())
        wait_until(lambda: resident_kib(broker.pid) - memory.start_kib <
                   AFTER_MIB * MIB, 5, "memory goes back")
        after = (resident_kib(broker.pid) - memory.start_kib) / MIB
        print(f"# memory +{peak:.0f} MiB at most, {after:+.0f} MiB after; "
              f"honest: {result['rounds']} rounds, p99 "
              f"{result['p99_us'] / 1000:.1f} ms, worst "
              f"{result['worst_us'] / 1000:.1f} ms")
        equal(result["wrong"], 0, "items of the honest client went wrong")
        check(peak < PEAK_MIB, f"memory grew by {peak:.0f} MiB")


def is_punished(kind, url):
    offenders, cut = hostile.KINDS[kind](url)
    if kind in hostile.MUST_CUT:
        equal(cut, offenders, f"{kind}: cut of {offenders}")


def tries(kind, times=2):
    @test(f"{hostile.KINDS[kind].__doc__.splitlines()[0]} ({kind})")
    def _():
        with beside_an_honest_one() as broker:
            for _ in range(times):
                is_punished(kind, broker.tcp)


for name in hostile.KINDS:
    if name not in SLOW and name not in ("storm", "hoard"):
        tries(name)


@test("squatted ids, noise, old and slow greetings, the mute, a replay: all "
      "at once, each is cut within its deadline")
def _():
    failures = []

    def attempt(kind, url):
        try:
            is_punished(kind, url)
        except Exception as bad:  # pylint: disable=broad-except
            failures.append(f"{kind}: {bad!r}")

    with beside_an_honest_one() as broker:
        threads = [threading.Thread(target=attempt, args=(kind, broker.tcp))
                   for kind in SLOW]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(failures, [], "what went unpunished")
        log = broker.stderr()
        for why in ("it said no HELLO", "it chose its own routing id"):
            check(why in log or "suppressed" in log, f"the log lacks {why}")


@test("[S13] thousands that come, say HELLO and go: no descriptor and no "
      "memory stays")
def _():
    with beside_an_honest_one() as broker:
        before = descriptors(broker.pid)
        hostile.storm(broker.tcp)
        resident = resident_kib(broker.pid)
        begin = time.monotonic()
        rounds = 12
        for _ in range(rounds):
            hostile.storm(broker.tcp)
        took = time.monotonic() - begin
        wait_until(lambda: descriptors(broker.pid) <= before, 10,
                   "descriptors are given back")
        grown = resident_kib(broker.pid) - resident
        print(f"# {rounds * 256 / took:.0f} connections/s; {grown} KiB more "
              f"for {rounds * 256} sessions")
        check(grown < 8 * MIB, f"memory grew by {grown} KiB")


@test("[S13] with 100 descriptors and 500 clients: no spinning, those who "
      "are there are served, others come when there is room")
def _():
    with Broker("--listen", free_url(),
                prefix=("prlimit", "--nofile=100:100")) as broker:
        tcp = broker.stdout().split()[3]
        honest = start_honest(broker, tcp)
        crowd = threading.Thread(target=hostile.hoard,
                                 args=(tcp, 500, 4, 0.05, 60))
        crowd.start()
        wait_until(lambda: "listeners_paused" in broker.stderr(), 15,
                   "it is full")
        spent = processor_seconds(broker.pid)
        time.sleep(2)
        share = (processor_seconds(broker.pid) - spent) / 2 * 100
        crowd.join()
        wait_until(lambda: broker.cli("put", "jobs", "x").returncode == 0, 15,
                   "a new client is served")
        go_on(broker, honest)
        honest.end_input()
        equal(honest.wait(60), 0, "the honest client: " + honest.stderr())
        result = json.loads(honest.stdout())
        print(f"# {share:.0f} % of a core meanwhile; honest p99 "
              f"{result['p99_us'] / 1000:.1f} ms")
        check(share < 20, f"it spins: {share:.0f} % of a core")


main()
