"""Two callers of the library that knock at a broker all the time: one puts
into the queue `roomy`, which is never full, one takes from `stocked`, which is
never empty, both with a short patience. Whatever happens to the network, each
call ends in its time, and neither is ever told FULL or EMPTY.

As a program, `knocker.py URL` knocks until SIGTERM and prints each answer:
`VERB STATUS SECONDS MOMENT`.
"""
import os
import signal
import sys
import threading
import time

from baozi_library import (CONNECTION_LOST, EMPTY, FULL, OK, SESSION_GONE,
                           STALE, Library)
from baozi_test import PATIENCE, check, equal

WAIT_MS = 200  # the callers' patience
STOCK = 1000   # items of `stocked`: more than are taken in a test
UNKNOWN = (CONNECTION_LOST, SESSION_GONE)


def prepare(cli):
    """Makes both queues; cli(*words, **more) runs `baozi`."""
    equal(cli("queue", "create", "roomy").returncode, 0)
    equal(cli("queue", "create", "stocked", "--lease", "2s").returncode, 0)
    equal(cli("put", "stocked", *range(STOCK)).returncode, 0)


class Answers:
    """What was answered: {verb: [(status, seconds, moment)]}"""

    def __init__(self):
        self.of = {"put": [], "get": [], "done": []}

    def add(self, verb, status, took, moment):
        self.of[verb].append((status, took, moment))

    def count(self, verb, *statuses):
        return sum(one[0] in statuses for one in self.of[verb])

    def good_since(self, verb, since):
        """Seconds until the first OK, None if there was none."""
        for status, _, moment in self.of[verb]:
            if moment > since and status == OK:
                return moment - since
        return None

    def judge(self, stat):
        """stat(queue) tells the broker's own counts. Returns how often the
        callers were told, and how often they were told that nobody knows."""
        for verb, answers in self.of.items():
            check(answers, f"no {verb} was tried")
            allowed = {OK, *UNKNOWN, *([STALE] if verb == "done" else [])}
            found = {status for status, _, _ in answers}
            check(found <= allowed, f"{verb} was answered {found - allowed} "
                  f"(FULL is {FULL}, EMPTY is {EMPTY})")
        slowest = max(took for verb in ("put", "get")
                      for _, took, _ in self.of[verb])
        check(slowest < WAIT_MS / 1000 + 1 + 0.5 * PATIENCE,
              f"an answer took {slowest:.2f} s")
        for verb, queue, key in (("put", "roomy", "accepted"),
                                 ("done", "stocked", "done")):
            found = stat(queue)[key]
            least = self.count(verb, OK)
            most = least + self.count(verb, *UNKNOWN)
            check(least <= found <= most,
                  f"{key} {found}, but {least} to {most} were told")
        return {verb: f"{self.count(verb, OK)}+{self.count(verb, *UNKNOWN)}"
                for verb in ("put", "get")}


class Knocker:
    """The two callers, each a thread with a client of its own."""

    def __init__(self, url, heard=None):
        self.library = Library()
        self.clients = [self.library.open(url), self.library.open(url)]
        self.answers = Answers()
        self.heard = heard or self.answers.add
        self.over = False
        self.threads = [threading.Thread(target=self.put),
                        threading.Thread(target=self.get)]
        for thread in self.threads:
            thread.start()

    def put(self):
        while not self.over:
            status, took = self.library.put(self.clients[0], "roomy", "x",
                                            WAIT_MS)
            self.heard("put", status, took, time.monotonic())
            time.sleep(0.01)

    def get(self):
        while not self.over:
            status, took, item = self.library.get(self.clients[1], "stocked",
                                                  WAIT_MS)
            self.heard("get", status, took, time.monotonic())
            if status == OK:
                begin = time.monotonic()
                status = self.library.done(self.clients[1], item)
                now = time.monotonic()
                self.heard("done", status, now - begin, now)
            time.sleep(0.02)

    def end(self):
        if self.over:
            return
        self.over = True
        for thread in self.threads:
            thread.join()
        for client in self.clients:
            self.library.close(client)


def read_answers(text):
    """Of what the program printed."""
    answers = Answers()
    for line in text.splitlines():
        words = line.split()
        if len(words) == 4:
            answers.add(words[0], int(words[1]), *map(float, words[2:]))
    return answers


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    knocker = Knocker(sys.argv[1], heard=lambda *words: os.write(
        1, (" ".join(map(str, words)) + "\n").encode()))
    signal.sigwait({signal.SIGTERM})
    knocker.end()


if __name__ == "__main__":
    main()
