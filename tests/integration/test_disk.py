"""The disk that tests cut and fill does what its description says; without
that, what they prove with it would prove nothing."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
from baozi_test import *  # noqa: E402,F403
from baozi_disk import Disk, why_not  # noqa: E402


def disk(megabytes=16):
    if why_not():
        raise Skip(why_not())
    return Disk(megabytes)


@test("a power cut keeps what was synced and loses what was not")
def _():
    with disk() as one:
        file = os.open(one.path("file"), os.O_RDWR | os.O_CREAT)
        os.write(file, b"x" * 40960)
        os.fsync(file)
        folder_ = os.open(one.mount_point, os.O_RDONLY)
        os.fsync(folder_)
        os.close(folder_)
        os.write(file, b"y" * 40960)
        one.cut()
        try:
            os.fsync(file)
            failed = False
        except OSError:
            failed = True
        check(failed, "a sync after the cut was called good")
        os.close(file)
        one.restore()
        equal(os.stat(one.path("file")).st_size, 40960)


@test("a full disk is full to the last block, and empty again")
def _():
    with disk() as one:
        filler = one.fill(leave=256 * 1024)
        check(one.free_bytes() <= 512 * 1024, one.free_bytes())
        failed = False
        try:
            with open(one.path("more"), "wb", buffering=0) as file:
                for _ in range(32):
                    file.write(b"z" * 65536)
        except OSError:
            failed = True
        check(failed, "2 MiB went into 256 KiB")
        os.remove(filler)
        check(one.free_bytes() > 4 << 20, one.free_bytes())


main()
