#!/usr/bin/python3
"""Fuzzes every target for a while: BAOZI_FUZZ_SECONDS each (default 5).

A target is build/fuzz/tests/fuzz/fuzz_NAME, made by clang with libFuzzer and
the address and undefined-behaviour sanitizers; leaks count. It begins with the
inputs of tests/fuzz/corpus/NAME. What it finds becomes an input there, so that
every later `make test` repeats it, on machines without clang too, and the test
fails until the code is mended. New inputs that only reach further are kept in
build/fuzz/corpus/NAME. Two targets run at a time if they run for long.
"""
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
SECONDS = int(os.environ.get("BAOZI_FUZZ_SECONDS", "5"))
LONG = 60           # from here on inputs that reach further are kept
INPUT_BYTES = 4096  # most of an input
INPUT_SECONDS = 20  # one that takes longer is a finding; 1 ms is usual
MEMORY_MIB = 2048


def names():
    """The targets that have a source."""
    return sorted(os.path.basename(path)[5:-2] for path in glob.glob(
        os.path.join(ROOT, "tests", "fuzz", "fuzz_*.c")))


def keep(name, found):
    """Copies findings into the corpus; their names there."""
    kept = []
    for path in found:
        target = os.path.join(ROOT, "tests", "fuzz", "corpus", name,
                              os.path.basename(path))
        shutil.copyfile(path, target)
        kept.append(os.path.relpath(target, ROOT))
    return kept


def fuzz(name, folder):
    """Runs one target; (it found nothing, lines to print)."""
    program = os.path.join(ROOT, "build", "fuzz", "tests", "fuzz",
                           f"fuzz_{name}")
    if not os.path.exists(program):
        return False, [f"{program} was not built"]
    found = os.path.join(folder, f"found-{name}-")
    reached = os.path.join(
        ROOT, "build", "fuzz", "corpus", name) if SECONDS >= LONG else (
        os.path.join(folder, f"reached-{name}"))
    os.makedirs(reached, exist_ok=True)
    corpus = os.path.join(ROOT, "tests", "fuzz", "corpus", name)
    words = [program, f"-max_total_time={SECONDS}", f"-max_len={INPUT_BYTES}",
             f"-timeout={INPUT_SECONDS}", f"-rss_limit_mb={MEMORY_MIB}",
             f"-artifact_prefix={found}", "-print_final_stats=1"]
    dictionary = os.path.join(ROOT, "tests", "fuzz", f"{name}.dict")
    if os.path.exists(dictionary):
        words.append(f"-dict={dictionary}")
    done = subprocess.run(words + [reached, corpus], cwd=ROOT,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    said = done.stdout.decode(errors="replace")
    inputs = re.search(r"stat::number_of_executed_units:\s*(\d+)", said)
    reach = re.findall(r"cov: (\d+) ft: (\d+)", said)
    lines = [f"{name}: {inputs.group(1) if inputs else '?'} inputs, "
             f"{reach[-1][0] if reach else '?'} branches"]
    if done.returncode == 0:
        return True, lines
    lines += said.splitlines()[-100:]
    lines += ["this input stays: " + path
              for path in keep(name, glob.glob(glob.escape(found) + "*"))]
    return False, lines


def missing():
    """What of the fuzzer is not on this machine, or None."""
    if shutil.which("clang") is None:
        return "clang"
    runtime = subprocess.run(
        ["clang", f"--print-file-name=libclang_rt.fuzzer-{os.uname().machine}"
         ".a"], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    return None if os.path.exists(runtime) else runtime


def main():
    targets = names()
    if needed := missing():
        print(f"1..0 # SKIP needs {needed}")
        return 0
    print(f"1..{len(targets)}")
    jobs = 2 if SECONDS >= LONG else 1
    bad = 0
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder, \
            concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for number, (name, (good, lines)) in enumerate(zip(
                targets, pool.map(lambda name: fuzz(name, folder), targets)),
                1):
            for line in lines:
                print("# " + line)
            bad += not good
            print(f"{'ok' if good else 'not ok'} {number} - {name}: nothing "
                  f"found in {SECONDS} s", flush=True)
    return 1 if bad else 0


sys.exit(main())
