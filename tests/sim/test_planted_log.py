"""Every bug that is planted in the durable log is found by its own tests."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
from baozi_test import ROOT, check, equal, main, test

# In the order of how long they take.
PROGRAMS = ("test_log", "test_log_space", "test_log_faults",
            "test_log_damage")
BUGS_LEAST = 10


def bugs():
    """The names in common/planted.h."""
    with open(os.path.join(ROOT, "common", "planted.h"),
              encoding="utf-8") as file:
        table = file.read().split("#define BAO_PLANTED_LOG_TABLE(X)")[1]
    return re.findall(r"^ +X\((\w+),", table.split("\n\n")[0], re.M)


def run(program, bug):
    """Its exit code: 0, nothing was found."""
    environment = dict(os.environ)
    environment.pop("BAOZI_PLANTED", None)
    if bug:
        environment["BAOZI_PLANTED"] = bug
    done = subprocess.run(
        [os.path.join(ROOT, "build", "planted", "tests", "unit", program)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        check=False)
    check(done.returncode != 70, done.stdout.decode())
    return done.returncode


@test("each bug that is planted in the log is found")
def _():
    names = bugs()
    check(len(names) >= BUGS_LEAST, f"only {len(names)} bugs are planted")
    missed = []
    for name in names:
        found = next((p for p in PROGRAMS if run(p, name) != 0), None)
        print(f"# {name}: {found}")
        if found is None:
            missed.append(name)
    equal(missed, [])


@test("without a planted bug the same builds find nothing")
def _():
    for program in PROGRAMS[:-1]:
        equal(run(program, None), 0, program)


main()
