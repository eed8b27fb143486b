"""How long an item takes from the put's call to the hands of an idle consumer:
beside a bare hop through a ROUTER, and beside a broker that holds much.

One producer puts one item, waits for its confirmation and then for a while;
one consumer waits with credit given. Medians of interleaved runs."""
import json
import os
import statistics
import subprocess

import report
import servers

SYSTEMS = ("baozi", "zmq hop")
ITEMS = 1000
PAUSE_US = 1000
QUEUED, WAITING, PROCESSES = 1000000, 5000, 4
CROWD = os.path.join(servers.ROOT, "build", "release", "tests", "fault",
                     "crowd")


def case(transport):
    return {"durable": False, "transport": transport, "clients": 1,
            "bytes": 100, "window": 128, "pause_us": PAUSE_US}


def chosen(given, *words):
    return all(word in words for word in given.only.split(",") if word)


def row(what, name, kind, runs, beside):
    """`beside` are the runs of what it is compared with, in the same order."""
    found = {"what": what, "system": name, "kind": kind}
    for figure in ("p50_us", "p99_us"):
        found[figure] = statistics.median(run[figure] for run in runs)
        found[figure.replace("us", "ratio")] = statistics.median(
            run[figure] / max(1, other[figure])
            for run, other in zip(runs, beside))
    return found


def hops(lanes, pool, run, given):
    rows = []
    for transport in ("tcp", "ipc"):
        if not chosen(given, "delay", "hop", transport):
            continue
        runs = {lane.name: [] for lane in lanes}
        for turn in range(given.runs + 1):  # the first warms up
            for lane in lanes:
                found = run(lane, transport, pool.get(lane, transport))
                runs[lane.name] += [found] if turn > 0 else []
        what = f"put to idle consumer, {transport}"
        rows += [row(what, lane.name, lane.kind, runs[lane.name],
                     runs["zmq hop"]) for lane in lanes]
    return rows


class Crowd:
    """Consumers that wait in a get, on queues that stay empty."""

    def __init__(self, url, queue):
        self.started = [subprocess.Popen(
            [CROWD, url, str(WAITING // PROCESSES), "waiting", queue],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in range(PROCESSES)]
        for one in self.started:
            if one.stdout.readline() != b"ready\n":
                raise RuntimeError("the crowd is not welcomed")

    def check(self, server):
        """All of them still wait, so the runs were what they say."""
        done = subprocess.run(
            [os.path.join(servers.ROOT, "build", "baozi"), "stats", "--url",
             server.urls["ipc"], "--format", "json"], check=True, timeout=60,
            stdout=subprocess.PIPE)
        found = sum(one["parked_gets"]
                    for one in json.loads(done.stdout)["queues"])
        if found != WAITING:
            raise RuntimeError(f"{found} of {WAITING} consumers wait")

    def stop(self):
        for one in self.started:
            one.kill()
            one.wait()


def fill(server, queue_count):
    subprocess.run([servers.driver("many_queues"), server.urls["ipc"],
                    str(queue_count), str(QUEUED // queue_count)],
                   check=True, timeout=120, stdout=subprocess.DEVNULL)


def make_queues(server, queue):
    """The queues that the crowd waits on, all of them empty."""
    words = [f"idle{i}" for i in range(WAITING // PROCESSES)] \
        if queue.endswith("%") else [queue]
    for word in words:
        subprocess.run([servers.driver("baozi"), "make", server.urls["ipc"],
                        word, "memory"], check=True, timeout=20)


def crowded(lanes, pool, run, given):
    """An empty broker beside one that holds much, both interleaved."""
    own = [lane for lane in lanes if lane.kind == "own"]
    if not own or not chosen(given, "delay", "crowd", "tcp") \
            or not os.access(CROWD, os.X_OK):
        return []
    states = {"an empty broker": None,
              f"{QUEUED:,} items queued": (),
              f"{QUEUED:,} items, {WAITING:,} wait on one queue": ("idle",),
              f"{QUEUED:,} items, {WAITING:,} wait on "
              f"{WAITING // PROCESSES:,} queues": ("idle%",)}
    running, crowds = {}, {}
    runs = {name: [] for name in states}
    try:
        for name, queues in states.items():
            server = own[0].server(os.path.join(
                pool.folder, f"delay{len(running)}"))
            running[name] = server.start()
            if queues is not None:
                fill(server, 10)
            for queue in queues or ():
                make_queues(server, queue)
                crowds[server] = Crowd(server.urls["tcp"], queue)
        for turn in range(given.runs + 1):
            for name, server in running.items():
                found = run(own[0], "tcp", server)
                runs[name] += [found] if turn > 0 else []
        for server, crowd in crowds.items():
            crowd.check(server)
    finally:
        for one in list(crowds.values()) + list(running.values()):
            one.stop()
    return [row("put to delivery, tcp", name, "own", runs[name],
                runs["an empty broker"]) for name in states]


def groups(rows):
    found = {}
    for one in rows:
        found.setdefault(one["what"], []).append(one)
    return found


def table(rows):
    lines = []
    for what, group in groups(rows).items():
        lines += ["", f"{what} (us; ratios to the "
                  f"{'hop' if 'idle' in what else 'first'})",
                  f"  {'':<46} {'p50':>6} {'x':>5} {'p99':>7} {'x':>5}"]
        for one in group:
            lines.append(
                f"  {one['system']:<46} {one['p50_us']:>6.0f} "
                f"{one['p50_ratio']:>5.2f} {one['p99_us']:>7.0f} "
                f"{one['p99_ratio']:>5.2f}")
    return "\n".join(lines)


def bars(rows, top):
    body = []
    for what, group in groups(rows).items():
        lines, top = report.group(
            what + " (p50, us)",
            [(one["system"].split(",")[-1].strip(), one["kind"],
              one["p50_us"], f"{one['p50_us']:.0f} us, "
              f"p99 {one['p99_us']:.0f} us") for one in group], top)
        body += lines
    return body, top
