"""`baozi log`: a data folder looked at, harmed, named and repaired."""
import json
import os
import shutil
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
from baozi_test import *  # noqa: E402,F403
from data_folder import *  # noqa: E402,F403


def filled(name, count=10):
    """A folder with that many items of `jobs`, left by a kill -9."""
    data = path(name)
    broker = Broker(data=data)
    equal(broker.cli("queue", "create", "jobs").returncode, 0)
    for i in range(count):
        equal(broker.cli("put", "jobs", f"item {i}").returncode, 0)
    wait_until(lambda: marks(data), 5, "a MARK behind the last batch")
    broker.kill()
    return data


def payloads(data, count):
    """All that a broker finds there."""
    with Broker(data=data) as broker:
        return [broker.cli("get", "jobs", "--no-wait").stdout
                for _ in range(count)]


@test("[S9] what a broker left is good, and is shown record by record")
def _():
    data = filled("good")
    found = run("baozi", "log", "verify", data, "--format", "json")
    equal(found.returncode, 0, found.stdout + found.stderr)
    verdict = json.loads(found.stdout)
    check(verdict["good"] and verdict["places"] == [], verdict)
    check(verdict["durable_lsn"] >= verdict["last_lsn"] - 1, verdict)
    kinds = {record["kind"] for record in records(data)}
    check({"entry", "batch_end", "mark"} <= kinds, kinds)
    stat = json.loads(run("baozi", "log", "stat", data, "--format",
                          "json").stdout)
    equal(stat["format"], 1)
    equal(stat["segments"][0]["state"], "open")
    contains(run("baozi", "log", "stat", data).stdout, "SEGMENT")
    lines = run("baozi", "log", "dump", data, "--from", "5").stdout
    check(lines.startswith("5 "), lines[:80])


@test("[S9] the layout of JOURNAL.md is what lies there")
def _():
    data = filled("layout")
    record = next(r for r in records(data) if r["kind"] == "entry")
    with open(segment(data), "rb") as file:
        content = file.read(HEAD + 65536)
    equal(content[:8], b"BAOZISEG")
    head_format, salt = struct.unpack_from("<II", content, 8)
    number, size, stride = struct.unpack_from("<QQQ", content, 24)
    equal((head_format, number, size, stride), (1, 1, 64 << 20, 64 << 20))
    magic, kind, flags, size, lsn, found_salt, group, index, term, queue = \
        struct.unpack_from("<HBBIQIIQQQ", content, record["offset"])
    equal((magic, kind, flags), (0x7a62, 1, 0))
    equal((size, lsn, found_salt, group, index, term, queue),
          (record["bytes"], record["lsn"], salt, record["group"],
           record["index"], record["term"], record["queue"]))
    check(record["offset"] % 8 == 0, record)


@test("[S9] a damaged record is named, cut and set aside; what was before it "
      "stays")
def _():
    data = filled("damaged")
    all_records = records(data)
    entries = [r for r in all_records
               if r["kind"] == "entry" and r["queue"] == 1]
    victim = entries[6]
    flip(segment(data), victim["offset"] + RECORD + 2)
    for text in (refused(data),
                 run("baozi", "log", "verify", data).stdout):
        contains(text, "segment-0000000000000001")
        contains(text, f"offset {victim['offset']}")
        contains(text, f"lsn {victim['lsn']}")
        contains(text, "queue number 1")
    contains(refused(data), f"baozi log repair --quarantine {data}")
    equal(run("baozi", "log", "verify", data).returncode, 1)
    equal(run("baozi", "log", "repair", data).returncode, 64)
    found = run("baozi", "log", "repair", "--quarantine", data, "--format",
                "json")
    equal(found.returncode, 0, found.stderr)
    told = json.loads(found.stdout)
    check(told["last_lsn"] < victim["lsn"] <= told["lost_first_lsn"], told)
    check(told["lost_entries"] >= 3 and 1 in told["queues"], told)
    aside = os.path.join(data, told["quarantine"])
    rest = [name for name in os.listdir(aside) if ".from-" in name]
    equal(len(rest), 1)
    equal(run("baozi", "log", "verify", data).returncode, 0)
    got = [text for text in payloads(data, 10) if text]
    equal(got, [f"item {i}" for i in range(len(got))])
    check(3 <= len(got) < 10, got)
    again = run("baozi", "log", "repair", "--quarantine", data)
    equal(again.returncode, 0)
    contains(again.stderr, "nothing was changed")


