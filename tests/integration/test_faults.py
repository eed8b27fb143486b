"""Processes that die, stop and come back, and what the others notice: nothing.

Real programs, real signals. Each test starts a broker of its own.
"""
import os
import signal
import statistics
import threading
import time

from baozi_library import FULL, OK, Library
from baozi_test import (Broker, check, children, descendants, equal,
                        free_port, main, path, read, run, state, test,
                        wait_until, write)

# Logs "<delivery> <nanoseconds>" of each start; the first one never ends.
HANG_ONCE = (
    "echo $BAOZI_DELIVERIES $(date +%s%N) >> LOG; "
    'if [ "$BAOZI_DELIVERIES" = 1 ]; then exec sleep 60; fi')


def starts(log):
    """[(delivery, seconds)] of a log of HANG_ONCE."""
    if not os.path.exists(path(log)):
        return []
    rows = [line.split() for line in read(log).splitlines()]
    return [(int(row[0]), int(row[1]) / 1e9) for row in rows if len(row) == 2]


def hang_once(log):
    return ("-c", "1", "--shell", "--exec", HANG_ONCE.replace("LOG",
                                                              path(log)))


def kill_worker(url=None):
    """A worker with an item dies; returns the seconds to the next start."""
    with Broker(url=url) as broker:
        first = broker.start("baozi-worker", "jobs", *hang_once("log"))
        broker.cli("put", "jobs", "bun")
        wait_until(lambda: starts("log"), what="the first start")
        second = broker.start("baozi-worker", "jobs", *hang_once("log"))
        wait_until(lambda: broker.stat("jobs")["consumers"] > 1 or
                   broker.stat("jobs")["parked_gets"] > 0,
                   what="the second worker waits")
        orphans = descendants(first.pid)
        dead = time.time()
        first.kill()
        wait_until(lambda: len(starts("log")) == 2, what="the second start")
        took = starts("log")[1][1] - dead
        equal(starts("log")[1][0], 2, "the delivery's number")
        done = broker.cli("join", "jobs", "--timeout", "10s")
        equal(done.returncode, 0, "join after the death")
        equal(broker.stat("jobs")["done"], 1, "done")
        wait_until(lambda: not any(state(pid) not in (None, "Z")
                                   for pid in orphans),
                   2, "children of the dead worker die")
        equal(second.stop(), 0, "the second worker")
    return took


@test("[S5.1] a worker killed with -9 on ipc: redelivered within 1 s")
def _():
    took = kill_worker()
    print(f"# redelivered after {took * 1000:.0f} ms")
    check(took < 1, f"it took {took:.2f} s")


@test("[S5.1] a worker killed with -9 on tcp: redelivered within 1 s")
def _():
    took = kill_worker("tcp://127.0.0.1:%d" % free_port())
    print(f"# redelivered after {took * 1000:.0f} ms")
    check(took < 1, f"it took {took:.2f} s")


@test("a getter killed with -9 while it waits disturbs nobody")
def _():
    with Broker() as broker:
        broker.cli("queue", "create", "jobs")
        getter = broker.start("baozi", "get", "jobs")
        wait_until(lambda: broker.stat("jobs")["parked_gets"] == 1,
                   what="the getter waits")
        getter.kill()
        equal(broker.cli("put", "jobs", "bun").returncode, 0, "put")
        got = broker.cli("get", "jobs", "--timeout", "5s")
        equal((got.returncode, got.stdout.strip()), (0, "bun"), "get")
        equal(broker.cli("join", "jobs", "--timeout", "5s").returncode, 0,
              "join")
        equal(broker.stat("jobs")["done"], 1, "done")


