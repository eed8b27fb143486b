"""No memory: rows F28 and F29 of the fault matrix. A program that is refused
memory says so, in three parts, or goes on without; it does not crash, and what
was confirmed is there afterwards.

shim/failing_memory.c lets any one request for memory of our own code fail.
`make test` tries a few of them (BAOZI_TEST_SEED draws others),
BAOZI_TEST_LONG every one, until a whole run passes without a failure.
"""
import contextlib
import os
import random
import shutil
import signal

from baozi_library import OK, Library
from baozi_test import (BUILD, Broker, Process, Skip, check, contains, equal,
                        main, path, read, test, wait_until)
from cgroup import Group, why_not
from ledger import Durable

QUOTA = 21  # status.h
LONG = bool(os.environ.get("BAOZI_TEST_LONG"))
SEED = int(os.environ.get("BAOZI_TEST_SEED", "1"))
SOME = 8  # how many requests for memory fail in a short run, of each program
SHIM = os.path.join(os.path.dirname(BUILD), "build/release/tests/fault/shim",
                    "failing_memory.so")
OLD = [f"old-{n}" for n in range(10)]
NEW = [f"new-{n}" for n in range(5)]


def refusing(number):
    """Words before a command, so that its request for memory of that number
    is refused."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(path("told"))
    return ("env", f"LD_PRELOAD={SHIM}", f"FAILING_MEMORY={number}-{number}",
            f"FAILING_MEMORY_TOLD={path('told')}")


def counting():
    with contextlib.suppress(FileNotFoundError):
        os.remove(path("count"))
    return ("env", f"LD_PRELOAD={SHIM}", "FAILING_MEMORY=0-0",
            f"FAILING_MEMORY_COUNT={path('count')}")


def was_refused():
    """The call that failed and where, or None."""
    return os.path.exists(path("told")) and read("told").strip() or None


def moments(count):
    """Which requests fail: all, and some more until none does; or a few."""
    if LONG:
        return range(1, 2 * count + 10)  # a failure may ask for more
    chance = random.Random(SEED)
    return sorted(chance.sample(range(1, count + 1), min(SOME, count)))


def says_three_parts(text, what):
    check(len(text.strip().splitlines()) >= 3,
          f"{what}: no message of three parts: {text!r}")


def ended_well(process, what, well=(0,)):
    """It ended by itself: well, or with a message. True if it was well."""
    code = process.wait(30)
    what = f"{what} without {was_refused()}"
    check(code >= 0, f"{what}: it crashed with signal {-code}: "
          f"{process.stderr()[-1500:]}")
    if code not in well:
        says_three_parts(process.stderr(), f"{what}, exit code {code}")
    return code in well


def start(data, url, prefix):
    """A broker that may refuse to start; True if it became ready."""
    broker = Process("baozi-broker", "--data", data, "--http", "off",
                     "--listen", url, prefix=prefix)
    wait_until(lambda: broker.popen.poll() is not None or
               "ready" in broker.stdout().splitlines(), 20, "ready or ended")
    return broker, broker.popen.poll() is None


def client(url, *words, prefix=()):
    return Process("baozi", *words, "--url", url, prefix=prefix)


def what_is_there(broker):
    return broker.cli("get", "jobs", "--count", "0", "--no-wait",
                      "--lines").stdout.split()


def template():
    """A data directory as kill -9 leaves it, with OLD in it."""
    with Durable(path("template")) as broker:
        broker.cli("put", "jobs", *OLD)
        broker.kill()
        broker.start_again()
        broker.kill()
        shutil.copytree(path("template"), path("copy"))
        broker.start_again()
    return path("copy")


def use(url):
    """Puts and gets while memory may be refused: (confirmed, taken)."""
    good, taken = [], []
    for item in NEW:
        put = client(url, "put", "jobs", item, "--timeout", "5s")
        if put.wait(30) == 0:
            good.append(item)
    get = client(url, "get", "jobs", "--lines", "--timeout", "2s")
    if get.wait(30) == 0:
        taken = get.stdout().split()
    return good, taken


def broker_is_refused(original, number):
    """One broker's life without one piece of memory; the call, or None."""
    data, url = path(f"data.{number}"), f"ipc://{path('broker')}"
    shutil.copytree(original, data)
    what = f"request {number}"
    broker, ready = start(data, url, refusing(number))
    good, taken = use(url) if ready else ([], [])
    if broker.popen.poll() is None:
        broker.signal(signal.SIGTERM)
    ended_well(broker, what)
    with Durable(data, url=url) as again:
        there = what_is_there(again)
    left = [item for item in OLD + good if item not in taken]
    equal([item for item in there if item in left], left,
          f"{what} ({was_refused()}): what was confirmed, in order")
    check(set(there) <= set(OLD + NEW), f"{what}: ghosts: {there}")
    shutil.rmtree(data)
    if not ready:
        return was_refused() or "nothing, but it did not start"
    return was_refused()