@test("[S9] one manifest may be damaged; both are made anew from the segments")
def _():
    data = filled("manifest")
    flip(os.path.join(data, "manifest.0"), 40)
    found = run("baozi", "log", "verify", data)
    equal(found.returncode, 1)
    contains(found.stdout, "flaw: manifest.0")
    contains(found.stdout, "a broker starts here")
    copy = path("manifest-both")
    shutil.copytree(data, copy)
    for name in ("manifest.0", "manifest.1"):
        with open(os.path.join(copy, name), "wb") as file:
            file.write(bytes(16384))
    contains(refused(copy), "manifest")
    equal(run("baozi", "log", "repair", "--quarantine", copy).returncode, 0)
    for one in (data, copy):
        equal(payloads(one, 10), [f"item {i}" for i in range(10)])


@test("[S9] a folder in use can be looked at, and not repaired")
def _():
    data = path("busy")
    with Broker(data=data) as broker:
        equal(broker.cli("queue", "create", "jobs").returncode, 0)
        found = run("baozi", "log", "stat", data)
        equal(found.returncode, 0)
        contains(found.stderr, "a broker runs in it")
        equal(run("baozi", "log", "repair", "--quarantine",
                  data).returncode, 75)
    equal(run("baozi", "log", "verify", path("nowhere")).returncode, 74)


def epoch(data):
    """Of a broker that is started there, and killed after a lease."""
    broker = Broker(data=data)
    found = json.loads(broker.cli("stats", "--format", "json").stdout)
    equal(broker.cli("get", "jobs", "--no-wait").returncode, 0, "a get")
    wait_until(lambda: marks(data), 5, "a MARK behind the last batch")
    broker.kill()
    return found["broker"]["epoch"]


def is_epoch(data, record):
    """A fact EPOCH: of no queue, and its first number is 1."""
    with open(segment(data, record["segment"]), "rb") as file:
        file.seek(record["offset"] + RECORD)
        return file.read(1) == b"\x01"


@test("[S1 P3] a start after a repair gives no token that was cut off")
def _():
    data = filled("tokens", 8)
    epochs = [epoch(data) for _ in range(4)]
    equal(epochs, sorted(set(epochs)), "epochs before")
    # The fact EPOCH of the second start, and all behind it, is cut off.
    starts = [r for r in records(data) if r["kind"] == "entry" and
              is_epoch(data, r)]
    check(len(starts) >= 2, starts)
    flip(segment(data, starts[1]["segment"]), starts[1]["offset"] + RECORD)
    contains(refused(data), f"lsn {starts[1]['lsn']}")
    equal(run("baozi", "log", "repair", "--quarantine", data).returncode, 0)
    check(epoch(data) > epochs[-1], "an epoch came again")
    # Also when the manifests are gone, and what was set aside is all there is.
    for name in ("manifest.0", "manifest.1"):
        with open(os.path.join(data, name), "wb") as file:
            file.write(bytes(16384))
    equal(run("baozi", "log", "repair", "--quarantine", data).returncode, 0)
    check(epoch(data) > epochs[-1] + 1, "an epoch came again, the second time")


def first_segment(data):
    return min(name for name in os.listdir(data) if name[:8] == "segment-")


@test("[P8 S9] a flipped byte in a closed segment: a running broker finds it, "
      "says where, goes on, and never serves it")
def _():
    data = path("scrubbed")
    broker = Broker(data=data)
    for i in range(20):  # 80 MB: the first segment is closed
        broker.cli("put", "jobs", input=bytes([65 + i]) * (4 << 20))
    broker.kill()
    broker = Broker(data=data)
    flip(os.path.join(data, first_segment(data)), 6 << 20)
    wait_until(lambda: "event=damaged" in broker.stderr(), 60,
               "the damage is found")
    contains(broker.stderr(), f"file={first_segment(data)}")
    told = json.loads(broker.cli("stats", "--format", "json").stdout)
    equal(len(told["broker"]["damages"]), 1)
    contains(told["broker"]["damages"][0], f"{first_segment(data)}, offset ")
    contains(broker.cli("stats").stdout, told["broker"]["damages"][0])
    equal(broker.cli("put", "others", "more").returncode, 0, "a put")
    equal(broker.cli("get", "jobs").stdout, "A" * (4 << 20), "what is whole")
    got = broker.cli("get", "jobs", "--timeout", "5s")
    check(got.returncode != 0 and "B" not in got.stdout, "it was served")
    equal(broker.wait(), 74, "exit code of the broker")
    found = run("baozi", "log", "verify", data)
    equal(found.returncode, 1)
    contains(found.stdout, first_segment(data))


def copies(data, ids):
    """COPY records of these items, of all of `dump` that can be read."""
    found = run("baozi", "log", "dump", data, "--format", "json")
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    return [r for r in lines if r["kind"] == "copy" and
            (not ids or r["index"] in ids)]


