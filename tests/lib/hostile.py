"""Clients that mean harm, one function a kind.

Each takes the URL of a broker (tcp), does its worst once, and returns
(offenders, cut): how many connections misbehaved, and how many of them the
broker ended for it. What stands in MUST_CUT promises that these are equal;
the others (`stolen_tokens`, ...) check by themselves that they were refused
and raise Unpunished otherwise.

    python3 hostile.py KIND URL SECONDS      again and again, then a JSON line
"""
import json
import os
import random
import select
import socket
import sys
import time

from zmtp import (ACK, BIG, CLIENT, COUNT, CREDIT_BYTES, DECLARE, DELETE, DONE,
                  FLAG_FORCE, FLAG_RESUME, FLAGS, GET, GONE, GREETING, HELLO,
                  ID, IDS, LEASE_MS, LENGTHS, LIMIT, OK, PARKED_BYTES,
                  PARKED_GETS, PARKED_PUTS, PEEK, PROTOCOL, PUT, QUEUE, QUOTA,
                  RANGES, REJECT, RELEASE, RETRY, RID, SECRET, SESSION_GONE,
                  STALE, STAT, STATUS, TOKEN, TOKENS, TOUCH, UNFINISHED, VERB,
                  WAIT_MS, Peer, column32, column64, connect, frame, header,
                  message, numbers64, pack, ready)

MAXSIZE = 64                # an option of a queue
LAST = (1 << 64) - 2        # the largest request id, for one request
DEADLINE = 15               # seconds; the broker's own are 2 and 4
chance = random.Random(22694)


class Unpunished(AssertionError):
    """The broker let something pass that it must not."""


def must(condition, what):
    if not condition:
        raise Unpunished(what)


def cut_of(peers, seconds):
    """How many of these the broker hangs up on within that time."""
    end = time.monotonic() + seconds
    left = {peer.fileno(): peer for peer in peers}
    count = 0
    while left and (wait := end - time.monotonic()) > 0:
        for number in select.select(list(left), [], [], wait)[0]:
            try:
                gone = not left[number].recv(1 << 16)
            except OSError:
                gone = True
            if gone:
                count += 1
                left.pop(number).close()
    for peer in left.values():
        peer.close()
    return len(peers), count


