"""Rows of the fault matrix that had no test of their own: see README.md here
for which row is tested where.
"""
import ctypes
import queue
import random
import time

from baozi_library import EMPTY, FULL, OK, Library
from baozi_test import Broker, check, equal, main, test, wait_until
from fault import Memory, free_url, resident_kib
from zmtp import (BYTES, DONE, FLAGS, FLAG_RESUMED, GET, ID, IDS, LENGTHS,
                  LIMIT, PUT, QUEUE, RID, SECRET, STATUS, SUBSCRIBE, TOKEN,
                  TOKENS, VERB, WAIT_MS, Peer, column32, column64)

TOO_MANY, TIMEOUT = 7, 3


def tcp_of(broker):
    return broker.stdout().split()[3]


def resume(url, lost):
    """The session of a peer whose connection is gone, on a new one."""
    lost.close()
    peer = Peer(url)
    peer.client = lost.client
    welcome = peer.hello(secret=lost.welcome[SECRET])
    equal(welcome[STATUS], OK, "status of the resume")
    check(welcome[FLAGS] & FLAG_RESUMED, "the session is not the old one")
    return peer


@test("[S3.5] [S4.4] a settle whose answer is lost, sent again after a "
      "resume: counted once (F13)")
def _():
    with Broker("--listen", free_url()) as broker:
        broker.cli("queue", "create", "jobs")
        broker.cli("put", "jobs", "one")
        broker.cli("put", "jobs", "two")
        worker = Peer(tcp_of(broker))
        worker.hello()
        worker.say({VERB: GET, RID: 1, QUEUE: "jobs", LIMIT: 1,
                    WAIT_MS: 5000})
        got = worker.answer(1)
        settle = {VERB: DONE, RID: 2, IDS: got[IDS],
                  TOKENS: column64(got[TOKEN])}
        for _ in range(3):
            worker.say(settle)
            wait_until(lambda: broker.stat("jobs")["done"] == 1,
                       what="it is counted")
            worker = resume(tcp_of(broker), worker)
        worker.say(settle)
        equal(worker.answer(2)[STATUS], OK, "the settle's answer")
        stat = broker.stat("jobs")
        equal((stat["done"], stat["unfinished"]), (1, 1), "done, unfinished")
        worker.close()


@test("[S0] [S3.5] a put whose answer is lost, stormed again and again: one "
      "item, one id (F14)")
def _():
    with Broker("--listen", free_url()) as broker:
        broker.cli("queue", "create", "jobs")
        producer = Peer(tcp_of(broker))
        producer.hello()
        put = {VERB: PUT, RID: 1, QUEUE: "jobs", LENGTHS: column32(3)}
        ids = set()
        for _ in range(20):
            for _ in range(10):
                producer.say(put, bodies=b"bun")
            ids.add(producer.answer(1)[ID])
            producer = resume(tcp_of(broker), producer)
        equal(len(ids), 1, "ids of the item")
        equal(broker.stat("jobs")["accepted"], 1, "accepted")
        producer.close()


@test("[S5.5] a subscriber that stops reading: memory stays bounded, it is "
      "dropped, others get its items (F19)")
def _():
    body = 60000
    with Broker("--listen", free_url(), "--memory-limit",
                "256MiB") as broker:
        broker.cli("queue", "create", "jobs", "--max-deliveries", "0")
        with Peer(tcp_of(broker), timeout=20) as producer:
            producer.hello()
            for rid in range(1, 1001):
                producer.say({VERB: PUT, RID: rid, QUEUE: "jobs",
                              LENGTHS: column32(body)}, bodies=bytes(body))
            producer.answer(1000, 20)
        before = resident_kib(broker.pid)
        memory = Memory(broker.pid)
        slow = Peer(tcp_of(broker))
        slow.hello()
        slow.say({VERB: SUBSCRIBE, RID: 1, QUEUE: "jobs", LIMIT: 1000,
                  BYTES: 1 << 40})
        slow.hear()  # and not one more
        wait_until(lambda: "it does not read" in broker.stderr(), 20,
                   "it is cut")
        wait_until(lambda: broker.stat("jobs")["leased"] == 0, 20,
                   "its items go back")
        equal(broker.stat("jobs")["ready"], 1000, "ready")
        begin = time.monotonic()
        equal(broker.cli("get", "jobs", "--timeout", "5s").returncode, 0,
              "another one's get")
        took = time.monotonic() - begin
        peak = memory.end()
        print(f"# 60 MB asked for, {peak:.0f} MiB more at most, "
              f"{(resident_kib(broker.pid) - before) / 1024:.0f} after; "
              f"another one's get took {took * 1000:.0f} ms")
        check(peak < 48, f"memory grew by {peak:.0f} MiB")
        slow.close()


# --- the same operations, here and in Python's own queue ---------------------

class Joinable:
    """baozi's queue with the face of queue.Queue, for one thread."""

    def __init__(self, library, client, name):
        self.library, self.client, self.name = library, client, name

    def put(self, text):
        status, _ = self.library.put(self.client, self.name, text, 0)
        return {OK: "ok", FULL: "Full"}[status]

    def get(self):
        status, _, item = self.library.get(self.client, self.name, 0)
        if status == EMPTY:
            return "Empty"
        equal(status, OK, "status of the get")
        text = ctypes.string_at(item.payload, item.bytes).decode()
        self.library.so.baozi_item_free(ctypes.byref(item))
        return text

    def task_done(self):
        status = self.library.so.baozi_task_done(self.client,
                                                 self.name.encode())
        return {OK: "ok", TOO_MANY: "ValueError"}[status]

    def join(self):
        status = self.library.so.baozi_join(
            self.client, self.name.encode(), 0, None, ctypes.c_int64(0), None)
        return {OK: "ok", TIMEOUT: "waits"}[status]


