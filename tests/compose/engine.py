"""A container engine to test with: the one that is there, or one of our own.

`with Engine() as engine:` takes the engine that docker reaches. Where there
is none it starts, as root, a private dockerd: all that it has lies in one
temporary directory, it touches neither the packet filter nor the forwarding
of the machine, and it has no bridge but those that compose makes and removes.
Its base image is made by debootstrap from the package source that apt is set
up with, once, and kept under the user's cache. At the end everything is
ended by its pid, unmounted and removed.

`Unavailable` says why there can be no engine.
"""
import glob
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BASE = "debian:bookworm-slim"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
FLAGS = ["--iptables=false", "--ip6tables=false", "--ip-forward=false",
         "--bridge=none"]


class Unavailable(Exception):
    """There is no engine, and none can be started here."""


def call(*words, env=None, seconds=60, check=True, input=None):
    """Runs a command; what it says on both channels, as text."""
    done = subprocess.run(words, stdout=subprocess.PIPE, env=env, check=False,
                          stderr=subprocess.STDOUT, timeout=seconds,
                          stdin=subprocess.DEVNULL if input is None else None,
                          input=input)
    text = done.stdout.decode(errors="replace")
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(words[:4])} ended with "
                           f"{done.returncode}:\n{text[-3000:]}")
    return text


def say(text):
    print("# " + text, flush=True)


