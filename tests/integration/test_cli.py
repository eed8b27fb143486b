"""The program `baozi`: how it is called and what it says when it is called
wrongly; put, get and join against a real broker."""
import base64
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
from baozi_cli import *  # noqa: E402,F403

VERBS = ["put", "get", "join", "peek", "browse", "queue ls", "queue show",
         "queue create", "queue set", "queue pause", "queue resume",
         "queue purge", "queue shutdown", "queue reopen", "queue rm",
         "redrive", "cancel", "wait", "stats", "workers", "health", "bench",
         "demo", "completion", "version", "help"]


# --- usage -------------------------------------------------------------------

@test("help lists every verb, and each verb has a help of its own [S11]")
def _():
    text = good(run("baozi", "--help"))
    for verb in VERBS:
        contains(text, f"\n  {verb} ", "help")
        mine = good(run("baozi", *verb.split(), "--help"))
        contains(mine, f"baozi {verb} - ", "help")
        contains(mine, "Usage: ")
        contains(mine, "Examples:")
        contains(mine, "Exit codes:")
        equal(mine, good(run("baozi", "help", *verb.split())), "help VERB")
        check(all(len(line) < 80 for line in mine.splitlines()), mine)
    for later in ("top", "locks", "keygen"):
        check(f"\n  {later} " not in text, later + " is not there yet")


@test("the other programs' help tells where their completion is")
def _():
    for name in ("baozi-broker", "baozi-producer", "baozi-worker"):
        contains(good(run(name, "--help")), "--completion SHELL", name)
        for shell in ("bash", "zsh", "fish"):
            contains(good(run(name, "--completion", shell)), name, shell)


@test("help of the group queue lists its verbs")
def _():
    text = good(run("baozi", "queue", "--help"))
    equal(text, good(run("baozi", "help", "queue")))
    for verb in VERBS:
        equal(f"\n  {verb} " in text, verb.startswith("queue "), verb)


@test("a folder of the local broker that is not ours alone is named")
def _():
    os.mkdir(path("tmp"))
    os.mkdir(path(f"tmp/baozi-{os.getuid()}"))
    os.chmod(path(f"tmp/baozi-{os.getuid()}"), 0o777)
    env = {"TMPDIR": path("tmp"), "BAOZI_RUNTIME_DIR": "",
           "XDG_RUNTIME_DIR": ""}
    complains(run("baozi", "health", env=env), 77,
              path(f"tmp/baozi-{os.getuid()}"), "BAOZI_RUNTIME_DIR")


@test("[S10] the broker's own reason and remedy are told, not general ones")
def _():
    with Broker() as broker:
        good(broker.cli("queue", "create", "jobs"))
        good(broker.cli("queue", "pause", "jobs"))
        refused = broker.cli("put", "jobs", "x", "--no-wait")
        complains(refused, 75)
        equal(refused.stderr, "baozi put: put on queue 'jobs': FULL\n"
              "  why: it is paused\n  do: resume it\n")


@test("the version is on stdout, as text and as JSON")
def _():
    text = good(run("baozi", "--version"))
    equal(text, good(run("baozi", "version")))
    check(text.startswith("baozi ") and text.count(".") == 2, text)
    equal(parsed(run("baozi", "--format=json", "version"))["version"],
          text.split()[1])


