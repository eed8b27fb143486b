"""baozi-worker: what becomes of items, children and the worker itself.

Real broker, real worker, real signals; each test has a broker of its own.
"""
import json
import os
import signal
import subprocess
import time

from baozi_test import (BUILD, ROOT, Broker, alive, check, children,
                        contains, descendants, equal, main, marked, path,
                        read, run, state, test, wait_until, words, write)


def lines(name):
    """The lines of a file in the test's folder; [] if it is not there."""
    return read(name).splitlines() if os.path.exists(path(name)) else []


def put(broker, *payloads, options=()):
    done = broker.producer("jobs", "--null", *options,
                           input="\0".join(payloads) + "\0")
    equal(done.returncode, 0, f"exit code of the producer: {done.stderr}")


def start(broker, *arguments, **more):
    return broker.start("baozi-worker", "jobs", *arguments, **more)


def runners(worker):
    """The pids of the worker's children that take items."""
    found = []
    for spawner in children(worker.pid):
        found += children(spawner)
    return found


def join(broker, seconds=10):
    """0: all done, 1: joined, but some are dead (or too late)."""
    done = broker.cli("join", "jobs", "--timeout", f"{seconds}s")
    equal(broker.stat("jobs")["unfinished"], 0, "unfinished after the join")
    return done.returncode


def dead(broker):
    """The errors of the dead items."""
    done = broker.cli("browse", "jobs", "--state", "dead", "--format", "json")
    return "\n".join(item["error"] for item in json.loads(done.stdout))


def create(broker, *options):
    done = broker.cli("queue", "create", "jobs", *options)
    equal(done.returncode, 0, f"queue create: {done.stderr}")


def log_job(seconds="0"):
    """A command that logs id, delivery and its pid, and takes a while."""
    return (f'echo "$BAOZI_ID $BAOZI_DELIVERIES $$" >> {path("log")}; '
            f'sleep {seconds}')


# --- outcomes ----------------------------------------------------------------

@test("[S11] a real job: gzip -t on good and bad files, max_deliveries 1")
def _():
    import gzip
    names = []
    for i in range(20):
        names.append(write(f"good {i}.gz", gzip.compress(b"bun" * i)))
    for i in range(3):
        names.append(write(f"bad{i}.gz", b"\x1f\x8bno gzip at all"))
    with Broker() as broker:
        create(broker, "--max-deliveries", "1")
        start(broker, "-c", "3", "--exec", "gzip -t {}")
        done = broker.producer("jobs", "--join", input="\n".join(names))
        equal(done.returncode, 1, "exit code of --join with dead items")
        contains(done.stdout, "20 done")
        contains(done.stdout, "3 dead")
        contains(done.stdout, "error: gzip exited with")
        stat = broker.stat("jobs")
        equal((stat["done"], stat["dead"], stat["unfinished"]), (20, 3, 0))


@test("[S11] exit codes: 0 done, 65 reject, 75 release, others retry")
def _():
    with Broker() as broker:
        create(broker, "--max-deliveries", "2", "--backoff-base", "10ms")
        script = (f'echo "$1 $BAOZI_DELIVERIES" >> {path("log")}; '
                  '[ "$1" = 75 ] && [ -e again ] && exit 0; '
                  '[ "$1" = 75 ] && touch again; '
                  'echo "code $1" >&2; exit "$1"')
        start(broker, "-c", "1", "--shell", "--exec", script)
        put(broker, "0", "65", "75", "3")
        equal(join(broker), 1, "join with dead items")
        seen = lines("log")
        equal(seen.count("0 1"), 1)
        equal(seen.count("65 1"), 1)
        # released: uncounted, so the second try is still delivery 1
        equal(seen.count("75 1"), 2, f"deliveries of 75 in {seen}")
        equal((seen.count("3 1"), seen.count("3 2")), (1, 1))
        stat = broker.stat("jobs")
        equal((stat["done"], stat["dead"]), (2, 2))
        errors = dead(broker)
        contains(errors, "exited with 65: code 65")
        contains(errors, "exited with 3: code 3")


@test("[S11] a payload with NUL or over 128 KiB is no argument: rejected")
def _():
    with Broker() as broker:
        start(broker, "-c", "1", "--exec", "true {}")
        broker.producer("jobs", "--file", write("nul", b"a\0b"),
                        write("large", b"x" * 140000), write("fine", b"x"))
        equal(join(broker), 1, "join with dead items")
        stat = broker.stat("jobs")
        equal((stat["done"], stat["dead"]), (1, 2))
        errors = dead(broker)
        contains(errors, "NUL")
        contains(errors, "128 KiB")


