"""The program baozi-broker itself: what it says, where it listens, how it
ends (SPEC S11, S13).
"""
import json
import os
import re
import signal
import socket
import stat
import time

from baozi_test import (PATIENCE, Broker, Process, Skip, check, contains,
                        equal, folder, main, path, run, test, wait_until,
                        write)


def start(*arguments, keep=("--memory",), **more):
    """A broker that said `ready`, with just these arguments."""
    broker = Process("baozi-broker", *keep, *arguments, **more)
    wait_until(lambda: "ready" in broker.stdout()
               or broker.popen.poll() is not None, 10, "the ready line")
    equal(broker.popen.poll(), None, "the broker ended: " + broker.stderr())
    return broker


def refused(*arguments):
    done = run("baozi-broker", *arguments)
    equal(done.returncode, 78, "exit code of " + " ".join(arguments))
    contains(done.stderr, "why:")
    contains(done.stderr, "do:")
    return done.stderr


def busy_worker(broker, seconds):
    """A worker that holds one item for so long, once it has begun."""
    equal(broker.cli("put", "jobs", "x").returncode, 0, "put")
    mark = path("begun")
    worker = broker.start("baozi-worker", "jobs", "-c", "1", "--exec",
                          f"touch {mark}; sleep {seconds}", "--shell",
                          "--grace", "10s")
    wait_until(lambda: os.path.exists(mark), 10, "the worker begins")
    return worker


@test("[S11] stdout says where it listens and when it is ready, nothing else")
def _():
    broker = start("--listen", "tcp://127.0.0.1:*", "--listen",
                   f"ipc://{folder()}/b.sock")
    lines = broker.stdout().splitlines()
    equal(len(lines), 3, "lines")
    found = re.fullmatch(r"listening tcp://127\.0\.0\.1:(\d+)", lines[0])
    check(found, lines[0])
    equal(lines[1], f"listening ipc://{folder()}/b.sock")
    equal(lines[2], "ready")
    socket.create_connection(("127.0.0.1", int(found[1])), 1).close()
    contains(broker.stderr(), "event=durability level=memory")
    equal(broker.stop(), 0, "exit code")


@test("[S11] --format json and --log json: a JSON value a line")
def _():
    broker = start("--listen", f"ipc://{folder()}/b.sock", "--format", "json",
                   "--log", "json")
    equal([json.loads(line) for line in broker.stdout().splitlines()],
          [{"listening": f"ipc://{folder()}/b.sock"}, {"ready": True}])
    equal(broker.stop(), 0, "exit code")
    events = [json.loads(line)["event"]
              for line in broker.stderr().splitlines()]
    equal(events[0], "start")
    equal(events[-1], "end")


@test("[S11] with no flags it makes its own folder, for its user only")
def _():
    place = path("place")
    probe = socket.socket()
    try:
        probe.bind(("127.0.0.1", 22694))
    except OSError:
        raise Skip("needs port:22694 to be free") from None
    finally:
        probe.close()
    broker = start(env={"BAOZI_RUNTIME_DIR": place})
    equal(stat.S_IMODE(os.stat(place).st_mode), 0o700, "mode of the folder")
    done = run("baozi", "put", "jobs", "x", env={"BAOZI_RUNTIME_DIR": place})
    equal(done.returncode, 0, "put: " + done.stderr)
    equal(broker.stop(), 0, "exit code")
    equal(os.listdir(place), [], "what is left in the folder")


@test("[S9 S11] with no word about it queues are kept in ./baozi-data")
def _():
    place = path("place")
    os.mkdir(place)
    url = f"ipc://{folder()}/kept.sock"
    for round_ in range(2):
        broker = start("--listen", url, keep=(), cwd=place)
        contains(broker.stderr(), "event=durability level=disk")
        contains(broker.stderr(), "data=./baozi-data")
        equal(stat.S_IMODE(os.stat(f"{place}/baozi-data").st_mode), 0o700,
              "mode of the folder")
        done = run("baozi", "put", "jobs", "x", "--url", url)
        equal(done.returncode, 0, "put: " + done.stderr)
        shown = run("baozi", "queue", "show", "jobs", "--url", url, "--format",
                    "json")
        equal(json.loads(shown.stdout)["ready"], round_ + 1, "ready")
        equal(broker.stop(), 0, "exit code")


@test("[S13] what other machines can reach needs --insecure, and says so")
def _():
    contains(refused("--listen", "tcp://0.0.0.0:*"), "--insecure")
    broker = start("--listen", "tcp://0.0.0.0:*", "--insecure")
    contains(broker.stderr(), "event=insecure")
    equal(broker.stop(), 0, "exit code")


@test("[S9] --data with --memory is refused, as is --http until it exists")
def _():
    contains(refused("--data", path("d"), "--memory"), "exclude")
    contains(refused("--http", "127.0.0.1:0"), "--http off")


@test("[S11] told to end together with its worker, it still hears it out")
def _():
    for _round in range(3):
        with Broker() as broker:
            broker.cli("queue", "create", "jobs")
            for i in range(20):
                equal(broker.cli("put", "jobs", str(i)).returncode, 0, "put")
            worker = Process("baozi-worker", "jobs", "-c", "2", "--builtin",
                             "eater", "--sleep", "100ms-200ms", "--url",
                             broker.url)
            wait_until(lambda: " eats " in worker.stdout(), 10, "a meal")
            broker.signal(signal.SIGTERM)
            worker.signal(signal.SIGTERM)
            equal(worker.wait(5), 0, "the worker: " + worker.stderr())
            check("may not have reached" not in worker.stderr(),
                  worker.stderr())
            equal(broker.wait(5), 0, "the broker")


