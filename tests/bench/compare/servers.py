"""The servers of the comparison: how each is started on loopback, what it is
told, and how it is stopped. Each runs in a folder of its own, on a free port,
and ends by the process that was started here."""
import os
import re
import shutil
import signal
import socket
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
DRIVERS = os.path.join(ROOT, "build", "release", "tests", "bench", "compare")


def driver(name):
    return os.path.join(DRIVERS, name)


def free_port(count=1):
    """The first of `count` ports in a row that nobody listens on."""
    while True:
        held = []
        try:
            first = socket.socket()
            held.append(first)
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            for more in range(1, count):
                held.append(socket.socket())
                held[-1].bind(("127.0.0.1", port + more))
            return port
        except OSError:
            continue
        finally:
            for one in held:
                one.close()


def find(*names):
    for name in names:
        found = shutil.which(
            name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if found:
            return found
    return None


def version(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=20)
        found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout.decode())
        return found.group(0) if found else "?"
    except (OSError, subprocess.TimeoutExpired):
        return "?"


class Server:
    """One running server. `urls` are by transport: "tcp", "ipc"."""
    program = None      # how its executable is called
    ready_line = False  # it says "ready" when it listens
    settle = 0          # seconds it needs after it listens

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port(2)
        self.urls = {"tcp": f"tcp://127.0.0.1:{self.port}"}
        self.popen = None
        self.more = []  # helpers that are ended too
        os.makedirs(folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def command(self):
        raise NotImplementedError

    def environment(self):
        return None

    def start(self):
        self.log = open(self.path("log"), "wb")
        out = subprocess.PIPE if self.ready_line else self.log
        self.popen = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=out,
            stderr=self.log, cwd=self.folder, env=self.environment(),
            start_new_session=True)
        if self.ready_line:
            while True:
                line = self.popen.stdout.readline()
                if line.strip() == b"ready":
                    break
                if not line:
                    raise RuntimeError(self.said())
        else:
            self.wait_for_port(60)
        time.sleep(self.settle)
        return self

    def wait_for_port(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.popen.poll() is not None:
                    break
                time.sleep(0.05)
        raise RuntimeError(self.said())

    def said(self):
        self.stop()
        with open(self.path("log"), "rb") as log:
            text = log.read().decode(errors="replace")[-2000:]
        return f"{self.command()[0]} did not start:\n{text}"

    def stop(self):
        for popen in [self.popen] + self.more:
            if popen is None or popen.poll() is not None:
                continue
            popen.terminate()
            try:
                popen.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(popen.pid, signal.SIGKILL)
                popen.wait()

    # What it uses. The process that works may be a child of the first.
    def pid(self):
        return self.popen.pid

    def processor_s(self):
        with open(f"/proc/{self.pid()}/stat", "rb") as file:
            words = file.read().rsplit(b")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        with open(f"/proc/{self.pid()}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Baozi(Server):
    ready_line = True
    program = os.path.join(ROOT, "build", "baozi-broker")
    keep = ("--memory",)

    def __init__(self, folder):
        super().__init__(folder)
        self.urls["ipc"] = "ipc://" + self.path("socket")

    def command(self):
        return [self.program, *self.keep, "--http", "off",
                "--listen", self.urls["tcp"], "--listen", self.urls["ipc"]]


class BaoziData(Baozi):
    keep = ("--data", "data")


class Zmq(Server):
    """zmq_server.c, one process for each address."""
    ready_line = True
    program = driver("zmq_server")

    def __init__(self, folder, mode, transport):
        super().__init__(folder)
        self.mode = mode
        if transport == "ipc":
            self.urls = {"ipc": "ipc://" + self.path("socket")}
        self.url = self.urls[transport]

    def command(self):
        out = []
        if self.mode == "forward":
            out = [self.url + ".out" if self.url.startswith("ipc")
                   else f"tcp://127.0.0.1:{self.port + 1}"]
        return [self.program, self.mode, self.url, *out]


class Redis(Server):
    program = find("redis-server")
    keep = ("--appendonly", "no")

    def __init__(self, folder):
        super().__init__(folder)
        self.urls["ipc"] = "unix:" + self.path("socket")

    def command(self):
        return [self.program, "--port", str(self.port), "--bind", "127.0.0.1",
                "--unixsocket", self.path("socket"), "--save", "",
                *self.keep, "--dir", self.folder, "--daemonize", "no"]


class RedisAof(Redis):
    keep = ("--appendonly", "yes", "--appendfsync", "always")


class Beanstalkd(Server):
    program = find("beanstalkd")
    keep = ()

    def command(self):
        return [self.program, "-l", "127.0.0.1", "-p", str(self.port),
                "-z", "70000", *self.keep]


class BeanstalkdUnix(Beanstalkd):
    def __init__(self, folder):
        super().__init__(folder)
        self.urls = {"ipc": "unix:" + self.path("socket")}

    def command(self):
        return [self.program, "-l", self.urls["ipc"], "-z", "70000"]

    def wait_for_port(self, seconds):
        time.sleep(0.3)


class BeanstalkdSync(Beanstalkd):
    keep = ("-b", ".", "-f", "0")


class Gearmand(Server):
    program = find("gearmand")

    def command(self):
        return [self.program, "--listen", "127.0.0.1", "--port",
                str(self.port), "--log-file", self.path("gearmand.log"),
                "--pid-file", self.path("pid")]


class Nats(Server):
    program = find("nats-server")

    def command(self):
        return [self.program, "-a", "127.0.0.1", "-p", str(self.port), "-js",
                "-sd", self.path("store")]


class Rabbitmq(Server):
    program = find("/usr/lib/rabbitmq/bin/rabbitmq-server")
    settle = 1

    def command(self):
        return [self.program]

    def environment(self):
        epmd = free_port()
        daemon = find("epmd", *(
            os.path.join("/usr/lib/erlang", name, "bin", "epmd")
            for name in (os.listdir("/usr/lib/erlang")
                         if os.path.isdir("/usr/lib/erlang") else [])
            if name.startswith("erts")))
        self.more = [subprocess.Popen(
            [daemon, "-port", str(epmd), "-address", "127.0.0.1"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True)]
        return {**os.environ, "HOME": self.folder,
                "ERL_EPMD_PORT": str(epmd), "ERL_EPMD_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODENAME": "bench@localhost",
                "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODE_PORT": str(self.port),
                "RABBITMQ_DIST_PORT": str(free_port()),
                "RABBITMQ_MNESIA_BASE": self.path("mnesia"),
                "RABBITMQ_LOG_BASE": self.path("logs"),
                "RABBITMQ_PID_FILE": self.path("pid"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": self.path("plugins"),
                "RABBITMQ_CONF_ENV_FILE": "/dev/null",
                "RABBITMQ_CONFIG_FILE": self.path("config")}

    def pid(self):
        """The virtual machine, which the script starts."""
        with open(self.path("pid"), encoding="ascii") as file:
            return int(file.read())


def data_works():
    """True if this broker takes --data (it has a log)."""
    done = subprocess.run(
        [Baozi.program, "--data", "/proc/none", "--http", "off", "--listen",
         "tcp://127.0.0.1:*"], stdout=subprocess.PIPE, timeout=20,
        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    return b"not in this version" not in done.stdout \
        and b"--data" not in done.stdout


def versions():
    """What is measured, as text by name."""
    found = {"baozi": version(Baozi.program, "--version")}
    for name, command in (
            ("redis", (Redis.program, "--version")),
            ("beanstalkd", (Beanstalkd.program, "-v")),
            ("gearmand", (Gearmand.program, "--version")),
            ("nats", (Nats.program, "--version")),
            ("libzmq", ("pkg-config", "--modversion", "libzmq"))):
        if command[0]:
            found[name] = version(*command)
    if Rabbitmq.program:
        done = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", "rabbitmq-server"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        found["rabbitmq"] = done.stdout.decode().split("-")[0] or "?"
    return found
