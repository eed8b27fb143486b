"""What an address of another machine may do (its share of connections, and a
minute of rest after ten offences), and which users may use a local socket.
Hosts are network namespaces, users are other than ours: root only.
"""
import json
import os
import subprocess
import sys

import hostile
from baozi_test import (Broker, Process, Skip, check, equal, main, test,
                        wait_until)
from fault import Helper
from hosts import Hosts
from zmtp import Peer

PORT = 22694


def python(hosts, host, *words):
    """A Python program on one of the hosts."""
    return Process(sys.executable, *words, prefix=hosts.on(host),
                   stdin=subprocess.PIPE)


def start_broker(hosts, *arguments):
    broker = Process("baozi-broker", "--memory", "--http", "off",
                     "--insecure", "--listen", f"tcp://0.0.0.0:{PORT}",
                     *arguments, prefix=hosts.on("broker"))
    wait_until(lambda: "ready" in broker.stdout(), 10, "the broker is ready")
    return broker


@test("[S13] an address that misbehaves ten times is banned for a while, "
      "others are served")
def _():
    with Hosts("broker", "villain", "friend") as hosts:
        url = f"tcp://{hosts.address['broker']}:{PORT}"
        broker = start_broker(hosts)
        friend = Helper("honest", url, 6, 100, prefix=hosts.on("friend"))
        villain = python(hosts, "villain", hostile.__file__, "one_part", url,
                         "3")
        equal(villain.wait(30), 0, villain.stderr())
        result = json.loads(villain.stdout())
        check(result["turned_away"] > 0, f"it was never turned away: {result}")
        check(result["cut"] <= 12, f"it went on: {result}")
        late = Process("baozi", "put", "jobs", "x", "--url", url,
                       prefix=hosts.on("villain"))
        check(late.wait(30) != 0, "a client of a banned address is served")
        friend.wait(30)
        equal(friend.popen.returncode, 0, "the friend: " + friend.stderr())
        log = broker.stderr()
        check(f"event=address_banned address=::ffff:"
              f"{hosts.address['villain']}" in log, "the ban is not logged")
        equal(log.count("event=address_banned"), 1, "bans")
        print(f"# {result['cut']} cut, then {result['turned_away']} times "
              "turned away")
        equal(broker.stop(), 0, "the broker")
        check("of_address=" in broker.stderr(), "the counts are not logged")


@test("[S13] an address has its share of connections, not all of them")
def _():
    with Hosts("broker", "villain", "friend") as hosts:
        url = f"tcp://{hosts.address['broker']}:{PORT}"
        broker = start_broker(hosts, "--max-clients-per-address", "20")
        hoard = python(
            hosts, "villain", "-c",
            "import sys\n"
            "from zmtp import Peer\n"
            "peers, refused = [], 0\n"
            "for _ in range(60):\n"
            "    try:\n"
            "        peers.append(Peer(sys.argv[1]))\n"
            "        peers[-1].hello()\n"
            "    except OSError:\n"
            "        refused += 1\n"
            "print(refused, flush=True)\n"
            "sys.stdin.read()\n", url)
        wait_until(hoard.stdout, 30, "the hoard is complete")
        equal(hoard.stdout().strip(), "40", "refused of 60")
        friend = Helper("honest", url, 1, 100, prefix=hosts.on("friend"))
        equal(friend.wait(30), 0, "the friend: " + friend.stderr())
        hoard.popen.communicate(timeout=10)
        equal(broker.stop(), 0, "the broker")
        check("of_address=40" in broker.stderr(), broker.stderr())


def user_is_let_in(user, url):
    """True if a process of this user is welcomed."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            Peer(url).hello()
            os._exit(0)
        except OSError:
            os._exit(1)
        finally:
            os._exit(2)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    check(code in (0, 1), f"the process of user {user} ended with {code}")
    return code == 0


def open_to_all(path):
    """The folders above a path, as far as they are ours, let anybody pass."""
    while (path := os.path.dirname(path)) not in ("/", "/tmp"):
        os.chmod(path, 0o755)


@test("[S13] a local socket is for the users that were named, whatever its "
      "rights")
def _():
    if os.geteuid() != 0:
        raise Skip("needs root")
    nobody, other = 65534, 12345
    for named, expected in ((other, False), (nobody, True), (None, True)):
        words = () if named is None else ("--ipc-user", named)
        with Broker(*words) as broker:
            path = broker.url[len("ipc://"):]
            open_to_all(path)
            os.chmod(path, 0o777)
            equal(user_is_let_in(nobody, broker.url), expected,
                  f"nobody is let in with --ipc-user {named}")
            equal("its user may not connect" in broker.stderr(), not expected,
                  "it is in the log")
            equal(broker.cli("queue", "ls").returncode, 0, "our own user")


main()
