"""What a queued item costs in memory, and what grows with what is held."""
import json
import os
import subprocess

import report
import servers

COUNT = {False: 200000, True: 1000000}  # items, by --full
BYTES = 100
QUEUES, EACH = 10000, 100


def queued_bytes(lane, pool, count):
    """Resident bytes for each of `count` queued items of 100 bytes: what the
    server's memory grew by."""
    server = pool.get(lane, "tcp")
    url, queue = server.urls["tcp"], f"memory-{lane.mode}"
    subprocess.run([servers.driver(lane.client), "make", url, queue,
                    lane.mode], check=True, timeout=60)
    before = server.resident_bytes()
    done = subprocess.run(
        [servers.driver(lane.client), "put", url, queue, lane.mode, "0",
         str(count), str(BYTES), "1024", "1", "-"], input=b"go\n",
        stdout=subprocess.PIPE, timeout=300)
    if done.returncode != 0:
        raise RuntimeError("its client failed")
    confirmed = json.loads(done.stdout.split(b"\n")[1])["confirmed"]
    if confirmed != count:
        raise RuntimeError(f"{confirmed} of {count} were confirmed")
    return (server.resident_bytes() - before) / count


def memory(lanes, pool, full):
    """Rows of bytes an item, the smallest first; `pool` is a new one."""
    rows = []
    for lane in lanes:
        row = {"system": lane.name, "kind": lane.kind, "items": COUNT[full]}
        try:
            row["bytes_an_item"] = queued_bytes(lane, pool, COUNT[full])
        except (RuntimeError, OSError, ValueError,
                subprocess.SubprocessError) as error:
            row["error"] = str(error)
        rows.append(row)
    return sorted(rows, key=lambda row: row.get("bytes_an_item", 1e9))


def memory_table(rows):
    lines = ["", f"memory of a queued item of {BYTES} bytes, "
             f"{report.grouped(rows[0]['items'])} queued"]
    for row in rows:
        found = f"{row['bytes_an_item']:>11,.0f}" \
            if "bytes_an_item" in row else "  " + row["error"]
        mark = {"own": " <", "limit": " |", "rival": ""}[row["kind"]]
        lines.append(f"  {row['system'] + mark:<26} {found}")
    return "\n".join(lines)


def many_queues(folder):
    """Rows of bytes an item with many queues of few items, by what the
    broker keeps them in; single puts, each to another queue."""
    rows = []
    for name, server in (("in memory", servers.Baozi),
                         ("on disk", servers.BaoziData)):
        broker = server(os.path.join(folder, f"queues {name}")).start()
        try:
            before = broker.resident_bytes()
            done = subprocess.run(
                [servers.driver("many_queues"), broker.urls["ipc"],
                 str(QUEUES), str(EACH)], stdout=subprocess.PIPE, timeout=300,
                check=True)
            if int(done.stdout) != QUEUES * EACH:
                raise RuntimeError(f"{done.stdout} items were confirmed")
            rows.append({"kept": name, "bytes_an_item":
                         (broker.resident_bytes() - before)
                         / (QUEUES * EACH)})
        finally:
            broker.stop()
    return rows


def many_queues_table(rows):
    return "\n".join(
        ["", f"memory of an item of {BYTES} bytes, {report.grouped(QUEUES)} "
         f"queues of {EACH}, one put each"] +
        [f"  {'baozi, ' + row['kept']:<26} {row['bytes_an_item']:>11,.0f}"
         for row in rows])


def growth(full):
    """{what: [[size, ns], ...]} of baozi's core, from bench_growth."""
    program = os.path.join(servers.ROOT, "build", "release", "tests", "bench",
                           "bench_growth")
    done = subprocess.run([program] + ([] if full else ["10"]),
                          stdout=subprocess.PIPE, timeout=300, check=True)
    found = {}
    for line in done.stdout.decode().split():
        what, size, ns = line.split(",")
        found.setdefault(what, []).append([int(size), float(ns)])
    return found


TITLES = {"items": "queued items: put, get, done, ack",
          "queues": "queues: the same, another queue each time",
          "waiting": "waiting consumers: put, done, the next get",
          "leases": "leases that run out at once: the end of one"}


def growth_table(found):
    lines = ["", "nanoseconds of the core for one item, as things grow"]
    for what, points in found.items():
        lines.append(f"  {TITLES[what]}")
        lines.append("    " + "  ".join(
            f"{report.grouped(size)}: {ns:,.0f}" for size, ns in points))
    return "\n".join(lines)


# --- pictures -----------------------------------------------------------------

def memory_bars(rows, top):
    rows = [row for row in rows if "bytes_an_item" in row]
    return report.group(
        f"bytes for each queued item of {BYTES} bytes",
        [(row["system"], row["kind"], row["bytes_an_item"],
          f"{row['bytes_an_item']:,.0f} B") for row in rows], top)


def growth_bars(found, top):
    body = []
    for what, points in found.items():
        lines, top = report.group(
            TITLES[what] + " (ns)",
            [(report.grouped(size), "own", ns, f"{ns:,.0f} ns")
             for size, ns in points], top)
        body += lines
    return body, top