@test("[S0] a producer killed with -9 while it is blocked: a clean prefix")
def _():
    with Broker() as broker:
        broker.cli("queue", "create", "jobs", "--maxsize", "2")
        lines = "".join(f"{i}\n" for i in range(1, 101))
        with open(write("lines", lines), "rb") as stdin:
            producer = broker.start("baozi-producer", "jobs", stdin=stdin)
            wait_until(lambda: broker.stat("jobs")["parked_puts"] > 0,
                       what="the producer is blocked")
        equal(broker.stat("jobs")["ready"], 2, "ready")
        producer.kill()
        wait_until(lambda: broker.stat("jobs")["parked_puts"] == 0, 5,
                   "the dead producer's puts are gone")
        # another producer is served as if nothing had been
        other = broker.start("baozi", "put", "jobs", "other")
        got = []
        while True:
            one = broker.cli("get", "jobs", "--timeout", "500ms")
            if one.returncode != 0:
                break
            got.append(one.stdout.strip())
        equal(other.wait(), 0, "the other producer")
        check("other" in got, f"the other's item is missing: {got}")
        got.remove("other")
        equal(got, [str(i + 1) for i in range(len(got))], "what was accepted")


@test("[S5.2] [S5.3] a worker stopped past its lease: another one does it, "
      "its late answer does not count")
def _():
    slow = ("echo $BAOZI_DELIVERIES $(date +%s%N) >> LOG; "
            'if [ "$BAOZI_DELIVERIES" = 1 ]; then sleep 1; fi; '
            "echo $BAOZI_DELIVERIES >> ENDS")
    slow = slow.replace("LOG", path("log")).replace("ENDS", path("ends"))
    with Broker() as broker:
        broker.cli("queue", "create", "jobs", "--lease", "1s")
        words = ("jobs", "-c", "1", "--shell", "--exec", slow)
        first = broker.start("baozi-worker", *words)
        broker.cli("put", "jobs", "bun")
        wait_until(lambda: starts("log"), what="the first start")
        family = [first.pid, *descendants(first.pid)]
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        second = broker.start("baozi-worker", *words)
        wait_until(lambda: len(starts("log")) == 2, 15, "the second start")
        done = broker.cli("join", "jobs", "--timeout", "10s")
        equal(done.returncode, 0, "join while the first one is stopped")
        for pid in reversed(family):
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: sorted(read("ends").split()) == ["1", "2"], 10,
                   "the first worker's handler ends too")
        broker.cli("put", "jobs", "another")
        equal(broker.cli("join", "jobs", "--timeout", "15s").returncode, 0,
              "join of the next item")
        stat = broker.stat("jobs")
        equal((stat["done"], stat["unfinished"], stat["dead"]), (2, 0, 0),
              "done, unfinished, dead")
        equal(first.stop(), 0, "the first worker drains well")
        equal(second.stop(), 0, "the second worker")


@test("a broker stopped for 4 s and continued: all calls go on, each item "
      "is done once")
def _():
    with Broker() as broker:
        broker.cli("queue", "create", "jobs", "--maxsize", "5")
        worker = broker.start("baozi-worker", "jobs", "-c", "2", "--shell",
                              "--exec", f"sleep 0.05; echo \"$1\" >> "
                              f"{path('eaten')}")
        lines = "".join(f"{i}\n" for i in range(1, 61))
        with open(write("lines", lines), "rb") as stdin:
            producer = broker.start("baozi-producer", "jobs", "--join",
                                    stdin=stdin)
            wait_until(lambda: os.path.exists(path("eaten")), what="a bun")
        broker.signal(signal.SIGSTOP)
        time.sleep(4)
        broker.signal(signal.SIGCONT)
        equal(producer.wait(30), 0, "the producer's exit code")
        eaten = sorted(int(line) for line in read("eaten").split())
        equal(sorted(set(eaten)), list(range(1, 61)), "what was eaten")
        stat = broker.stat("jobs")
        equal((stat["done"], stat["unfinished"]), (60, 0), "done, unfinished")
        print(f"# {len(eaten) - 60} items were worked on twice")
        equal(worker.stop(), 0, "the worker")


# --- the library itself, for times that a process start would blur -----------

@test("[S3.1] ten producers blocked on maxsize 2: FULL never early, "
      "lateness printed")