def compose_command(env):
    """["docker", "compose"] or ["docker-compose"], None if there is none."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(words[0]) is None:
            continue
        done = subprocess.run([*words, "version"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False, env=env)
        if done.returncode == 0:
            return words
    return None


class Engine:
    """Where docker's commands go."""

    DRIVERS = ("overlay2", "vfs")  # of a private one, the first that works

    def __init__(self):
        self.env = dict(os.environ)
        self.folder = None  # of a private engine
        self.daemon = None
        self.driver = None

    def docker(self, *words, **more):
        return call("docker", *words, env=self.env, **more)

    def reachable(self):
        if shutil.which("docker") is None:
            return False
        try:
            self.docker("version", seconds=20)
            return True
        except (RuntimeError, subprocess.TimeoutExpired):
            return False

    def __enter__(self):
        try:
            if not self.reachable():
                self.start()
            self.compose_words = compose_command(self.env)
            if self.compose_words is None:
                raise Unavailable("neither `docker compose` nor "
                                  "docker-compose is installed")
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *error):
        self.end()

    # --- a private one -------------------------------------------------------
    def start(self):
        if os.geteuid() != 0:
            raise Unavailable("no engine answers, and only root can start one")
        if not os.path.isdir("/sys/fs/cgroup"):
            raise Unavailable("no engine answers, and there are no cgroups")
        deps = subprocess.run([os.path.join(ROOT, "make", "deps"), "compose"],
                              stdin=subprocess.DEVNULL, check=False)
        if deps.returncode != 0:
            raise Unavailable("no engine answers, and none can be installed")
        # short, because the paths of sockets may have 108 bytes at most
        self.folder = tempfile.mkdtemp(prefix="baozi-engine-", dir="/tmp")
        self.env["DOCKER_HOST"] = f"unix://{self.folder}/docker.sock"
        self.env["DOCKER_BUILDKIT"] = "0"  # a client may lack buildx
        self.env.pop("DOCKER_CONTEXT", None)
        for driver in self.DRIVERS:
            if self.start_with(driver):
                self.driver = driver
                break
        else:
            with open(self.path("log"), "rb") as log:
                last = log.read().decode(errors="replace")[-1500:]
            raise Unavailable("dockerd does not start:\n" + last)
        say(f"a private engine runs, storage {self.driver}")
        self.docker("import", "-c", 'CMD ["bash"]', base_image(), BASE,
                    seconds=300)

    def path(self, name):
        return os.path.join(self.folder, name)

    def start_with(self, driver):
        with open(self.path("log"), "ab") as log:
            self.daemon = subprocess.Popen(
                ["dockerd", "--data-root", self.path("data"), "--exec-root",
                 self.path("exec"), "--pidfile", self.path("pid"), "-H",
                 self.env["DOCKER_HOST"], "--storage-driver", driver, *FLAGS],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        end = time.monotonic() + 60
        while time.monotonic() < end and self.daemon.poll() is None:
            if os.path.exists(self.path("docker.sock")) and self.reachable():
                return True
            time.sleep(0.1)
        self.stop_daemon()
        return False

    def stop_daemon(self):
        """SIGTERM, then SIGKILL for it and what it started."""
        if self.daemon is None:
            return
        family = of_folder(self.folder)
        if self.daemon.poll() is None:
            self.daemon.terminate()
        try:
            self.daemon.wait(30)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        for pid in set(family) | set(of_folder(self.folder)):
            if pid in of_folder(self.folder):
                os.kill(pid, signal.SIGKILL)
        self.daemon = None

    def end(self):
        """Nothing of a private engine stays."""
        if self.folder is None:
            return
        self.stop_daemon()
        for mount in mounts_below(self.folder):
            subprocess.run(["umount", "-l", mount], check=False)
        if not mounts_below(self.folder):
            shutil.rmtree(self.folder, ignore_errors=True)
        left = [*of_folder(self.folder), *mounts_below(self.folder)]
        if os.path.exists(self.folder):
            left.append(self.folder)
        self.folder = None
        if left:
            raise RuntimeError(f"the private engine left behind: {left}")

    # --- images ---------------------------------------------------------------
    def build(self, tag):
        words = ["build", "-q", "-t", tag, "-f",
                 os.path.join(ROOT, "docker", "Dockerfile")]
        if self.folder is not None:
            words += ["--network", "host"]  # its build has no other network
        for name in ("http_proxy", "https_proxy", "no_proxy"):
            if os.environ.get(name):
                words += ["--build-arg", f"{name}={os.environ[name]}"]
        self.docker(*words, ROOT, seconds=1200)

    def size_mb(self, tag):
        text = self.docker("image", "inspect", "-f", "{{.Size}}", tag)
        return int(text) / 1e6


def of_folder(folder):
    """Processes whose command line names the folder of a private engine."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if any(folder.encode() in word for word in words):
            found.append(int(pid))
    return found


def mounts_below(folder):
    """Mount points under a folder, the deepest first."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        points = [line.split()[4] for line in file]
    return sorted((p for p in points if p.startswith(folder + "/")),
                  reverse=True)


# --- the base image -----------------------------------------------------------

def package_source():
    """The address that apt fetches Debian's packages from."""
    for file in sorted(glob.glob("/etc/apt/sources.list.d/*.sources")):
        with open(file, encoding="utf-8") as opened:
            for part in re.split(r"\n\s*\n", opened.read()):
                uris = re.search(r"^URIs:\s*(\S+)", part, re.M)
                if uris and re.search(r"^Suites:.*\bbookworm\b", part, re.M):
                    return uris.group(1)
    for file in ["/etc/apt/sources.list",
                 *sorted(glob.glob("/etc/apt/sources.list.d/*.list"))]:
        if not os.path.exists(file):
            continue
        with open(file, encoding="utf-8") as opened:
            found = re.search(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+bookworm\s",
                              opened.read(), re.M)
        if found:
            return found.group(1)
    raise Unavailable("apt names no source of Debian 12 to make an image from")


def apt_setup(root):
    """The base fetches from where this machine does, and nowhere else."""
    sources = package_source()
    for file in ["/etc/apt/sources.list",
                 *glob.glob("/etc/apt/sources.list.d/*.sources"),
                 *glob.glob("/etc/apt/sources.list.d/*.list")]:
        if not os.path.exists(file):
            continue
        with open(file, encoding="utf-8") as opened:
            if sources not in opened.read():
                continue
        if os.path.exists(root + "/etc/apt/sources.list"):
            os.unlink(root + "/etc/apt/sources.list")
        shutil.copy(file, root + file)
    shutil.copytree("/etc/apt/apt.conf.d", root + "/etc/apt/apt.conf.d",
                    dirs_exist_ok=True)


def trim(root):
    for folder in ("usr/share/doc", "usr/share/man", "usr/share/info",
                   "usr/share/locale", "var/lib/apt/lists"):
        for entry in glob.glob(os.path.join(root, folder, "*")):
            if os.path.isdir(entry) and not os.path.islink(entry):
                shutil.rmtree(entry)
            else:
                os.unlink(entry)
    for file in glob.glob(root + "/var/cache/apt/archives/*.deb"):
        os.unlink(file)


def base_image():
    """The archive of a minimal Debian 12, made if it is not there."""
    cache = os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
        "baozi-test")
    kept = os.path.join(cache, "base-bookworm.tar.gz")
    if os.path.exists(kept):
        return kept
    begin = time.monotonic()
    os.makedirs(cache, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="base-", dir=cache)
    root = os.path.join(folder, "root")
    try:
        call("debootstrap", "--variant=minbase", f"--keyring={KEYRING}",
             "bookworm", root, package_source(), seconds=900)
        apt_setup(root)
        trim(root)
        made = os.path.join(folder, "base.tar.gz")
        call("tar", "-C", root, "-czf", made, "--exclude=./dev/*",
             "--exclude=./proc/*", "--exclude=./sys/*", ".", seconds=300)
        os.rename(made, kept)
    finally:
        if mounts_below(root):  # debootstrap mounts, and unmounts at its end
            for mount in mounts_below(root):
                subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(folder, ignore_errors=True)
    say(f"made a base image in {time.monotonic() - begin:.0f} s")
    return kept