@test("bad usage ends with 64 and a message of three parts")
def _():
    complains(run("baozi"), 64, "no verb")
    complains(run("baozi", "putt"), 64, "did you mean put?")
    complains(run("baozi", "queue"), 64)
    complains(run("baozi", "queue", "creat"), 64, "queue create?")
    complains(run("baozi", "put"), 64, "QUEUE is missing")
    complains(run("baozi", "put", "q", "--dleay", "3"), 64, "--delay?")
    complains(run("baozi", "put", "q", "--delay", "soon"), 64, "duration")
    complains(run("baozi", "put", "q", "x", "--dedup-window", "5s"), 64,
              "--dedup-key")
    complains(run("baozi", "put", "q", "x", "--dedup-window", "5s",
                  "--unique"), 64, "leave out one")
    complains(run("baozi", "put", "q", "x", "--header", "nokey"), 64)
    complains(run("baozi", "put", "q", "x", "--not-before", "soon"), 64)
    complains(run("baozi", "get", "q", "extra"), 64, "extra")
    complains(run("baozi", "get", "q", "--timeout"), 64, "needs a value")
    complains(run("baozi", "get", "q", "--lines", "--null"), 64)
    complains(run("baozi", "join", "q", "--group", "g", "--up-to-now"), 64)
    complains(run("baozi", "browse", "q", "--state", "gone"), 64, "delayed")
    complains(run("baozi", "queue", "set", "q"), 64, "nothing to set")
    complains(run("baozi", "redrive", "q"), 64, "--all")
    complains(run("baozi", "redrive", "q", "7", "--all"), 64)
    complains(run("baozi", "cancel", "seven"), 64, "not an id")
    complains(run("baozi", "wait", "0"), 64, "not an id")
    complains(run("baozi", "completion", "csh"), 64)
    complains(run("baozi", "queue", "ls", "--url", "http://x"), 64,
              "cannot use the address 'http://x'")
    complains(run("baozi", "queue", "ls", env={"BAOZI_FORMAT": "xml"}), 78,
              "BAOZI_FORMAT")


@test("completion is a script that the shell can read")
def _():
    text = good(run("baozi", "completion", "bash"))
    script = text + """
COMP_WORDS=(baozi que); COMP_CWORD=1; _baozi; echo "${COMPREPLY[@]}"
COMP_WORDS=(baozi queue cr); COMP_CWORD=2; _baozi; echo "${COMPREPLY[@]}"
COMP_WORDS=(baozi put --dedup-k); COMP_CWORD=2; _baozi; echo "${COMPREPLY[@]}"
"""
    done = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE,
                          check=True)
    equal(done.stdout.decode().split(), ["queue", "create", "--dedup-key"])
    for shell in ("zsh", "fish"):
        contains(good(run("baozi", "completion", shell)), "max-deliveries")
    contains(good(run("baozi-worker", "--completion", "bash")), "--exec")


@test("without a broker every verb ends with 69 within its time")
def _():
    nobody = f"ipc://{folder()}/nobody"
    begin = time.monotonic()
    complains(run("baozi", "health", "--timeout", "300ms", "--url", nobody), 69)
    check(time.monotonic() - begin < 2 * PATIENCE, "health is fast")
    complains(run("baozi", "put", "q", "x", "--url", nobody), 69)
    complains(run("baozi", "queue", "ls", "--url", "tcp://127.0.0.1:1"), 69)


# --- put and get -------------------------------------------------------------

@test("put prints ids, get prints exactly the bytes and settles")
def _():
    with Broker() as broker:
        first = int(good(broker.cli("put", "jobs", "one")))
        ids = good(broker.cli("put", "jobs", "two", "three")).split()
        equal([int(one) - first for one in ids], [1, 2], "ids")
        raw = bytes(range(256)) * 300
        good(broker.cli("put", "jobs", input=raw))
        equal(good(broker.cli("get", "jobs")), "one")
        equal(good(broker.cli("get", "jobs", "--count", 2, "--lines")),
              "two\nthree\n")
        done = subprocess.run([program("baozi"), "get", "jobs", "--url",
                               broker.url], stdout=subprocess.PIPE,
                              env=environment(), check=True)
        equal(done.stdout, raw, "payload")
        stat = broker.stat("jobs")
        equal((stat["done"], stat["unfinished"]), (4, 0))
        equal(good(broker.cli("put", "jobs", "")).strip().isdigit(), True)
        equal(good(broker.cli("get", "jobs", "--no-wait")), "", "empty item")


@test("get on an empty queue is 1, put on a full one 75, each in time")
def _():
    with Broker() as broker:
        good(broker.cli("queue", "create", "small", "--maxsize", 1))
        begin = time.monotonic()
        complains(broker.cli("get", "small", "--timeout", "0.3"), 1, "EMPTY")
        took = time.monotonic() - begin
        check(0.3 <= took < 3 * PATIENCE, f"took {took}")
        complains(broker.cli("get", "small", "--no-wait"), 1)
        good(broker.cli("put", "small", "x"))
        complains(broker.cli("put", "small", "y", "--no-wait"), 75, "FULL",
                  "small")
        complains(broker.cli("put", "small", "y", "--timeout", "200ms"), 75)
        equal(broker.stat("small")["accepted"], 1)


