"""A bad network between the real programs and the broker.

Two producers and two workers work through a relay that delays, cuts, resets,
holds back and loses (rows F15 and F16 of the fault matrix), while two callers
of the library knock at queues that are never full and never empty. Then the
network heals. What must hold, each time:

- every item is worked on, counted once and put once; each hand-out has a lease
  token of its own; a producer's items are accepted in its order;
- the producers' joins return, and not before their last item was worked on;
- nobody is told FULL or EMPTY; a call that could not be answered says so in
  its time;
- all of them go on within three heartbeats after the network healed.
"""
import errno
import os
import random
import socket
import threading
import time

from bad_network import Network
from baozi_test import (PATIENCE, Broker, Process, check, equal, free_port,
                        main, path, read, test, wait_until, write)
from knocker import Knocker, prepare

EACH = 80         # items of a producer
RATE = 40         # that it puts in a second
HEARTBEAT = 1     # seconds, while a session holds a lease
SEED = int(os.environ.get("BAOZI_TEST_SEED", "1"))
WORK = 'echo "$1 $BAOZI_ID $BAOZI_TOKEN" >> LOG'


# --- the relay itself ---------------------------------------------------------

class Echo:
    """A server that sends back what it gets, and keeps it."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.got = []
        self.ends = []
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def accept(self):
        while True:
            try:
                served, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(served,),
                             daemon=True).start()

    def serve(self, served):
        with served:
            try:
                while data := served.recv(65536):
                    self.got.append(data)
                    served.sendall(data)
                self.ends.append("end")
            except OSError as error:
                self.ends.append(errno.errorcode[error.errno])

    def __exit__(self, *error):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def call(connection, data, seconds=5):
    """Sends it, and reads it back."""
    connection.settimeout(seconds)
    connection.sendall(data)
    back = b""
    while len(back) < len(data):
        more = connection.recv(65536)
        check(more, "end of file")
        back += more
    equal(back, data, "what came back")


def timed(function, *arguments):
    begin = time.monotonic()
    function(*arguments)
    return time.monotonic() - begin


@test("the bad network delays, narrows and holds back as it is told")
def _():
    with Echo() as echo, Network(echo.port) as network:
        with socket.create_connection(("127.0.0.1", network.port)) as one:
            check(timed(call, one, b"x") < 0.1, "slow by itself")
            network("up delay 100", "down delay 50 50")
            took = timed(call, one, b"x")
            check(0.15 <= took < 0.2 + 0.15 * PATIENCE, f"delay: {took:.3f} s")
            network.heal()
            network("up rate 100000")
            took = timed(call, one, b"x" * 50000)
            check(0.4 <= took < 0.6 + 0.3 * PATIENCE, f"rate: {took:.3f} s")
            network.heal()
            network("down stall")
            one.sendall(b"kept")
            wait_until(lambda: b"kept" in echo.got, what="the way up is open")
            one.settimeout(0.2)
            try:
                check(not one.recv(9), "something came through a stall")
            except TimeoutError:
                pass
            network("down flow")
            equal(one.recv(9), b"kept", "what was kept")
        equal(network.ask("dance"), "what?")


@test("the bad network cuts, resets, half-closes, loses, kills in mid-frame")
def _():
    def fails(connection, *kinds):
        connection.settimeout(5)
        try:
            found = "end" if connection.recv(1) == b"" else "bytes"
        except OSError as error:
            found = errno.errorcode[error.errno]
        check(found in kinds, f"found {found}, not {kinds}")
        connection.close()

    with Echo() as echo, Network(echo.port) as network:
        def connect():
            made = socket.create_connection(("127.0.0.1", network.port))
            call(made, b"hello")
            return made

        one = connect()
        network("end cut")
        fails(one, "end")
        one = connect()
        network("end reset")
        fails(one, "ECONNRESET")
        wait_until(lambda: echo.ends == ["end", "ECONNRESET"], 5,
                   f"both ends: {echo.ends}")
        one = connect()
        network("end half-down")
        fails(one, "end")
        one = connect()
        network("both swallow")
        one.sendall(b"lost for ever")
        wait_until(lambda: network.counts()["lost"] == 13, what="it is lost")
        network.heal()
        fails(one, "ECONNRESET")
        one = connect()
        network("up delay 300")
        one.sendall(b"late")
        wait_until(lambda: network.counts()["open"] >= 1, what="it is open")
        time.sleep(0.1)
        network("end orphan")
        fails(one, "ECONNRESET")
        wait_until(lambda: b"late" in echo.got, 2, "an orphan's bytes arrive")
        network.heal()
        network("refuse yes")
        one = socket.create_connection(("127.0.0.1", network.port))
        fails(one, "ECONNRESET")
        network.heal()
        network("lifetime 1000")
        one = socket.create_connection(("127.0.0.1", network.port))
        one.settimeout(5)
        try:
            for _ in range(20):
                call(one, b"x" * 100)
            raise AssertionError("it lives for ever")
        except (OSError, AssertionError) as error:
            check("for ever" not in str(error), str(error))
        check(b"lost for ever" not in echo.got, "what was lost arrived")


# --- the programs -------------------------------------------------------------

class Scene:
    """A broker, programs that reach it through a bad network, knockers."""

    def __init__(self, broker, network):
        self.broker, self.network = broker, network
        equal(broker.cli("queue", "create", "jobs", "--maxsize", "30",
                         "--lease", "2s").returncode, 0)
        prepare(broker.cli)
        self.workers = [
            Process("baozi-worker", "jobs", "-c", "1", "--shell", "--exec",
                    WORK.replace("LOG", path("worked")), "--url", network.url)
            for _ in range(2)]
        self.producers = [self.producer(name) for name in "ab"]
        wait_until(self.all_are_there, 20, "everybody works")
        self.knocker = Knocker(network.url)

    def producer(self, name):
        lines = "".join(f"{name}{i}\n" for i in range(EACH))
        with open(write("items." + name, lines), "rb") as stdin:
            return Process("baozi-producer", "jobs", "--join", "--rate", RATE,
                           "--url", self.network.url, stdin=stdin)

    def all_are_there(self):
        """A program that has not come in yet gives up if the network is gone
        for its first five seconds; that is not what is tested here."""
        return {row[0][0] for row in self.worked()} == {"a", "b"} and \
            all("event=ready" in worker.stderr() for worker in self.workers)

    def worked(self):
        """[(payload, id, token)]"""
        if not os.path.exists(path("worked")):
            return []
        rows = [line.split() for line in read("worked").splitlines()]
        return [(row[0], int(row[1]), int(row[2])) for row in rows
                if len(row) == 3]

    def heal(self):
        """Seconds until everybody went on."""
        self.network.heal()
        healed = time.monotonic()
        before = self.broker.stat("jobs")
        times = {}

        def moves():
            now = self.broker.stat("jobs")
            if "work" not in times and (now["done"] > before["done"] or
                                        now["done"] == 2 * EACH):
                times["work"] = time.monotonic() - healed
            for verb in ("put", "get"):
                times[verb] = self.knocker.answers.good_since(verb, healed)
            return "work" in times and None not in times.values()

        wait_until(moves, 20, f"everybody goes on after the heal: {times}")
        return max(times.values())

    def judge(self):
        wanted = {f"{name}{i}" for name in "ab" for i in range(EACH)}
        for name, producer in zip("ab", self.producers):
            code = producer.wait(60)
            mine = {row[0] for row in self.worked() if row[0][0] == name}
            equal(code, 0, f"producer {name}: {producer.stderr()[-500:]}")
            equal(len(mine), EACH, "worked on when the join returned")
        self.knocker.end()
        stat = self.broker.stat("jobs")
        equal((stat["accepted"], stat["done"], stat["dead"],
               stat["unfinished"]), (2 * EACH, 2 * EACH, 0, 0),
              "accepted, done, dead, unfinished")
        worked = self.worked()
        equal({row[0] for row in worked}, wanted, "what was worked on")
        tokens = [row[2] for row in worked]
        equal(len(set(tokens)), len(tokens), "tokens, each of one hand-out")
        ids = {row[0]: row[1] for row in worked}
        for name in "ab":
            order = [ids[f"{name}{i}"] for i in range(EACH)]
            equal(order, sorted(order), f"the order of {name}")
        for worker in self.workers:
            equal(worker.stop(), 0, "a worker: " + worker.stderr()[-500:])
        return len(worked) - len(wanted)


def play(scene, fault, kills):
    """The fault; meanwhile the broker dies so often and comes back."""
    if not kills:
        fault(scene.network)
        return
    thread = threading.Thread(target=fault, args=(scene.network,))
    thread.start()
    for _ in range(kills):
        time.sleep(1.2)
        scene.broker.kill()
        scene.broker = Broker(url=scene.broker.url, data=path("log"))
    thread.join()


def weather(name, fault, kills=0):
    """A test of how the programs stand one kind of fault."""
    @test(name)
    def _():
        port = free_port()
        broker = Broker(url=f"tcp://127.0.0.1:{port}",
                        data=path("log") if kills else None)
        with Network(port, SEED) as network:
            scene = Scene(broker, network)
            try:
                play(scene, fault, kills)
                counts = network.counts()
                heal = scene.heal()
                twice = scene.judge()
            finally:
                scene.knocker.end()
            answers = scene.knocker.answers.judge(scene.broker.stat)
            print(f"# on again after {heal:.2f} s; {counts['accepted']} "
                  f"connections, {counts['ended']} ended; {twice} worked on "
                  f"twice; sure+unsure: {answers}")
            check(heal < 3 * HEARTBEAT * PATIENCE, f"heal took {heal:.2f} s")
        equal(scene.broker.stop(), 0, "exit code of the broker")


def repeat(network, seconds, *turns, pause=0.25):
    """The turns, each a tuple of commands, one after the other."""
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        network(*turns[number % len(turns)])
        number += 1
        time.sleep(pause)


def steady(*commands, seconds=2.0):
    def fault(network):
        network(*commands)
        time.sleep(seconds)
    return fault


weather("[F16] slow and uneven: 40 to 120 ms each way",
        steady("both delay 40 80"))
weather("[F16] narrow: 8 KB a second each way",
        steady("both delay 10", "both rate 8000"))
weather("[F16] connections die in mid-frame after some 3 KB",
        lambda network: repeat(network, 3, ("lifetime 3000", "end cut"), (),
                               (), ()))
weather("[F15] all connections are reset four times a second",
        lambda network: repeat(network, 3, ("end reset",)))
weather("[F16] half-closed, one way and the other",
        lambda network: repeat(network, 3, ("end half-up",),
                               ("end half-down",), pause=0.4))
weather("[F16] reset, and what was sent before arrives after the reconnect",
        lambda network: repeat(network, 3, ("both delay 250 250",
                                            "end orphan"), pause=0.7))
weather("[F15] parted both ways for longer than the lease",
        steady("both stall", seconds=5))
weather("[F15] parted on the way to the broker, for longer than the lease",
        steady("up stall", seconds=5))
weather("[F15] parted on the way back, for longer than the lease",
        steady("down stall", seconds=5))
weather("[F15] all that is sent is lost, for longer than the lease",
        steady("both swallow", seconds=5))
weather("[F15] flapping: parted and refused every other 600 ms",
        lambda network: repeat(network, 4, ("both stall", "refuse yes"),
                               ("both flow", "refuse no"), pause=0.6))


def anything(network):
    """All of it, as chance wants."""
    chance = random.Random(SEED)
    faults = ["end cut", "end reset", "end orphan", "end half-up",
              "end half-down", "up stall", "down stall", "both flow",
              "both swallow", "both delay 20 60", "both delay 0", "refuse yes",
              "refuse no", "lifetime 4000", "lifetime 0", "both rate 30000",
              "both rate 0"]
    for _ in range(40):
        network(chance.choice(faults))
        time.sleep(chance.uniform(0, 0.25))


weather("[F15] [F16] all of it in turn, as chance wants", anything)
weather("[F1] [F15] [F16] the same, and the broker is killed with -9 three "
        "times", anything, kills=3)

main()