def churned(broker, data):
    """Five items whose payloads were moved out of the first segment, with 200
    MB that came and went; their ids."""
    for i in range(5):
        broker.cli("put", "kept", input=bytes([65 + i]) * 100000)
    ids = [r["index"] for r in copies(data, None)]
    equal(len(ids), 5, "COPY records of large payloads")
    first = copies(data, ids)[0]["segment"]
    for _ in range(100):
        broker.cli("put", "jobs", input=b"x" * (4 << 20))
        broker.cli("get", "jobs")
        if not os.path.exists(segment(data, first)):
            return ids
    raise AssertionError("the first segment does not go")


@test("[S9] a repair keeps payloads that had been moved behind its cut")
def _():
    for attempt in range(5):
        data = path(f"moved-{attempt}")
        broker = Broker(data=data)
        ids = churned(broker, data)
        wait_until(lambda: marks(data), 5, "a MARK behind the last batch")
        broker.kill()
        replay = stat(data)["checkpoints"][0]["replay_lsn"]
        moved = [r["lsn"] for r in copies(data, ids)]
        between = [r for r in records(data) if r["kind"] == "entry" and
                   replay <= r["lsn"] < min(moved)]
        if between:
            break  # else a checkpoint came behind the copies
    victim = between[-1]
    flip(segment(data, victim["segment"]), victim["offset"] + RECORD)
    contains(refused(data), f"lsn {victim['lsn']}")
    told = json.loads(run("baozi", "log", "repair", "--quarantine", data,
                          "--format", "json").stdout)
    check(told["kept_copies"] >= 5, told)
    check(told["last_lsn"] < victim["lsn"] < min(moved), told)
    equal(run("baozi", "log", "verify", data).returncode, 0)
    for i in range(5):
        if i in (0, 2):
            broker = Broker(data=data)
        equal(broker.cli("get", "kept").stdout, chr(65 + i) * 100000, "kept")
        if i in (1, 4):
            broker.kill()


def cut_behind_image(data):
    """Harms the first record that a start would read, and repairs."""
    replay = stat(data)["checkpoints"][0]["replay_lsn"]
    victim = next(r for r in records(data)
                  if r["kind"] == "entry" and r["lsn"] >= replay)
    flip(segment(data, victim["segment"]), victim["offset"] + RECORD)
    contains(refused(data), f"lsn {victim['lsn']}")
    found = run("baozi", "log", "repair", "--quarantine", data)
    equal(found.returncode, 0, found.stderr)


@test("[P8 S9] a repair that cuts off how items ended whose payloads are gone: "
      "the next start tells of them, and goes on")
def _():
    for attempt in range(5):
        data = path(f"ended-{attempt}")
        broker = Broker(data=data)
        image = outlived(broker, data)
        equal(len(all_of(broker, "kept")), 12)
        wait_until(lambda: not listed(data, 1), 20, "its segment goes")
        broker.cli("put", "jobs", "a mark")
        wait_until(lambda: marks(data), 5, "a MARK behind the last batch")
        broker.kill()
        if stat(data)["checkpoints"][0]["number"] == image:
            break  # else a checkpoint came in between: they would stay ended
    cut_behind_image(data)
    broker = Broker(data=data)
    contains(broker.stderr(), "event=payloads_lost")
    found = json.loads(broker.cli("queue", "show", "kept", "--format",
                                  "json").stdout)
    check(found["purged"] > 0, found)
    equal(found["purged"] + found["ready"], 12, found)
    broker.kill()  # and what was said of them stays
    broker = Broker(data=data)
    check("payloads_lost" not in broker.stderr(), broker.stderr())
    equal(len(all_of(broker, "kept")), found["ready"])
    equal(broker.cli("join", "kept", "--timeout", "5s").returncode, 0)
    broker.kill()


@test("[P8 S9] a repair keeps all of a tail that no manifest had sealed")
def _():
    data = path("tail")
    broker = Broker(data=data)
    equal(broker.cli("put", "jobs", input=b"A" * (4 << 20)).returncode, 0)
    wait_until(lambda: marks(data) and
               stat(data)["durable_lsn"] >= records(data)[-1]["lsn"] - 1, 10,
               "the manifest says what was synced")
    copies_of = {name: open(os.path.join(data, name), "rb").read()
                 for name in ("manifest.0", "manifest.1")}
    for i in range(1, 45):
        broker.cli("put", "jobs", input=bytes([65 + i % 26]) * (4 << 20))
    wait_until(lambda: marks(data), 5, "a MARK behind the last batch")
    broker.kill()
    # As if it had died before a later manifest was written.
    for name, content in copies_of.items():
        with open(os.path.join(data, name), "wb") as file:
            file.write(content)
    victim = [r for r in records(data)
              if r["kind"] == "entry" and r["segment"] == 3][3]
    flip(segment(data, 3), victim["offset"] + RECORD)
    contains(refused(data), f"lsn {victim['lsn']}")
    equal(run("baozi", "log", "repair", "--quarantine", data).returncode, 0)
    equal(run("baozi", "log", "verify", data).returncode, 0)
    with Broker(data=data) as broker:
        found = all_of(broker, "jobs")
    check(len(found) >= 30, found)
    equal(found, "".join(chr(65 + i % 26) for i in range(len(found))))


