"""A control group with a limit of memory, of either version, for root only.

    with Group(megabytes=160) as group:
        broker = Broker(prefix=group.prefix())
        ...
        equal(group.killed(), 0, "processes that the kernel killed")
"""
import contextlib
import errno
import os
import re
import time

V2 = "/sys/fs/cgroup"
V1 = "/sys/fs/cgroup/memory"


def _version():
    """2, 1, or None where no group can have a limit of memory."""
    with contextlib.suppress(OSError):
        with open(f"{V2}/cgroup.subtree_control", encoding="ascii") as file:
            if "memory" in file.read().split():
                return 2
    return 1 if os.path.exists(f"{V1}/memory.limit_in_bytes") else None


def why_not():
    """None, or the reason (as tests/run reads it) why there can be none."""
    if os.geteuid() != 0:
        return "needs root"
    if _version() is None:
        return f"needs {V1}/memory.limit_in_bytes"
    return None


class Group:
    def __init__(self, megabytes):
        self.version = _version()
        self.path = os.path.join(V2 if self.version == 2 else V1,
                                 f"baozi-test-{os.getpid()}")
        os.mkdir(self.path)
        name = "memory.max" if self.version == 2 else "memory.limit_in_bytes"
        with open(os.path.join(self.path, name), "w",
                  encoding="ascii") as file:
            file.write(str(megabytes << 20))

    def prefix(self):
        """Words before a command that runs in the group."""
        return ("sh", "-c", f'echo $$ >{self.path}/cgroup.procs; exec "$@"',
                "sh")

    def killed(self):
        """How many processes the kernel killed for want of memory."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        with open(os.path.join(self.path, name), encoding="ascii") as file:
            return int(re.search(r"oom_kill (\d+)", file.read()).group(1))

    def close(self):
        """Once its processes ended."""
        end = time.monotonic() + 5
        while True:
            try:
                os.rmdir(self.path)
                return
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
