"""baozi-producer: items in, counts out, exit codes.

Real broker, real producer; each test has a broker of its own.
"""
import json
import os
import pty
import signal
import subprocess
import time

from baozi_test import (Broker, check, contains, environment, equal, main,
                        path, program, run, test, wait_until, write)


def payloads(broker, queue="jobs"):
    """What is ready in the queue, in order."""
    done = broker.cli("browse", queue, "--format", "json")
    equal(done.returncode, 0, f"browse: {done.stderr}")
    return [item["payload"] for item in json.loads(done.stdout)]


def ready(broker):
    """How many items are ready; 0 if there is no queue yet."""
    done = broker.cli("queue", "show", "jobs", "--format", "json")
    return json.loads(done.stdout)["ready"] if done.returncode == 0 else 0


def counts(done):
    return json.loads(done.stdout.splitlines()[-1])


@test("[S11] one item a line; an empty line is one; the last needs no newline")
def _():
    with Broker() as broker:
        done = broker.producer("jobs", input="one\n\n two\nlast")
        equal(done.returncode, 0, done.stderr)
        contains(done.stdout, "put 4 into 'jobs': 4 confirmed")
        equal(payloads(broker), ["one", "", " two", "last"])
        equal(done.stderr, "", "stderr off a terminal")


@test("[S11] files, --null and --file")
def _():
    with Broker() as broker:
        one = write("one", "a\nb\n")
        two = write("two", "c\n")
        done = broker.producer("jobs", one, "-", two, input="x\n")
        equal(done.returncode, 0, done.stderr)
        done = broker.producer("jobs", "--null", input="d\ne\0f")
        equal(done.returncode, 0, done.stderr)
        done = broker.producer("jobs", "--file", one, two)
        equal(done.returncode, 0, done.stderr)
        equal(payloads(broker), ["a", "b", "x", "c", "d\ne", "f", "a\nb\n",
                                 "c\n"])


@test("100,000 items through the window keep their order")
def _():
    with Broker() as broker:
        done = broker.producer("jobs", "--format", "json", seconds=60,
                               input="".join(f"{i}\n" for i in range(100000)))
        equal(done.returncode, 0, done.stderr)
        equal(counts(done)["confirmed"], 100000)
        equal(broker.stat("jobs")["ready"], 100000)
        equal(payloads(broker)[:3], ["0", "1", "2"])
        print(f"# 100,000 puts in {counts(done)['put_ms']} ms")


@test("[S11] --json: a bad line is named, exit 65, nothing before it is lost")
def _():
    with Broker() as broker:
        done = broker.producer("jobs", "--json",
                               input='{"a":1}\n[1,2]\n\n7\n{"a":\n"x"\n')
        equal(done.returncode, 65, "exit code")
        contains(done.stderr, "standard input, line 5: this is not JSON")
        contains(done.stderr, "why:")
        contains(done.stderr, "do:")
        contains(done.stdout, "3 confirmed")
        equal(payloads(broker), ['{"a":1}', "[1,2]", "7"])


@test("an item over 32 MiB: exit 65, nothing before it is lost")
def _():
    with Broker() as broker:
        big = write("big", b"small\n" + b"x" * (32 * 1024 * 1024 + 1) + b"\n")
        done = broker.producer("jobs", big)
        equal(done.returncode, 65, "exit code")
        contains(done.stderr, "line 2: the item is too large")
        equal(payloads(broker), ["small"])


@test("[S11] bad usage 64, missing file 74, no broker 69; three parts each")
def _():
    nobody = ("--url", f"ipc://{path('nobody')}", "--connect-timeout", "300ms")
    for code, arguments in (
            (64, ()), (64, ("jobs", "--no-such")),
            (64, ("jobs", "--null", "--json")), (64, ("jobs", "--rate", "x")),
            (64, ("jobs", "--header", "x")), (64, ("jobs", "--file")),
            (74, ("jobs", "/no/such/file")), (69, ("jobs", *nobody))):
        done = run("baozi-producer", *arguments)
        equal(done.returncode, code, f"exit code of {arguments}")
        contains(done.stderr, "why:", f"message for {arguments}")
        contains(done.stderr, "do:", f"message for {arguments}")
        equal(done.stdout, "", "stdout")


@test("[S6] --maxsize makes the queue; a queue with another bound is told")
def _():
    with Broker() as broker:
        done = broker.producer("jobs", "--maxsize", "5", input="a\n")
        equal(done.returncode, 0, done.stderr)
        equal(broker.stat("jobs")["maxsize"], 5)
        done = broker.producer("jobs", "--maxsize", "6", input="b\n")
        equal(done.returncode, 1, "exit code of EXISTS")
        contains(done.stderr, "do:")
        equal(payloads(broker), ["a"])


