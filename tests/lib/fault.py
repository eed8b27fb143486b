"""What the fault tests share: helpers beside the programs, and what a process
costs."""
import contextlib
import os
import subprocess
import threading

from baozi_test import ROOT, Process, free_port

HELPERS = os.path.join(ROOT, "build", "release", "tests", "fault")
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


def free_url():
    """A tcp address of this host where nobody listens."""
    return f"tcp://127.0.0.1:{free_port()}"


class Helper(Process):
    """A program of tests/fault in the background; its stdin stays open until
    it is told to end."""

    def __init__(self, name, *arguments, prefix=()):
        super().__init__(os.path.join(HELPERS, name), *arguments,
                         stdin=subprocess.PIPE, prefix=prefix)

    def end_input(self):
        self.popen.stdin.close()

    def end(self):
        self.end_input()
        super().end()


def descriptors(pid):
    """How many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_kib(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * PAGE_KIB


class Memory(threading.Thread):
    """Looks at a process's resident memory every few ms."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.start_kib = self.peak_kib = resident_kib(pid)
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.005):
            with contextlib.suppress(OSError):
                self.peak_kib = max(self.peak_kib, resident_kib(self.pid))

    def end(self):
        """Ends it; by how many MiB memory grew at most."""
        self.over.set()
        self.join()
        return (self.peak_kib - self.start_kib) / 1024


def processor_seconds(pid):
    """User and system time that a process has used."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rsplit(b")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