@test("[F29 P1] any request of the broker for memory is refused: it refuses "
      "the start or lives on, and loses nothing")
def _():
    original, url = template(), f"ipc://{path('broker')}"
    shutil.copytree(original, path("counted"))
    broker, ready = start(path("counted"), url, counting())
    check(ready, broker.stderr())
    equal(len(use(url)[0]), len(NEW), "puts without a failure")
    equal(broker.stop(), 0, "exit code without a failure")
    count = len(read("count").splitlines())
    tried, wrong = 0, []
    for number in moments(count):
        try:
            if broker_is_refused(original, number) is None and LONG:
                break
        except AssertionError as error:
            wrong.append(str(error))
        tried += 1
    equal(wrong, [], "what went wrong")
    check(tried > 0, "none was refused")
    print(f"# {tried} of {count} requests were refused, one a life")


NEGATIVE = (0, 1)  # 1: there was nothing to do
CLIENTS = {
    "put": ("baozi", "put", "jobs", "more"),
    "get": ("baozi", "get", "jobs", "--no-wait", "--lines"),
    "show": ("baozi", "queue", "show", "jobs"),
    "browse": ("baozi", "browse", "jobs"),
    "redrive": ("baozi", "redrive", "jobs", "--all"),
    "producer": ("baozi-producer", "jobs"),
    "worker": ("baozi-worker", "jobs", "--exec", "true", "--max-tasks", "2",
               "--until-empty"),
}


def run_client(url, words, prefix):
    """True if it ended well; a message otherwise, never a signal."""
    with open(path("input"), "w+b") as stdin:
        stdin.write(b"one\ntwo\nthree\n")
        stdin.seek(0)
        made = Process(words[0], *words[1:], "--url", url, stdin=stdin,
                       prefix=prefix)
        return ended_well(made, " ".join(words), NEGATIVE)


@test("[F29] any request of a client for memory is refused: a message in three "
      "parts, no crash, no lie")
def _():
    wrong = []
    with Durable(path("data")) as broker:
        broker.cli("put", "jobs", *OLD)
        for name, words in CLIENTS.items():
            check(run_client(broker.url, words, counting()), name)
            count = len(read("count").splitlines())
            for number in moments(count):
                broker.cli("put", "jobs", "spare")
                try:
                    run_client(broker.url, words, refusing(number))
                except AssertionError as error:
                    wrong.append(str(error))
                if was_refused() is None and LONG:
                    break
            print(f"# {name}: {count} requests")
    equal(wrong, [], "what went wrong")


GROUP_MB = 160  # 60 % of it are the broker's limit
ITEM = "x" * 65536
FLOOD = 4096  # 256 MiB of them


def flood(library, one):
    """Puts until one is refused; (how many were confirmed, status)."""
    for n in range(FLOOD):
        status = library.put(one, "jobs", ITEM, 0)[0]
        if status != OK:
            return n, status
    return FLOOD, OK


def drain(library, one, count):
    for _n in range(count):
        status, _seconds, item = library.get(one, "jobs", 2000)
        equal(status, OK, "get of a full broker")
        equal(library.done(one, item), OK, "task_done of a full broker")


def under_limit(*, data=None):
    """A flood under a limit of memory: (confirmed, status)."""
    if why_not():
        raise Skip(why_not())
    with Group(GROUP_MB) as group:
        library = Library()
        with Broker(data=data, prefix=group.prefix()) as broker:
            contains(broker.stderr(), 'memory_limit="96 MiB"', "its limit")
            broker.cli("queue", "create", "jobs")
            one = library.open(broker.url)
            confirmed, status = flood(library, one)
            drain(library, one, 100)
            equal(library.put(one, "jobs", ITEM, 0)[0], OK,
                  "a put once there is room")
            equal(broker.stat("jobs")["accepted"], confirmed + 1, "accepted")
            library.close(one)
        equal(group.killed(), 0, "processes that the kernel killed")
    print(f"# {confirmed} items of 64 KiB were confirmed, then status {status}")
    return confirmed, status


@test("[F28 P7] under a limit of memory a flood is refused with QUOTA; the "
      "rest works, nothing is killed")
def _():
    confirmed, status = under_limit()
    equal(status, QUOTA, "of the first put that was refused")
    check(confirmed > 300, f"only {confirmed} were confirmed")


@test("[F28 P7] under a limit of memory a durable broker takes more than the "
      "limit")
def _():
    equal(under_limit(data=path("data")), (FLOOD, OK), "all were confirmed")


main()
