"""What integration tests share: starting the real programs and speaking TAP.

A test file is a list of functions that say a promise by their name:

    from baozi_test import *

    @test("a worker runs an item")
    def _():
        with Broker() as broker:
            broker.producer("jobs", input="1\n")
            ...
            equal(done, 1)

    main()

Every program is taken from the folder of the variable BAOZI_BUILD (default:
build/ beside tests/), runs in a temporary directory of its own, and carries a
mark in its environment; a test that leaves a marked process behind fails,
whatever else it said. Only the standard library is used.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BAOZI_BUILD",
                                       os.path.join(ROOT, "build")))
# The programs are those of a sanitized flavour: build/asan/bin, build/tsan/bin.
SANITIZED = os.path.basename(os.path.dirname(BUILD)) in ("asan", "tsan")
MARK = "BAOZI_TEST_MARK"
# Sanitizers and busy machines are slow: waits are multiplied by this.
PATIENCE = float(os.environ.get("BAOZI_TEST_PATIENCE", "1"))

_tests = []
_mark = None      # of the running test
_started = []     # Popen objects of the running test
_folder = None    # its temporary directory


class Skip(Exception):
    """Raised to leave a test out, with the reason."""


def test(name):
    """Registers a function as a test; `name` is the promise."""
    def register(function):
        _tests.append((name, function))
        return function
    return register


# --- saying what must be true ----------------------------------------------

def check(condition, what="it was false"):
    if not condition:
        raise AssertionError(what)


def equal(found, expected, what="value"):
    if found != expected:
        raise AssertionError(f"{what}: found {found!r}, expected {expected!r}")


def contains(text, part, what="text"):
    if part not in text:
        raise AssertionError(f"{what} lacks {part!r}:\n{text}")


def wait_until(question, seconds=10, what="a condition"):
    """Asks until the answer is true and returns it."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


# --- processes ---------------------------------------------------------------

def alive(pid):
    """True if the process runs; a zombie does not."""
    return state(pid) not in (None, "Z", "X")


def state(pid):
    """The letter of /proc/PID/stat, None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rsplit(b")", 1)[1].split()[0].decode()
    except (OSError, IndexError):
        return None


def parent(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rsplit(b")", 1)[1].split()[1])
    except (OSError, IndexError):
        return 0


def words(pid):
    """The command line of a process as a list."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return [word.decode(errors="replace")
                    for word in file.read().split(b"\0")[:-1]]
    except OSError:
        return []


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children(pid):
    return [other for other in pids() if parent(other) == pid]


def descendants(pid):
    found = []
    for child in children(pid):
        found.append(child)
        found += descendants(child)
    return found


def marked():
    """Processes (no zombies) that the running test started, at any depth."""
    sign = f"{MARK}={_mark}".encode()
    found = []
    for pid in pids():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if sign in file.read().split(b"\0") and alive(pid):
                    found.append(pid)
        except OSError:
            pass
    return found


def folder():
    """The running test's temporary directory."""
    return _folder


def path(name):
    return os.path.join(_folder, name)


def write(name, data):
    """Makes a file in the temporary directory; returns its path."""
    with open(path(name), "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())
    return path(name)


def read(name):
    with open(path(name), "rb") as file:
        return file.read().decode(errors="replace")


def program(name):
    found = os.path.join(BUILD, name)
    if not os.access(found, os.X_OK):
        raise AssertionError(f"{found} is not built")
    return found


def free_port():
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return tried.getsockname()[1]


def environment(extra=None):
    result = dict(os.environ)
    result.pop("BAOZI_URL", None)
    result[MARK] = _mark
    result["BAOZI_RUNTIME_DIR"] = os.path.join(_folder, "run")
    result.update(extra or {})
    return result


class Process:
    """A program in the background; what it writes goes to files, so that it
    never waits for us. `prefix` are words to put before its command, such
    as `nice`."""

    def __init__(self, name, *arguments, env=None, stdin=None, cwd=None,
                 prefix=()):
        self.name = f"{os.path.basename(name)}.{len(_started)}"
        self.out = open(path(self.name + ".out"), "w+b")
        self.err = open(path(self.name + ".err"), "w+b")
        self.popen = subprocess.Popen(
            [*prefix, program(name), *map(str, arguments)],
            env=environment(env), stdin=stdin or subprocess.DEVNULL,
            stdout=self.out, stderr=self.err, cwd=cwd or _folder)
        self.pid = self.popen.pid
        _started.append(self)

    def stdout(self):
        return read(self.name + ".out")

    def stderr(self):
        return read(self.name + ".err")

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, seconds=20):
        """Its exit code; -N if signal N ended it."""
        try:
            return self.popen.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.name} does not end within {seconds} s; it said:\n"
                f"{self.stdout()[-2000:]}{self.stderr()[-2000:]}") from None

    def stop(self, seconds=20):
        if self.popen.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self):
        if self.popen.poll() is None:
            self.popen.kill()
        return self.popen.wait()

    def end(self):
        self.kill()
        self.out.close()
        self.err.close()


