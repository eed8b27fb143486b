"""docker/: what can be known of the image and of compose.yaml without an
engine. `make test-compose` really runs them.
"""
import json
import os
import re
import shlex
import shutil
import subprocess

from baozi_test import (BUILD, ROOT, Broker, Skip, check, contains,
                        environment, equal, folder, free_port, main, program,
                        test)

EACH = 4
FOODS = ("包子", "骨头", "泔水")


def text_of(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def stages():
    """The Dockerfile's instructions, [[(word, rest)]] by stage."""
    text = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "",
                                       text_of("docker/Dockerfile"),
                                       flags=re.M))
    found = [[]]
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest.strip()))
    return found


def blocks(text, indent):
    """{name: text} of the entries of a YAML map at this indentation."""
    space = " " * indent
    parts = re.split(rf"^{space}([\w-]+):", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def services():
    """{name: its text with that of what it merges}"""
    top = blocks(text_of("docker/compose.yaml"), 0)
    anchors = {}
    for value in top.values():
        if name := re.match(r"\s*&([\w-]+)", value):
            anchors[name.group(1)] = value

    def merged(value):
        return value + "".join(merged(anchors[name]) for name in
                               re.findall(r"<<: \*([\w-]+)", value))

    return {name: merged(value)
            for name, value in blocks(top["services"], 2).items()}


# --- the Dockerfile -----------------------------------------------------------

@test("the Dockerfile suits every builder and names no package source")
def _():
    text = text_of("docker/Dockerfile")
    check(not re.search(r"^#\s*syntax", text, re.M), "a syntax line pulls")
    check("--mount" not in text and "<<" not in text, "BuildKit alone")
    check(not re.search(r"https?://|\bcurl\b|\bwget\b", text), "it downloads")
    first, *rest = stages()
    equal(first, [("ARG", "BASE=debian:bookworm-slim")], "before the stages")
    equal([stage[0] for stage in rest],
          [("FROM", "${BASE} AS build"), ("FROM", "${BASE}")], "stages")


@test("what the Dockerfile copies is there and is sent to the engine")
def _():
    rules = [line for line in text_of(".dockerignore").splitlines()
             if line and not line.startswith("#")]
    equal(rules[0], "*", "the first rule of .dockerignore")
    sent = [rule[1:] for rule in rules if rule.startswith("!")]
    for name in sent:
        check(os.path.exists(os.path.join(ROOT, name)), f"there is no {name}")
    for room in ("make", "common", "broker", "worker", "producer", "cli",
                 "Makefile"):
        check(room in sent, f"{room} is not sent")
    count = 0
    for stage in stages():
        for word, rest in stage:
            if word != "COPY":
                continue
            *sources, _ = rest.split()
            if sources[0].startswith("--from="):
                for source in sources[1:]:
                    check(source.startswith("/src/build/"), source)
                    program(os.path.basename(source))
                continue
            for source in sources:
                count += 1
                check(os.path.exists(os.path.join(ROOT, source)),
                      f"there is no {source}")
                check(source == "." or any(
                    source == name or source.startswith(name + "/")
                    for name in sent), f"{source} is not sent")
    check(count >= 3, "COPY was not understood")


@test("the image holds what is needed, and its user is not root")
def _():
    runtime = stages()[-1]
    users = [rest for word, rest in runtime if word == "USER"]
    check(len(users) == 1 and re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[0]),
          f"USER {users}")
    installs = " ".join(rest for word, rest in runtime if word == "RUN")
    check(not re.search(r"\bgcc\b|\bmake\b|-dev\b", installs), installs)
    (health,) = [rest for word, rest in runtime if word == "HEALTHCHECK"]
    with Broker() as broker:
        words = json.loads(health[health.index("["):])
        equal(broker.cli(*words[1:]).returncode, 0, health)


@test("the libraries of the image are those that the programs are linked to")
def _():
    if shutil.which("dpkg-query") is None:
        raise Skip("needs dpkg-query")
    release = ""
    if os.path.exists("/etc/os-release"):
        with open("/etc/os-release", encoding="utf-8") as file:
            release = file.read()
    (words,) = [rest for word, rest in stages()[-1]
                if word == "ARG" and rest.startswith("LIBRARIES=")]
    named = set(shlex.split(words.partition("=")[2])[0].split())
    linked = set()
    for name in ("baozi", "baozi-broker", "baozi-producer", "baozi-worker"):
        said = command("readelf", "-d", program(name))
        linked |= set(re.findall(r"NEEDED.*\[(.+?)\]", said))
    linked = {one for one in linked
              if not re.match(r"(libc|libm|libdl|libpthread|lib\w*san)\.so",
                              one)}
    equal(len(named), len(linked), f"{sorted(named)} for {sorted(linked)}")
    if "VERSION_CODENAME=bookworm" in release:
        owners = {command("dpkg-query", "-S", f"*/{one}").split(":")[0]
                  for one in linked}
        equal(owners, named, "packages")


