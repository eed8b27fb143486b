#!/usr/bin/python3
"""Very many items pass one old one: neither disk nor memory grow with them.

    tests/fault/long_churn.py [--items 50000000]

A real broker, two producers and two consumers (`baozi bench`), durable puts,
an item that was put first and is never taken. The folder stays below what
broker/JOURNAL.md says, 2.5 * live + 6.75 segments + 8 * checkpoint; what lives
are at most --maxsize items of 100 bytes and the old one. Exit code 0 = all of
it held, and every item came once and whole.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "lib"))

from baozi_test import main, test  # noqa: E402
from churn import churn  # noqa: E402


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=50000000)
    arguments = parser.parse_args()
    sys.argv[1:] = []
    return arguments


ARGUMENTS = parse()


@test(f"[P7 S9] {ARGUMENTS.items} items pass one old one")
def _():
    churn(ARGUMENTS.items)


if __name__ == "__main__":
    main()