@test("[S3.1] a full queue makes the producer wait; room lets it go on")
def _():
    with Broker() as broker:
        producer = broker.start("baozi-producer", "jobs", "--maxsize", "2",
                                write("in", "1\n2\n3\n4\n5\n"))
        wait_until(lambda: ready(broker) == 2, what="two items")
        time.sleep(0.3)
        check(producer.popen.poll() is None, "the producer waits")
        equal(broker.stat("jobs")["ready"], 2, "never more than maxsize")
        worker = broker.start("baozi-worker", "jobs", "-c", "1", "--builtin",
                              "echo")
        equal(producer.wait(), 0, "exit code")
        contains(producer.stdout(), "5 confirmed")
        contains(producer.stdout(), "blocked")
        equal(worker.stop(), 0, "exit code of the worker")


@test("[S11] --timeout on a full queue: exit 75, the item is named")
def _():
    with Broker() as broker:
        begin = time.monotonic()
        done = broker.producer("jobs", "--maxsize", "2", "--timeout", "400ms",
                               input="1\n2\n3\n4\n")
        took = time.monotonic() - begin
        equal(done.returncode, 75, "exit code")
        contains(done.stderr, "item 3 was not put")
        contains(done.stderr, "FULL")
        contains(done.stdout, "2 confirmed, 1 refused")
        check(took >= 0.4, f"never early: {took:.3f} s")
        equal(payloads(broker), ["1", "2"])


@test("[S11] SIGINT while the queue is full: what was confirmed is told, 130")
def _():
    with Broker() as broker:
        producer = broker.start("baozi-producer", "jobs", "--maxsize", "2",
                                "--format", "json",
                                write("in", "1\n2\n3\n4\n"))
        wait_until(lambda: ready(broker) == 2, what="two items")
        producer.signal(signal.SIGINT)
        producer.signal(signal.SIGINT)
        equal(producer.wait(), 130, "exit code")
        said = json.loads(producer.stdout())
        equal(said["confirmed"], 2, "confirmed")
        time.sleep(0.2)
        broker.worker("jobs", "-c", "1", "--builtin", "echo", "--until-empty")
        stat = broker.stat("jobs")
        check(2 <= stat["accepted"] <= 4, f"accepted {stat['accepted']}")


@test("SIGTERM while it reads from a pipe: flushed, told, 143")
def _():
    with Broker() as broker:
        source, sink = os.pipe()
        producer = broker.start("baozi-producer", "jobs", stdin=source)
        os.close(source)
        os.write(sink, b"one\ntwo\nhalf a li")
        wait_until(lambda: ready(broker) == 2, what="two items")
        producer.signal(signal.SIGTERM)
        equal(producer.wait(), 143, "exit code")
        os.close(sink)
        contains(producer.stdout(), "2 confirmed")
        equal(payloads(broker), ["one", "two"])


@test("[S4.3] --join: 0 when all is done; counts only what this one put")
def _():
    with Broker() as broker:
        broker.producer("jobs", input="before\n")
        broker.start("baozi-worker", "jobs", "-c", "2", "--builtin", "echo")
        done = broker.producer("jobs", "--join", "--format", "json",
                               input="a\nb\nc\n")
        equal(done.returncode, 0, done.stderr)
        said = counts(done)
        equal((said["joined"], said["done"], said["dead"],
               said["unfinished"]), (True, 3, 0, 0))


@test("[S11] --join: 1 when items end dead, with the first errors")
def _():
    with Broker() as broker:
        broker.start("baozi-worker", "jobs", "-c", "1", "--shell", "--exec",
                     'echo "no $1 today" >&2; [ "$1" = good ] || exit 65')
        done = broker.producer("jobs", "--join", input="good\nbad\nworse\n")
        equal(done.returncode, 1, "exit code")
        contains(done.stdout, "joined: 1 done, 2 dead")
        contains(done.stdout, "no bad today")
        contains(done.stdout, "no worse today")


@test("[S11] --join: expired and purged items are not done: 1")
def _():
    with Broker() as broker:
        done = broker.producer("jobs", "--join", "--ttl", "200ms",
                               input="a\nb\n")
        equal(done.returncode, 1, "exit code")
        contains(done.stdout, "2 expired")
        producer = broker.start("baozi-producer", "jobs", "--join",
                                write("in", "c\n"))
        wait_until(lambda: broker.stat("jobs")["joiners"] > 0, what="a joiner")
        broker.cli("queue", "purge", "jobs", "--yes")
        equal(producer.wait(), 1, "exit code")
        contains(producer.stdout(), "1 purged")


