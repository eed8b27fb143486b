"""What the tests of the program `baozi` share, beside baozi_test."""
import json

from baozi_test import *  # noqa: F403


def good(done, code=0):
    """The call ended with that exit code; its stdout."""
    if done.returncode != code:
        raise AssertionError(f"exit {done.returncode}, expected {code}\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout


def parsed(done, code=0):
    return json.loads(good(done, code))


def complains(done, code, *parts):
    """A message of three parts and nothing on stdout."""
    equal(done.returncode, code, "exit code; it said " + done.stderr)
    equal(done.stdout, "", "stdout")
    lines = done.stderr.splitlines()
    check(lines[0].startswith("baozi"), done.stderr)
    contains(done.stderr, "\n  why: ", "stderr")
    contains(done.stderr, "\n  do: ", "stderr")
    for part in parts:
        contains(done.stderr, part, "stderr")


def kill_item(broker, queue, payload="bad", options=()):
    """Makes one dead item in a queue of max_deliveries 1."""
    broker.cli("queue", "create", queue, "--max-deliveries", 1)
    identity = good(broker.cli("put", queue, payload)).strip()
    broker.worker(queue, "-c", 1, "--exec", "sh -c 'echo it broke >&2; exit 9'",
                  "--until-empty", *options)
    equal(broker.stat(queue)["dead"], 1, "dead")
    return identity