def _():
    library = Library()
    with Broker() as broker:
        broker.cli("queue", "create", "jobs", "--maxsize", "2")
        clients = [library.open(broker.url) for _ in range(10)]
        for text in "ab":
            equal(library.put(clients[0], "jobs", text, 0)[0], OK, "put")
        answers = []

        def knock(client, wait_ms):
            status, took = library.put(client, "jobs", "x", wait_ms)
            answers.append((status, took - wait_ms / 1000))

        threads = [threading.Thread(target=knock, args=(client, 300 + 20 * i))
                   for i, client in enumerate(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for client in clients:
            equal(library.so.baozi_close(client), 0, "close")
        equal(broker.stat("jobs")["ready"], 2, "ready")
    late = [seconds * 1000 for _, seconds in answers]
    print(f"# FULL came late by: median {statistics.median(late):.1f} ms, "
          f"worst {max(late):.1f} ms (wanted: median under 20 ms)")
    equal({status for status, _ in answers}, {FULL}, "answers")
    check(min(late) >= 0, f"one came {-min(late):.2f} ms early")


@test("[S3.1] [S0] ten producers blocked on maxsize 2: served in the order "
      "they came, never more than 2 ready")
def _():
    library = Library()
    with Broker() as broker:
        broker.cli("queue", "create", "jobs", "--maxsize", "2")
        clients = [library.open(broker.url) for _ in range(12)]
        answers = []
        threads = []
        for i, client in enumerate(clients):
            threads.append(threading.Thread(
                target=lambda c=client, n=i: answers.append(
                    library.put(c, "jobs", str(n), -1)[0])))
            threads[-1].start()
            expected = max(0, i - 1)  # the first two find room
            wait_until(
                lambda n=expected, i=i: broker.stat("jobs")["parked_puts"] == n
                and broker.stat("jobs")["accepted"] == min(i + 1, 2),
                what=f"{expected} producers wait")
        most = 0
        for i in range(12):
            most = max(most, broker.stat("jobs")["ready"])
            got = broker.cli("get", "jobs", "--timeout", "5s")
            equal(got.stdout.strip(), str(i), "the next item")
            most = max(most, broker.stat("jobs")["ready"])
        for thread in threads:
            thread.join()
        equal(answers, [OK] * 12, "answers")
        equal(most, 2, "the most that was ready")
        for client in clients:
            equal(library.so.baozi_close(client), 0, "close")


# --- the main job -----------------------------------------------------------

@test("every compressed file under /usr/share/doc: the same counts as "
      "find | xargs")
def _():
    for name, data in (("broken one.gz", b"this is no gzip"),
                       ("it's broken.gz", b"\x1f\x8b\x08 cut"),
                       ("with\nnewline.gz", b"")):
        write(name, data)
    found = run_shell(f"find /usr/share/doc {path('.')} -name '*.gz' -print0")
    names = found.split(b"\0")[:-1]
    bad = run_shell(
        f"find /usr/share/doc {path('.')} -name '*.gz' -print0 | "
        "xargs -0 -r -n 1 sh -c 'gzip -t \"$0\" 2>/dev/null || echo bad'")
    bad = bad.count(b"bad\n")
    check(bad >= 3, "the planted files are not bad enough")
    write("names", b"\0".join(names) + b"\0")
    with Broker() as broker:
        broker.cli("queue", "create", "files", "--max-deliveries", "1")
        worker = broker.start("baozi-worker", "files", "-c", "2", "--exec",
                              "gzip -t {}", "-q")
        begin = time.monotonic()
        with open(path("names"), "rb") as stdin:
            producer = broker.start("baozi-producer", "files", "--null",
                                    "--join", stdin=stdin)
            code = producer.wait(200)
        took = time.monotonic() - begin
        stat = broker.stat("files")
        print(f"# {len(names)} files, {bad} bad, {took:.1f} s")
        equal(code, 1, "exit code of the producer (some ended dead)")
        equal((stat["done"], stat["dead"], stat["unfinished"]),
              (len(names) - bad, bad, 0), "done, dead, unfinished")
        text = producer.stdout() + producer.stderr()
        check(str(len(names) - bad) in text and str(bad) in text,
              "the producer does not print the counts: " + text)
        equal(worker.stop(), 0, "the worker")
        equal(children(worker.pid), [], "children of the worker")


def run_shell(command):
    import subprocess
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, check=False)
    return done.stdout


main()
