"""Hosts that are network namespaces: one bridge, one address and one name
each, and packet filters that part them. Root only.

    with Hosts("broker", "eater1") as hosts:
        broker = Process("baozi-broker", ..., prefix=hosts.on("broker"))
        hosts.part("eater1", "broker", "out")
        hosts.heal("eater1")

Programs find each other by name, as on a real network: each host has a hosts
file of its own. The machine's own network is not touched. What a run that was
killed left behind is removed by the next one.
"""
import os
import shutil
import subprocess

from baozi_test import Skip

NETWORK = "10.77.0"
WAYS = ("both", "out", "in")


def require():
    """Leaves the test out where there can be no such hosts."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    for tool in ("ip", "nft"):
        if shutil.which(tool) is None:
            raise Skip(f"needs {tool}")


def ip(*words, check=True):
    done = subprocess.run(["ip", *words], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"ip {' '.join(words)}: {done.stdout.decode()}")
    return done.stdout.decode()


def remove(space):
    ip("netns", "del", space, check=False)
    shutil.rmtree(f"/etc/netns/{space}", ignore_errors=True)


def sweep():
    """Removes the hosts of runs that are no more."""
    for line in ip("netns", "list").splitlines():
        space = line.split()[0]
        pid = space.partition("-")[0].removeprefix("bztest")
        if space.startswith("bztest") and pid.isdigit() \
                and not os.path.exists(f"/proc/{pid}"):
            remove(space)


class Hosts:
    """Host number N has the address 10.77.0.N, from 1 on."""

    def __init__(self, *names):
        self.names = names
        self.prefix = f"bztest{os.getpid()}-"
        self.address = {name: f"{NETWORK}.{number}"
                        for number, name in enumerate(names, 1)}

    def space(self, name):
        return self.prefix + name

    def on(self, name):
        """The words before a command that runs on this host."""
        return ["ip", "netns", "exec", self.space(name)]

    def __enter__(self):
        require()
        sweep()
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def build(self):
        switch = self.space("switch")
        ip("netns", "add", switch)
        ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", switch, "link", "set", "bridge", "up")
        known = "127.0.0.1 localhost\n" + "".join(
            f"{address} {name}\n" for name, address in self.address.items())
        for name, address in self.address.items():
            space = self.space(name)
            os.makedirs(f"/etc/netns/{space}", exist_ok=True)
            with open(f"/etc/netns/{space}/hosts", "w",
                      encoding="utf-8") as file:
                file.write(known)
            ip("netns", "add", space)
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", switch, "link", "add", name, "type", "veth", "peer",
               "name", "eth0", "netns", space)
            ip("-n", switch, "link", "set", name, "master", "bridge", "up")
            ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")

    def __exit__(self, *error):
        for name in (*self.names, "switch"):
            remove(self.space(name))
        try:
            os.rmdir("/etc/netns")  # if nobody else uses it
        except OSError:
            pass

    def filter(self, name, rules):
        subprocess.run([*self.on(name), "nft", "-f", "-"],
                       input=rules.encode(), check=True)

    def part(self, name, other, way):
        """Nothing that `name` sends to `other` arrives (out), nothing that
        comes from there (in), or neither (both)."""
        address = self.address[other]
        chains = ""
        for wanted, hook, word in (("out", "output", "daddr"),
                                   ("in", "input", "saddr")):
            if way in ("both", wanted):
                chains += (f"chain {wanted}bound {{\n"
                           f"type filter hook {hook} priority 0\n"
                           f"policy accept\n"
                           f"ip {word} {address} drop\n}}\n")
        self.filter(name, f"table inet parted {{\n{chains}}}\n")

    def heal(self, name):
        self.filter(name, "table inet parted\ndelete table inet parted\n")
