"""The simulator: seeds are sound, each tells the same story everywhere, and
every bug that is planted on purpose is found."""
import concurrent.futures
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
from baozi_test import ROOT, check, equal, main, test

LONG = os.environ.get("BAOZI_TEST_LONG") == "1"
SEEDS = 1000 if LONG else 200
DURABLE_SEEDS = 1000 if LONG else 300
# Within so many seeds each planted bug must be found.
PLANTED_SEEDS = 800
PLANTED_LEAST = 12
# Of the bugs that the log's own tests find, those that may lose or falsify
# something: the durable simulator must find them too.
LOG_BUGS = ("SYNC_SKIPPED", "SYNCED_EARLY", "NAMES_UNSYNCED", "TAIL_KEPT",
            "REWRITE_UNSYNCED", "SEGMENT_EARLY", "KEEP_NOTHING")


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


@test("a durable seed tells the same story twice, and in another build")
def _():
    for seed in ("3", "21", "122"):
        code, first = sim("asan", "--durable", "--seed", seed, "--picture")
        equal(code, 0)
        check("facts" in first, "it recovers")
        code, again = sim("release", "--durable", "--seed", seed, "--picture")
        equal(code, 0)
        check(first == again, f"durable seed {seed} differs in release")


@test(f"{DURABLE_SEEDS} durable seeds: nothing is found, all is exercised")
def _():
    code, text = sim("asan", "--durable", "--seeds", f"1-{DURABLE_SEEDS}",
                     "--must-cover")
    check(code == 0, text)
    check(re.search(rf"{DURABLE_SEEDS} seeds from 1 on, \d+ events: nothing "
                    "found", text) is not None, text)


def hunt(name):
    """The seed that finds a planted bug, and what it says; or None."""
    code, text = sim("planted", "--planted", name, "--seeds",
                     f"1-{PLANTED_SEEDS}", "--tail", "1")
    found = re.search(r"^seed (\d+) FAILED at [\d.]+ ms: (.*)$", text, re.M)
    return (found.group(1), found.group(2)) if code == 1 and found else None


@test(f"each planted bug is found within {PLANTED_SEEDS} seeds")
def _():
    code, text = sim("planted", "--list-planted")
    equal(code, 0)
    bugs = dict(line.split(" ", 1) for line in text.splitlines())
    bugs.update((name, "of the log") for name in LOG_BUGS)
    check(len(bugs) >= PLANTED_LEAST, f"only {len(bugs)} bugs are planted")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = dict(zip(bugs, pool.map(hunt, bugs)))
    for name, what in bugs.items():
        seed, says = found[name] or ("none", "")
        print(f"# {name} ({what}): seed {seed}: {says}")
    missed = [name for name in bugs if found[name] is None]
    check(not missed, "not found: " + " ".join(missed))


@test("without a planted bug the same build finds nothing")
def _():
    for words in (["--seeds", "1-50"], ["--durable", "--seeds", "1-50"]):
        code, text = sim("planted", *words)
        check(code == 0, text)


@test("nothing of the planted bugs is in the programs")
def _():
    for name in ("baozi-broker", "baozi-worker", "libbaozi.so.0"):
        with open(os.path.join(ROOT, "build", name), "rb") as opened:
            check(b"planted" not in opened.read(), f"{name} has some")


main()