@test("get and join on an unknown queue say so and make none")
def _():
    with Broker() as broker:
        complains(broker.cli("get", "nowhere", "--no-wait"), 1, "NOT_FOUND")
        complains(broker.cli("join", "nowhere"), 1, "NOT_FOUND")
        complains(broker.cli("queue", "show", "nowhere"), 1, "nowhere")
        equal(parsed(broker.cli("queue", "ls", "--format", "json")), [])


@test("get --count 0 takes all there is and ends with 0")
def _():
    with Broker() as broker:
        good(broker.cli("put", "jobs", "1", "2", "3"))
        equal(good(broker.cli("get", "jobs", "--count", 0, "--no-wait",
                              "--lines")), "1\n2\n3\n")
        equal(good(broker.cli("get", "jobs", "--count", 0, "--no-wait")), "")
        complains(broker.cli("get", "jobs", "--count", 1, "--no-wait"), 1)


@test("get --peek leaves the items, in order and uncounted")
def _():
    with Broker() as broker:
        good(broker.cli("put", "jobs", "1", "2", "3"))
        equal(good(broker.cli("get", "jobs", "--peek", "--count", 2,
                              "--lines")), "1\n2\n")
        equal(broker.stat("jobs")["ready"], 3)
        item = parsed(broker.cli("get", "jobs", "--format", "json"))
        equal((item["payload"], item["deliveries"]), ("1", 1))


@test("an item that stdout does not take goes back uncounted")
def _():
    with Broker() as broker:
        good(broker.cli("put", "jobs", input="x" * 200000))
        if not os.path.exists("/dev/full"):
            raise Skip("needs /dev/full")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([program("baozi"), "get", "jobs", "--url",
                                   broker.url], stdout=full, env=environment(),
                                  stderr=subprocess.PIPE, check=False)
        equal(done.returncode, 74, "exit code")
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([program("baozi"), "get", "jobs", "--url",
                               broker.url], stdout=writer, env=environment(),
                              stderr=subprocess.PIPE, check=False)
        os.close(writer)
        equal(done.returncode, 74, "exit code with a closed pipe")
        equal(broker.stat("jobs")["ready"], 1)
        item = parsed(broker.cli("get", "jobs", "--format", "json"))
        equal(item["deliveries"], 1, "deliveries")


@test("JSON carries headers, group, priority and bytes that are no text")
def _():
    with Broker() as broker:
        good(broker.cli("queue", "create", "p", "--kind", "priority"))
        receipt = parsed(broker.cli(
            "put", "p", "--format", "json", "--priority", -7, "--group", "g",
            "--header", "lang=en", "--header", "a=b=c", "包子"))
        equal(sorted(receipt), ["duplicate", "durability", "id"])
        equal((receipt["duplicate"], receipt["durability"]),
              (False, "memory"))
        item = parsed(broker.cli("get", "p", "--format", "json"))
        equal(item, {"id": receipt["id"], "deliveries": 1, "priority": -7,
                     "group": "g", "headers": {"lang": "en", "a": "b=c"},
                     "payload": "包子"})
        good(broker.cli("put", "p", input=b"\xff\x00\xfe"))
        item = parsed(broker.cli("get", "p", "--format", "json"))
        equal(base64.b64decode(item["payload_base64"]), b"\xff\x00\xfe")
        check("payload" not in item, item)


@test("--delay, --ttl, --dedup-key and --unique do what they say")
def _():
    with Broker() as broker:
        good(broker.cli("put", "d", "later", "--delay", "400ms"))
        equal(broker.stat("d")["delayed"], 1)
        begin = time.monotonic()
        equal(good(broker.cli("get", "d", "--timeout", "5s")), "later")
        check(time.monotonic() - begin > 0.1, "it waited")
        good(broker.cli("put", "t", "short", "--ttl", "100ms"))
        wait_until(lambda: broker.stat("t")["expired"] == 1, 5, "expiry")
        one = parsed(broker.cli("put", "k", "a", "--dedup-key", "K",
                                "--dedup-window", "1m", "--format", "json"))
        two = parsed(broker.cli("put", "k", "b", "--dedup-key", "K",
                                "--dedup-window", "1m", "--format", "json"))
        equal((two["id"], two["duplicate"]), (one["id"], True))
        good(broker.cli("put", "u", "a", "--dedup-key", "U", "--unique"))
        good(broker.cli("put", "u", "b", "--dedup-key", "U", "--unique"))
        equal(broker.stat("u")["ready"], 1)
        good(broker.cli("put", "v", "a", "b", "a", "--unique"))
        good(broker.cli("put", "v", "b", "--dedup-key", "{}"))
        equal(broker.stat("v")["ready"], 2)
        equal(broker.cli("put", "v", "x" * 257, "--unique").returncode, 65)
        good(broker.cli("get", "u"))
        good(broker.cli("put", "u", "c", "--dedup-key", "U", "--unique"))
        equal(good(broker.cli("get", "u")), "c")


