"""The program `baozi` as an operator uses it: looking at items, queues and
sessions, and changing them, against a real broker."""
import json
import os
import pty
import select
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
from baozi_cli import *  # noqa: E402,F403

OPTIONS = ["maxsize", "max_bytes", "bound", "overflow", "kind", "durability",
           "accounting", "lease", "max_run", "max_deliveries", "backoff_base",
           "backoff_cap", "ttl", "result_ttl", "dead_max", "dead_ttl",
           "dedup_window", "dedup_max", "group_ttl", "group_max", "paused"]
READINGS = ["ready", "leased", "delayed", "dead", "unfinished", "accepted",
            "done", "died", "expired", "cancelled", "dropped", "purged",
            "bytes", "parked_puts", "parked_gets", "joiners", "consumers",
            "oldest_ready_ms"]


# --- looking -----------------------------------------------------------------

NASTY = "\x1b]0;owned\x07\x1b[2J\x9b5m\x7f\r\u202e"


def harmless(done, what):
    """No control character that a terminal would obey."""
    text = done.stdout + done.stderr
    bad = [c for c in text if (ord(c) < 32 and c != "\n")
           or 0x7f <= ord(c) < 0xa0]
    equal(bad, [], f"control characters of {what} in {text!r}")
    return text


@test("what came from elsewhere never commands the terminal")
def _():
    with Broker() as broker:
        good(broker.cli("queue", "create", "jobs", "--max-deliveries", "1"))
        good(broker.cli("put", "jobs", NASTY, "--header", "k=" + NASTY,
                        "--dedup-key", NASTY))
        worker = broker.start("baozi-worker", "jobs", "--until-empty",
                              "--shell", "--exec",
                              'printf "\\033[2J\\007\\302\\233" >&2; exit 9')
        equal(worker.wait(), 0, "exit code of the worker")
        good(broker.cli("put", "jobs", NASTY))
        for form in ("text", "json"):
            for words in (["queue", "ls"], ["queue", "show", "jobs"],
                          ["browse", "jobs"], ["peek", "jobs"],
                          ["browse", "jobs", "--state", "dead"], ["stats"],
                          ["workers"], ["health"],
                          ["join", "jobs", "--timeout", "10ms"],
                          ["queue", "show", "no\\n" + NASTY],
                          ["put", NASTY, "x"], ["get", "jobs", NASTY],
                          ["queue", "set", "jobs", "--" + NASTY],
                          [NASTY], ["cancel", NASTY]):
                harmless(broker.cli(*words, "--format", form), words)
        contains(broker.cli("browse", "jobs", "--state", "dead").stdout,
                 r"\x1b[2J")
        done = broker.cli("browse", "jobs", "--format", "json")
        equal(json.loads(done.stdout)[0]["payload"], NASTY, "its payload")
        done = broker.cli("put", "a\nb" + NASTY, "x")
        contains(done.stderr, r"queue 'a\nb\x1b]0;owned")
        equal(done.stderr.count("\n"), 3, "lines of the message")
        done = broker.cli("stats", "no\\such")
        contains(done.stderr, r"'no\\such'", "escaped once")
        harmless(broker.producer(NASTY, input="x\n"), "the producer")
        harmless(run("baozi-worker", NASTY, "--exec", "true"), "the worker")
        # what a command writes to stderr itself goes to the worker's
        for line in (worker.stderr() + broker.stderr()).splitlines():
            check(not [c for c in line[line.find("time="):]
                       if ord(c) < 32 or c == "\x9b"], repr(line))


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
        broker.worker("jobs", "-c", 1, "--exec",
                      "sh -c 'echo oh no >&2; exit 9'", "--until-empty")
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
        equal(stats["broker"]["damages"], [])
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