@test("[S11] without {} the payload is on standard input, whatever its size")
def _():
    with Broker() as broker:
        start(broker, "-c", "1", "--shell", "--exec",
              f"wc -c >> {path('log')}")
        broker.producer("jobs", "--file", write("large", b"x\0" * 700000),
                        write("empty", b""))
        equal(join(broker), 0, "join")
        equal([int(line) for line in lines("log")], [1400000, 0])


@test("[S11] the environment names the item and its headers")
def _():
    with Broker() as broker:
        start(broker, "-c", "1", "--shell", "--exec",
              'echo "$BAOZI_QUEUE $BAOZI_ID $BAOZI_DELIVERIES '
              f'$BAOZI_GROUP $BAOZI_HEADER_TRACE_ID" >> {path("log")}; '
              f'[ "$BAOZI_TOKEN" -gt 0 ] && [ "$BAOZI_URL" = {broker.url} ]')
        put(broker, "x", options=("--header", "trace-id=a b", "--group", "g"))
        equal(join(broker), 0, "join")
        equal(broker.stat("jobs")["done"], 1, "done")
        fields = lines("log")[0].split(" ", 3)
        equal(fields[0], "jobs")
        equal(fields[2:], ["1", "g a b"])


@test("a shell's characters without --shell are refused, and the text says so")
def _():
    done = run("baozi-worker", "jobs", "--exec", "cat {} | wc -l")
    equal(done.returncode, 64, "exit code")
    contains(done.stderr, "--shell")
    done = run("baozi-worker", "jobs", "--shell", "--exec", "cat {}")
    equal(done.returncode, 64, "exit code")
    contains(done.stderr, '"$1"')


@test("a payload is an argument, never a part of a shell's program")
def _():
    with Broker() as broker:
        start(broker, "-c", "1", "--shell", "--exec",
              f'printf %s "$1" > {path("log")}')
        put(broker, "$(touch broken); `touch broken`")
        equal(join(broker), 0, "join")
        equal(read("log"), "$(touch broken); `touch broken`")
        check(not os.path.exists(path("broken")), "the payload was run")


# --- children ----------------------------------------------------------------

@test("[S11] a child killed with -9 costs one delivery of its one item")
def _():
    with Broker() as broker:
        create(broker, "--backoff-base", "10ms")
        worker = start(broker, "-c", "2", "--shell", "--exec", log_job(
            '$([ "$1" = slow ] && [ $BAOZI_DELIVERIES = 1 ] && echo 60 '
            '|| echo 0)'))
        put(broker, "slow", "a", "b", "c")
        wait_until(lambda: broker.stat("jobs")["done"] == 3, what="a, b, c")
        slow = int(lines("log")[0].split()[2])
        busy = [pid for pid in runners(worker) if children(pid)]
        equal(len(busy), 1, "busy children")
        os.kill(busy[0], signal.SIGKILL)
        equal(join(broker), 0, "join")
        equal(broker.stat("jobs")["done"], 4, "done")
        seen = sorted(line.rsplit(" ", 1)[0] for line in lines("log"))
        equal(len(seen), 5, f"starts in {seen}")
        equal(sum(line.endswith(" 2") for line in seen), 1, "redelivered")
        check(not alive(slow), "the job of the dead child still runs")
        wait_until(lambda: len(runners(worker)) == 2, what="two children")
        contains(worker.stderr(), "killed by SIGKILL")
        equal(worker.stop(), 0, "exit code of the worker")


@test("an idle child that is killed is replaced, and no item pays for it")
def _():
    with Broker() as broker:
        worker = start(broker, "-c", "2", "--shell", "--exec", log_job())
        first = wait_until(lambda: len(runners(worker)) == 2 and
                           runners(worker), what="two children")
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(runners(worker)) == 2 and
                   not set(first) & set(runners(worker)), what="new children")
        put(broker, "a", "b")
        equal(join(broker), 0, "join")
        check(all(line.split()[1] == "1" for line in lines("log")),
              f"only first deliveries: {lines('log')}")
        zombies = [pid for pid in descendants(worker.pid)
                   if state(pid) == "Z"]
        equal(zombies, [], "zombies")


