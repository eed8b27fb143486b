"""The runner itself: what it must call failed, it calls failed."""
import os
import re
import stat
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))

# name, program, its words, (passed, failed, skipped), a text in the output
CASES = [
    ("two that pass", "print('1..2\\nok 1 - a\\nok 2 - b')", [],
     (2, 0, 0), "ok  "),
    ("a failure", "print('1..2\\nok 1 - a\\nnot ok 2 - b')", [],
     (1, 1, 0), "not ok: b"),
    ("no plan", "print('ok 1 - a')", [], (1, 1, 0), "no plan"),
    ("fewer than planned", "print('1..3\\nok 1 - a')", [],
     (1, 1, 0), "planned 3 tests and ran 1"),
    ("a bad exit code", "print('1..1\\nok 1 - a'); raise SystemExit(3)", [],
     (1, 1, 0), "exit code is 3"),
    ("death by signal", "print('1..1\\nok 1', flush=True); import os; "
     "os.kill(os.getpid(), 9)", [], (1, 1, 0), "exit code is -9"),
    ("too slow", "print('1..1', flush=True); import time; time.sleep(60)",
     ["--limit", "1"], (0, 2, 0), "did not end within 1 s"),
    ("a process left behind", "print('1..1\\nok 1 - a', flush=True); "
     "import subprocess; subprocess.Popen(['sleep', '60'], "
     "start_new_session=True)", [], (1, 1, 0), "left a process behind"),
    ("a skip with need", "print('1..1\\nok 1 - a # SKIP needs no-such-tool')",
     [], (0, 0, 1), "needs no-such-tool"),
    ("a skip for want of a capability that nobody has",
     "print('1..1\\nok 1 - a # SKIP needs cap:60')",
     [], (0, 0, 1), "needs cap:60"),
    ("a skip for a port that is free", "import socket; s = socket.socket(); "
     "s.bind(('127.0.0.1', 0)); n = s.getsockname()[1]; s.close(); "
     "print('1..1\\nok 1 - a # SKIP needs port:%d' % n)", [],
     (0, 1, 0), "skipped without need"),
    ("a skip without reason", "print('1..1\\nok 1 - a # SKIP')", [],
     (0, 1, 0), "skipped without need"),
    ("a skip with a vague reason", "print('1..1\\nok 1 - a # SKIP too slow')",
     [], (0, 1, 0), "skipped without need"),
    ("bail out", "print('1..1\\nBail out! no broker')", [],
     (0, 2, 0), "Bail out! no broker"),
    ("two plans, as cmocka prints", "print('1..1\\nok 1 - a\\n1..1\\nok 1')",
     [], (2, 0, 0), "ok  "),
    ("nothing to run", None, [], (0, 1, 0), "no test program"),
]
if os.geteuid() == 0:
    CASES.append(("as root, a skip of a tool that is there",
                  "print('1..1\\nok 1 - a # SKIP needs sh')", [],
                  (0, 1, 0), "skipped without need"))


def ask(folder, program, words):
    """(counts of the closing line, exit code, all output)"""
    named = []
    if program is not None:
        path = os.path.join(folder, "program.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(program + "\n")
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        named = [path]
    done = subprocess.run([os.path.join(ROOT, "tests", "run"), *words, *named],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, timeout=100)
    text = done.stdout.decode()
    closing = re.fullmatch(r"(\d+) passed, (\d+) failed, (\d+) skipped",
                           text.splitlines()[-1])
    counts = tuple(map(int, closing.groups())) if closing else None
    return counts, done.returncode, text


def main():
    failures = 0
    print(f"1..{len(CASES)}")
    for number, (name, program, words, expected, part) in enumerate(CASES, 1):
        with tempfile.TemporaryDirectory() as folder:
            counts, code, text = ask(folder, program, words)
        good = (counts == expected and part in text and
                (code == 0) == (expected[1] == 0))
        failures += not good
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
        if not good:
            print(f"# found {counts}, exit code {code}, expected {expected} "
                  f"and the text {part!r}")
            for line in text.splitlines():
                print("# " + line)
    sys.exit(1 if failures else 0)


main()
