"""Producers and workers that keep books, and what the books must say.

    with Durable(data) as broker:
        crowd = Crowd(broker.url, "jobs", producers=2, workers=2)
        ...                      # broker.kill_and_start(), as often as wanted
        counts = crowd.finish(broker)

`finish` ends the producers, lets the workers empty the queue, ends them, and
checks: whatever was confirmed was handed out and settled, nothing was settled
twice, nothing came that was never put, and the broker's own counts are those
of the books.
"""
import os
import signal
import time

from baozi_test import (ROOT, Broker, Process, check, equal, path, read,
                        wait_until)

PROGRAM = os.path.join(ROOT, "build", "release", "tests", "integration",
                       "ledger")


# Arguments of a broker: so many images of its state that a kill meets one.
OFTEN = ("--checkpoint-every", "64KiB")


class Durable(Broker):
    """A broker with a data directory that dies and comes back."""

    def __init__(self, data, *arguments, **more):
        self.arguments, self.more, self.folder = arguments, more, data
        super().__init__(*arguments, data=data, **more)

    def start_again(self):
        """Started once more at the same place; seconds until it is ready."""
        begin = time.monotonic()
        Broker.__init__(self, *self.arguments, data=self.folder,
                        **{**self.more, "url": self.url})
        return time.monotonic() - begin

    def kill_and_start(self):
        equal(self.kill(), -signal.SIGKILL, "the broker was killed")
        return self.start_again()


class Crowd:
    def __init__(self, url, queue, producers=2, workers=2, sizes=(0,),
                 name="p"):
        self.queue = queue
        self.name = name
        self.sizes = sizes
        self.killed = []  # books of workers that were killed
        self.books = []
        self.producers = [
            self._start("put", url, f"{name}{n}", f"{name}{n}",
                        sizes[n % len(sizes)])
            for n in range(producers)]
        self.workers = []
        for n in range(workers):
            self.eat(url, f"{name}w{n}")

    def eat(self, url, name="w"):
        """One more worker."""
        self.workers.append(self._start("eat", url, name))

    def kill_worker(self, number, url):
        """kill -9 of a worker; another takes its place."""
        worker = self.workers.pop(number)
        worker.kill()
        self.killed.append(worker.book)
        self.eat(url, f"{self.name}w.{len(self.books)}")

    def kill_producer(self, number, url):
        self.producers.pop(number).kill()
        name = f"{self.name}p.{len(self.books)}"
        self.producers.append(self._start("put", url, name, name,
                                          self.sizes[number]))

    def _start(self, verb, url, book, *arguments):
        self.books.append(path("book." + book))
        process = Process(PROGRAM, verb, url, self.queue, self.books[-1],
                          *arguments)
        process.book = self.books[-1]
        return process

    def _unsure(self):
        """What killed workers had in hand: their settle may have counted."""
        last = [(read(book) if os.path.exists(book) else "").splitlines()[-1:]
                for book in self.killed]
        return {line[0].split()[1] for line in last
                if line and line[0].startswith("got ")}

    def read(self):
        """{event: [payload, ...]}; fails are (payload, status)."""
        events = {what: [] for what in
                  ("try", "put", "got", "bad", "done", "stale", "fail")}
        for book in self.books:
            for line in (read(book) if os.path.exists(book) else
                         "").splitlines():
                words = line.split()
                events[words[0]].append(
                    words[1] if len(words) == 2 else tuple(words[1:]))
        return events

    def end(self, broker, seconds=60):
        """The producers end, the workers empty the queue, and end."""
        for producer in self.producers:
            equal(producer.stop(seconds), 0, "a producer's exit code")
        wait_until(lambda: broker.stat(self.queue)["unfinished"] == 0,
                   seconds, "the workers empty the queue")
        for worker in self.workers:
            equal(worker.stop(seconds), 0, "a worker's exit code")

    def judge(self):
        """Fails unless the books are right; {event: how many}."""
        events = self.read()
        judge(events, self._unsure())
        if events["fail"]:
            print(f"# calls that failed: {events['fail'][:5]}")
        return {what: len(lines) for what, lines in events.items()}

    def finish(self, broker, seconds=60):
        self.end(broker, seconds)
        counts = self.judge()
        stat = broker.stat(self.queue)
        for reading in ("unfinished", "ready", "leased", "delayed", "dead"):
            equal(stat[reading], 0, reading)
        if counts["fail"] == 0:
            equal(stat["accepted"], counts["put"], "accepted")
            equal(stat["done"], counts["done"], "done")
        return counts


def judge(events, unsure=()):
    """What must be true of any crowd's books once everything is settled;
    `unsure` may be done though no book says so."""
    put, done, tried = (set(events[what]) for what in ("put", "done", "try"))
    equal(events["bad"], [], "payloads that were changed")
    unsure = set(unsure) | {fail[0] for fail in events["fail"]}
    equal(len(done), len(events["done"]), "each is settled once")
    equal(len(put), len(events["put"]), "each is confirmed once")
    lost = sorted(put - done - unsure)
    check(not lost, f"{len(lost)} confirmed puts are lost: {lost[:5]}")
    ghosts = sorted(done - tried)
    check(not ghosts, f"{len(ghosts)} items were never put: {ghosts[:5]}")
