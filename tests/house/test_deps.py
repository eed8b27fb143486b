"""make/deps: finds what is missing, and says it in three parts.

The machine is played by a folder of false programs that is all of PATH.
"""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
TOOLS = ["sh", "dirname", "tr", "sort", "id", "mkdir", "tail", "env", "cat",
         "echo", "printf"]
BUILD_TOOLS = ["cc", "gcc", "make", "ar"]


class Machine:
    """A PATH with just these programs; apt writes down how it was called."""

    def __init__(self, folder):
        self.bin = folder
        for tool in TOOLS:
            if found := shutil.which(tool):
                os.symlink(found, os.path.join(folder, tool))

    def add(self, name, script="exit 0"):
        path = os.path.join(self.bin, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\n{script}\n")
        os.chmod(path, 0o755)

    def deps(self, *words):
        done = subprocess.run(
            ["/bin/sh", os.path.join(ROOT, "make", "deps"), *words],
            env={"PATH": self.bin}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, check=False, timeout=60)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def calls(self):
        try:
            with open(os.path.join(self.bin, "calls"), encoding="utf-8") as f:
                return f.read()
        except OSError:
            return ""


def all_there(machine):
    for tool in BUILD_TOOLS:
        machine.add(tool)
    machine.add("pkg-config")
    code, out, err = machine.deps("build")
    assert (code, out, err) == (0, "", ""), (code, out, err)


def one_missing_checked(machine):
    for tool in BUILD_TOOLS:
        machine.add(tool)
    machine.add("pkg-config", '[ "$2" != libzmq ]')
    code, out, err = machine.deps("--check", "build")
    assert code == 69 and out == "", (code, out)
    assert "libzmq3-dev" in err and "jansson" not in err, err
    lines = err.splitlines()
    assert len(lines) == 3 and "why:" in lines[1] and "do:" in lines[2], err


def no_apt(machine):
    code, _, err = machine.deps("build")
    assert code == 69, code
    for name in ("gcc", "pkg-config", "libzmq3-dev", "libjansson-dev"):
        assert name in err, err
    assert "no apt-get" in err, err


def not_root(machine):
    machine.add("apt-get", f'echo "$@" >> {machine.bin}/calls')
    os.unlink(os.path.join(machine.bin, "id"))
    machine.add("id", "echo 1000")
    code, _, err = machine.deps("build")
    assert code == 69, code
    assert "apt-get install" in err and "libzmq3-dev" in err, err
    assert machine.calls() == "", machine.calls()


def root_installs(machine):
    machine.add("apt-get", f'echo "$@" >> {machine.bin}/calls')
    # the newer name is known here
    machine.add("apt-cache", '[ "$2" = libmsgpack-c-dev ] || '
                             '[ "$2" = libzmq3-dev ]')
    os.unlink(os.path.join(machine.bin, "id"))
    machine.add("id", "echo 0")
    code, out, err = machine.deps("build")
    assert code == 0, (code, out, err)
    calls = machine.calls().splitlines()
    assert len(calls) == 2 and calls[0].startswith("update"), calls
    assert "libmsgpack-c-dev" in calls[1], calls
    assert "libmsgpack-dev" not in calls[1], calls
    assert "--no-install-recommends" in calls[1], calls


def sudo_installs(machine):
    machine.add("apt-get", f'echo "$@" >> {machine.bin}/calls')
    os.unlink(os.path.join(machine.bin, "id"))
    machine.add("id", "echo 1000")
    machine.add("sudo", f'shift; echo sudo >> {machine.bin}/calls; "$@"')
    machine.add("true")
    code, out, err = machine.deps("build")
    assert code == 0, (code, out, err)
    assert machine.calls().count("sudo") >= 2, machine.calls()


def apt_fails(machine):
    machine.add("apt-get", "echo no such host; exit 100")
    os.unlink(os.path.join(machine.bin, "id"))
    machine.add("id", "echo 0")
    code, _, err = machine.deps("build")
    assert code == 69 and "no such host" in err and "do:" in err, err


def engine_of_containers(machine):
    for tool in ("dockerd", "debootstrap", "iptables"):
        machine.add(tool)
    # a client without its compose plugin
    machine.add("docker", '[ "$1" != compose ]')
    code, _, err = machine.deps("--check", "compose")
    assert code == 69 and "packages are missing: docker-compose\n" in err, err
    machine.add("docker")
    code, out, err = machine.deps("--check", "compose")
    assert (code, out, err) == (0, "", ""), (code, out, err)


def fuzzer_or_not(machine):
    machine.add("uname", "echo x86_64")
    machine.add("cut", "echo 14")
    code, out, err = machine.deps("--try", "fuzz")
    assert code == 0 and "without clang" in out and err == "", (code, out, err)
    # the runtime's package has the compiler's version in its name
    machine.add("clang", "echo no-such-file")
    code, out, err = machine.deps("--check", "fuzz")
    assert code == 69 and "missing: libclang-rt-14-dev\n" in err, err
    machine.add("clang", "echo /dev/null")
    code, out, err = machine.deps("--try", "fuzz")
    assert (code, out, err) == (0, "", ""), (code, out, err)


def unknown_group(machine):
    code, _, err = machine.deps("frobnicate")
    assert code == 64 and "frobnicate" in err, (code, err)


CASES = [
    ("all there: it says nothing and touches nothing", all_there),
    ("--check names what is missing and installs nothing",
     one_missing_checked),
    ("without apt-get it prints the list", no_apt),
    ("without root and sudo it prints the list", not_root),
    ("root installs, by the names that this release knows", root_installs),
    ("sudo -n installs", sudo_installs),
    ("a failing apt-get is quoted", apt_fails),
    ("compose: what an engine needs, and compose old or new",
     engine_of_containers),
    ("fuzz: the compiler, then its runtime; --try does without",
     fuzzer_or_not),
    ("an unknown group is a usage error", unknown_group),
]


def main():
    failures = 0
    print(f"1..{len(CASES)}")
    for number, (name, case) in enumerate(CASES, 1):
        wrong = None
        with tempfile.TemporaryDirectory() as folder:
            try:
                case(Machine(folder))
            except AssertionError as error:
                wrong = str(error)
        failures += wrong is not None
        print(f"{'ok' if wrong is None else 'not ok'} {number} - {name}")
        if wrong is not None:
            print("# " + wrong.replace("\n", "\n# "))
    sys.exit(1 if failures else 0)


main()