@test("[P8 S9] a segment that is shorter than it was made: verify says so, "
      "where a start refuses, and a repair helps")
def _():
    origin = filled("short")
    end = records(origin)[-1]["offset"] + RECORD
    sealed = stat(origin)["segments"][0]["sealed_bytes"]
    cuts = {"behind the last record": (end + 4096) // 8 * 8,
            "within what is sealed": (HEAD + sealed) // 2 // 8 * 8}
    for name, size in cuts.items():
        data = path(name.replace(" ", "-"))
        shutil.copytree(origin, data)
        os.truncate(segment(data), size)
        contains(refused(data), "the segment is cut")
        found = run("baozi", "log", "verify", data)
        equal(found.returncode, 1, name)
        contains(found.stdout, "the segment is cut")
        contains(found.stdout, "a broker will not start here")
        equal(run("baozi", "log", "repair", "--quarantine", data).returncode,
              0, name)
        equal(run("baozi", "log", "verify", data).returncode, 0, name)
        got = [text for text in payloads(data, 10) if text]
        equal(got, [f"item {i}" for i in range(len(got))], name)
        if size > end:
            equal(len(got), 10, "nothing was lost")


@test("[P8 S9] a damaged head of a segment is made anew from the manifest")
def _():
    data = path("head")
    broker = Broker(data=data)
    outlived(broker, data)
    wait_until(lambda: marks(data), 5, "a MARK behind the last batch")
    broker.kill()
    last = max(s["number"] for s in stat(data)["segments"]
               if s["state"] == "open")
    for number in (1, last):
        flip(segment(data, number), 13)  # of its salt
    contains(refused(data), "the head of the segment is damaged")
    contains(run("baozi", "log", "verify", data).stdout,
             f"DAMAGE: segment-{1:016x}, offset 4096, lsn 1: the head")
    found = run("baozi", "log", "repair", "--quarantine", data, "--format",
                "json")
    equal(found.returncode, 0, found.stderr)
    told = json.loads(found.stdout)
    equal((told["heads"], told["lost_entries"]), (2, 0), told)
    aside = os.listdir(os.path.join(data, told["quarantine"]))
    check(f"segment-{1:016x}.head" in aside, aside)
    equal(run("baozi", "log", "verify", data).returncode, 0)
    with Broker(data=data) as broker:
        equal(all_of(broker, "kept"), "ABCDEFGHIJKL")


def harm_images(data):
    for name in os.listdir(data):
        if name.startswith("checkpoint-"):
            flip(os.path.join(data, name), 20)


@test("[P8 S9] no checkpoint is whole: verify and repair know whether the log "
      "alone is enough for a start")
def _():
    data = path("enough")
    with Broker(data=data) as broker:
        for i in range(5):
            broker.cli("put", "jobs", f"item {i}")
    harm_images(data)
    found = run("baozi", "log", "verify", data)
    equal(found.returncode, 1)
    contains(found.stdout, "a broker starts here")
    found = run("baozi", "log", "repair", "--quarantine", data)
    contains(found.stderr, "nothing was changed")
    equal(payloads(data, 5), [f"item {i}" for i in range(5)])
    data = path("not-enough")
    broker = Broker(data=data)
    for _ in range(100):
        broker.cli("put", "jobs", input=b"x" * (4 << 20))
        broker.cli("get", "jobs")
        if listed(data, 2) and not os.path.exists(segment(data, 1)):
            break
    broker.stop()
    check(not listed(data, 1), stat(data))
    harm_images(data)
    contains(refused(data), "records")
    contains(run("baozi", "log", "verify", data).stdout,
             "a broker will not start here")
    before = sorted(os.listdir(data))
    found = run("baozi", "log", "repair", "--quarantine", data)
    equal(found.returncode, 74, found.stdout + found.stderr)
    contains(found.stderr, "nothing was changed")
    equal(sorted(os.listdir(data)), before)


main()