@test("[S11] a job that hangs is killed with all it started; --timeout")
def _():
    with Broker() as broker:
        create(broker, "--max-deliveries", "2", "--backoff-base", "10ms")
        worker = start(
            broker, "-c", "1", "--timeout", "300ms", "--shell", "--exec",
            f"sleep 61 & setsid sleep 62 & echo $BAOZI_DELIVERIES >> "
            f"{path('log')}; sleep 63")
        begin = time.monotonic()
        put(broker, "x")
        equal(join(broker), 1, "join with dead items")
        took = time.monotonic() - begin
        check(took >= 0.6, f"two timeouts of 300 ms took {took:.3f} s")
        equal(lines("log"), ["1", "2"])
        equal(broker.stat("jobs")["dead"], 1, "dead")
        contains(dead(broker),
                 "--timeout 300ms")
        wait_until(lambda: not [pid for pid in marked()
                                if words(pid)[:1] == ["sleep"]],
                   what="no sleeper is left")
        equal(worker.stop(), 0, "exit code of the worker")


@test("[S11] --max-tasks replaces a child after its tasks, losing nothing")
def _():
    with Broker() as broker:
        worker = start(broker, "-c", "1", "--max-tasks", "3", "--shell",
                       "--exec", f"echo $PPID >> {path('log')}")
        put(broker, *[str(i) for i in range(9)])
        equal(join(broker), 0, "join")
        seen = lines("log")
        equal(len(seen), 9, "tasks")
        by_child = [seen.count(pid) for pid in dict.fromkeys(seen)]
        equal(by_child, [3, 3, 3], "tasks of each child")
        equal(worker.stop(), 0, "exit code of the worker")


@test("[S11] a worker killed with -9 leaves no child and no grandchild")
def _():
    with Broker() as broker:
        worker = start(broker, "-c", "2", "--shell", "--exec",
                       "setsid sleep 64 & sleep 65")
        put(broker, "a", "b")
        wait_until(lambda: len([pid for pid in marked()
                                if words(pid)[:1] == ["sleep"]]) == 4,
                   what="four sleepers")
        family = descendants(worker.pid)
        check(len(family) >= 7, f"a spawner, two children, jobs: {family}")
        worker.kill()
        wait_until(lambda: marked() == [broker.pid], 3, "nobody is left")


@test("[S5.1] a worker killed with -9: what its children had begun counts, and "
      "one more")
def _():
    with Broker() as broker:
        create(broker)
        put(broker, *"abcdef")
        worker = start(broker, "-c", "3", "--prefetch", "2", "--shell",
                       "--exec", log_job("60"))
        wait_until(lambda: len(lines("log")) == 3, what="three run")
        time.sleep(0.3)  # the worker says so some milliseconds later
        worker.kill()
        worker.wait()
        wait_until(lambda: broker.stat("jobs")["ready"] == 6,
                   what="all are back")
        seen = broker.cli("browse", "jobs", "--format", "json").stdout
        equal([item["deliveries"] for item in json.loads(seen)],
              [1, 1, 1, 1, 0, 0], "deliveries")


@test("a spawner killed with -9 is replaced; its children's items come again")
def _():
    with Broker() as broker:
        create(broker, "--backoff-base", "10ms")
        worker = start(broker, "-c", "2", "--shell", "--exec", log_job(
            '$([ $BAOZI_DELIVERIES = 1 ] && echo 66 || echo 0)'))
        put(broker, "a", "b")
        wait_until(lambda: len(lines("log")) == 2, what="two jobs")
        spawner = children(worker.pid)
        equal(len(spawner), 1, "spawners")
        os.kill(spawner[0], signal.SIGKILL)
        equal(join(broker), 0, "join")
        equal(len(lines("log")), 4, "starts")
        check(not [pid for pid in marked() if words(pid)[:2] == ["sleep",
                                                                 "66"]],
              "the first jobs still run")
        equal(worker.stop(), 0, "exit code of the worker")