class Pythons:
    """queue.Queue, answering in the same words."""

    def __init__(self, maxsize):
        self.queue = queue.Queue(maxsize)

    def put(self, text):
        try:
            self.queue.put_nowait(text)
            return "ok"
        except queue.Full:
            return "Full"

    def get(self):
        try:
            return self.queue.get_nowait()
        except queue.Empty:
            return "Empty"

    def task_done(self):
        try:
            self.queue.task_done()
            return "ok"
        except ValueError:
            return "ValueError"

    def join(self):
        return "ok" if self.queue.unfinished_tasks == 0 else "waits"


@test("[S4.4] [S4.2] random calls: the same answers as Python's own queue "
      "(F31)")
def _():
    library = Library()
    library.so.baozi_task_done.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.so.baozi_item_free.argtypes = [ctypes.c_void_p]
    library.so.baozi_join.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p,
        ctypes.c_int64, ctypes.c_void_p]
    seed = random.randrange(1 << 32)
    print(f"# seed {seed}")
    chance = random.Random(seed)
    words = set()
    with Broker() as broker:
        client = library.open(broker.url)
        for maxsize in (0, 1, 3):
            name = f"like-{maxsize}"
            done = broker.cli("queue", "create", name, "--maxsize", maxsize,
                              "--accounting", "count")
            equal(done.returncode, 0, done.stderr)
            ours, theirs = Joinable(library, client, name), Pythons(maxsize)
            said = []
            for number in range(700):
                call = chance.choice(["put", "put", "get", "get",
                                      "task_done", "task_done", "join"])
                arguments = [str(number)] if call == "put" else []
                answer = getattr(ours, call)(*arguments)
                said.append(f"{call} {arguments} -> {answer}")
                words.add((call, "item" if answer.isdigit() else answer))
                equal(answer, getattr(theirs, call)(*arguments),
                      f"maxsize {maxsize}: " + "\n".join(said[-20:]))
        equal(library.close(client), 0, "close")
    equal(words, {("put", "ok"), ("put", "Full"), ("get", "item"),
                  ("get", "Empty"), ("task_done", "ok"),
                  ("task_done", "ValueError"), ("join", "ok"),
                  ("join", "waits")}, "answers that were seen")


@test("[S4.2] [S5.1] 0 to n to 0 again and again with many joiners, and a "
      "producer blocked while its consumer dies: no wake-up is lost (F31)")
def _():
    with Broker() as broker:
        broker.cli("queue", "create", "jobs", "--maxsize", "1")
        for turn in range(3):
            broker.cli("put", "jobs", str(turn))
            joiners = [broker.start("baozi", "join", "jobs") for _ in range(8)]
            wait_until(lambda: broker.stat("jobs")["joiners"] == 8,
                       what="eight wait")
            got = broker.cli("get", "jobs", "--timeout", "5s")
            equal(got.stdout.strip(), str(turn), "the item")
            for joiner in joiners:
                equal(joiner.wait(5), 0, "a joiner")
        holder = broker.start("baozi-worker", "jobs", "-c", "1", "--shell",
                              "--exec", "sleep 60")
        broker.cli("put", "jobs", "held")
        wait_until(lambda: broker.stat("jobs")["leased"] == 1,
                   what="the item is held")
        broker.cli("put", "jobs", "ready")
        blocked = broker.start("baozi", "put", "jobs", "blocked")
        wait_until(lambda: broker.stat("jobs")["parked_puts"] == 1,
                   what="the put waits")
        holder.kill()
        wait_until(lambda: broker.stat("jobs")["leased"] == 0, 5,
                   "the held item is back")
        equal(broker.stat("jobs")["parked_puts"], 1, "it is full as before")
        for text in ("held", "ready", "blocked"):
            got = broker.cli("get", "jobs", "--timeout", "5s")
            equal(got.stdout.strip(), text, "the order")
        equal(blocked.wait(5), 0, "the blocked put")
        equal(broker.cli("join", "jobs", "--timeout", "5s").returncode, 0,
              "join")


@test("[S5.4] [S4.1] an item that kills whoever works on it: dead after its "
      "deliveries, and join ends (F32)")
def _():
    with Broker() as broker:
        broker.cli("queue", "create", "jobs", "--max-deliveries", "3")
        worker = broker.start("baozi-worker", "jobs", "-c", "2", "--shell",
                              "--exec",
                              'if [ "$1" = poison ]; then kill -9 $$; fi')
        for text in ("good", "poison", "fine"):
            broker.cli("put", "jobs", text)
        done = broker.cli("join", "jobs", "--timeout", "20s", seconds=40)
        equal(done.returncode, 1, "join says that something is dead: " +
              done.stderr)
        stat = broker.stat("jobs")
        equal((stat["done"], stat["dead"], stat["unfinished"]), (2, 1, 0),
              "done, dead, unfinished")
        equal(worker.stop(), 0, "the worker lives")
        dead = broker.cli("browse", "jobs", "--state", "dead").stdout
        check("poison" in dead, "the dead item: " + dead)


main()
