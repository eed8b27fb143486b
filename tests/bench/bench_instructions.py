#!/usr/bin/python3
"""Hot paths cost no more instructions than instructions.json says.

    bench_instructions.py            TAP: each path against what is recorded
    bench_instructions.py --record   writes what it counts now

Instructions are counted by callgrind, twice for each path, with once and
twice the work: the difference is the work alone, and the same each time.
Another compiler makes other instructions, so the counts hold for the one that
is named beside them. TOLERANCE is what a change may add unnoticed; who adds
more on purpose, or makes a path cheaper, records anew and says why.
"""
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RECORD = os.path.join(HERE, "instructions.json")
BUILD = os.path.join(ROOT, "build", "release", "tests", "bench")
TOLERANCE = 0.04
# name: (program, words before the count, count, items of one)
PATHS = {
    "core: put, get, done, ack; 1 at a time": (
        "bench_core", ("fixed", "fifo", "1"), 2000, 1),
    "core: put, get, done, ack; 64 at a time": (
        "bench_core", ("fixed", "fifo", "64"), 100, 64),
    "core: the same by priority; 64 at a time": (
        "bench_core", ("fixed", "priority", "64"), 100, 64),
    "wire: PUT of 64, written and read": (
        "bench_wire", ("fixed", "put"), 2000, 64),
    "wire: DONE of 64, written and read": (
        "bench_wire", ("fixed", "done"), 2000, 64),
    "wire: DELIVER of 64, written and read": (
        "bench_wire", ("fixed", "deliver"), 2000, 64),
    "payloads: put, lend, drop; 1 at a time": (
        "bench_bodies", ("fixed", "memory", "1"), 3000, 1),
    "payloads: put, lend, drop; 64 at a time": (
        "bench_bodies", ("fixed", "memory", "64"), 100, 64),
    "payloads: the same over a log; 64 at a time": (
        "bench_bodies", ("fixed", "log", "64"), 100, 64),
}


def compiler():
    done = subprocess.run(["gcc", "-dumpversion"], stdout=subprocess.PIPE)
    return "gcc-" + done.stdout.decode().strip().split(".")[0]


def collected(program, words):
    """Instructions of one whole run."""
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
         os.path.join(BUILD, program), *words], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=300)
    found = re.search(r"Collected : (\d+)", done.stdout.decode())
    if done.returncode != 0 or not found:
        raise RuntimeError(done.stdout.decode()[-2000:])
    return int(found.group(1))


def count(path):
    """Instructions for one item."""
    program, words, times, items = PATHS[path]
    once = collected(program, (*words, str(times)))
    twice = collected(program, (*words, str(2 * times)))
    return round((twice - once) / (times * items), 2)


def record():
    counts = {path: count(path) for path in PATHS}
    with open(RECORD, "w", encoding="utf-8") as file:
        json.dump({"compiler": compiler(), "instructions_an_item": counts},
                  file, indent=1)
        file.write("\n")
    print(json.dumps(counts, indent=1))


def judge(path, recorded):
    """What is wrong, or None."""
    found = count(path)
    if path not in recorded:
        return f"{found}, and nothing is recorded"
    before = recorded[path]
    change = found / before - 1
    if abs(change) <= TOLERANCE:
        return None
    return (f"{found} instructions an item, recorded are {before}: "
            f"{change:+.1%}. If that is meant, run bench_instructions.py "
            "--record and say why in the commit")


def main():
    if sys.argv[1:] == ["--record"]:
        return record()
    with open(RECORD, encoding="utf-8") as file:
        kept = json.load(file)
    missing = None
    if not shutil.which("valgrind"):
        missing = "valgrind"
    elif compiler() != kept["compiler"]:
        missing = kept["compiler"]
    print(f"1..{len(PATHS)}")
    failed = 0
    for number, path in enumerate(PATHS, 1):
        if missing:
            print(f"ok {number} - {path} # SKIP needs {missing}")
            continue
        wrong = judge(path, kept["instructions_an_item"])
        failed += wrong is not None
        print(f"{'not ok' if wrong else 'ok'} {number} - {path}", flush=True)
        if wrong:
            print("# " + wrong)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
