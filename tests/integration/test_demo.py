"""The bun kitchen: `baozi demo` is the tutorial T1 with real processes, and
`baozi demo --kill` is what the tutorial cannot survive."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
from baozi_test import *  # noqa: E402,F403

FOODS = ("包子", "骨头", "泔水")


def lines_of(text):
    """(pid, verb, item) of each line of the kitchen."""
    found = re.findall(r"^(\d+) (\S+) (.+)$", text, re.MULTILINE)
    return [(int(pid), verb, item) for pid, verb, item in found
            if any(food in item for food in FOODS)]


@test("30 made, 30 eaten, each once, by five processes [T1]")
def _():
    done = run("baozi", "demo", seconds=60)
    equal(done.returncode, 0, done.stdout + done.stderr)
    contains(done.stdout, "30 made, 30 eaten, 0 lost, 0 eaten twice")
    contains(done.stdout, "after the last task_done")
    lines = lines_of(done.stdout)
    eaten = [one for one in lines if one[1] == "eats"]
    made = [one for one in lines if one not in eaten]
    equal(sorted(one[2] for one in made), sorted(one[2] for one in eaten))
    equal(len({one[2] for one in made}), 30, "different items")
    equal(len({one[0] for one in made}), 3, "cooks")
    equal(len({one[0] for one in eaten}), 2, "eaters")
    for food in FOODS:
        equal(len([one for one in made if food in one[2]]), 10, food)
    check("\033" not in done.stdout, "colours off a terminal")
    equal(done.stderr, "", "stderr")


@test("an eater killed in mid-bun: another gets it at once, all 30 are eaten")
def _():
    done = run("baozi", "demo", "--kill", seconds=60)
    equal(done.returncode, 0, done.stdout + done.stderr)
    contains(done.stdout, "30 made, 30 eaten, 0 lost")
    killed = re.search(r"^(\d+) is killed with (\S+)", done.stdout,
                       re.MULTILINE)
    check(killed, done.stdout)
    after = re.search(r"another eater had it after (\d+) ms", done.stdout)
    check(after and int(after.group(1)) < 1300 * PATIENCE, done.stdout)
    before, later = done.stdout[:killed.start()], done.stdout[killed.end():]
    pid = int(killed.group(1))
    check(any(one[0] == pid and one[1] == "eats" for one in lines_of(before)),
          "an eater was killed")
    check(all(one[0] != pid for one in lines_of(later)), "it is dead")
    check(any(verb == "eats" and item == killed.group(2)
              for _, verb, item in lines_of(later)), "the bun was eaten")


@test("as JSON the summary is the only thing on stdout")
def _():
    done = run("baozi", "demo", "--format", "json", seconds=60)
    equal(done.returncode, 0, done.stderr)
    summary = json.loads(done.stdout)
    equal(summary, {"made": 30, "eaten": 30, "eaten_twice": 0, "lost": 0,
                    "joined": True, "good": True})
    equal(len(lines_of(done.stderr)), 60, "lines of the kitchen")


@test("with --url it uses that broker and leaves no queue there")
def _():
    with Broker() as broker:
        done = broker.cli("demo", seconds=60)
        equal(done.returncode, 0, done.stdout + done.stderr)
        queues = json.loads(broker.cli("queue", "ls", "--format",
                                       "json").stdout)
        equal(queues, [])


@test("SIGINT ends it with 130; no process and no folder stays")
def _():
    env = {"TMPDIR": folder()}
    demo = Process("baozi", "demo", env=env)
    wait_until(lambda: " eats " in demo.stdout(), 20, "somebody eats")
    check(any("baozi-broker" in words(pid)[0] for pid in descendants(demo.pid)),
          "the broker is a process of its own")
    demo.signal(signal.SIGINT)
    equal(demo.wait(10), 130, "exit code")
    equal([name for name in os.listdir(folder()) if "demo" in name
           and not name.startswith("baozi.")], [], "folders")
    wait_until(lambda: not marked(), 3, "all processes ended")


@test("killed with -9 it takes its processes along")
def _():
    demo = Process("baozi", "demo", env={"TMPDIR": folder()})
    wait_until(lambda: " eats " in demo.stdout(), 20, "somebody eats")
    family = descendants(demo.pid)
    check(len(family) >= 6, f"a family of {len(family)}")
    demo.kill()
    wait_until(lambda: not any(alive(pid) for pid in family), 5,
               "all processes ended")


@test("it says so when the programs beside it are not there")
def _():
    alone = path("alone")
    os.mkdir(alone)
    shutil.copy(program("baozi"), alone)
    done = subprocess.run([os.path.join(alone, "baozi"), "demo"],
                          env=environment({"TMPDIR": folder()}),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False)
    equal(done.returncode, 78, done.stderr)
    contains(done.stderr.decode(), "baozi-broker")


main()
