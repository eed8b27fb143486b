"""Bad input to every program: three-part messages and the exit codes of
SPEC S11, and a broker that shrugs."""
import os
import random
import socket
import time

from baozi_test import (Broker, Process, check, contains, equal, folder, main,
                        path, run, test, write)
from zmtp import GREETING, Peer, frame

PROGRAMS = ["baozi-broker", "baozi-producer", "baozi-worker", "baozi"]
USAGE, UNREACHABLE, CONFIGURATION = 64, 69, 78


def refused(code, name, *arguments, **more):
    """The program ends with `code` and says what, why and what to do."""
    begin = time.monotonic()
    done = run(name, *arguments, **more)
    said = f"{name} {' '.join(arguments)}: exit {done.returncode}\n" \
           f"{done.stderr}"
    equal(done.returncode, code, said)
    equal(done.stdout, "", "stdout of " + said)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    check(len(lines) >= 3, "no message of three parts: " + said)
    check(time.monotonic() - begin < 20, "it took too long: " + said)
    return done.stderr


@test("[S11] --help and --version of every program: on stdout, exit 0")
def _():
    for name in PROGRAMS:
        done = run(name, "--help")
        equal((done.returncode, done.stderr), (0, ""), name + " --help")
        contains(done.stdout, "Usage", name + " --help")
        done = run(name, "--version")
        equal((done.returncode, done.stderr), (0, ""), name + " --version")
        contains(done.stdout, "0.1.0", name + " --version")


@test("[S11] an unknown option: usage, exit 64")
def _():
    for name in PROGRAMS:
        contains(refused(USAGE, name, "--frobnicate"), "frobnicate")


@test("[S11] a value that is none: usage, exit 64")
def _():
    refused(USAGE, "baozi-worker", "jobs", "-c", "many", "--exec", "true")
    refused(USAGE, "baozi-worker", "jobs", "-c", "-1", "--exec", "true")
    refused(USAGE, "baozi-producer", "jobs", "--rate", "fast")
    refused(USAGE, "baozi-producer", "jobs", "--priority", "99999999999")
    refused(USAGE, "baozi", "get", "jobs", "--timeout", "soon")
    refused(USAGE, "baozi", "join", "jobs", "--format", "xml")


@test("[S11] a word is missing or too much: usage, exit 64")
def _():
    refused(USAGE, "baozi-producer")
    refused(USAGE, "baozi-worker", "--exec", "true")
    refused(USAGE, "baozi", "put")
    refused(USAGE, "baozi", "get", "jobs", "mail")
    contains(refused(USAGE, "baozi", "jion", "jobs"), "join",
             "the nearest verb")


@test("[S11] a URL of no known kind: usage, exit 64")
def _():
    for url in ("http://127.0.0.1:1", "nonsense", "tcp://", "ipc://"):
        refused(USAGE, "baozi", "stats", "--url", url)
        refused(USAGE, "baozi-producer", "jobs", "--url", url)
        refused(USAGE, "baozi-worker", "jobs", "--builtin", "echo", "--url",
                url)


@test("[S11] nobody at the URL: exit 69")
def _():
    nobody = f"ipc://{folder()}/nobody"
    refused(UNREACHABLE, "baozi", "put", "jobs", "x", "--url", nobody)
    refused(UNREACHABLE, "baozi-producer", "jobs", "--url", nobody,
            input="1\n")
    refused(UNREACHABLE, "baozi-worker", "jobs", "--exec", "true", "--url",
            nobody)


@test("[S11] [S10] a queue's name with control characters or too long: "
      "refused, exit 64")
def _():
    with Broker() as broker:
        for name in ("a\tb", "x" * 201, ""):
            refused(USAGE, "baozi", "put", name, "x", "--url", broker.url)
        done = broker.cli("put", "x" * 200, "x")
        equal(done.returncode, 0, "a name of 200 bytes: " + done.stderr)


@test("[S13] tcp beyond loopback without keys: the broker refuses, exit 78")
def _():
    contains(refused(CONFIGURATION, "baozi-broker", "--memory", "--http",
                     "off", "--listen", "tcp://0.0.0.0:0"), "insecure")


