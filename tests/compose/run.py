#!/usr/bin/python3
"""run.py - the bun kitchen of docker/compose.yaml, really run and disturbed.

Three cooks, three eaters that become five. Then one eater is killed, one is
paused and one is cut off the network, the last two for longer than a lease
lasts; they come back. What must hold is counted from what the containers
said: every bun is eaten, none is dead, each cook's join returned 0, everybody
went home by himself.

Before that, the image alone: a broker that keeps its queues in a volume is
killed and started again.

Ends with 77 and the reason where there is no engine and none can be started.
"""
import collections
import json
import os
import re
import signal
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from engine import ROOT, Engine, Unavailable, call, say  # noqa: E402

EACH = 20          # buns a cook makes
LEASE = 3          # seconds
APART = 9          # seconds that an eater is away: lease + 3 heartbeats + 3
COOKS = {"cook-bun": "包子", "cook-bone": "骨头", "cook-slop": "泔水"}
SETTINGS = {"KITCHEN_COUNT": str(EACH), "KITCHEN_LEASE": f"{LEASE}s",
            "KITCHEN_COOK": "200ms-600ms", "KITCHEN_EAT": "1s-1500ms"}


def equal(found, expected, what):
    if found != expected:
        raise AssertionError(f"{what}: found {found!r}, not {expected!r}")


class Kitchen:
    """One compose project of ours."""

    def __init__(self, engine):
        self.engine = engine
        self.name = f"baozitest{os.getpid()}"
        self.env = {**engine.env, **SETTINGS}

    def compose(self, *words, **more):
        return call(*self.engine.compose_words, "-p", self.name, "-f",
                    os.path.join(ROOT, "docker", "compose.yaml"), *words,
                    env=self.env, **more)

    def containers(self, service):
        """Ids, the oldest first."""
        text = self.engine.docker(
            "ps", "-aq", "--no-trunc",
            "--filter", f"label=com.docker.compose.project={self.name}",
            "--filter", f"label=com.docker.compose.service={service}")
        return text.split()[::-1]

    def log(self, container):
        return self.engine.docker("logs", container)

    def baozi(self, *words):
        """A command of baozi's, inside the broker's container."""
        (broker,) = self.containers("broker")
        return self.engine.docker("exec", broker, "baozi", *words)

    def stat(self):
        return json.loads(self.baozi("queue", "show", "buns", "--format",
                                     "json"))

    def wait(self, container, seconds):
        """The exit code of a container that ends by itself."""
        text = self.engine.docker("wait", container, seconds=seconds)
        return int(text.strip())

    def remove(self):
        self.compose("down", "-v", "-t", "3", seconds=120, check=False)
        for kind, words in (("containers", ["ps", "-aq"]),
                            ("networks", ["network", "ls", "-q"])):
            left = self.engine.docker(
                *words, "--filter",
                f"label=com.docker.compose.project={self.name}").split()
            equal(left, [], f"{kind} that are left")


def eaten_by(kitchen, container):
    return re.findall(r"^\d+ eats (\S+)$", kitchen.log(container), re.M)


def disturb(kitchen):
    """One eater is killed, one paused, one cut off: while they eat."""
    docker = kitchen.engine.docker
    eaters = kitchen.containers("eater")
    equal(len(eaters), 5, "eaters")
    end = time.monotonic() + 60
    while not all(eaten_by(kitchen, one) for one in eaters):
        if time.monotonic() > end:
            raise AssertionError("not every eater gets something to eat")
        time.sleep(0.3)
    killed, paused, cut = eaters[:3]
    network = f"{kitchen.name}_kitchen"
    docker("kill", "-s", "KILL", killed)
    docker("pause", paused)
    docker("network", "disconnect", network, cut)
    begin = time.monotonic()
    say(f"killed one, paused one, cut one off, {stats(kitchen)}")
    time.sleep(APART)
    docker("unpause", paused)
    docker("network", "connect", network, cut)
    say(f"two are back after {time.monotonic() - begin:.1f} s, "
        f"{stats(kitchen)}")
    return killed, paused, cut


def stats(kitchen):
    now = kitchen.stat()
    return ", ".join(f"{now[key]} {key}" for key in
                     ("accepted", "done", "ready", "leased"))


