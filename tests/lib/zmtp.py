"""ZMTP 3.0 and baozi's protocol on a plain socket, for clients that mean harm.

The broker's own library never sends what this module can: half a greeting,
frames without end, requests of other people's sessions. Only the standard
library is used; nothing is checked on the way out.

    peer = Peer("tcp://127.0.0.1:22694")
    peer.hello()
    peer.say({VERB: PUT, RID: 1, QUEUE: "jobs", LENGTHS: column32(3)}, b"bun")
    peer.hear()                      # [{0: 20, 1: 1, 2: 0, 5: ...}]
"""
import os
import socket
import struct
import time

# Keys, verbs, statuses and flags of common/PROTOCOL.md that are used here.
VERB, RID, STATUS, QUEUE, COUNT, ID, TOKEN, IDS, TOKENS, LENGTHS = range(10)
WAIT_MS, LEASE_MS, LIMIT, BYTES, FLAGS = 13, 14, 15, 16, 17
RANGES, CLIENT, SECRET, PROTOCOL, CREDIT_BYTES = 35, 36, 37, 42, 58
UNFINISHED, PARKED_PUTS, PARKED_GETS, PARKED_BYTES = 100, 112, 113, 114
HELLO, ACK, DECLARE, DELETE, STAT, PUT, GET = 1, 4, 10, 12, 19, 20, 21
SUBSCRIBE, DONE, RETRY, RELEASE, REJECT, TOUCH = 22, 24, 25, 26, 27, 28
PEEK, GONE = 33, 53
OK, STALE, QUOTA, SESSION_GONE = 0, 6, 21, 24
FLAG_FORCE, FLAG_RESUME, FLAG_RESUMED = 0x10, 0x80, 0x8000
BIG = 0x80000000

GREETING = (b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL" + bytes(16) +
            b"\x00" + bytes(31))


def frame(payload, more=False, command=False):
    flags = (1 if more else 0) | (4 if command else 0)
    if len(payload) < 256:
        return bytes([flags, len(payload)]) + payload
    return bytes([flags | 2]) + len(payload).to_bytes(8, "big") + payload


def ready(identity=b"", kind=b"DEALER"):
    """The READY command of a peer that wants this routing id."""
    return frame(b"\x05READY" + _property(b"Socket-Type", kind) +
                 _property(b"Identity", identity), command=True)


def _property(name, value):
    return bytes([len(name)]) + name + len(value).to_bytes(4, "big") + value


def message(*parts):
    """The frames of one whole message."""
    return b"".join(frame(part, more=i + 1 < len(parts))
                    for i, part in enumerate(parts))


# --- msgpack ---------------------------------------------------------------

def pack(value):
    if isinstance(value, int):
        if 0 <= value < 128:
            return bytes([value])
        return (b"\xcf" + value.to_bytes(8, "big") if value >= 0
                else b"\xd3" + value.to_bytes(8, "big", signed=True))
    if isinstance(value, str):
        return b"\xdb" + struct.pack(">I", len(value)) + value.encode()
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, dict):
        return b"\xdf" + struct.pack(">I", len(value)) + b"".join(
            pack(key) + pack(entry) for key, entry in value.items())
    return b"\xdd" + struct.pack(">I", len(value)) + b"".join(
        pack(entry) for entry in value)


_FIXED = {0xcc: ">B", 0xcd: ">H", 0xce: ">I", 0xcf: ">Q", 0xd0: ">b",
          0xd1: ">h", 0xd2: ">i", 0xd3: ">q"}
_SIZED = {0xc4: (">B", bytes), 0xc5: (">H", bytes), 0xc6: (">I", bytes),
          0xd9: (">B", str), 0xda: (">H", str), 0xdb: (">I", str),
          0xdc: (">H", list), 0xdd: (">I", list),
          0xde: (">H", dict), 0xdf: (">I", dict)}


