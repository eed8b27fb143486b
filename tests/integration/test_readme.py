"""What README.md shows is what happens: its code is run as it stands."""
import os
import re
import shutil
import subprocess
import time

from baozi_test import (BUILD, ROOT, Broker, check, contains, environment,
                        equal, folder, main, path, run, test, write)

README = os.path.join(ROOT, "README.md")


def shown(name):
    """The code block behind <!-- test: name -->."""
    with open(README, encoding="utf-8") as file:
        found = re.search(
            rf"<!-- test: {name} -->\n```\w*\n(.*?)```", file.read(), re.S)
    check(found, f"README.md has no block '{name}'")
    return found.group(1)


def squeeze(text):
    return re.sub(r"\s+", " ", text).strip()


@test("the job of five lines runs as it stands and counts right")
def _():
    lines = shown("job")
    check(len(lines.splitlines()) <= 5, "it has more than five lines")
    # in a folder of its own, where build/ is the build folder
    os.symlink(BUILD, path("build"))
    # an address of its own, because 22694 may be taken on this machine
    url = f"ipc://{folder()}/broker"
    env = environment({"BAOZI_LISTEN": url, "BAOZI_URL": url})
    begin = time.monotonic()
    done = subprocess.run(["sh", "-c", lines], cwd=folder(), env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=200, check=False)
    said = done.stdout.decode() + done.stderr.decode()
    count = subprocess.run(
        "find /usr/share/doc -name '*.gz' | wc -l", shell=True,
        stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    print(f"# {count} files in {time.monotonic() - begin:.1f} s")
    check(re.search(rf"\b{int(count)}\b|\b{int(count):,}\b", said),
          f"the count {count} is not in what it said:\n{said}")


@test("the C example is a part of tests/examples/hello.c")
def _():
    with open(os.path.join(ROOT, "tests", "examples", "hello.c"),
              encoding="utf-8") as file:
        contains(squeeze(file.read()), squeeze(shown("hello")), "hello.c")


@test("the C example eats its bun")
def _():
    with Broker() as broker:
        done = run("release/tests/examples/hello",
                   env={"BAOZI_URL": broker.url})
        equal((done.returncode, done.stdout), (0, "ate a meat bun\ndone\n"),
              "hello")


@test("an installed baozi: the C example builds against it with pkg-config")
def _():
    target = path("installed")
    made = subprocess.run(
        ["make", "--no-print-directory", "install", f"PREFIX={target}"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        check=False)
    equal(made.returncode, 0, made.stdout.decode())
    env = environment()
    env["PKG_CONFIG_PATH"] = f"{target}/lib/pkgconfig"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "baozi"], env=env,
        stdout=subprocess.PIPE, check=True).stdout.decode().split()
    shutil.copy(os.path.join(ROOT, "tests/examples/hello.c"), path("hello.c"))
    subprocess.run(["cc", "hello.c", "-o", "hello", *flags,
                    f"-Wl,-rpath,{target}/lib"], cwd=folder(), check=True)
    with Broker() as broker:
        env["BAOZI_URL"] = broker.url
        done = subprocess.run([path("hello")], env=env, check=False,
                              stdout=subprocess.PIPE, timeout=30)
        equal((done.returncode, done.stdout), (0, b"ate a meat bun\ndone\n"),
              "hello")
    for name in ("baozi", "baozi-broker", "baozi-worker", "baozi-producer"):
        check(os.access(f"{target}/bin/{name}", os.X_OK), name)


main()