@test("[S2] an item that is asked to be cancelled is killed and cancelled")
def _():
    with Broker() as broker:
        worker = start(broker, "-c", "1", "--shell", "--exec", log_job("69"))
        put(broker, "x")
        wait_until(lambda: lines("log"), what="the job runs")
        done = broker.cli("cancel", lines("log")[0].split()[0])
        check(done.returncode in (0, 1), done.stderr)
        wait_until(lambda: broker.stat("jobs")["cancelled"] == 1,
                   what="cancelled")
        equal(broker.stat("jobs")["unfinished"], 0, "unfinished")
        check(not [pid for pid in marked() if words(pid)[:2] == ["sleep",
                                                                 "69"]],
              "the job still runs")
        equal(worker.stop(), 0, "exit code of the worker")


# --- the end -----------------------------------------------------------------

@test("[S11] SIGTERM: what runs is finished, the rest is not charged")
def _():
    with Broker() as broker:
        worker = start(broker, "-c", "2", "--prefetch", "4", "--shell",
                       "--exec", log_job("0.7"))
        put(broker, *[str(i) for i in range(8)])
        wait_until(lambda: len(lines("log")) >= 2, what="two jobs run")
        equal(worker.stop(), 0, "exit code of a drained worker")
        stat = broker.stat("jobs")
        equal(stat["done"], len(lines("log")), "what was begun is done")
        equal(stat["leased"], 0, "leased")
        equal(stat["ready"] + stat["delayed"] + stat["done"], 8, "items")
        start(broker, "-c", "4", "--shell", "--exec", log_job())
        equal(join(broker), 0, "join")
        check(all(line.split()[1] == "1" for line in lines("log")),
              f"a drain charged a delivery: {lines('log')}")
        equal(len(lines("log")), 8, "starts")


@test("[S11] after --grace the work is killed and released, not charged")
def _():
    with Broker() as broker:
        worker = start(broker, "-c", "1", "--grace", "300ms", "--shell",
                       "--exec", log_job("67"))
        put(broker, "x")
        wait_until(lambda: lines("log"), what="the job runs")
        begin = time.monotonic()
        equal(worker.stop(), 0, "exit code")
        took = time.monotonic() - begin
        check(0.3 <= took < 5, f"it took {took:.2f} s")
        start(broker, "-c", "1", "--shell", "--exec", log_job())
        equal(join(broker), 0, "join")
        equal([line.split()[1] for line in lines("log")], ["1", "1"],
              "deliveries")


@test("a second signal ends the worker at once")
def _():
    with Broker() as broker:
        worker = start(broker, "-c", "1", "--grace", "60s", "--shell",
                       "--exec", log_job("68"))
        put(broker, "x")
        wait_until(lambda: lines("log"), what="the job runs")
        worker.signal(signal.SIGINT)
        time.sleep(0.3)
        check(worker.popen.poll() is None, "it waits for the grace")
        worker.signal(signal.SIGINT)
        equal(worker.wait(5), 130, "exit code")


@test("SIGINT drains too and ends with 130")
def _():
    with Broker() as broker:
        worker = start(broker, "-c", "2", "--builtin", "echo")
        wait_until(lambda: len(runners(worker)) == 2, what="two children")
        worker.signal(signal.SIGINT)
        equal(worker.wait(), 130, "exit code")


@test("--until-empty ends when nothing is unfinished")
def _():
    with Broker() as broker:
        put(broker, *[str(i) for i in range(20)])
        done = broker.worker("jobs", "-c", "3", "--builtin", "echo",
                             "--until-empty", "--format", "json")
        equal(done.returncode, 0, "exit code")
        contains(done.stdout, '"done":20')
        equal(broker.stat("jobs")["unfinished"], 0, "unfinished")


@test("[S8] a queue that is shut down ends the worker with 0")
def _():
    with Broker() as broker:
        put(broker, "a")
        worker = start(broker, "-c", "1", "--builtin", "echo")
        equal(join(broker), 0, "join")
        equal(broker.cli("queue", "shutdown", "jobs").returncode, 0)
        equal(worker.wait(), 0, "exit code")


@test("a broker that comes back is worked for again")
def _():
    url = f"ipc://{path('socket')}"
    broker = Broker(url=url)
    worker = start(broker, "-c", "1", "--builtin", "echo")
    put(broker, "a")
    equal(join(broker), 0, "join")
    broker.kill()
    time.sleep(0.5)
    with Broker(url=url) as again:
        put(again, "b", "c")
        equal(join(again, 20), 0, "join after the return")
        equal(again.stat("jobs")["done"], 2, "done")
        equal(worker.stop(), 0, "exit code of the worker")


