#!/usr/bin/python3
"""compare.py [--full] [OPTION]... - baozi beside its rivals and its limits.

One piece of work for all: every put is confirmed, every item goes to exactly
one consumer, every item is settled by itself; each producer and consumer is a
process. Runs are interleaved (each system once, then each again) and the
median counts. Every run checks that nothing was missing, doubled or altered.

What is installed is measured; `make bench-deps` installs all rivals.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import delay  # noqa: E402
import growth  # noqa: E402
import report  # noqa: E402
import servers  # noqa: E402

LIMIT = 20  # seconds for one run
WARM_UPS = (0.1, 0.3, 0.6)  # parts of a run, at most so many
WARM = 1.15  # it still grows, if it is so many times faster
GUESS = 20000  # items a second, until it was measured


class Lane:
    """One system in one way: what is started, what is spoken, how. Kind is
    "own", "rival" or "limit". A rival that does not confirm
    acknowledgements has confirms=False; one that is durable only in name,
    since it does not sync before it confirms, has syncs=False."""

    def __init__(self, name, kind, server, client, mode="memory",
                 transports=("tcp",), durable=False, confirms=True,
                 windows=None, syncs=True, paced=False):
        self.name = name
        self.kind = kind
        self.server = server  # a class, or a function of (folder, transport)
        self.client = client
        self.mode = mode
        self.transports = transports
        self.durable = durable
        self.confirms = confirms
        self.windows = windows
        self.syncs = syncs
        self.paced = paced  # measured only where one item follows another

    def there(self):
        program = getattr(self.server, "program", servers.Zmq.program)
        return bool(program) and os.access(program, os.X_OK) \
            and os.access(servers.driver(self.client), os.X_OK)


def zmq(mode):
    return lambda folder, transport: servers.Zmq(folder, mode, transport)


BOTH = ("tcp", "ipc")
LANES = [
    Lane("baozi", "own", servers.Baozi, "baozi", transports=BOTH),
    Lane("zmq broker", "limit", zmq("broker"), "zmq", "broker", BOTH),
    Lane("zmq forward", "limit", zmq("forward"), "zmq", "forward", BOTH,
         confirms=False, windows=(128, 1024)),
    Lane("zmq lock-step", "limit", zmq("lockstep"), "zmq", "lockstep", BOTH,
         windows=(1,)),
    Lane("zmq hop", "limit", zmq("hop"), "zmq", "hop", BOTH,
         confirms=False, windows=(128,), paced=True),
    Lane("redis lists", "rival", servers.Redis, "redis", "lists", BOTH),
    Lane("redis streams", "rival", servers.Redis, "redis", "streams", BOTH),
    Lane("gearmand", "rival", servers.Gearmand, "gearman", confirms=False),
    Lane("beanstalkd", "rival", servers.Beanstalkd, "beanstalkd"),
    Lane("beanstalkd", "rival", servers.BeanstalkdUnix, "beanstalkd",
         transports=("ipc",)),
    Lane("nats jetstream", "rival", servers.Nats, "nats"),
    Lane("rabbitmq", "rival", servers.Rabbitmq, "rabbitmq", "classic",
         confirms=False),
    Lane("baozi", "own", servers.BaoziData, "baozi", "disk", BOTH,
         durable=True),
    Lane("redis lists aof always", "rival", servers.RedisAof, "redis", "lists",
         BOTH, durable=True),
    Lane("redis streams aof always", "rival", servers.RedisAof, "redis",
         "streams", BOTH, durable=True),
    Lane("beanstalkd -f0", "rival", servers.BeanstalkdSync, "beanstalkd",
         durable=True),
    Lane("nats file, no sync", "rival", servers.Nats, "nats", "file",
         durable=True, syncs=False),
    Lane("rabbitmq quorum", "rival", servers.Rabbitmq, "rabbitmq", "quorum",
         durable=True, confirms=False),
]


class Pool:
    """Servers by what they are; each is started once, but for the bare ones,
    which do not notice when a client goes: these are new for each run."""

    def __init__(self, folder):
        self.folder = folder
        self.running = {}
        self.count = 0
        self.told = set()

    def get(self, lane, transport):
        own = isinstance(lane.server, type)
        key = (lane.server, None if own else transport)
        if not own and key in self.running:
            self.running.pop(key).stop()
        if key not in self.running:
            self.count += 1
            where = os.path.join(self.folder, f"s{self.count}")
            server = lane.server(where) if own else \
                lane.server(where, transport)
            self.running[key] = server
            server.start()
            if key not in self.told:
                self.told.add(key)
                print(f"# {lane.name}: {' '.join(server.command())}",
                      file=sys.stderr)
        return self.running[key]

    def stop(self):
        for server in self.running.values():
            server.stop()


class Broken(Exception):
    pass


def client(lane, role, url, queue, words, started):
    popen = subprocess.Popen(
        [servers.driver(lane.client), role, url, queue, lane.mode, *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    started.append(popen)
    return popen


def talk(clients):
    """Lets them begin together; what each reports."""
    for popen in clients:
        if popen.stdout.readline() != b"ready\n":
            raise Broken("a client did not get ready")
    for popen in clients:
        popen.stdin.write(b"go\n")
        popen.stdin.flush()
    reports = []
    for popen in clients:
        line = popen.stdout.readline()
        if not line or popen.wait(LIMIT) != 0:
            raise Broken("a client failed")
        reports.append(json.loads(line))
    return reports


def judge(reports, count, lane):
    """Nothing missing, doubled or altered, all confirmed."""
    putters, takers = reports
    for what in ("doubled", "altered"):
        bad = sum(one[what] for one in takers)
        if bad:
            raise Broken(f"{bad} items {what}")
    for what, side in (("put", putters), ("taken", takers)):
        found = sum(one["confirmed"] for one in side)
        if found != count:
            raise Broken(f"{found} of {count} {what} and confirmed")


def run_once(lane, case, server, folder, count):
    """One run: its figures. A case may have "pause_us"."""
    queue = f"q{time.monotonic_ns()}"
    url = server.urls[case["transport"]]
    each = max(1, count // case["clients"])
    count = each * case["clients"]
    seen = os.path.join(folder, "seen")
    with open(seen, "wb") as file:
        file.truncate(8 + case["clients"] * 8 * (each // 64 + 1))
    started = []
    timer = threading.Timer(LIMIT, lambda: [one.kill() for one in started])
    timer.start()
    try:
        made = subprocess.run([servers.driver(lane.client), "make", url,
                               queue, lane.mode], timeout=LIMIT)
        if made.returncode != 0:
            raise Broken("the queue could not be made")
        tail = [str(case["bytes"]), str(case["window"]),
                str(case["clients"]), seen]
        pause = [str(case["pause_us"])] if "pause_us" in case else []
        takers = [client(lane, "take", url, queue,
                         [str(i), str(count), *tail], started)
                  for i in range(case["clients"])]
        putters = [client(lane, "put", url, queue,
                          [str(i), str(each), *tail, *pause], started)
                   for i in range(case["clients"])]
        before = server.processor_s()
        reports = talk(takers + putters)
        used = server.processor_s() - before
    finally:
        timer.cancel()
        for one in started:
            one.kill()
            one.wait()
    takers, putters = reports[:case["clients"]], reports[case["clients"]:]
    judge((putters, takers), count, lane)
    begin = min(one["begin_us"] for one in putters)
    end = max(one["end_us"] for one in takers + putters)
    return {"rate": count / max(1, end - begin) * 1e6,
            "server_us": used / count * 1e6,
            "p50_us": takers[0]["p50_us"], "p99_us": takers[0]["p99_us"],
            "client_us": sum(one["processor_us"] for one in reports) / count}


class Series:
    """All runs of one lane in one case."""

    def __init__(self, lane, case):
        self.lane, self.case = lane, case
        self.runs = []
        self.error = None
        self.fastest = 0

    def warm(self, pool, folder, seconds):
        """Runs until it is not faster than before: a server just started
        has yet to get its memory, and a run that is short for how fast the
        system is shows how its clients start."""
        for part in WARM_UPS:
            before = self.fastest
            found = self.run(pool, folder, seconds * part)
            if not found or found["rate"] < before * WARM:
                break

    def run(self, pool, folder, seconds):
        if self.error:
            return
        try:
            server = pool.get(self.lane, self.case["transport"])
            count = int(min(max((self.fastest or GUESS) * seconds, 200), 20e6))
            found = run_once(self.lane, self.case, server, folder, count)
            self.fastest = max(self.fastest, found["rate"])
            return found
        except (Broken, RuntimeError, OSError,
                subprocess.TimeoutExpired) as error:
            self.error = str(error)
            print(f"# {self.lane.name}, {report.words(self.case)}: {error}",
                  file=sys.stderr)

    def figures(self):
        return {"system": self.lane.name, "kind": self.lane.kind,
                "confirms_acks": self.lane.confirms,
                "syncs": self.lane.syncs, **self.case,
                "error": self.error,
                **{name: statistics.median(run[name] for run in self.runs)
                   for name in ("rate", "server_us", "client_us")
                   if self.runs},
                "rates": [run["rate"] for run in self.runs]}


def cases(full):
    """The work in all its sizes; the quick mode is the heart of it."""
    for durable in (False, True):
        for transport in BOTH:
            for clients in (1, 4):
                for size in (100, 1024):
                    for window in (128, 1024, 1):
                        quick = size == 100 and window != 1024 and (
                            transport == "tcp") and not (
                            window == 1 and (durable or clients > 1))
                        if full or quick:
                            yield {"durable": durable,
                                   "transport": transport,
                                   "clients": clients, "bytes": size,
                                   "window": window}


def lanes_of(case, given):
    for lane in LANES:
        if lane.durable == case["durable"] and lane.there() \
                and not lane.paced \
                and case["transport"] in lane.transports \
                and (lane.windows is None or case["window"] in lane.windows) \
                and (lane.server is not servers.BaoziData or given.data) \
                and (not given.systems or any(
                    word in lane.name for word in given.systems.split(","))):
            yield lane


def chosen(case, given):
    words = report.words(case).split()
    return all(word in words for word in given.only.split(","))


def disk_limit(case, folder, seconds):
    """Records a second with one fdatasync for all windows together."""
    batch = case["window"] * case["clients"]
    done = subprocess.run(
        [servers.driver("disk"), os.path.join(folder, "disk"),
         str(case["bytes"]), str(batch), str(seconds)],
        stdout=subprocess.PIPE, timeout=LIMIT)
    if done.returncode != 0:
        return None
    return json.loads(done.stdout)["records_a_second"]


def measure(given, folder):
    pool = Pool(folder)
    results = []
    try:
        for case in cases(given.full):
            if given.only and not chosen(case, given):
                continue
            series = [Series(lane, case) for lane in lanes_of(case, given)]
            if not series:
                continue
            for one in series:
                one.warm(pool, folder, given.seconds)
            for _ in range(given.runs):
                for one in series:
                    found = one.run(pool, folder, given.seconds)
                    if found:
                        one.runs.append(found)
            figures = [one.figures() for one in series]
            if case["durable"]:
                rates = [disk_limit(case, folder, given.seconds)
                         for _ in range(given.runs)]
                figures.append(
                    {"system": "pwrite + fdatasync", "kind": "limit",
                     "confirms_acks": True, "syncs": True, **case,
                     "error": None,
                     "rate": statistics.median(r for r in rates if r),
                     "server_us": 0, "client_us": 0, "rates": rates})
            results += figures
            print(report.table(case, figures), flush=True)
    finally:
        pool.stop()
    return results


def measure_memory(given, folder):
    """Each server anew, so that only the queued items are counted."""
    lanes = [lane for lane in LANES
             if not lane.durable and lane.there() and "tcp" in lane.transports
             and (lane.kind != "limit" or lane.name == "zmq broker")]
    pool = Pool(folder)
    try:
        rows = growth.memory(lanes, pool, given.full)
    finally:
        pool.stop()
    print(growth.memory_table(rows), flush=True)
    return rows


def measure_queues(given, folder):
    """Only where asked for: ten thousand synced declares take a minute."""
    if given.only != "queues" and not (given.full and not given.only):
        return []
    rows = growth.many_queues(folder)
    print(growth.many_queues_table(rows), flush=True)
    return rows


def measure_delay(given, folder):
    """How long an item takes from the put's call to an idle consumer."""
    def run(lane, transport, server):
        return run_once(lane, delay.case(transport), server, folder,
                        delay.ITEMS)

    lanes = [lane for lane in LANES if lane.name in delay.SYSTEMS
             and not lane.durable and lane.there()]
    rows = []
    pool = Pool(os.path.join(folder, "delay"))
    try:
        for part in (delay.hops, delay.crowded):
            try:
                rows += part(lanes, pool, run, given)
            except (Broken, RuntimeError, OSError,
                    subprocess.SubprocessError) as error:
                print(f"# delay: {error}", file=sys.stderr)
                rows.append({"what": "delay", "error": str(error)})
    finally:
        pool.stop()
    if rows:
        print(delay.table([row for row in rows if "error" not in row]),
              flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--full", action="store_true",
                        help="all sizes, windows and transports")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.4,
                        help="how long one run takes, about")
    parser.add_argument("--only", default="",
                        help="words of the cases: memory,tcp,window=128; or "
                        "delay,hop or delay,crowd or queues")
    parser.add_argument("--systems", default="",
                        help="words of the systems to run: baozi,redis")
    parser.add_argument("--json", default="build/bench/compare.json")
    parser.add_argument("--svg", default="build/bench/compare.svg")
    given = parser.parse_args()
    # Ended from outside, it still ends its servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    given.data = servers.data_works()
    for path in (given.json, given.svg):
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    begin = time.monotonic()
    folder = tempfile.mkdtemp(prefix="baozi-compare-")
    memory, grown, more, delays, queues = [], {}, [], [], []
    try:
        results = measure(given, folder)
        if not given.systems:
            delays = measure_delay(given, folder)
            more = [lambda top: delay.bars(
                [row for row in delays if "error" not in row], top)]
            queues = measure_queues(given, folder)
        if not given.only and not given.systems:
            memory = measure_memory(given, os.path.join(folder, "memory"))
            grown = growth.growth(given.full)
            print(growth.growth_table(grown), flush=True)
            more += [lambda top: growth.memory_bars(memory, top),
                     lambda top: growth.growth_bars(grown, top)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    whole = {"versions": servers.versions(), "machine": report.machine(),
             "runs": given.runs, "results": results, "memory": memory,
             "growth_ns": grown, "delays": delays, "queues": queues}
    with open(given.json, "w", encoding="utf-8") as file:
        json.dump(whole, file, indent=1)
    with open(given.svg, "w", encoding="utf-8") as file:
        file.write(report.svg(whole, more))
    print(f"{report.footer(whole)}\n"
          f"{time.monotonic() - begin:.0f} s; {given.json}, {given.svg}")
    # What a rival did wrong is in its table; it is not our failure.
    return 1 if any(one["error"] for one in results
                    if one["kind"] == "own") \
        or any("error" in row for row in delays) else 0


if __name__ == "__main__":
    sys.exit(main())