def judge(kitchen, killed):
    """What the containers said, when all is over."""
    wanted = sorted(f"{food}{n}" for food in COOKS.values()
                    for n in range(EACH))
    closing = kitchen.containers("closing")[0]
    equal(kitchen.wait(closing, 120), 0, "exit code of closing")
    said = kitchen.log(closing)
    counts = dict(re.findall(r"^(\w+) +(\d+)$", said, re.M))
    equal(counts, {"accepted": str(len(wanted)), "done": str(len(wanted)),
                   "dead": "0", "unfinished": "0"}, "counts of the queue")
    eaten = collections.Counter()
    for eater in kitchen.containers("eater"):
        equal(kitchen.wait(eater, 60), 137 if eater == killed else 0,
              "exit code of an eater")
        eaten.update(eaten_by(kitchen, eater))
    equal(kitchen.wait(kitchen.containers("broker")[0], 60), 0,
          "exit code of the broker")
    equal(sorted(eaten), wanted, "what was eaten")
    twice = {name: n for name, n in eaten.items() if n > 1}
    # each of the three had at most one bun in hand when it was disturbed
    if sum(n - 1 for n in twice.values()) > 3:
        raise AssertionError(f"eaten more than once: {twice}")
    say(f"{len(wanted)} buns, each eaten; twice, by those who were away: "
        f"{sorted(twice) or 'none'}")


def healthy(engine, container):
    """Waits until the image's own health check says so."""
    end = time.monotonic() + 40
    state = ""
    while state != "healthy":
        if time.monotonic() > end:
            raise AssertionError(f"it is {state}:\n"
                                 + engine.docker("logs", container))
        time.sleep(0.3)
        state = engine.docker("inspect", "-f", "{{.State.Health.Status}}",
                              container).strip()


def volume(engine):
    """What was confirmed to disk is there after kill -9 and a new start."""
    docker = engine.docker
    name = f"baozitest{os.getpid()}-log"
    url = "tcp://127.0.0.1:22694"
    begin = time.monotonic()
    broker = docker("run", "-d", "--network", "none", "--read-only",
                    "--cap-drop", "ALL", "-v", f"{name}:/var/lib/baozi",
                    "-e", f"BAOZI_URL={url}", "baozi", "baozi-broker",
                    "--data", "/var/lib/baozi/log", "--listen",
                    url).strip().splitlines()[-1]
    try:
        healthy(engine, broker)
        docker("exec", broker, "baozi", "queue", "create", "buns",
               "--durability", "disk")
        docker("exec", broker, "baozi", "put", "buns", *map(str, range(50)))
        docker("kill", "-s", "KILL", broker)
        docker("start", broker)
        healthy(engine, broker)
        got = docker("exec", broker, "baozi", "get", "buns", "--count", "50",
                     "--lines", "--timeout", "5s")
        equal(got.split(), [str(n) for n in range(50)], "after the kill")
        docker("stop", broker)
        code = docker("inspect", "-f", "{{.State.ExitCode}}", broker).strip()
        equal(code, "0", "exit code of the broker")
    finally:
        docker("rm", "-f", "-v", broker)
        docker("volume", "rm", name)
    say(f"50 of 50 items were there after kill -9, in "
        f"{time.monotonic() - begin:.1f} s")


def kitchen(engine):
    project = Kitchen(engine)
    begin = time.monotonic()
    try:
        project.compose("up", "-d", "--no-build", seconds=180)
        say(f"all are up after {time.monotonic() - begin:.1f} s")
        project.compose("up", "-d", "--no-build", "--no-recreate", "--scale",
                        "eater=5", seconds=180)
        killed, _, _ = disturb(project)
        for service, food in COOKS.items():
            cook = project.containers(service)[0]
            equal(project.wait(cook, 180), 0, f"exit code of {service}")
            if f"all of {food} is eaten" not in project.log(cook):
                raise AssertionError(f"{service}'s join did not return")
        judge(project, killed)
        say(f"the kitchen closed after {time.monotonic() - begin:.1f} s")
    except BaseException:
        print(project.compose("logs", "--no-color", check=False)[-20000:])
        raise
    finally:
        project.remove()


def build(engine):
    begin = time.monotonic()
    engine.build("baozi")
    say(f"built in {time.monotonic() - begin:.1f} s, "
        f"{engine.size_mb('baozi'):.0f} MB")


STEPS = [
    ("the image builds", build),
    ("a broker with a volume, killed: nothing that was confirmed is lost",
     volume),
    ("3 cooks, 5 eaters, one killed, one paused, one cut off: every bun is "
     "eaten", kitchen),
]


def play(engine):
    """True if every step went well; one that fails is the last."""
    print(f"1..{len(STEPS)}", flush=True)
    for number, (name, step) in enumerate(STEPS, 1):
        try:
            step(engine)
        except Exception:  # pylint: disable=broad-except
            for line in traceback.format_exc().splitlines():
                print("# " + line)
            print(f"not ok {number} - {name}", flush=True)
            return False
        print(f"ok {number} - {name}", flush=True)
    return True


def main():
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    begin = time.monotonic()
    try:
        with Engine() as engine:
            well = play(engine)
    except Unavailable as reason:
        print(f"1..0 # SKIP {reason}")
        sys.exit(77)
    say(f"{time.monotonic() - begin:.0f} s in all; nothing is left")
    sys.exit(0 if well else 1)


main()
