"""The program `baozi bench`: what it measures, and that it notices when an
item did not come as it was put."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
from baozi_cli import *  # noqa: E402,F403


def queues(broker):
    return [row["name"] for row in parsed(broker.cli(
        "queue", "ls", "--format", "json"))]


@test("a closed loop puts, takes and settles what was asked for")
def _():
    with Broker() as broker:
        found = parsed(broker.cli("bench", "-n", 5000, "-p", 2, "-c", 3,
                                  "--size", 64, "--format", "json"))
        for key, value in {"put": 5000, "taken": 5000, "missing": 0,
                           "doubled": 0, "altered": 0, "item_bytes": 64,
                           "producers": 2, "consumers": 3, "window": 128,
                           "durability": "memory"}.items():
            equal(found[key], value, key)
        for what in ("put", "delivery"):
            marks = [found[f"{what}_{mark}_us"]
                     for mark in ("p50", "p90", "p99", "p999", "max")]
            equal(marks, sorted(marks), "percentiles")
            check(marks[0] > 0, "latencies are measured")
        near = 5000 / found["seconds"]
        check(abs(found["taken_per_second"] / near - 1) < 0.01, found)
        equal(queues(broker), [], "queues left")


@test("an open loop keeps its rate and ends in time")
def _():
    with Broker() as broker:
        found = parsed(broker.cli("bench", "--rate", 1000, "--duration", "1s",
                                  "--format", "json"))
        equal(found["put"], 1000, "put")
        equal(found["taken"], 1000, "taken")
        check(0.9 < found["seconds"] < 1.5 * PATIENCE, found)


@test("latencies of an open loop count from the moment that was meant")
def _():
    with Broker() as broker:
        # Full at once: put 20 waits for the consumer that is stopped.
        bench = broker.start("baozi", "bench", "--rate", 200, "-d", "1s",
                             "--maxsize", 5, "--window", 1, "--format", "json")
        wait_until(lambda: len(children(bench.pid)) == 2, what="two processes")
        time.sleep(0.3)
        consumer = children(bench.pid)[1]
        os.kill(consumer, signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(consumer, signal.SIGCONT)
        equal(bench.wait(), 0, bench.stderr())
        found = json.loads(bench.stdout())
        equal(found["put"], 200, "put")
        # A hundred puts were due while it was stopped: their time counts.
        check(found["late"] >= 50, found)
        check(found["put_p90_us"] > 100000, found)


@test("CSV is a line of names and a line of values, the keys of JSON")
def _():
    with Broker() as broker:
        names, values = good(broker.cli("bench", "-n", 100, "--csv")
                             ).splitlines()
        row = dict(zip(names.split(","), values.split(",")))
        equal(len(names.split(",")), len(values.split(",")), "columns")
        found = parsed(broker.cli("bench", "-n", 100, "--format", "json"))
        equal(list(row), list(found), "names")
        equal(row["taken"], "100")


@test("as text it says that it checked; off a terminal there is no progress")
def _():
    with Broker() as broker:
        done = broker.cli("bench", "-n", 1000)
        contains(good(done), "checked: nothing missing, doubled or altered")
        contains(done.stdout, "1 producer, 1 consumer, items of 100 bytes")
        equal(done.stderr, "", "stderr")


@test("an item that another consumer took is missed, and told")
def _():
    with Broker() as broker:
        bench = broker.start("baozi", "bench", "--rate", 500, "-d", "1s")
        queue = wait_until(lambda: queues(broker), what="its queue")[0]
        good(broker.cli("get", queue, "--timeout", "10s"))
        equal(bench.wait(), 1, "exit code")
        contains(bench.stderr(), " are missing, 0 doubled, 0 altered")
        check("checked:" not in bench.stdout(), bench.stdout())


@test("a strange item is altered, and told")
def _():
    with Broker() as broker:
        bench = broker.start("baozi", "bench", "--rate", 100, "-d", "1s")
        queue = wait_until(lambda: queues(broker), what="its queue")[0]
        good(broker.cli("put", queue, "x" * 100))
        equal(bench.wait(), 1, "exit code")
        contains(bench.stderr(), " 0 are missing, 0 doubled, 1 altered")


@test("Ctrl-C ends all its processes and deletes its queue")
def _():
    with Broker() as broker:
        bench = broker.start("baozi", "bench", "-p", 2, "-c", 2, "-d", "60s")
        wait_until(lambda: len(children(bench.pid)) == 4, what="processes")
        wait_until(lambda: queues(broker), what="its queue")
        started = children(bench.pid)
        bench.signal(signal.SIGINT)
        equal(bench.wait(), 128 + signal.SIGINT, "exit code")
        check(not any(alive(pid) for pid in started), "they are gone")
        equal(queues(broker), [], "queues left")


@test("a consumer that is killed ends the run")
def _():
    with Broker() as broker:
        bench = broker.start("baozi", "bench", "-d", "60s")
        wait_until(lambda: len(children(bench.pid)) == 2, what="processes")
        wait_until(lambda: queues(broker), what="its queue")
        os.kill(children(bench.pid)[1], signal.SIGKILL)
        equal(bench.wait(), 128 + signal.SIGKILL, "exit code")
        contains(bench.stderr(), "a consumer ended early")
        equal(queues(broker), [], "queues left")


@test("wrong calls and a broker that is not there have their exit codes")
def _():
    complains(run("baozi", "bench", "--size", 8), 64, "--size")
    complains(run("baozi", "bench", "--csv", "--format", "json"), 64, "--csv")
    away = run("baozi", "bench", "--url", f"ipc://{folder()}/none")
    complains(away, 69)


main()
