"""The house rules: who includes whom, how files begin, which words are out.

Each rule is a function that yields what is wrong, with the place. Nothing is
built here except that the last rules read build/libbaozi.so.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
LINES_MAX = 600
COLUMNS_MAX = 80

# What may stand in #include "..." of a room, besides the room itself.
ROOMS = {
    "broker/core": ["common"],
    "broker": ["broker/core", "common"],
    "worker": ["common"],
    "producer": ["common"],
    "cli": ["common"],
    "common": [],
    "python": ["common/baozi.h"],
    "tests/examples": [],
}
# Headers that pure code may see: no clock, socket, disk, allocator, random.
PURE_HEADERS = re.compile(
    r"^(broker/core/.*|common/(arena|pool|list|heap|table|tree|ring|timer|span"
    r"|limits|status|texts|packed|operation\w*|wire\w*|baozi|check|planted"
    r"|poison|heap_run"
    r"|crc32c|utf8|msgpack_check)\.h|status\.h)$")
PURE_SYSTEM = {"stdbool.h", "stddef.h", "stdint.h", "string.h", "limits.h",
               "inttypes.h", "stdalign.h", "sanitizer/asan_interface.h"}

BANNED_CALLS = {
    "strcpy": "memcpy with a known length", "strcat": "snprintf",
    "sprintf": "snprintf", "vsprintf": "vsnprintf", "gets": "fgets",
    "strtok": "strcspn", "strncpy": "memcpy",
    "alloca": "an array of known size", "atoi": "strtoll", "atol": "strtoll",
    "tmpnam": "mkstemp", "mktemp": "mkstemp", "usleep": "nanosleep",
    "signal": "sigaction", "rand": "common/random.h",
    "system": "posix_spawn or fork and exec", "assert": "BAO_ASSERT",
    # one thread's only
    "localtime": "localtime_r", "gmtime": "gmtime_r", "ctime": "strftime",
    "asctime": "strftime", "getpwuid": "getpwuid_r",
    "getpwnam": "getpwnam_r", "gethostbyname": "getaddrinfo",
    "inet_ntoa": "inet_ntop", "strsignal": "sigabbrev_np or a number",
}
# Words that mark unfinished work. Spelt in parts, so that this file passes.
BANNED_WORDS = re.compile(
    r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HACK" r"HACK|not implem" r"ented)\b")
BANNED_PLACES = re.compile(r"(?<![\w.])/(ro" r"ot|ho" r"me|wo" r"rk)/\w")

RULES = []


def rule(promise):
    def register(function):
        RULES.append((promise, function))
        return function
    return register


def files(*patterns):
    """What git knows and what it would add."""
    text = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT,
        stdout=subprocess.PIPE, check=True).stdout.decode()
    return sorted({f for f in text.split()
                   if os.path.isfile(os.path.join(ROOT, f))})


def read(file):
    with open(os.path.join(ROOT, file), encoding="utf-8") as opened:
        return opened.read()


def lines(file):
    return enumerate(read(file).split("\n"), 1)


def without_comments(text):
    """The code, with comments and the insides of strings blanked."""
    def blank(found):
        return re.sub(r"[^\n]", " ", found.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text,
                  flags=re.S)


def is_text(file):
    return not file.endswith((".png", ".bin", ".ico")) and \
        not file.startswith("tests/fuzz/corpus/")


def sources():
    return files("*.c", "*.h")


def scripts():
    return [f for f in files("*.py", "*.sh", "*.mk", "Makefile", ".ci/*",
                             "make/*", "tests/run")]


def room_of(file):
    for room in sorted(ROOMS, key=len, reverse=True):
        if file.startswith(room + "/"):
            return room
    return None


def includes(file):
    """(line, name, is it <...>)"""
    for number, line in lines(file):
        found = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
        if found:
            yield number, found.group(2), found.group(1) == "<"


@rule("a room includes only what the plan of the house allows")
def _():
    for file in sources():
        room = room_of(file)
        if room is None:
            continue
        for number, name, system in includes(file):
            if system or ("/" not in name and
                          file.startswith(("common/", "tests/examples/"))):
                continue
            allowed = [room, *ROOMS[room]]
            if not any(name == a or name.startswith(a + "/")
                       for a in allowed):
                yield f"{file}:{number}: {room} may not include {name}"


@rule("the core includes only what is pure")
def _():
    for file in sources():
        if room_of(file) != "broker/core":
            continue
        for number, name, system in includes(file):
            if system and name not in PURE_SYSTEM:
                yield f"{file}:{number}: <{name}> is not for pure code"
            if not system and not PURE_HEADERS.match(name):
                yield f"{file}:{number}: {name} is not pure"


@rule("includes are written from the root")
def _():
    for file in sources():
        for number, name, system in includes(file):
            if system or file == "common/baozi.h":
                continue
            if not os.path.isfile(os.path.join(ROOT, name)) \
                    and not file.startswith("tests/examples/"):
                yield f"{file}:{number}: there is no {name} at the root"


@rule("every file begins with what it is")
def _():
    for file in sources():
        if not read(file).startswith("/*"):
            yield f"{file}: no comment at the beginning"
    for file in scripts():
        head = "\n".join(read(file).split("\n")[:3])
        if not re.match(r"(#![^\n]*\n)?(#|\"\"\")", head):
            yield f"{file}: no comment at the beginning"


@rule("lines have at most 80 columns and no spaces at the end")
def _():
    for file in sources() + scripts():
        drawn = False  # a table drawn by hand may be as wide as it needs
        for number, line in lines(file):
            if "clang-format o" in line:
                drawn = "clang-format off" in line
            if len(line.expandtabs(8)) > COLUMNS_MAX and not drawn:
                yield f"{file}:{number}: {len(line)} columns"
            if line != line.rstrip():
                yield f"{file}:{number}: spaces at the end"


@rule("files have at most 600 lines")
def _():
    for file in sources() + scripts():
        count = read(file).count("\n")
        if count > LINES_MAX:
            yield f"{file}: {count} lines"


@rule("functions of C have at most 70 lines")
def _():
    for file in files("*.c"):
        start = None
        for number, line in lines(file):
            if line == "{":
                start = number
            elif line.startswith("}") and start:
                if number - start > 70:
                    yield f"{file}:{start}: {number - start} lines"
                start = None


@rule("no word marks unfinished work, no path belongs to one machine")
def _():
    for file in files():
        if not is_text(file):
            continue
        for number, line in lines(file):
            if found := BANNED_WORDS.search(line):
                yield f"{file}:{number}: {found.group(0)}"
            if found := BANNED_PLACES.search(line):
                yield f"{file}:{number}: {found.group(0)}"


@rule("no function is called that has a safer brother")
def _():
    names = "|".join(BANNED_CALLS)
    for file in sources():
        if file.startswith("tests/"):
            continue
        code = without_comments(read(file))
        for number, line in enumerate(code.split("\n"), 1):
            for found in re.finditer(rf"(?<![\w.>])({names})\s*\(", line):
                name = found.group(1)
                if name == "signal" and re.search(r"SIG_(DFL|IGN)", line):
                    continue
                yield f"{file}:{number}: {name}: use {BANNED_CALLS[name]}"


@rule("assertions only in BAO_ASSERT, and no abort or exit in common")
def _():
    for file in sources():
        if not file.startswith(("common/", "broker/core/")):
            continue
        if file in ("common/check.c",):
            continue
        code = without_comments(read(file))
        for number, line in enumerate(code.split("\n"), 1):
            if found := re.search(r"(?<![\w.>])(abort|exit|_exit)\s*\(", line):
                yield f"{file}:{number}: {found.group(1)}"


@rule("names in headers begin with bao_ or baozi_, BAO_ or BAOZI_")
def _():
    for file in files("*.h"):
        # The cli is never linked into anything else; its own prefix will do.
        if file.startswith(("tests/", "cli/")):
            continue
        code = without_comments(read(file))
        for found in re.finditer(
                r"^(?:struct|enum|union)\s+(\w+)\s*\{", code, re.M):
            if not re.match(r"bao_|baozi(_|$)", found.group(1)):
                yield f"{file}: type {found.group(1)}"
        for found in re.finditer(r"^#define\s+(\w+)", code, re.M):
            if not re.match(r"BAO(ZI)?_|bao_|[X_]", found.group(1)):
                yield f"{file}: macro {found.group(1)}"
        for found in re.finditer(
                r"^(?!static|typedef|#|return)[A-Za-z_][\w \n*]*?"
                r"[ *](\w+)\((?!\()", code, re.M):
            if not re.match(r"(bao|baozi|BAO|BAOZI)_|__attribute__",
                            found.group(1)):
                yield f"{file}: function {found.group(1)}"


@rule("headers have guards")
def _():
    for file in files("*.h"):
        code = without_comments(read(file)).strip()
        if not re.match(r"#ifndef (\w+)\n#define \1\n", code) \
                or not code.endswith("#endif"):
            yield f"{file}: no #ifndef ... #define ... #endif around all"


def public_functions():
    """{name: its paragraph} of baozi.h; a paragraph is what stands between
    empty lines, so that one comment may speak for several."""
    found = {}
    text = read("common/baozi.h")
    for paragraph in re.split(r"\n\n+", text):
        code = without_comments(paragraph)
        for name in re.finditer(r"\b(baozi_\w+)\s*\((?!\*)", code):
            line = code[:name.start()].split(";")[-1]
            if "BAOZI_EXPORT" in line or "BAOZI_API" in line:
                found[name.group(1)] = paragraph
    return found


@rule("every public function has words in baozi.h")
def _():
    functions = public_functions()
    if len(functions) < 40:
        yield f"baozi.h: only {len(functions)} functions were found"
    for name, paragraph in functions.items():
        if "/*" not in paragraph:
            yield f"common/baozi.h: {name} has no comment"


@rule("libbaozi.so shows the functions of baozi.h and nothing else")
def _():
    library = os.path.join(ROOT, "build", "libbaozi.so")
    if not os.path.exists(library):
        yield "build/libbaozi.so is not built"
        return
    text = subprocess.run(["nm", "-D", "--defined-only", library],
                          stdout=subprocess.PIPE, check=True).stdout.decode()
    shown = {line.split()[-1].split("@")[0] for line in text.splitlines()
             if line.split()[-2] in "TDBRVW"}
    promised = set(public_functions())
    for name in sorted(promised - shown):
        yield f"{name} is declared and not in the library"
    for name in sorted(shown - promised):
        yield f"{name} is in the library and not declared"


@rule("links in documents lead somewhere")
def _():
    for file in files("*.md"):
        for number, line in lines(file):
            for target in re.findall(r"\]\(([^)\s]+)\)", line):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, anchor = target.partition("#")
                at = os.path.normpath(os.path.join(
                    os.path.dirname(file), path)) if path else file
                if not os.path.exists(os.path.join(ROOT, at)):
                    yield f"{file}:{number}: {target} does not exist"


@rule("README names tests that are there")
def _():
    count = 0
    for number, line in lines("README.md"):
        for name, target in re.findall(r"\[`([^`]+)`\]\(([^)]+)\)", line):
            if not target.startswith("tests/"):
                continue
            count += 1
            if not os.path.isfile(os.path.join(ROOT, target)):
                yield f"README.md:{number}: there is no {target}"
            elif name not in read(target):
                yield f"README.md:{number}: {target} has no '{name}'"
    if count < 8:
        yield "README.md: too few promises have a test"


@rule("each row of the fault matrix has a test that is there")
def _():
    text, rows = read("tests/fault/README.md"), set()
    for row in re.findall(r"^\| (F\d.*) \|.*\| (.*) \|$", text, re.M):
        for one in row[0].split(", "):
            rows.add(one)
        said = ""
        for name, target in re.findall(r"\"([^\"]+)\"|\]\(([^)]+)\)",
                                       row[1]):
            if target:
                said = read(os.path.normpath("tests/fault/" + target))
            elif name not in re.sub(r"\"\s+f?\"", "", said):
                yield f"tests/fault/README.md: {row[0]}: no test '{name}'"
        if not said:
            yield f"tests/fault/README.md: {row[0]} names no test"
    for number in range(1, 35):
        if f"F{number}" not in rows:
            yield f"tests/fault/README.md: there is no row F{number}"


@rule("every test program is one that the suite runs")
def _():
    for file in files("tests/*.c", "tests/*.py"):
        folder, name = os.path.split(file)
        if folder in ("tests/lib", "tests/core") or name.endswith(".h"):
            continue
        known = {
            "tests/unit": r"test_.*\.c", "tests/thread": r"test_.*\.c",
            "tests/integration": r"(test_.*\.py|[a-z].*\.c)",
            "tests/house": r"test_.*\.py", "tests/bench": r"(bench_.*\.(c|py)|restart\.py)",
            "tests/examples": r"(t\d\d_.*|hello)\.c",
            # make bench
            "tests/bench/compare": r"[a-z_]*\.(c|py)",
            # one program, and the test that runs it
            "tests/sim": r"(test_.*\.py|[a-z_]*\.c)",
            # short ones, those of `make fault`, and what both start
            "tests/fault": r"((test|long)_.*\.py|[a-z]*\.c)",
            "tests/fault/shim": r"[a-z_]*\.c",
            # targets, what they share, and the test that runs them
            "tests/fuzz": r"(test_fuzz\.py|[a-z_]*\.c)",
            # make test-compose
            "tests/compose": r"(run|engine)\.py",
        }.get(folder)
        if known is None or not re.fullmatch(known, name):
            yield f"{file}: make/suite does not know it"


def main():
    print(f"1..{len(RULES)}")
    failed = 0
    for number, (promise, function) in enumerate(RULES, 1):
        found = list(function())
        print(f"{'not ok' if found else 'ok'} {number} - {promise}")
        for line in found[:100]:
            print("# " + line)
        failed += bool(found)
    sys.exit(1 if failed else 0)


main()
