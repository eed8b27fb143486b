"""What the comparison found: tables and a picture."""
import html
import os
import platform


def words(case):
    return (f"{'durable' if case['durable'] else 'memory'} "
            f"{case['transport']} P=C={case['clients']} "
            f"{case['bytes']} B window={case['window']}")


def machine():
    model = "?"
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    model = line.split(":", 1)[1].strip()
                    break
    except OSError:
        pass
    return {"processors": os.cpu_count(), "model": model,
            "system": f"{platform.system()} {platform.release()}"}


def grouped(number):
    return f"{number:,.0f}"


def measured(figures):
    return [one for one in figures if "rate" in one]


def best_rival(figures):
    """The fastest rival that confirms puts and acknowledgements, and, where
    it is to be durable, syncs before it does."""
    rivals = [one for one in measured(figures)
              if one["kind"] == "rival" and one["confirms_acks"]
              and (one["syncs"] or not one["durable"])]
    return max(rivals, key=lambda one: one["rate"], default=None)


def limit_of(figures):
    """The bare broker on libzmq; durable: the disk."""
    for name in ("zmq broker", "pwrite + fdatasync"):
        for one in measured(figures):
            if one["system"] == name:
                return one
    return None


def ratio(rate, other):
    return f"{rate / other['rate']:.2f}" if other else "-"


def table(case, figures):
    """One case as text, the fastest first."""
    rival, limit = best_rival(figures), limit_of(figures)
    lines = ["", words(case),
             f"  {'':<26} {'items/s':>11} {'x best rival':>13} "
             f"{'x limit':>8} {'server us':>10} {'spread':>7}"]
    for one in sorted(measured(figures), key=lambda one: -one["rate"]):
        spread = (max(one["rates"]) - min(one["rates"])) / one["rate"] * 100
        mark = "" if one["confirms_acks"] else " *"
        mark = {"own": " <", "limit": " |", "rival": ""}[one["kind"]] + mark
        lines.append(
            f"  {one['system'] + mark:<26} {grouped(one['rate']):>11} "
            f"{ratio(one['rate'], rival):>13} "
            f"{ratio(one['rate'], limit):>8} {one['server_us']:>10.2f} "
            f"{spread:>6.0f}%")
    for one in figures:
        if "rate" not in one:
            lines.append(f"  {one['system']:<26} {one['error']}")
    return "\n".join(lines)


def footer(whole):
    found = ", ".join(f"{name} {number}" for name, number
                      in sorted(whole["versions"].items()))
    here = whole["machine"]
    return ("\n< baozi   | a limit, no rival   * confirms no acknowledgements"
            f"\nmedians of {whole['runs']} interleaved runs; "
            f"{here['processors']} processors, {here['model']}, "
            f"{here['system']}\n{found}")


# --- the picture --------------------------------------------------------------

STYLE = """
 text { font: 13px sans-serif; fill: #24292f }
 .title { font-weight: 600 }
 .small { font-size: 11px; fill: #57606a }
 .own { fill: #d1742f } .rival { fill: #6e7781 } .limit { fill: #afb8c1 }
 @media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #8b949e }
  .own { fill: #e8985a } .rival { fill: #8b949e } .limit { fill: #484f58 }
 }
"""
WIDTH, LEFT, BAR, ROW = 760, 190, 430, 19


def short(rate):
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if rate >= size:
            return f"{rate / size:.3g} {unit}/s"
    return f"{rate:.0f}/s"


def group(title, rows, top):
    """A group of bars from `top` on, of (name, class, value, text) rows: its
    lines, and the next top."""
    out = [f'<text class="title" x="8" y="{top + 14}">'
           f"{html.escape(title)}</text>"]
    longest = max((row[2] for row in rows), default=1)
    y = top + 22
    for name, kind, value, text in rows:
        width = max(1.0, value / longest * BAR)
        out.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">'
                   f"{html.escape(name)}</text>")
        out.append(f'<rect class="{kind}" x="{LEFT}" y="{y + 2}" '
                   f'width="{width:.1f}" height="{ROW - 5}" rx="2"/>')
        out.append(f'<text class="small" x="{LEFT + width + 6:.1f}" '
                   f'y="{y + 13}">{text}</text>')
        y += ROW
    return out, y + 14


def bars(figures, top):
    rows = sorted(measured(figures), key=lambda one: -one["rate"])
    return group(words(figures[0]), [
        (one["system"] + ("" if one["confirms_acks"] else " *"), one["kind"],
         one["rate"], short(one["rate"])) for one in rows], top)


def svg(whole, more):
    """All cases as bars, and what the functions `more` draw from a top on; no
    background, and colours that follow the reader's light or dark scheme."""
    groups = {}
    for one in whole["results"]:
        groups.setdefault(words(one), []).append(one)
    body, top = [], 8
    for figures in groups.values():
        lines, top = bars(figures, top)
        body += lines
    for draw in more:
        lines, top = draw(top)
        body += lines
    for line in footer(whole).strip().split("\n"):
        body.append(f'<text class="small" x="8" y="{top + 12}">'
                    f"{html.escape(line)}</text>")
        top += 16
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
            f'height="{top + 8}" viewBox="0 0 {WIDTH} {top + 8}" role="img">'
            f"<title>baozi beside its rivals</title><style>{STYLE}</style>\n"
            + "\n".join(body) + "\n</svg>\n")
