"""Every verb of `baozi` against a real broker: what it does, its JSON keys,
its exit codes, and what it says when it is used wrongly."""
import base64
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
from baozi_test import *  # noqa: E402,F403

OPTIONS = ["maxsize", "max_bytes", "bound", "overflow", "kind", "durability",
           "accounting", "lease", "max_run", "max_deliveries", "backoff_base",
           "backoff_cap", "ttl", "result_ttl", "dead_max", "dead_ttl",
           "dedup_window", "dedup_max", "group_ttl", "group_max", "paused"]
READINGS = ["ready", "leased", "delayed", "dead", "unfinished", "accepted",
            "done", "died", "expired", "cancelled", "dropped", "purged",
            "bytes", "parked_puts", "parked_gets", "joiners", "consumers",
            "oldest_ready_ms"]
VERBS = ["put", "get", "join", "peek", "browse", "queue ls", "queue show",
         "queue create", "queue set", "queue pause", "queue resume",
         "queue purge", "queue shutdown", "queue reopen", "queue rm",
         "redrive", "cancel", "wait", "stats", "workers", "health", "demo",
         "completion", "version", "help"]


def good(done, code=0):
    """The call ended with that exit code; its stdout."""
    if done.returncode != code:
        raise AssertionError(f"exit {done.returncode}, expected {code}\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout


def parsed(done, code=0):
    return json.loads(good(done, code))


def complains(done, code, *parts):
    """A message of three parts and nothing on stdout."""
    equal(done.returncode, code, "exit code; it said " + done.stderr)
    equal(done.stdout, "", "stdout")
    lines = done.stderr.splitlines()
    check(lines[0].startswith("baozi"), done.stderr)
    contains(done.stderr, "\n  why: ", "stderr")
    contains(done.stderr, "\n  do: ", "stderr")
    for part in parts:
        contains(done.stderr, part, "stderr")


def kill_item(broker, queue, payload="bad", options=()):
    """Makes one dead item in a queue of max_deliveries 1."""
    broker.cli("queue", "create", queue, "--max-deliveries", 1)
    identity = good(broker.cli("put", queue, payload)).strip()
    broker.worker(queue, "-c", 1, "--exec", "sh -c 'echo it broke >&2; exit 9'",
                  "--until-empty", *options)
    equal(broker.stat(queue)["dead"], 1, "dead")
    return identity


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
    for later in ("top", "locks", "bench", "keygen"):
        check(f"\n  {later} " not in text, later + " is not there yet")


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
    complains(run("baozi", "put", "q", "x", "--unique"), 64, "--dedup-key")
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
    complains(run("baozi", "queue", "ls", "--url", "http://x"), 64)
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
            raise Skip("there is no /dev/full")
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


# --- looking -----------------------------------------------------------------

@test("peek and browse show items and change nothing")
def _():
    with Broker() as broker:
        ids = good(broker.cli("put", "jobs", "first", "sec\nond",
                              "x" * 500)).split()
        good(broker.cli("put", "jobs", "late", "--delay", "1h"))
        item = parsed(broker.cli("peek", "jobs", "--format", "json"))
        equal((item["id"], item["state"], item["payload"]),
              (int(ids[0]), "ready", "first"))
        contains(good(broker.cli("peek", "jobs", ids[1])), "sec\\nond")
        complains(broker.cli("peek", "jobs", "12345"), 1)
        complains(broker.cli("peek", "none"), 1, "NOT_FOUND")
        table = good(broker.cli("browse", "jobs"))
        lines = table.splitlines()
        equal(len(lines), 4, "lines")
        check(lines[2].endswith("sec\\nond"), lines[2])
        check(len(lines[3]) < 200 and lines[3].endswith("..."), lines[3])
        items = parsed(broker.cli("browse", "jobs", "--format", "json",
                                  "--limit", 2))
        equal([str(one["id"]) for one in items], ids[:2])
        items = parsed(broker.cli("browse", "jobs", "--format", "json",
                                  "--after", ids[1]))
        equal([one["payload"] for one in items], ["x" * 500])
        items = parsed(broker.cli("browse", "jobs", "--state", "delayed",
                                  "--format", "json"))
        equal(items[0]["payload"], "late")
        check(items[0]["due_ms"] > 3000000, items[0])
        equal(parsed(broker.cli("browse", "jobs", "--state", "dead",
                                "--format", "json")), [])
        stat = broker.stat("jobs")
        equal((stat["ready"], stat["delayed"], stat["leased"]), (3, 1, 0))


@test("browse --match finds the dead, redrive gives them another life")
def _():
    with Broker() as broker:
        dead = kill_item(broker, "jobs")
        items = parsed(broker.cli("browse", "jobs", "--state", "dead",
                                  "--match", "broke", "--format", "json"))
        equal([str(one["id"]) for one in items], [dead])
        equal(items[0]["state"], "dead")
        equal(parsed(broker.cli("browse", "jobs", "--state", "dead",
                                "--match", "other", "--format", "json")), [])
        equal(parsed(broker.cli("redrive", "jobs", "--match", "other",
                                "--format", "json"), 1), {"moved": 0})
        equal(good(broker.cli("redrive", "jobs", dead)), "1 moved\n")
        stat = broker.stat("jobs")
        equal((stat["dead"], stat["ready"]), (0, 1))
        item = parsed(broker.cli("peek", "jobs", "--format", "json"))
        equal(str(item["origin"]), dead, "origin")
        check(str(item["id"]) != dead, "a new id")
        equal(good(broker.cli("get", "jobs")), "bad")
        kill_item(broker, "more")
        good(broker.cli("redrive", "more", "--all", "--rate", 100))
        equal(broker.stat("more")["ready"], 1)


# --- operating ---------------------------------------------------------------

@test("queue create, show, set and ls speak SPEC's names [S6]")
def _():
    with Broker() as broker:
        good(broker.cli("queue", "create", "jobs", "--maxsize", 100,
                        "--max-bytes", "64MiB", "--bound", "total",
                        "--overflow", "drop_oldest", "--lease", "5m",
                        "--max-deliveries", 3, "--ttl", "1h30m",
                        "--kind", "lifo"))
        stat = broker.stat("jobs")
        for key in OPTIONS + READINGS + ["name"]:
            check(key in stat, "JSON lacks " + key)
        equal({key: stat[key] for key in (
            "name", "maxsize", "max_bytes", "bound", "overflow", "lease",
            "max_deliveries", "ttl", "kind", "accounting", "durability")},
            {"name": "jobs", "maxsize": 100, "max_bytes": 64 << 20,
             "bound": "total", "overflow": "drop_oldest", "lease": 300000,
             "max_deliveries": 3, "ttl": 5400000, "kind": "lifo",
             "accounting": "lease", "durability": "memory"})
        good(broker.cli("queue", "create", "jobs"))
        good(broker.cli("queue", "create", "jobs", "--maxsize", 100))
        complains(broker.cli("queue", "create", "jobs", "--maxsize", 5), 1,
                  "EXISTS")
        good(broker.cli("queue", "set", "jobs", "--maxsize", 7))
        equal(broker.stat("jobs")["maxsize"], 7)
        equal(broker.stat("jobs")["lease"], 300000, "the rest stays")
        complains(broker.cli("queue", "set", "none", "--maxsize", 7), 1)
        complains(broker.cli("queue", "create", "q", "--durability", "quorum"),
                  64, "BAD_REQUEST")
        complains(broker.cli("queue", "create", "a\nb"), 64)
        text = good(broker.cli("queue", "show", "jobs"))
        contains(text, "maxsize          7\n")
        contains(text, "lease            5m\n")
        good(broker.cli("queue", "create", "包子"))
        queues = parsed(broker.cli("queue", "ls", "--format", "json"))
        equal([one["name"] for one in queues], ["jobs", "包子"])
        table = good(broker.cli("queue", "ls")).splitlines()
        equal(len(table), 3, "lines")
        check("\033" not in "".join(table), "colours off a terminal")


@test("pause stops puts and gets, resume lets them go on")
def _():
    with Broker() as broker:
        good(broker.cli("put", "jobs", "1"))
        good(broker.cli("queue", "pause", "jobs", "--out"))
        equal(broker.stat("jobs")["paused"], "out")
        complains(broker.cli("get", "jobs", "--no-wait"), 1)
        good(broker.cli("put", "jobs", "2", "--no-wait"))
        good(broker.cli("queue", "pause", "jobs"))
        equal(broker.stat("jobs")["paused"], "both")
        complains(broker.cli("put", "jobs", "3", "--no-wait"), 75)
        contains(good(broker.cli("queue", "ls")), "paused")
        good(broker.cli("queue", "resume", "jobs", "--in"))
        equal(broker.stat("jobs")["paused"], "out")
        good(broker.cli("queue", "resume", "jobs"))
        equal(good(broker.cli("get", "jobs", "--no-wait")), "1")


@test("purge, shutdown, reopen and rm")
def _():
    with Broker() as broker:
        good(broker.cli("put", "jobs", "1", "2"))
        equal(good(broker.cli("queue", "purge", "jobs")), "2 purged\n")
        equal(broker.stat("jobs")["purged"], 2)
        good(broker.cli("put", "jobs", "3"))
        good(broker.cli("queue", "shutdown", "jobs"))
        complains(broker.cli("put", "jobs", "4"), 1, "SHUTDOWN")
        equal(good(broker.cli("get", "jobs")), "3", "drained")
        complains(broker.cli("get", "jobs"), 1, "SHUTDOWN")
        good(broker.cli("queue", "reopen", "jobs"))
        good(broker.cli("put", "jobs", "5"))
        equal(broker.cli("queue", "rm", "jobs").returncode, 64, "not empty")
        good(broker.cli("queue", "rm", "jobs", "--force", "--yes"))
        complains(broker.cli("queue", "rm", "jobs", "--force"), 1, "NOT_FOUND")
        kill_item(broker, "deads")
        equal(parsed(broker.cli("queue", "purge", "deads", "--dead",
                                "--format", "json")), {"purged": 1})
        equal(broker.stat("deads")["dead"], 0)


def on_terminal(broker, answer, *words):
    """Runs a verb with a terminal as stdin; its exit code and output."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(program("baozi"),
                  ["baozi", *words, "--url", broker.url], environment())
    said = b""
    end = time.monotonic() + 10 * PATIENCE
    sent = False
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                part = os.read(terminal, 4096)
            except OSError:
                break
            if not part:
                break
            said += part
        if b"[y/N]" in said and not sent:
            os.write(terminal, answer)
            sent = True
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode()


@test("what throws items away asks on a terminal unless --yes")
def _():
    with Broker() as broker:
        good(broker.cli("put", "jobs", "1", "2"))
        code, said = on_terminal(broker, b"n\n", "queue", "purge", "jobs")
        equal(code, 1, said)
        equal(broker.stat("jobs")["ready"], 2)
        code, said = on_terminal(broker, b"y\n", "queue", "purge", "jobs")
        equal(code, 0, said)
        contains(said, "jobs")
        equal(broker.stat("jobs")["ready"], 0)
        code, said = on_terminal(broker, b"", "queue", "rm", "jobs", "--yes")
        equal((code, "[y/N]" in said), (0, False))


@test("cancel drops what waits and asks for what is held; wait says the end")
def _():
    with Broker() as broker:
        one, two = good(broker.cli("put", "jobs", "1", "2")).split()
        equal(good(broker.cli("cancel", one)), f"{one} cancelled\n")
        equal(broker.stat("jobs")["cancelled"], 1)
        complains(broker.cli("cancel", one), 1)
        broker.start("baozi-worker", "jobs", "-c", 1, "--builtin", "sleep",
                     "--sleep", "1s")
        wait_until(lambda: broker.stat("jobs")["leased"] == 1, 5, "a holder")
        waiting = broker.start("baozi", "wait", two, "--format", "json")
        answer = parsed(broker.cli("cancel", two, "--format", "json"))
        equal(answer, {"id": int(two), "answer": "asked"})
        equal(waiting.wait(10) in (0, 1), True)
        outcome = json.loads(waiting.stdout())
        check(outcome["state"] in ("done", "cancelled"), outcome)
        equal(outcome["id"], int(two))
        equal(broker.cli("wait", "77").returncode, 1, "unknown item")


@test("wait ends with 1 and the error when the item died")
def _():
    with Broker() as broker:
        good(broker.cli("queue", "create", "jobs", "--max-deliveries", 1))
        identity = good(broker.cli("put", "jobs", "x")).strip()
        waiting = broker.start("baozi", "wait", identity)
        time.sleep(0.3)
        broker.worker("jobs", "-c", 1, "--exec", "sh -c 'echo oh no >&2; exit 9'",
                      "--until-empty")
        equal(waiting.wait(10), 1, "exit code")
        contains(waiting.stderr(), "dead")
        contains(waiting.stderr(), "oh no")
        complains(broker.cli("wait", identity, "--timeout", "100ms"), 1)


# --- the broker --------------------------------------------------------------

@test("stats shows the broker, all queues or one, once or again and again")
def _():
    with Broker() as broker:
        good(broker.cli("put", "a", "1"))
        good(broker.cli("put", "b", "1", "2"))
        stats = parsed(broker.cli("stats", "--format", "json"))
        equal([(one["name"], one["ready"]) for one in stats["queues"]],
              [("a", 1), ("b", 2)])
        equal(stats["broker"]["queues"], 2)
        equal(stats["broker"]["draining"], False)
        equal(stats["broker"]["durability"], "memory")
        equal(parsed(broker.cli("stats", "b", "--format", "json"))["ready"], 2)
        complains(broker.cli("stats", "c"), 1, "NOT_FOUND")
        watching = broker.start("baozi", "stats", "b", "--watch", "0.3",
                                "--count", 3, "--format", "json")
        time.sleep(0.2)
        good(broker.cli("put", "b", "3"))
        equal(watching.wait(10), 0)
        readings = [json.loads(line)
                    for line in watching.stdout().splitlines()]
        equal([one["ready"] for one in readings][-1], 3)
        equal(len(readings), 3)
        text = good(broker.cli("stats", "--watch", "200ms", "--count", 2))
        contains(text, "PUT/s")
        equal(text.count("QUEUE"), 2)
        contains(text, "0.0")


@test("workers lists sessions with host, pid, program, leases and silence")
def _():
    with Broker() as broker:
        good(broker.cli("put", "jobs", "1"))
        worker = broker.start("baozi-worker", "jobs", "-c", 1, "--builtin",
                              "sleep", "--sleep", "5s", "--grace", "0s")
        wait_until(lambda: broker.stat("jobs")["leased"] == 1, 5, "a lease")
        sessions = parsed(broker.cli("workers", "--format", "json"))
        mine = [one for one in sessions if one["pid"] == worker.pid]
        equal(len(mine), 1, "sessions of the worker")
        equal(sorted(mine[0]), ["connected", "host", "leases", "pid",
                                "program", "session", "silent_ms"])
        equal((mine[0]["host"], mine[0]["leases"], mine[0]["connected"]),
              (os.uname().nodename, 1, True))
        contains(mine[0]["program"], "baozi-worker")
        contains(good(broker.cli("workers")), str(worker.pid))


@test("health is 0 while the broker answers, 69 when it does not")
def _():
    with Broker() as broker:
        contains(good(broker.cli("health")), "ok")
        health = parsed(broker.cli("health", "--ready", "--format", "json"))
        equal((health["alive"], health["ready"]), (True, True))
        broker.signal(signal.SIGSTOP)
        begin = time.monotonic()
        complains(broker.cli("health", "--timeout", "300ms"), 69)
        check(time.monotonic() - begin < 3 * PATIENCE, "it did not hang")
        broker.signal(signal.SIGCONT)
        good(broker.cli("health", "--timeout", "5s"))


@test("BAOZI_URL names the broker, --url wins, and it may stand first")
def _():
    with Broker() as broker:
        env = {"BAOZI_URL": broker.url}
        good(run("baozi", "put", "jobs", "x", env=env))
        env = {"BAOZI_URL": f"ipc://{folder()}/nobody"}
        equal(good(run("baozi", "--url", broker.url, "get", "jobs", env=env)),
              "x")


main()
