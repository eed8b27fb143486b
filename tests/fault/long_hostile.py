"""Every hostile client in turn, then all at once for five minutes, beside an
honest load.

What must hold: the broker lives, its resident memory is within 64 MiB of its
start, and nothing goes wrong for an honest client. The p99 of the honest rounds
shall be within three times of what it is alone: that is printed, since timings
never fail a test. BAOZI_HOSTILE_SECONDS shortens the five minutes, and
BAOZI_HOSTILE_TURN_SECONDS what each kind has for itself.

Each kind comes from a host of its own (a network namespace, tests/lib/hosts),
as on a real network: who floods again and again is banned by its address.
Without root there are no such hosts, and all come from the loopback, which is
never banned.

On a real network hostile clients take no processor from the broker. Here they
run with SCHED_IDLE, so that they have what the broker and the honest client
leave, and neither waits for a time slice of theirs to end; and other work of
this machine shall not be measured, so the broker and the honest client come
first (SCHED_RR) where that is allowed.
"""
import json
import os
import subprocess
import sys
import time

import hostile
from baozi_test import Broker, Skip, check, environment, equal, main, test
from fault import (Helper, Memory, descriptors, free_url, processor_seconds,
                   resident_kib)
from hosts import Hosts, require

SECONDS = float(os.environ.get("BAOZI_HOSTILE_SECONDS", "300"))
TURN = float(os.environ.get("BAOZI_HOSTILE_TURN_SECONDS",
                            min(10, SECONDS / 10)))
ALONE = min(30, SECONDS / 4)
RATE = 100
LAST = ("chrt", "--idle", "0")
FIRST = ("chrt", "--rr", "1")
if subprocess.run([*FIRST, "true"], stderr=subprocess.DEVNULL,
                  check=False).returncode != 0:
    FIRST = ()
PORT = 22694
PAUSE = 0.5      # between the rounds of one hostile client
MIB = 1024


class Loopback:
    """No hosts: everything is here."""

    @staticmethod
    def on(_name):
        return ()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def places():
    """A host for the broker, one for the honest client, one for each kind."""
    try:
        require()
    except Skip as no:
        print(f"# all on the loopback: {no}")
        return Loopback()
    return Hosts("broker", "honest", *(host_of(kind) for kind in hostile.KINDS))


def host_of(kind):
    return f"bad{list(hostile.KINDS).index(kind)}"


def start_broker(hosts):
    """Listens where all hosts reach it; .tcp and .hosts say where."""
    url, more = free_url(), ()
    if isinstance(hosts, Hosts):
        url, more = f"tcp://0.0.0.0:{PORT}", ("--insecure",)
    broker = Broker("--listen", url, *more, "--memory-limit", "512MiB",
                    prefix=(*hosts.on("broker"), *FIRST, "prlimit",
                            "--nofile=4096:4096"))
    broker.hosts = hosts
    broker.tcp = url
    if isinstance(hosts, Hosts):
        broker.tcp = f"tcp://{hosts.address['broker']}:{PORT}"
    return broker


def honest_for(broker, seconds):
    """What an honest client says after so many seconds of work."""
    honest = Helper("honest", broker.tcp, int(seconds), RATE,
                    prefix=(*broker.hosts.on("honest"), *FIRST))
    equal(honest.wait(seconds + 120), 0, "honest: " + honest.stderr())
    for line in honest.stderr().splitlines():
        print("# slow: " + line, flush=True)
    return json.loads(honest.stdout())


def offender(kind, broker, seconds):
    return subprocess.Popen(
        [*broker.hosts.on(host_of(kind)), *LAST, sys.executable,
         hostile.__file__, kind, broker.tcp, str(seconds), str(PAUSE)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())


def result_of(process):
    out, err = process.communicate(timeout=120)
    equal(process.returncode, 0, f"a hostile client: {out} {err.decode()}")
    return json.loads(out)


def tell(what, honest, memory=None):
    more = "" if memory is None else f"; memory {memory:+.1f} MiB"
    print(f"# {what}: {honest['rounds']} rounds, p50 "
          f"{honest['p50_us'] / 1000:.2f} ms, p99 "
          f"{honest['p99_us'] / 1000:.2f} ms, worst "
          f"{honest['worst_us'] / 1000:.1f} ms{more}", flush=True)


def settled_kib(broker, start_kib):
    """Resident memory, once those who were cut have left."""
    end = time.monotonic() + 15
    while time.monotonic() < end and \
            resident_kib(broker.pid) - start_kib > 16 * MIB:
        time.sleep(0.1)
    return resident_kib(broker.pid)


def judge(broker, kinds, seconds, start_kib):
    """Runs the offenders beside an honest client; its figures."""
    processes = [offender(kind, broker, seconds) for kind in kinds]
    honest = honest_for(broker, seconds)
    results = [result_of(process) for process in processes]
    for result in results:
        kind = result["kind"]
        if kind in hostile.MUST_CUT:
            equal(result["cut"], result["offenders"], f"{kind}: cut")
        check(result["rounds"] > 0 or
              "event=address_banned" in broker.stderr(),
              f"{kind} never came to it: {result}")
    equal(broker.popen.poll(), None, "the broker's exit code")
    equal(honest["wrong"], 0, "what went wrong for the honest client")
    grown = (settled_kib(broker, start_kib) - start_kib) / MIB
    check(grown < 64, f"memory is {grown:.0f} MiB above the start")
    return honest, results, grown


@test("every hostile client in turn, then all at once: the broker lives, "
      "memory within 64 MiB, nothing goes wrong for an honest one")
def _():
    with places() as hosts, start_broker(hosts) as broker:
        honest_for(broker, 1)  # what it touches once
        start = resident_kib(broker.pid)
        before = descriptors(broker.pid)
        alone = honest_for(broker, ALONE)
        tell("alone", alone)
        for kind in hostile.KINDS:
            honest, results, grown = judge(broker, [kind], TURN, start)
            tell(f"{kind} ({results[0]['cut']} cut of "
                 f"{results[0]['offenders']})", honest, grown)
        memory = Memory(broker.pid)
        spent = processor_seconds(broker.pid)
        honest, results, grown = judge(broker, list(hostile.KINDS), SECONDS,
                                       start)
        share = (processor_seconds(broker.pid) - spent) / SECONDS * 100
        tell(f"all {len(results)} at once for {SECONDS:.0f} s", honest, grown)
        print(f"# meanwhile {sum(r['rounds'] for r in results)} rounds of "
              f"{sum(r['offenders'] for r in results)} offenders, "
              f"{sum(r['cut'] for r in results)} cut, "
              f"{sum(r['turned_away'] for r in results)} rounds turned away; "
              f"memory {memory.end():+.0f} MiB at most; the broker took "
              f"{share:.0f} % of a core; descriptors {before} before, "
              f"{descriptors(broker.pid)} after")
        alone_again = honest_for(broker, ALONE)
        tell("alone again", alone_again, None)
        p99 = min(alone["p99_us"], alone_again["p99_us"])
        print(f"# honest p99 beside all: {honest['p99_us'] / p99:.1f} times "
              "its p99 alone; 3 at most are wanted")


main()
