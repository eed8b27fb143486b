"""`baozi log repair`: what lies in front of the end of an image is in it, but
for payloads; damage there costs no more than these."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
from baozi_test import *  # noqa: E402,F403
from data_folder import *  # noqa: E402,F403


def remove(data, number):
    os.unlink(segment(data, number))


def harm_end(data, number):
    os.truncate(segment(data, number), 8 << 20)


def harm_begin(data, number):
    """It is another file."""
    with open(segment(data, number), "r+b") as file:
        file.write(bytes(HEAD + RECORD))
    os.truncate(segment(data, number), HEAD // 2)


@test("[P8 S9] a segment of payloads is gone or cut: a repair gives up the "
      "items whose payloads were there, and nothing else")
def _():
    origin = path("old")
    broker = Broker(data=origin)
    outlived(broker, origin)
    broker.cli("put", "jobs", "young")
    wait_until(lambda: marks(origin), 5, "a MARK behind the last batch")
    broker.kill()
    for harm, left in ((remove, ""), (harm_end, "A"), (harm_begin, "")):
        data = path(harm.__name__)
        shutil.copytree(origin, data)
        harm(data, 1)
        contains(refused(data), "segment-0000000000000001")
        found = run("baozi", "log", "repair", "--quarantine", data, "--format",
                    "json")
        equal(found.returncode, 0, harm.__name__ + found.stderr)
        told = json.loads(found.stdout)
        equal(([place["file"] for place in told["files"]],
               told["lost_entries"]), (["segment-0000000000000001"], 0), told)
        equal(run("baozi", "log", "verify", data).returncode, 0, harm.__name__)
        with Broker(data=data) as broker:
            contains(broker.stderr(), "event=payloads_lost")
            shown = json.loads(broker.cli("queue", "show", "kept", "--format",
                                          "json").stdout)
            equal((shown["purged"], shown["ready"]),
                  (12 - len(left), len(left)), harm.__name__)
            equal(all_of(broker, "kept"), left, harm.__name__)
            equal(broker.cli("get", "jobs").stdout, "young")
        shutil.rmtree(data)


@test("[P8 S9] the segment in which an image ends is gone or cut: a repair "
      "begins where the image ends")
def _():
    origin = path("ended")
    broker = Broker(data=origin)
    outlived(broker, origin)
    wait_until(lambda: marks(origin), 5, "a MARK behind the last batch")
    broker.kill()
    replay = stat(origin)["checkpoints"][0]["replay_lsn"]
    number = next(s["number"] for s in stat(origin)["segments"]
                  if s["first_lsn"] <= replay <= s["last_lsn"])
    for harm in (remove, lambda data, n: os.truncate(segment(data, n), HEAD)):
        data = path("begun")
        shutil.copytree(origin, data)
        harm(data, number)
        contains(refused(data), f"segment-{number:016x}")
        found = run("baozi", "log", "repair", "--quarantine", data, "--format",
                    "json")
        equal(found.returncode, 0, found.stderr)
        equal(json.loads(found.stdout)["last_lsn"], replay - 1)
        equal(run("baozi", "log", "verify", data).returncode, 0)
        with Broker(data=data) as broker:
            equal(all_of(broker, "kept"), "ABCDEFGHIJKL")
        shutil.rmtree(data)


def behind_image():
    """A folder whose image ends amid a segment, which a start reads from its
    beginning: items 'A' to 'F' are in the image, 0 to 2 came behind it.
    (Folder, records, the first one that is not in the image.)"""
    data = path("behind-image")
    broker = Broker("--checkpoint-every", "1MiB", data=data)
    for letter in "ABCDEF":
        broker.cli("put", "jobs", input=letter.encode() * KEPT)
    for i in range(3):
        broker.cli("put", "jobs", f"{i}")
    wait_until(lambda: stat(data)["checkpoints"] and marks(data), 5,
               "an image, and a MARK behind the last batch")
    broker.kill()
    return data, records(data), stat(data)["checkpoints"][0]["replay_lsn"]


KEPT = 300000
harms = {}


def harm(function):
    harms[function.__name__] = function
    return function


def zeros(file, begin, end):
    file.seek(begin)
    file.write(bytes(end - begin))


def zero_head(file, record):
    zeros(file, record["offset"], record["offset"] + 16)


@harm
def head(file, before):
    zero_head(file, before[-4])
    return ""


@harm
def trailer(file, before):
    zero_head(file, before[-1])
    return ""


@harm
def first(file, before):
    """Of a batch, which has nothing else then."""
    one = next(r for r, after in zip(before, before[1:])
               if r["kind"] == "entry" and after["kind"] == "batch_end")
    zero_head(file, one)
    return ""


@harm
def payload(file, before):
    big = [r for r in before if r["bytes"] >= KEPT][1]
    zeros(file, big["offset"] + KEPT // 2, big["offset"] + KEPT // 2 + 9)
    return "B"


@harm
def many(file, before):
    big = [r for r in before if r["bytes"] >= KEPT]
    zeros(file, big[1]["offset"], big[2]["offset"] + RECORD)
    return "B"


@harm
def last(file, before):
    zeros(file, before[-2]["offset"], before[-1]["offset"] + RECORD)
    return ""


def what_is_left(data):
    with Broker(data=data) as broker:
        got = [broker.cli("get", "jobs", "--no-wait").stdout
               for _ in range(10)]
        equal(broker.cli("join", "jobs", "--timeout", "5s").returncode, 0)
    check(all(len(text) in (0, 1, KEPT) for text in got), got)
    return "".join(text[:1] for text in got)


@test("[P8 S9] damaged records that a start steps over and does not need: a "
      "repair fills their places, and no more is lost than payloads")
def _():
    origin, there, replay = behind_image()
    before = [r for r in there if r["lsn"] < replay]
    image = "".join("ABCDEF"[:sum(r["bytes"] >= KEPT for r in before)])
    check(len(image) >= 3, there)
    for name, do_harm in harms.items():
        data = path(name)
        shutil.copytree(origin, data)
        with open(segment(data), "r+b") as file:
            lost = do_harm(file, before)
        contains(refused(data), "segment-0000000000000001")
        found = run("baozi", "log", "repair", "--quarantine", data, "--format",
                    "json")
        equal(found.returncode, 0, name + found.stderr)
        told = json.loads(found.stdout)
        equal((told["filled"], told["lost_entries"], len(told["payloads"])),
              (1, 0, len(lost)), name)
        check(os.path.basename(segment(data)) in
              os.listdir(os.path.join(data, told["quarantine"])), told)
        verdict = run("baozi", "log", "verify", data)
        equal(verdict.returncode, 0, name + verdict.stdout)
        equal(what_is_left(data),
              "".join(c for c in "ABCDEF012" if c not in lost), name)


@test("[P8 S9] damage from what an image has into what it has not, or amid "
      "the batch where it ends: a repair cuts where the image ends")
def _():
    origin, there, replay = behind_image()
    i = next(i for i, r in enumerate(there) if r["lsn"] == replay)
    image = sum(r["bytes"] >= KEPT for r in there[:i])
    for name, first_harmed in (("across", i - 1), ("behind", i)):
        data = path(name)
        shutil.copytree(origin, data)
        with open(segment(data), "r+b") as file:
            for record in there[first_harmed:i + 2]:
                zero_head(file, record)
        contains(refused(data), "segment-0000000000000001")
        found = run("baozi", "log", "repair", "--quarantine", data, "--format",
                    "json")
        equal(found.returncode, 0, name + found.stderr)
        told = json.loads(found.stdout)
        equal((told["last_lsn"], told["payloads"]), (replay - 1, []), name)
        equal(run("baozi", "log", "verify", data).returncode, 0, name)
        equal(what_is_left(data), "ABCDEF"[:image], name)


main()