@test("a queue that was deleted is waited for, and that is said once")
def _():
    with Broker() as broker:
        worker = start(broker, "-c", "1", "--builtin", "echo")
        wait_until(lambda: "event=ready" in worker.stderr(), what="ready")
        equal(broker.cli("queue", "rm", "jobs", "--force").returncode, 0, "rm")
        time.sleep(2.5)
        equal(worker.stderr().count("event=queue_gone"), 1, "times it is said")
        check("subscription_ended" not in worker.stderr(), worker.stderr())
        create(broker, "--maxsize", "7")  # the worker did not make it
        put(broker, "a")
        equal(join(broker), 0, "join")
        wait_until(lambda: "event=queue_back" in worker.stderr(), what="back")
        equal(worker.stop(), 0, "exit code of the worker")


@test("--until-empty ends when the queue is deleted")
def _():
    with Broker() as broker:
        put(broker, "a", "b")
        worker = start(broker, "-c", "1", "--exec", "sleep 1",
                       "--until-empty")
        wait_until(lambda: broker.stat("jobs")["leased"] > 0, what="a lease")
        equal(broker.cli("queue", "rm", "jobs", "--force").returncode, 0, "rm")
        equal(worker.wait(10), 0, "exit code of the worker")


# --- runners -----------------------------------------------------------------

@test("the example plugin counts words; a refused argument ends with 78")
def _():
    plugin = os.path.join(BUILD, "plugins", "word_count.so")
    check(os.path.exists(plugin), f"{plugin} is not built")
    with Broker() as broker:
        worker = start(broker, "-c", "1", "--plugin", plugin, "--argument",
                       "3", "-v")
        put(broker, "one two three", "one two three four")
        equal(join(broker), 1, "join with dead items")
        stat = broker.stat("jobs")
        equal((stat["done"], stat["dead"]), (1, 1))
        equal(worker.stop(), 0, "exit code of the worker")
        done = broker.worker("jobs", "--plugin", plugin, "--argument", "x")
        equal(done.returncode, 78, "exit code")
        contains(done.stderr, "must be a number of words")
        contains(done.stderr, "do:")


@test("the plugin that baozi_plugin.h shows compiles and works")
def _():
    header = read(os.path.join(ROOT, "build", "include",
                               "baozi_plugin.h"))
    shown = header[header.index("#include <baozi_plugin.h>\n"):]
    shown = shown[:shown.index("\n * Each child")]
    write("mine.c", shown.replace("\n *", "\n"))
    made = subprocess.run(
        ["cc", "-Wall", "-Werror", "-shared", "-fPIC",
         "-I", os.path.join(ROOT, "build", "include"), "-o", path("mine.so"),
         path("mine.c")], capture_output=True, text=True, check=False)
    equal(made.returncode, 0, made.stderr)
    with Broker() as broker:
        start(broker, "-c", "1", "--plugin", path("mine.so"))
        done = broker.cli("put", "jobs", "hello", "--result")
        equal(done.stdout, "hello", done.stderr)


@test("[T1] the eater says which bun it ate, with the child's pid")
def _():
    with Broker() as broker:
        worker = start(broker, "-c", "2", "--builtin", "eater", "--sleep",
                       "1ms-5ms")
        put(broker, "包子0", "包子1")
        equal(join(broker), 0, "join")
        pids = [str(pid) for pid in runners(worker)]
        eaten = [line.split() for line in worker.stdout().splitlines()]
        equal(sorted(words_[2] for words_ in eaten), ["包子0", "包子1"])
        check(all(words_[0] in pids and words_[1] == "eats"
                  for words_ in eaten), f"{eaten} by {pids}")


@test("no broker: exit 69 and a message of three parts")
def _():
    done = run("baozi-worker", "jobs", "--builtin", "echo", "--url",
               f"ipc://{path('nobody')}", "--connect-timeout", "300ms")
    equal(done.returncode, 69, "exit code")
    contains(done.stderr, "why:")
    contains(done.stderr, "do:")


@test("no terminal: no escape sequences")
def _():
    with Broker() as broker:
        put(broker, "a")
        done = broker.worker("jobs", "-c", "1", "-v", "--builtin", "echo",
                             "--until-empty")
        check("\x1b" not in done.stdout + done.stderr, "an escape sequence")
        contains(done.stderr, "event=end done=1")


main()
