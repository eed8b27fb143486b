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
    """The fastest rival that confirms puts and acknowledgements."""
    rivals = [one for one in measured(figures)
              if one["kind"] == "rival" and one["confirms_acks"]]
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


def bars(figures, top):
    """A group of bars from `top` on; the lines and the next top."""
    out = [f'<text class="title" x="8" y="{top + 14}">'
           f"{html.escape(words(figures[0]))}</text>"]
    rows = sorted(measured(figures), key=lambda one: -one["rate"])
    longest = rows[0]["rate"] if rows else 1
    y = top + 22
    for one in rows:
        width = max(1.0, one["rate"] / longest * BAR)
        name = one["system"] + ("" if one["confirms_acks"] else " *")
        out.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">'
                   f"{html.escape(name)}</text>")
        out.append(f'<rect class="{one["kind"]}" x="{LEFT}" y="{y + 2}" '
                   f'width="{width:.1f}" height="{ROW - 5}" rx="2"/>')
        out.append(f'<text class="small" x="{LEFT + width + 6:.1f}" '
                   f'y="{y + 13}">{short(one["rate"])}</text>')
        y += ROW
    return out, y + 14


def svg(whole):
    """The window-128 and window-1 cases as bars; it has no background and
    follows the reader's light or dark scheme."""
    groups = {}
    for one in whole["results"]:
        groups.setdefault(words(one), []).append(one)
    body, top = [], 8
    for figures in groups.values():
        lines, top = bars(figures, top)
        body += lines
    for line in footer(whole).strip().split("\n"):
        body.append(f'<text class="small" x="8" y="{top + 12}">'
                    f"{html.escape(line)}</text>")
        top += 16
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
            f'height="{top + 8}" viewBox="0 0 {WIDTH} {top + 8}" role="img">'
            f"<title>baozi beside its rivals</title><style>{STYLE}</style>\n"
            + "\n".join(body) + "\n</svg>\n")
