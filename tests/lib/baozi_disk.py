"""File systems of a test's own: small enough to fill, and with a power cord.

A `Disk` is an ext4 image behind a loop device, for root only:

    with Disk(megabytes=64) as disk:
        broker = Broker("--data", disk.path("data"))
        ...
        disk.cut()       # what was not synced is gone, as at a power cut
        broker.kill()    # its files answer EIO from the cut on
        disk.restore()   # unmounts and mounts again: what the platter has

The cut is ext4's own shutdown without a flush of its journal
(EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH): pages and metadata that no
sync has written never reach the image.
"""
import contextlib
import ctypes
import fcntl
import os
import re
import shutil
import struct
import subprocess
import tempfile
import time

IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NO_LOG_FLUSH = 2
CAP_SYS_ADMIN = 21
CLONE_NEWNS = 0x20000


def crc32c(data):
    crc = 0xffffffff
    for byte in bytes(data):
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def set_format(data, number):
    """Makes a data directory one of another format: both manifests say so,
    with a right checksum (broker/JOURNAL.md)."""
    for name in ("manifest.0", "manifest.1"):
        with open(os.path.join(data, name), "r+b") as file:
            content = bytearray(file.read())
            struct.pack_into("<I", content, 8, number)
            size = struct.unpack_from("<Q", content, 16)[0]
            crc = crc32c(content[:12] + content[16:size])
            struct.pack_into("<I", content, 12, crc)
            file.seek(0)
            file.write(content)


def _run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: "
                      f"{done.stdout.decode(errors='replace').strip()}")


def why_not():
    """None, or the reason (as tests/run reads it) why there can be no Disk."""
    if os.geteuid() != 0:
        return "needs root"
    for name in ("mkfs.ext4", "mount", "umount"):
        if shutil.which(name) is None:
            return f"needs {name}"
    with open("/proc/self/status", encoding="ascii") as file:
        mask = re.search(r"^CapEff:\s*([0-9a-f]+)$", file.read(), re.M)
    if not int(mask.group(1), 16) >> CAP_SYS_ADMIN & 1:
        return f"needs cap:{CAP_SYS_ADMIN} (CAP_SYS_ADMIN, to mount)"
    return None


def _leave_mounts_to_ourselves():
    """From now on, what this process and its children mount is seen by nobody
    else: a process with a view of its own (a container that starts, say)
    would keep what we unmount, and the next mount would find it still there.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    _run("mount", "--make-rprivate", "/")


class Disk:
    """One file system; see above."""

    apart = False

    def __init__(self, megabytes=64):
        self.folder = tempfile.mkdtemp(prefix="baozi-disk-")
        self.image = os.path.join(self.folder, "image")
        self.mount_point = os.path.join(self.folder, "mount")
        self.mounted = False
        os.mkdir(self.mount_point)
        if not Disk.apart:
            _leave_mounts_to_ourselves()
            Disk.apart = True
        try:
            with open(self.image, "wb") as image:
                image.truncate(megabytes << 20)
            # without reserved blocks: full is full, for root too
            _run("mkfs.ext4", "-q", "-F", "-m", "0", self.image)
            self.mount()
        except OSError:
            self.close()
            raise

    def path(self, *names):
        return os.path.join(self.mount_point, *names)

    def mount(self):
        _run("mount", "-o", "loop", self.image, self.mount_point)
        self.mounted = True

    def unmount(self, seconds=10):
        """Waits for those who still have files open."""
        end = time.monotonic() + seconds
        while self.mounted:
            try:
                _run("umount", self.mount_point)
                self.mounted = False
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def cut(self):
        """The power goes: nothing more reaches the image."""
        folder = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(folder)

    def restore(self):
        """The power is back: mounts what the image has."""
        self.unmount()
        self.mount()

    def free_bytes(self):
        found = os.statvfs(self.mount_point)
        return found.f_bavail * found.f_frsize

    def fill(self, leave=0, name="filler"):
        """Takes all room but `leave` bytes; returns the path to remove."""
        filler = self.path(name)
        with open(filler, "wb") as file:
            with contextlib.suppress(OSError):
                while (left := self.free_bytes() - leave) > 0:
                    os.posix_fallocate(file.fileno(), file.tell(),
                                       min(left, 1 << 20))
                    file.seek(min(left, 1 << 20), os.SEEK_CUR)
        return filler

    def close(self):
        if self.mounted:
            with contextlib.suppress(OSError):
                self.unmount(2)
        if self.mounted:
            _run("umount", "-l", self.mount_point)
            self.mounted = False
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