@test("[S11] a broker that cannot listen or read its file: it says why")
def _():
    with Broker() as broker:
        done = run("baozi-broker", "--memory", "--http", "off", "--listen",
                   broker.url)
        check(done.returncode not in (0, 64) and done.returncode > 0,
              f"a second broker on one address: exit {done.returncode}")
        check(len(done.stderr.splitlines()) >= 3, done.stderr)
        # the first one is none the worse
        equal(broker.cli("put", "jobs", "x").returncode, 0, "put")
    done = run("baozi-broker", "--config", path("missing"))
    equal(done.returncode, CONFIGURATION, done.stderr)
    done = run("baozi-broker", "--config", write("odd", "[[[\nx = \0\n"))
    equal(done.returncode, CONFIGURATION, done.stderr)


def hostile():
    """Messages that no client sends; seeded, so that a failure repeats."""
    chance = random.Random(22694)
    yield frame(b"")
    yield frame(b"\xdd\xff\xff\xff\xff")                # 4 G elements
    yield frame(b"\xdf\xff\xff\xff\xff")
    yield frame(b"\x91" * 60000)                        # deep
    yield frame(bytes(65537))                           # header too long
    yield frame(b"\x81\x01\x01", True) * 40 + frame(b"x")  # too many parts
    for _ in range(300):
        yield frame(chance.randbytes(chance.randrange(1, 400)))
    for _ in range(50):                                 # nearly right
        text = bytearray(b"\x91\x82\x01\x01\x02\x01")
        text[chance.randrange(len(text))] = chance.randrange(256)
        yield frame(bytes(text))


def throw(url, message):
    """Shakes hands as a ZeroMQ peer, sends one message, and waits until the
    broker answered it, hung up, or let 10 ms go by. True if it hung up."""
    with Peer(url) as peer:
        if not peer.try_raw(message):
            return True
        peer.socket.settimeout(0.01)
        try:
            return not peer.socket.recv(1)
        except TimeoutError:
            return False
        except OSError:
            return True


@test("[S10] hostile frames and raw noise: the broker serves the others")
def _():
    with Broker() as broker:
        address = broker.url[len("ipc://"):]
        equal(broker.cli("put", "jobs", "before").returncode, 0, "put")
        messages = list(hostile())
        cut = sum(throw(broker.url, message) for message in messages)
        print(f"# {len(messages)} hostile messages, {cut} cut off at once")
        check(throw(broker.url, b"".join(messages[6:])),
              "one who goes on and on is not cut off")
        for size in (1, 64, 5000):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(5)
                peer.connect(address)
                try:
                    peer.sendall(random.Random(size).randbytes(size))
                except OSError:
                    pass
        # one that stays and trickles
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(address)
            peer.sendall(GREETING[:20])
            got = broker.cli("get", "jobs", "--timeout", "5s")
            equal((got.returncode, got.stdout.strip()), (0, "before"), "get")
        equal(broker.popen.poll(), None, "the broker's exit code")


@test("[S11] a worker whose command does not exist: the items are kept, "
      "the message says which")
def _():
    with Broker() as broker:
        broker.cli("queue", "create", "jobs", "--max-deliveries", "1")
        broker.cli("put", "jobs", "x")
        worker = Process("baozi-worker", "jobs", "-c", "1", "--exec",
                         "/no/such/program {}", "--url", broker.url)
        time.sleep(1)
        stat = broker.stat("jobs")
        equal(stat["done"], 0, "done")
        equal(stat["ready"] + stat["leased"] + stat["delayed"] + stat["dead"],
              1, "the item is somewhere")
        contains(worker.stderr(), "/no/such/program", "its log")
        worker.stop()


@test("[S11] a full disk, as /dev/full: `baozi get` keeps the item")
def _():
    if not os.path.exists("/dev/full"):
        raise AssertionError("this system has no /dev/full")
    with Broker() as broker:
        broker.cli("put", "jobs", "bun")
        import subprocess
        from baozi_test import environment, program
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [program("baozi"), "get", "jobs", "--timeout", "5s", "--url",
                 broker.url], stdout=full, stderr=subprocess.PIPE,
                env=environment(), timeout=20, check=False)
        equal(done.returncode, 74, done.stderr.decode())
        got = broker.cli("get", "jobs", "--timeout", "5s")
        equal((got.returncode, got.stdout.strip()), (0, "bun"), "get again")


main()