def flood(peer, data, seconds=20):
    """Sends `data` again and again until the broker hangs up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not peer.try_raw(data):
            peer.close()
            return 1, 1
    peer.close()
    return 1, 0


def make(peer, queue):
    """Declares a queue, so that puts find it."""
    peer.say({VERB: DECLARE, RID: LAST - 1, QUEUE: queue})
    must(peer.answer(LAST - 1)[STATUS] == OK, "the queue is made")


def remove(peer, queue):
    peer.say({VERB: DELETE, RID: LAST, QUEUE: queue, FLAGS: FLAG_FORCE})
    must(peer.answer(LAST, 20)[STATUS] == OK, "the queue goes")


# --- what ZeroMQ itself would suffer from ------------------------------------

def squatting(url):
    """Announces the ids that an unseeded ROUTER would give next."""
    peers = []
    for i in range(32):
        identity = b"\0" + (0x6b8b4567 + i).to_bytes(4, "big")
        peers.append(Peer(url, identity))
        peers[-1].send(b"here I am")
    return cut_of([peer.socket for peer in peers], DEADLINE)


def chosen_ids(url):
    """Routing ids of its own, some twice."""
    peers = [Peer(url, identity) for identity in
             (b"mine", b"x", b"y" * 255, b"\0" + chance.randbytes(4))]
    twin = connect(url)  # the same id again: never answered, never heard
    twin.sendall(GREETING + ready(b"mine"))
    for peer in peers:
        peer.send(b"here I am")
    return cut_of([peer.socket for peer in peers] + [twin], DEADLINE)


def more_large(url):
    """A message without end, of large parts."""
    return flood(Peer(url), frame(bytes(512 << 10), more=True) * 2)


def more_large_welcomed(url):
    """A message without end, of large parts, by one who was welcomed."""
    peer = Peer(url)
    peer.hello()
    return flood(peer, frame(bytes(512 << 10), more=True) * 2)


def more_empty(url):
    """A message without end, of parts without bytes."""
    return flood(Peer(url), frame(b"", more=True) * 50000)


def more_empty_welcomed(url):
    """A message without end, of parts without bytes, by one who was
    welcomed."""
    peer = Peer(url)
    peer.hello()
    return flood(peer, frame(b"", more=True) * 50000)


def many_parts(url):
    """Whole messages of a hundred parts, and one of thousands."""
    peer = Peer(url)
    peer.hello()
    for _ in range(3):
        peer.try_raw(message(*[b"x"] * 100))
    other = Peer(url)
    other.hello()
    other.try_raw(message(*[b""] * 5000))
    return cut_of([peer.socket, other.socket], DEADLINE)


def one_part(url):
    """Messages of one part that is no header."""
    peers = [Peer(url) for _ in range(3)]
    for peer, part in zip(peers, (b"", b"\xc1", pack([1, {0: 300}]))):
        peer.hello()
        for _ in range(3):
            peer.try_raw(message(part))
    return cut_of([peer.socket for peer in peers], DEADLINE)


def oversize(url):
    """Lengths that nobody could hold, and one byte more than allowed."""
    peers = [Peer(url) for _ in range(3)]
    peers[0].raw(b"\x02" + (1 << 40).to_bytes(8, "big"))
    peers[1].raw(b"\x02" + b"\xff" * 8)
    peers[2].raw(b"\x02" + ((32 << 20) + 4097).to_bytes(8, "big"))
    liar = Peer(url)  # a header of 64 KiB and a byte, three times
    liar.hello()
    for _ in range(3):
        liar.try_raw(message(bytes(65537)))
    return cut_of([peer.socket for peer in peers] + [liar.socket], DEADLINE)


def garbage(url):
    """Noise instead of a greeting, and after one."""
    peers = []
    for size in (1, 10, 64, 200, 5000):
        peers.append(connect(url))
        peers[-1].sendall(b"\x00" + chance.randbytes(size))
    for size in (3, 100, 3000):
        peer = Peer(url)
        peer.try_raw(b"\xf8" + chance.randbytes(size))  # no such flags
        peers.append(peer.socket)
    return cut_of(peers, DEADLINE)


def old_greetings(url):
    """ZMTP 1.0, 2.0, a version of the future, and a mechanism of nobody."""
    first = connect(url)
    first.sendall(b"\x01\x00" + b"\x06\x00hello")
    second = connect(url)
    second.sendall(b"\xff" + bytes(8) + b"\x7f" + b"\x01\x05" + b"\x00\x00")
    third = connect(url)
    third.sendall(GREETING.replace(b"NULL", b"NILL"))
    fourth = connect(url)
    fourth.sendall(GREETING.replace(b"\x7f\x03\x00", b"\x7f\x63\x00"))
    return cut_of([first, second, third, fourth], DEADLINE)


def slow_greeting(url):
    """A byte now and then."""
    peers = [connect(url) for _ in range(10)]
    for byte in GREETING[:6]:
        for peer in peers:
            try:
                peer.sendall(bytes([byte]))
            except OSError:
                pass
        time.sleep(0.1)
    return cut_of(peers, DEADLINE)


def mute(url):
    """Shakes hands, then says nothing, or no HELLO."""
    peers = [Peer(url) for _ in range(10)]
    for peer in peers[5:]:
        peer.say({VERB: STAT, RID: 1, QUEUE: "jobs"})
    return cut_of([peer.socket for peer in peers], DEADLINE)


# --- what the protocol must refuse -------------------------------------------

def replay(url):
    """Sends what another client sent, frame by frame, from elsewhere."""
    queue = "replay-" + os.urandom(4).hex()
    honest = Peer(url)
    hello = {VERB: HELLO, RID: 0, PROTOCOL: 1, CLIENT: honest.client}
    put = {VERB: PUT, RID: 1, QUEUE: queue, LENGTHS: column32(3)}
    honest.say(hello)
    must(honest.answer(0)[STATUS] == OK, "the honest one is welcome")
    make(honest, queue)
    honest.say(put, bodies=b"bun")
    must(honest.answer(1)[STATUS] == OK, "its put is accepted")
    thief = Peer(url)
    thief.say(hello)
    must(thief.answer(0)[STATUS] != OK, "a replayed HELLO is welcome")
    thief.say(put, bodies=b"bun")
    thief.say({VERB: HELLO, RID: 0, PROTOCOL: 1, CLIENT: honest.client,
               FLAGS: FLAG_RESUME, SECRET: os.urandom(16)})
    must(thief.answer(0)[STATUS] == SESSION_GONE, "a guessed secret resumes")
    must(any(op.get(VERB) == GONE for op in thief.heard),
         "a replayed put is not told that it has no session")
    honest.say({VERB: STAT, RID: 2, QUEUE: queue})
    must(honest.answer(2)[UNFINISHED] == 1, "a replayed put counts")
    remove(honest, queue)
    honest.close()
    return cut_of([thief.socket], DEADLINE)


def stolen_tokens(url):
    """Settles what another session holds."""
    queue = "stolen-" + os.urandom(4).hex()
    with Peer(url) as holder, Peer(url) as thief:
        holder.hello()
        thief.hello()
        make(holder, queue)
        holder.say({VERB: PUT, RID: 1, QUEUE: queue, LENGTHS: column32(3)},
                   {VERB: GET, RID: 2, QUEUE: queue, LIMIT: 1, WAIT_MS: 5000},
                   bodies=b"bun")
        got = holder.answer(2)
        item, token = numbers64(got[IDS])[0], got[TOKEN]
        for rid, verb in enumerate((DONE, RETRY, RELEASE,
                                           REJECT, TOUCH), 1):
            more = {LEASE_MS: 60000} if verb == TOUCH else {}
            thief.say({VERB: verb, RID: rid,
                       IDS: column64(item), TOKENS: column64(token), **more})
            answer = thief.answer(rid)
            must(answer[STATUS] == STALE, f"verb {verb} with a stolen token "
                 f"is answered {answer}")
        thief.say({VERB: STAT, RID: 9, QUEUE: queue})
        must(thief.answer(9)[UNFINISHED] == 1, "a stolen token settles")
        holder.say({VERB: DONE, RID: 3, IDS: column64(item),
                    TOKENS: column64(token)})
        must(holder.answer(3)[STATUS] == OK, "the holder settles")
        remove(holder, queue)
    return 1, 0


def request_ids(url):
    """More waiting requests and unacknowledged answers than it may have, ids
    twice, from behind, and the largest there is."""
    queue = "rids-" + os.urandom(4).hex()
    with Peer(url) as peer:
        peer.hello()
        make(peer, queue)
        for begin in range(2, 5002, 500):
            peer.say(*[{VERB: GET, RID: rid, QUEUE: queue, LIMIT: 1}
                       for rid in range(begin, begin + 500)])
        peer.say({VERB: STAT, RID: 6000, QUEUE: queue})
        peer.answer(6000)
        refused = sum(op.get(COUNT, 1) for op in peer.heard
                      if op.get(STATUS) == QUOTA)
        must(refused >= 5000 - 4096, f"only {refused} of 5,000 were refused")
        peer.say({VERB: GET, RID: 2, QUEUE: queue, LIMIT: 1},
                 {VERB: STAT, RID: LAST, QUEUE: queue})
        must(peer.answer(LAST)[PARKED_GETS] <= 4096, "more gets wait than may")
    with Peer(url) as peer:  # never acknowledges
        peer.hello()
        peer.say({VERB: PUT, RID: 1, QUEUE: queue,
                  LENGTHS: column32(*[0] * 1024)})
        peer.say({VERB: PUT, RID: 2000, QUEUE: queue, LENGTHS: column32(0)})
        must(peer.answer(2000)[STATUS] == QUOTA,
             "1,025 answers are unacknowledged")
        peer.say({VERB: ACK, RANGES: column64(1, 1024)},
                 {VERB: PUT, RID: 2001, QUEUE: queue, LENGTHS: column32(0)},
                 {VERB: PUT, RID: 2001, QUEUE: queue, LENGTHS: column32(0)},
                 {VERB: STAT, RID: 2002, QUEUE: queue})
        must(peer.answer(2002)[UNFINISHED] == 1025, "one put, one item")
        remove(peer, queue)
    return 1, 0


def beyond_credit(url):
    """Waiting puts of more bytes than its put credit, bodies and all."""
    queue = "credit-" + os.urandom(4).hex()
    with Peer(url, timeout=20) as peer:
        credit = peer.hello()[CREDIT_BYTES]
        body = bytes(1 << 20)
        count = credit // len(body) + 16
        peer.say({VERB: DECLARE, RID: 1, QUEUE: queue, MAXSIZE: 1},
                 {VERB: PUT, RID: 2, QUEUE: queue, LENGTHS: column32(0)})
        for rid in range(10, 10 + count):
            parts = (header({VERB: PUT, RID: rid, QUEUE: queue, LENGTHS:
                             column32(len(body) | BIG)}), b"", body)
            if not peer.try_raw(message(*parts)):
                return 1, 1  # too much together with all others
        peer.say({VERB: STAT, RID: 5, QUEUE: queue})
        stat = peer.answer(5, 20)
        must(stat[PARKED_PUTS] == count, f"not all puts wait: {stat}")
        must(stat[PARKED_BYTES] <= credit,
             f"{stat[PARKED_BYTES]} bytes are parked of {credit}")
        remove(peer, queue)
    return 1, 0


def deaf(url):
    """Asks and asks, and never reads an answer."""
    queue = "deaf-" + os.urandom(4).hex()
    with Peer(url) as maker:
        maker.hello()
        make(maker, queue)
        maker.say({VERB: PUT, RID: 1, QUEUE: queue,
                   LENGTHS: column32(60000)}, bodies=bytes(60000))
        item = maker.answer(1)[ID]
        peer = Peer(url)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.hello()
        peer.socket.settimeout(5)
        rid, fine = 1, True
        end = time.monotonic() + 10
        while fine and time.monotonic() < end:
            operations = [{VERB: PEEK, RID: rid + i, QUEUE: queue, ID: item}
                          for i in range(64)]
            operations.append({VERB: ACK, RANGES: column64(1, rid)})
            rid += 64
            fine = peer.try_raw(message(header(*operations)))
        remove(maker, queue)
    if fine:
        return cut_of([peer.socket], DEADLINE)
    peer.close()
    return 1, 1


# --- crowds ------------------------------------------------------------------

def storm(url):
    """Connects, says HELLO and leaves without a word, 64 at a time."""
    for _ in range(4):
        peers = []
        for _ in range(64):
            peer = connect(url)
            peer.sendall(GREETING + ready() + message(header(
                {VERB: HELLO, RID: 0, PROTOCOL: 1, CLIENT: os.urandom(16)})))
            peers.append(peer)
        for peer in peers:
            peer.recv(64)
            peer.close()
    return 256, 0


def hoard(url, count=1500, seconds=2, patience=0.1, enough=10):
    """As many connections as it gets, held for a while; one that takes longer
    than its patience is refused, and so many of these are enough."""
    peers = []
    refused = 0
    while len(peers) < count and refused < enough:
        try:
            peers.append(connect(url, patience))
        except OSError:
            refused += 1
    time.sleep(seconds)
    for peer in peers:
        peer.close()
    return len(peers), 0


MUST_CUT = {"squatting": squatting, "chosen_ids": chosen_ids,
            "more_large": more_large,
            "more_large_welcomed": more_large_welcomed,
            "more_empty": more_empty,
            "more_empty_welcomed": more_empty_welcomed,
            "many_parts": many_parts, "one_part": one_part,
            "oversize": oversize, "garbage": garbage,
            "old_greetings": old_greetings, "slow_greeting": slow_greeting,
            "mute": mute, "replay": replay, "deaf": deaf}
MUST_REFUSE = {"stolen_tokens": stolen_tokens, "request_ids": request_ids,
               "beyond_credit": beyond_credit, "storm": storm, "hoard": hoard}
KINDS = {**MUST_CUT, **MUST_REFUSE}


def main():
    """One kind until the time is over; what it came to as JSON. Exit code 1
    if the broker let something pass."""
    kind, url, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    pause = float(sys.argv[4]) if len(sys.argv) > 4 else 0
    os.nice(10)  # others' machines would not take the broker's processor
    end = time.monotonic() + seconds
    total = {"kind": kind, "rounds": 0, "offenders": 0, "cut": 0,
             "turned_away": 0}
    while time.monotonic() < end:
        try:
            offenders, cut = KINDS[kind](url)
        except Unpunished as bad:
            total["unpunished"] = str(bad)
            break
        except OSError:
            total["turned_away"] += 1  # the broker is too busy with others
            time.sleep(0.2)
            continue
        total["rounds"] += 1
        total["offenders"] += offenders
        total["cut"] += cut
        time.sleep(pause)
    print(json.dumps(total))
    sys.exit(1 if "unpunished" in total else 0)


if __name__ == "__main__":
    main()
