"""A bad network between programs: the helper bad_network, told what to do.

    with Network(broker_port) as network:
        ... connect to network.url ...
        network("both delay 20 10")
        network("end reset")
        network.heal()

Its commands stand in tests/integration/bad_network.c.
"""
import os
import subprocess

from baozi_test import ROOT, environment, equal

HELPER = os.path.join(ROOT, "build", "release", "tests", "integration",
                      "bad_network")


class Network:
    """A relay to a port of 127.0.0.1; all its chance comes from the seed."""

    def __init__(self, port, seed=1):
        self.popen = subprocess.Popen(
            [HELPER, str(port), str(seed)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env=environment(), text=True)
        word, number = self.popen.stdout.readline().split()
        equal(word, "listening", "the helper")
        self.port = int(number)
        self.url = f"tcp://127.0.0.1:{self.port}"

    def ask(self, line):
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()
        return self.popen.stdout.readline().strip()

    def __call__(self, *lines):
        for line in lines:
            equal(self.ask(line), "ok", line)

    def heal(self):
        self("heal")

    def counts(self):
        words = self.ask("counts").split()
        return dict(zip(words[::2], map(int, words[1::2])))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.popen.stdin.close()
        self.popen.wait(10)
        self.popen.stdout.close()