def command(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


# --- compose.yaml -------------------------------------------------------------

@test("compose.yaml is accepted by compose")
def _():
    nowhere = {**os.environ, "DOCKER_HOST": "tcp://127.0.0.1:1"}
    words = ["docker-compose"]
    if shutil.which("docker") and subprocess.run(
            ["docker", "compose", "version"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=False).returncode == 0:
        words = ["docker", "compose"]
    elif shutil.which("docker-compose") is None:
        raise Skip("needs docker-compose")
    file = os.path.join(ROOT, "docker", "compose.yaml")
    done = subprocess.run([*words, "-f", file, "config"], env=nowhere,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, timeout=60)
    equal(done.returncode, 0, done.stderr.decode())
    contains(done.stdout.decode(), "read_only: true")


@test("every service: not root, nothing to write on, no rights, no way out")
def _():
    found = services()
    equal(sorted(found), ["broker", "closing", "cook-bone", "cook-bun",
                          "cook-slop", "eater"], "services")
    for name, value in found.items():
        for line in ('user: "10001:10001"', "read_only: true",
                     "cap_drop: [ALL]",
                     'security_opt: ["no-new-privileges:true"]',
                     "networks: [kitchen]"):
            contains(value, line, name)
    text = text_of("docker/compose.yaml")
    check(re.search(r"^networks:\n  kitchen:\n    internal: true$", text,
                    re.M), "the network has a way out")
    for word in ("version", "profiles", "ports", "privileged", "cap_add",
                 "network_mode", "ulimits", "volumes", "container_name"):
        check(not re.search(rf"^\s*{word}:", text, re.M), word)
    check(re.search(r"^    scale: 3$", found["eater"], re.M), "three eaters")
    contains(found["broker"], "build:")


@test("its files exist, and its health check is answered by a broker")
def _():
    broker_text = services()["broker"]
    base = os.path.join(ROOT, "docker")
    for key in ("context", "dockerfile"):
        value = re.search(rf"^\s+{key}: (\S+)$", broker_text, re.M).group(1)
        base = os.path.normpath(os.path.join(base, value)) \
            if key == "context" else os.path.join(base, value)
        check(os.path.exists(base), f"{key}: there is no {base}")
    words = json.loads(re.search(r"test: (\[.*\])", broker_text).group(1))
    equal(words[:2], ["CMD", "baozi"], "the health check")
    with Broker() as broker:
        equal(broker.cli(*words[2:]).returncode, 0, str(words))


@test("the kitchen closes by itself: the words of compose.yaml, played here")
def _():
    found = {name: shlex.split(re.search(r"command: (.*)", value).group(1))
             for name, value in services().items()}
    port = free_port()
    url = f"tcp://127.0.0.1:{port}"
    listen = found["broker"].index("--listen") + 1
    equal(found["broker"][listen], "tcp://0.0.0.0:22694", "where it listens")
    found["broker"][listen] = url
    env = environment({
        "PATH": os.pathsep.join([BUILD, os.path.join(ROOT, "docker"),
                                 os.environ["PATH"]]),
        "BAOZI_URL": url, "KITCHEN_COUNT": str(EACH),
        "KITCHEN_COOK": "1ms-20ms", "KITCHEN_EAT": "1ms-20ms"})
    running = {}
    # the guests first: nobody minds that the broker is not there yet
    order = ["eater", "eater2", "closing", "cook-bun", "cook-bone",
             "cook-slop", "broker"]
    for name in order:
        running[name] = subprocess.Popen(
            found[name.rstrip("2")], env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder())
    said = {}
    try:
        for name in order[:-1]:
            said[name] = running[name].communicate(timeout=60)[0].decode()
            equal(running[name].returncode, 0, f"{name}: {said[name]}")
        running["broker"].terminate()  # closing does it where it sees it
        said["broker"] = running["broker"].communicate(timeout=30)[0].decode()
        equal(running["broker"].returncode, 0, said["broker"])
    finally:
        for process in running.values():
            process.kill()
    eaten = re.findall(r"^\d+ eats (\S+)$", said["eater"] + said["eater2"],
                       re.M)
    equal(sorted(eaten), sorted(f"{food}{n}" for food in FOODS
                                for n in range(EACH)), "what was eaten")
    for name, food in zip(order[3:6], FOODS):
        contains(said[name], f"all of {food} is eaten", name)
    all_of_it = str(EACH * len(FOODS))
    counts = dict(re.findall(r"^(\w+) +(\d+)$", said["closing"], re.M))
    equal(counts, {"accepted": all_of_it, "done": all_of_it, "dead": "0",
                   "unfinished": "0"}, said["closing"])


main()