@test("--join-timeout ends the wait with 1; the work goes on")
def _():
    with Broker() as broker:
        done = broker.producer("jobs", "--join", "--join-timeout", "300ms",
                               input="a\n")
        equal(done.returncode, 1, "exit code")
        contains(done.stdout, "not joined")
        contains(done.stdout, "1 unfinished")
        equal(broker.stat("jobs")["ready"], 1)


@test("[S7] --unique and --dedup-key store a key once and count duplicates")
def _():
    with Broker() as broker:
        done = broker.producer("jobs", "--unique", input="a\nb\na\na\n")
        equal(done.returncode, 0, done.stderr)
        contains(done.stdout, "2 confirmed, 2 duplicates")
        equal(payloads(broker), ["a", "b"])
        done = broker.producer("jobs", "--dedup-key", "day-{}",
                               "--dedup-window", "1h", input="c\nc\n")
        contains(done.stdout, "1 confirmed, 1 duplicates")
        done = broker.producer("jobs", "--unique", input="x" * 300 + "\n")
        equal(done.returncode, 65, "exit code of a key that is too long")


@test("priority, delay, group and headers travel with the item")
def _():
    with Broker() as broker:
        broker.producer("jobs", "--kind", "priority", "--priority", "5",
                        input="late\n")
        broker.producer("jobs", "--priority", "-5", input="soon\n")
        broker.producer("jobs", "--delay", "1h", input="tomorrow\n")
        stat = broker.stat("jobs")
        equal((stat["ready"], stat["delayed"]), (2, 1))
        equal(broker.cli("get", "jobs").stdout.strip(), "soon")
        done = broker.producer("plain", "--priority", "5", input="x\n")
        equal(done.returncode, 64, "a priority on a fifo queue")


@test("--rate is kept")
def _():
    with Broker() as broker:
        begin = time.monotonic()
        done = broker.producer("jobs", "--rate", "50",
                               input="".join(f"{i}\n" for i in range(26)))
        took = time.monotonic() - begin
        equal(done.returncode, 0, done.stderr)
        check(took >= 0.48, f"26 items at 50 a second took {took:.2f} s")


@test("[T1] the cook makes its buns and says so, with its pid")
def _():
    with Broker() as broker:
        cook = broker.start("baozi-producer", "buns", "--builtin", "cook",
                            "--name", "包子", "--count", "3", "--sleep",
                            "1ms-3ms", "--quiet")
        equal(cook.wait(), 0, "exit code")
        equal(cook.stdout().splitlines(),
              [f"{cook.pid} made 包子{i}" for i in range(3)])
        equal(payloads(broker, "buns"), ["包子0", "包子1", "包子2"])


@test("[S11] bars on a terminal only, colours only without NO_COLOR")
def _():
    with Broker() as broker:
        def on_terminal(extra):
            ours, theirs = pty.openpty()
            env = environment({"TERM": "xterm", "LANG": "C.UTF-8", **extra})
            if "NO_COLOR" not in extra:
                env.pop("NO_COLOR", None)
            started = subprocess.Popen(
                [program("baozi-producer"), "jobs", "--builtin", "cook",
                 "--count", "4", "--sleep", "120ms", "--url", broker.url],
                env=env, stderr=theirs, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE)
            started.stdout.read()
            equal(started.wait(20), 0, "exit code")
            os.close(theirs)
            said = b""
            try:
                while part := os.read(ours, 4096):
                    said += part
            except OSError:
                pass  # the terminal is closed
            os.close(ours)
            return said.decode()
        plain = on_terminal({"NO_COLOR": "1"})
        contains(plain, "\rput ")
        contains(plain, "4/4")
        check("\x1b" not in plain, "NO_COLOR: an escape sequence")
        contains(on_terminal({}), "\x1b[32m")


@test("a broker that is stopped and goes on loses nothing")
def _():
    with Broker() as broker:
        producer = broker.start(
            "baozi-producer", "jobs", "--rate", "200", "--format", "json",
            write("in", "".join(f"{i}\n" for i in range(200))))
        time.sleep(0.3)
        broker.signal(signal.SIGSTOP)
        time.sleep(1.0)
        broker.signal(signal.SIGCONT)
        equal(producer.wait(30), 0, "exit code")
        equal(json.loads(producer.stdout())["confirmed"], 200)
        equal(broker.stat("jobs")["accepted"], 200, "accepted")


main()
