"""Completion in the real shells: what is typed, TAB, what becomes of it.

bash and zsh run on a terminal of their own, where the program is a function
that says how it was called; fish is asked what it would offer.
"""
import os
import pty
import select
import shutil
import signal
import subprocess
import time

from baozi_test import (PATIENCE, Skip, check, environment, equal, folder,
                        main, path, run, test, write)

# typed, with TABs; what the program is called with then
LINES = [
    ("baozi que\tcr\tjobs --max-del\t3",
     "queue create jobs --max-deliveries 3"),
    ("baozi heal\t", "health"),
    ("baozi put jobs --dedup-k\tk", "put jobs --dedup-key k"),
    ("baozi brow\tjobs --sta\tdead", "browse jobs --state dead"),
    ("baozi-worker --max-t\t4", "--max-tasks 4"),
    ("baozi-producer jobs.t\t", "jobs.txt"),
]
PROGRAMS = ["baozi", "baozi-worker", "baozi-producer", "baozi-broker"]


def need(shell):
    if shutil.which(shell) is None:
        raise Skip(f"needs {shell}")


def scripts(shell):
    """The programs' completion; and the programs as functions."""
    for name in PROGRAMS:
        how = ["completion", shell] if name == "baozi" else [
            "--completion", shell]
        done = run(name, *how)
        equal((done.returncode, done.stderr), (0, ""), name)
        write(f"{name}.{shell}", done.stdout)


class Terminal:
    """A shell on a terminal; its process group ends with it."""

    def __init__(self, *words):
        env = environment({"TERM": "dumb", "PS1": "", "HISTFILE": "/dev/null",
                           "INPUTRC": "/dev/null", "ZDOTDIR": folder()})
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder())
            os.execvpe(words[0], words, env)
        self.said = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def until(self, word, seconds=10):
        end = time.monotonic() + seconds * PATIENCE
        while word not in self.said:
            left = end - time.monotonic()
            check(left > 0, f"no {word!r} in {self.said!r}")
            if select.select([self.fd], [], [], left)[0]:
                self.said += os.read(self.fd, 65536).decode(errors="replace")
        before, _, self.said = self.said.partition(word)
        return before

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def try_lines(terminal, setup):
    """Types LINES; the programs are functions that print their words."""
    write("jobs.txt", "")
    for name in PROGRAMS:
        setup += f"\n{name}() {{ printf '<%s>\\n' \"$*\"; }}"
    write("setup", setup + "\nprintf '%s\\n' the-setup-'is-there'\n")
    try:
        terminal.type(". ./setup\n")
        terminal.until("the-setup-is-there")
        for typed, wanted in LINES:
            terminal.type(typed + "\n")
            terminal.until("<")
            equal(terminal.until(">").strip(), wanted, typed)
    finally:
        terminal.end()


@test("bash completes verbs, options and files")
def _():
    need("bash")
    scripts("bash")
    try_lines(Terminal("bash", "--norc", "--noprofile", "-i"),
              "\n".join(f". ./{name}.bash" for name in PROGRAMS))


@test("zsh completes verbs, options and files")
def _():
    need("zsh")
    scripts("zsh")
    try_lines(Terminal("zsh", "-f", "-i"),
              "autoload -U compinit; compinit -D -u\n" +
              "\n".join(f". ./{name}.zsh" for name in PROGRAMS))


@test("zsh finds the completion in a folder of fpath, too")
def _():
    need("zsh")
    scripts("zsh")
    os.mkdir(path("functions"))
    for name in PROGRAMS:
        os.rename(path(f"{name}.zsh"),
                  path("functions/_" + name.replace("-", "_")))
    try_lines(Terminal("zsh", "-f", "-i"),
              "fpath=($PWD/functions $fpath)\n"
              "autoload -U compinit; compinit -D -u")


def fish_offers(typed):
    sources = "; ".join(f"source {path(name)}.fish" for name in PROGRAMS)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"{sources}; complete -C '{typed}'"],
        env=environment({"HOME": folder()}), cwd=folder(), timeout=60,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    return [line.split("\t")[0] for line in done.stdout.decode().splitlines()]


@test("fish offers verbs, options, choices and files")
def _():
    need("fish")
    scripts("fish")
    write("jobs.txt", "")
    for typed, wanted in [
            ("baozi que", ["queue"]),
            ("baozi queue cr", ["create"]),
            ("baozi queue create jobs --max-del", ["--max-deliveries"]),
            ("baozi put jobs --dedup-k", ["--dedup-key"]),
            ("baozi heal", ["health"]),
            ("baozi browse jobs --state d", ["dead", "delayed"]),
            ("baozi browse jobs --format ", ["json", "text"]),
            ("baozi-worker --max-t", ["--max-tasks"]),
            ("baozi-broker --log j", ["json"]),
            ("baozi-producer jobs.t", ["jobs.txt"])]:
        equal(sorted(fish_offers(typed)), wanted, typed)
    check("show" not in fish_offers("baozi queue create "), "one verb only")


main()
