"""The simulator: seeds are sound, and each tells the same story everywhere."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
from baozi_test import ROOT, check, equal, main, test

LONG = os.environ.get("BAOZI_TEST_LONG") == "1"
SEEDS = 1000 if LONG else 100


def sim(flavour, *words):
    """Exit code and output of a run."""
    program = os.path.join(ROOT, "build", flavour, "tests", "sim", "sim")
    done = subprocess.run([program, *words], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode()


@test("a seed tells the same story twice, and in another build")
def _():
    for seed in ("3", "14", "159"):
        code, first = sim("asan", "--seed", seed, "--picture")
        equal(code, 0)
        check(first.count("\n") > 1000, "it is a story")
        for flavour in ("asan", "release"):
            code, again = sim(flavour, "--seed", seed, "--picture")
            equal(code, 0)
            check(first == again, f"seed {seed} differs in {flavour}")


@test(f"{SEEDS} seeds: nothing is found, and nothing stayed unexercised")
def _():
    code, text = sim("asan", "--seeds", f"1-{SEEDS}", "--must-cover")
    check(code == 0, text)
    check(re.search(rf"{SEEDS} seeds from 1 on, \d+ events: nothing found",
                    text) is not None, text)


main()