def run(name, *arguments, input=None, env=None, seconds=30, cwd=None,
        prefix=()):
    """Runs a program to its end; .returncode, .stdout, .stderr as text."""
    if isinstance(input, str):
        input = input.encode()
    try:
        done = subprocess.run(
            [*prefix, program(name), *map(str, arguments)],
            env=environment(env), input=input, stdin=None if input is not None
            else subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd=cwd or _folder,
            timeout=seconds * PATIENCE)
    except subprocess.TimeoutExpired as late:
        raise AssertionError(
            f"{name} {arguments} does not end within {seconds} s; it said:\n"
            f"{late.stdout} {late.stderr}") from None
    done.stdout = done.stdout.decode(errors="replace")
    done.stderr = done.stderr.decode(errors="replace")
    return done


class Broker(Process):
    """A broker on an ipc address of its own, in memory unless told a --data
    directory. `with Broker() as broker:` stops it at the end."""

    def __init__(self, *arguments, url=None, data=None, prefix=()):
        self.url = url or f"ipc://{_folder}/broker"
        keep = ("--data", data) if data else ("--memory",)
        super().__init__("baozi-broker", *keep, "--http", "off",
                         "--listen", self.url, *arguments, prefix=prefix)
        try:
            wait_until(self.listens, 10, "the broker is ready")
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.stderr()}") from None

    def listens(self):
        if self.popen.poll() is not None:
            raise AssertionError("the broker ended: " + self.stderr())
        if "ready" not in self.stdout().splitlines():
            return False  # the kernel would accept for it already
        scheme, _, address = self.url.partition("://")
        try:
            if scheme == "ipc":
                with socket.socket(socket.AF_UNIX) as tried:
                    tried.connect(address)
            else:
                host, _, port = address.rpartition(":")
                socket.create_connection((host, int(port)), 1).close()
            return True
        except OSError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.popen.poll() is None and state(self.pid) == "T":
            self.signal(signal.SIGCONT)
        code = self.stop() if error[0] is None else self.kill()
        if error[0] is None:
            equal(code, 0, "exit code of the broker")

    # The programs, pointed at this broker.
    def cli(self, *arguments, **more):
        return run("baozi", *arguments, "--url", self.url, **more)

    def producer(self, *arguments, **more):
        return run("baozi-producer", *arguments, "--url", self.url, **more)

    def worker(self, *arguments, **more):
        return run("baozi-worker", *arguments, "--url", self.url, **more)

    def start(self, name, *arguments, **more):
        return Process(name, *arguments, "--url", self.url, **more)

    def stat(self, queue):
        """The queue's readings as a dict with SPEC's names."""
        done = self.cli("queue", "show", queue, "--format", "json")
        if done.returncode != 0:
            raise AssertionError("baozi queue show: " + done.stderr)
        return json.loads(done.stdout)


# --- running -----------------------------------------------------------------

def _clean():
    for process in _started:
        process.end()
    left = []
    end = time.monotonic() + 2 * PATIENCE
    while (left := marked()) and time.monotonic() < end:
        time.sleep(0.02)
    lines = [f"{pid} {' '.join(words(pid))}" for pid in left]
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    return lines


def _run_one(function):
    global _mark, _folder
    _mark = uuid.uuid4().hex
    _started.clear()
    failed = None
    with tempfile.TemporaryDirectory(prefix="baozi-test-") as _folder:
        try:
            function()
        except Skip:
            _clean()
            raise
        except Exception:  # pylint: disable=broad-except
            failed = traceback.format_exc()
            for process in _started:
                failed += (f"--- {process.name} said:\n"
                           f"{process.stdout()[-1500:]}"
                           f"{process.stderr()[-3000:]}")
        left = _clean()
    if left and not failed:
        failed = "processes were left behind:\n" + "\n".join(left)
    return failed


def main():
    """Runs the tests (those whose name contains argv[1], if given) and ends
    the program: 0 if none failed."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    chosen = [one for one in _tests if wanted in one[0]]
    print(f"1..{len(chosen)}", flush=True)
    failures = 0
    for number, (name, function) in enumerate(chosen, 1):
        begin = time.monotonic()
        try:
            failed = _run_one(function)
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
            continue
        took = f"{time.monotonic() - begin:.2f} s"
        if failed:
            failures += 1
            print(f"not ok {number} - {name}")
            for line in failed.splitlines():
                print("# " + line)
        else:
            print(f"ok {number} - {name} # {took}")
        sys.stdout.flush()
    sys.exit(1 if failures else 0)