@test("[S11] after kill -9 it starts on the same path again")
def _():
    with Broker() as broker:
        broker.kill()
        with Broker(url=broker.url) as second:
            equal(second.cli("put", "jobs", "x").returncode, 0, "put")
            contains(refused("--listen", broker.url), "another broker")
            equal(second.cli("put", "jobs", "x").returncode, 0, "put")
        broker.popen.returncode = 0  # it was us who ended it


@test("[S11] SIGTERM drains: put answers DRAINING, settles go on, exit 0")
def _():
    with Broker() as broker:
        worker = busy_worker(broker, 1.5)
        waiting = broker.start("baozi", "get", "other", "--timeout", "20s")
        broker.cli("queue", "create", "other")
        time.sleep(0.3)
        begin = time.monotonic()
        broker.signal(signal.SIGTERM)
        wait_until(lambda: "event=draining" in broker.stderr(), 5, "draining")
        equal(broker.cli("put", "jobs", "y").returncode, 75, "put")
        equal(broker.wait(), 0, "exit code of the broker")
        taken = time.monotonic() - begin
        check(0.5 < taken < 8, f"it took {taken} s")
        waiting.wait()
        worker.kill()


@test("[S11] --grace bounds the drain; the lease stays with the worker")
def _():
    with Broker("--grace", "300ms") as broker:
        worker = busy_worker(broker, 20)
        begin = time.monotonic()
        broker.signal(signal.SIGTERM)
        equal(broker.wait(), 0, "exit code of the broker")
        taken = time.monotonic() - begin
        check(0.25 < taken < 3 * PATIENCE, f"it took {taken} s")
        worker.kill()


@test("[S11] a second SIGTERM ends it at once: exit code 128 + 15")
def _():
    broker = Broker("--grace", "60s")
    worker = busy_worker(broker, 20)
    broker.signal(signal.SIGTERM)
    wait_until(lambda: "event=draining" in broker.stderr(), 5, "draining")
    broker.signal(signal.SIGTERM)
    equal(broker.wait(5), 143, "exit code")
    worker.kill()


def processors(broker):
    """Name -> processors of each thread."""
    found = {}
    for thread in os.listdir(f"/proc/{broker.pid}/task"):
        with open(f"/proc/{broker.pid}/task/{thread}/status",
                  encoding="utf-8") as file:
            status = file.read()
        name = re.search(r"Name:\t(.*)", status)[1]
        if thread == str(broker.pid):
            name = "main"
        found[name] = re.search(r"Cpus_allowed_list:\t(.*)", status)[1]
    return found


@test("--cpu keeps the thread that works, --io-cpu the library's, and no other")
def _():
    last = str(max(os.sched_getaffinity(0)))
    everywhere = processors(start("--listen", f"ipc://{folder()}/a.sock"))
    broker = start("--listen", f"ipc://{folder()}/b.sock", "--cpu", last,
                   "--io-cpu", last, "--edge", "libzmq")
    wait_until(lambda: processors(broker)["main"] == last, 5, "pinned")
    found = processors(broker)
    equal(found["ZMQbg/IO/0"], last, "the library's thread")
    equal(found["baozi-broker"], everywhere["baozi-broker"], "the guard's")
    equal(broker.stop(), 0, "exit code")
    contains(refused("--memory", "--cpu", "1-0"), "no list of processors")


@test("[S11] SIGHUP reads the file again; a bad one changes nothing")
def _():
    file = write("b.ini", "grace = 60s\n")
    broker = start("--config", file, "--listen", f"ipc://{folder()}/b.sock")
    write("b.ini", "grace = soon\n")
    broker.signal(signal.SIGHUP)
    wait_until(lambda: "event=reload_failed" in broker.stderr(), 5, "refusal")
    write("b.ini", "grace = 1s\nlog = json\n")
    broker.signal(signal.SIGHUP)
    wait_until(lambda: '"event":"reloaded"' in broker.stderr(), 5, "reload")
    contains(broker.stderr(), '"grace_ms":1000')
    equal(broker.stop(), 0, "exit code")


def resident_mb(broker):
    with open(f"/proc/{broker.pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    raise AssertionError("no RssAnon")


@test("[P7] what a peak took goes back to the system, though some items stay")
def _():
    with Broker() as broker:
        before = resident_mb(broker)
        lines = "".join(f"bun {n:0150}\n" for n in range(150000))
        for words in (("peak",), ("peak", "--delay", "1h"), ("jobs",)):
            text = lines[:1600] if words[0] == "jobs" else lines
            done = broker.producer(*words, "-q", input=text)
            equal(done.returncode, 0, "the producer: " + done.stderr)
        full = resident_mb(broker)
        check(full > before + 50, f"{full} MB with all of them")
        equal(broker.cli("queue", "purge", "peak", "--yes").returncode, 0,
              "purge")
        wait_until(lambda: resident_mb(broker) < before + (full - before) / 4,
                   20, "the memory goes back")
        contains(broker.cli("get", "jobs").stdout, "bun 00")
        print(f"# {before:.0f} MB, {full:.0f} MB at the peak, "
              f"{resident_mb(broker):.0f} MB behind it")


main()