@test("--not-before hands an item out at a moment of the wall clock")
def _():
    with Broker() as broker:
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ",
                             time.gmtime(time.time() + 3600))
        good(broker.cli("put", "n", "late", "--not-before", when))
        good(broker.cli("put", "n", "past", "--not-before",
                        "2001-01-01 00:00"))
        good(broker.cli("put", "n", "next", "--not-before",
                        time.strftime("%H:%M", time.localtime(
                            time.time() + 120))))
        equal(good(broker.cli("get", "n", "--timeout", "5s")), "past")
        due = [one["due_ms"] for one in parsed(broker.cli(
            "browse", "n", "--state", "delayed", "--format", "json"))]
        check(3590000 < due[0] <= 3600000, due)
        check(50000 < due[1] <= 121000, due)


@test("put --result waits for the outcome and prints the result")
def _():
    with Broker() as broker:
        broker.start("baozi-worker", "up", "-c", 1, "--builtin", "upper",
                     "--quiet")
        equal(good(broker.cli("put", "up", "hello", "--result")), "HELLO")
        outcome = parsed(broker.cli("put", "up", "abc", "--result",
                                    "--format", "json"))
        equal((outcome["state"], outcome["result"]), ("done", "ABC"))
        done = broker.cli("put", "nobody", "x", "--result", "--timeout",
                          "300ms")
        equal(done.returncode, 1, "no outcome in time")


@test("SIGINT ends a waiting get with 130 and it takes nothing")
def _():
    with Broker() as broker:
        good(broker.cli("queue", "create", "jobs"))
        waiting = broker.start("baozi", "get", "jobs")
        wait_until(lambda: broker.stat("jobs")["parked_gets"] == 1, 5,
                   "the get waits")
        waiting.signal(signal.SIGINT)
        equal(waiting.wait(5), 130, "exit code")
        equal(broker.stat("jobs")["parked_gets"], 0)
        good(broker.cli("put", "jobs", "x"))
        equal(broker.stat("jobs")["ready"], 1)


# --- join --------------------------------------------------------------------

@test("join answers counts; 1 when it timed out or something is dead")
def _():
    with Broker() as broker:
        good(broker.cli("put", "jobs", "a", "--group", "g"))
        done = broker.cli("join", "jobs", "--timeout", "200ms",
                          "--format", "json")
        equal(parsed(done, 1)["unfinished"], 1)
        contains(done.stderr, "TIMEOUT")
        joining = broker.start("baozi", "join", "jobs", "--group", "g",
                               "--progress")
        upto = broker.start("baozi", "join", "jobs", "--up-to-now",
                            "--format", "json")
        wait_until(lambda: broker.stat("jobs")["joiners"] == 2, 5, "joiners")
        good(broker.cli("put", "jobs", "b"))
        good(broker.cli("get", "jobs"))
        equal(joining.wait(5), 0, "exit code of the group's join")
        contains(joining.stdout(), "1 done")
        equal(upto.wait(5), 0, "exit code of the join up to now")
        equal(json.loads(upto.stdout())["done"], 1)
        equal(broker.stat("jobs")["unfinished"], 1)
        good(broker.cli("get", "jobs"))
        counts = parsed(broker.cli("join", "jobs", "--format", "json"))
        equal(counts, {"unfinished": 0, "done": 2, "dead": 0, "expired": 0,
                       "cancelled": 0, "dropped": 0, "purged": 0,
                       "errors": []})
        kill_item(broker, "poison")
        counts = parsed(broker.cli("join", "poison", "--format", "json"), 1)
        equal(counts["dead"], 1)
        check(counts["errors"] and "it broke" in counts["errors"][0],
              counts["errors"])


main()