def unpack(data, at=0):
    """(value, where it ends)"""
    head = data[at]
    at += 1
    if head < 0x80:
        return head, at
    if head >= 0xe0:
        return head - 256, at
    if head in _FIXED:
        size = struct.calcsize(_FIXED[head])
        return struct.unpack(_FIXED[head], data[at:at + size])[0], at + size
    if head < 0x90:
        return _unpack_many(data, at, head & 15, dict)
    if head < 0xa0:
        return _unpack_many(data, at, head & 15, list)
    if head < 0xc0:
        return _unpack_many(data, at, head & 31, str)
    form, kind = _SIZED[head]
    size = struct.calcsize(form)
    count = struct.unpack(form, data[at:at + size])[0]
    return _unpack_many(data, at + size, count, kind)


def _unpack_many(data, at, count, kind):
    if kind in (str, bytes):
        raw = bytes(data[at:at + count])
        return (raw.decode() if kind is str else raw), at + count
    values = []
    for _ in range(count * (2 if kind is dict else 1)):
        value, at = unpack(data, at)
        values.append(value)
    if kind is dict:
        return dict(zip(values[::2], values[1::2])), at
    return values, at


def header(*operations):
    return pack([1, *operations])


def column32(*numbers):
    return struct.pack("<%dI" % len(numbers), *numbers)


def column64(*numbers):
    return struct.pack("<%dQ" % len(numbers), *numbers)


def numbers64(column):
    return list(struct.unpack("<%dQ" % (len(column) // 8), column))


# --- a peer ------------------------------------------------------------------

def connect(url, timeout=5):
    """A plain socket, connected."""
    scheme, _, address = url.partition("://")
    if scheme == "ipc":
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(timeout)
        made.connect(address)
        return made
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout)


class Peer:
    """A connection that has shaken hands (unless told not to)."""

    def __init__(self, url, identity=b"", shake=True, timeout=5):
        self.socket = connect(url, timeout)
        self.bytes = b""
        self.client = os.urandom(16)
        self.welcome = {}
        self.heard = []
        if shake:
            self.raw(GREETING + ready(identity))
            self._need(64)
            self.bytes = self.bytes[64:]
            self._frame()  # their READY

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        self.socket.close()

    def raw(self, data):
        self.socket.sendall(data)

    def send(self, *parts):
        self.raw(message(*parts))

    def try_raw(self, data):
        """Sends; False if the broker has hung up."""
        try:
            self.raw(data)
            return True
        except OSError:
            return False

    def _need(self, count):
        while len(self.bytes) < count:
            got = self.socket.recv(1 << 16)
            if not got:
                raise ConnectionResetError("the broker hung up")
            self.bytes += got

    def _frame(self):
        """(flags, payload)"""
        self._need(2)
        flags, size, at = self.bytes[0], self.bytes[1], 2
        if flags & 2:
            self._need(9)
            size, at = int.from_bytes(self.bytes[1:9], "big"), 9
        self._need(at + size)
        payload = self.bytes[at:at + size]
        self.bytes = self.bytes[at + size:]
        return flags, payload

    def receive(self):
        """The parts of the next message."""
        parts = []
        while True:
            flags, payload = self._frame()
            if flags & 4:
                continue  # a command: PING, ERROR
            parts.append(payload)
            if not flags & 1:
                return parts

    def say(self, *operations, bodies=None):
        parts = [header(*operations)]
        self.send(*parts, *([bodies] if bodies is not None else []))

    def hear(self):
        """The operations of the next message; its parts are in .parts."""
        self.parts = self.receive()
        return unpack(self.parts[0])[0][1:]

    def answer(self, rid, seconds=5):
        """The final answer to a request; what else comes is in .heard."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = None
            for operation in self.hear():
                if operation.get(RID) == rid and STATUS in operation:
                    found = operation
                else:
                    self.heard.append(operation)
            if found is not None:
                return found
        raise TimeoutError(f"no answer to request {rid}")

    def hello(self, **more):
        """Begins a session (or resumes: secret=...); the answer."""
        operation = {VERB: HELLO, RID: 0, PROTOCOL: 1, CLIENT: self.client}
        if "secret" in more:
            operation[SECRET] = more["secret"]
            operation[FLAGS] = FLAG_RESUME
        self.say(operation)
        self.welcome = self.answer(0)
        return self.welcome

    def is_cut(self, seconds=5):
        """True if the broker hangs up within that time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if not self.socket.recv(1 << 16):
                    return True
            except TimeoutError:
                return False
            except OSError:
                return True
        return False
