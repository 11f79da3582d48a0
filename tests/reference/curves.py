#!/usr/bin/env python3
"""Draws learning curves: training error (thin) and validation error over epochs.

    curves.py TITLE=METRICS ... >curves.svg     METRICS: a run's metrics.jsonl
    curves.py --line TITLE=PERCENT ...          also a level to compare with, such as another program's last error
"""
import argparse
import json
import sys

WIDTH, HEIGHT, LEFT, TOP = 560, 260, 46, 16
COLOURS = ("#3070b0", "#c0504d", "#3a8a3a", "#8050a0")


def pair(word):
    title, _, value = word.partition("=")
    if not value:
        raise argparse.ArgumentTypeError(f"'{word}' is not TITLE=VALUE")
    return title, value


def epochs(path):
    """[(epoch, training error, validation error)], errors in percent."""
    with open(path, encoding="utf-8") as lines:
        events = [json.loads(line) for line in lines]
    return [(e["epoch"], e["train_error"], e["val_error"]) for e in events if e["event"] == "epoch" and "val_error" in e]


def text(x, y, words, anchor="middle", colour="#333"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


def draw(curves, levels):
    last = max(epoch for _, rows in curves for epoch, _, _ in rows)
    highest = max(max(row[1:]) for _, rows in curves for row in rows)
    top = 10 * (int(highest / 10) + 1)

    def x(epoch):
        return LEFT + WIDTH * epoch / last

    def y(percent):
        return TOP + HEIGHT * (1 - percent / top)

    parts = [f'<path d="M{LEFT} {y(p):.1f}h{WIDTH}" stroke="#ddd"/>' + text(LEFT - 4, y(p) + 4, p, "end") for p in range(0, top + 1, 10)]
    parts += [text(x(epoch), TOP + HEIGHT + 15, epoch) for epoch in range(0, last + 1, max(1, last // 6))]
    parts.append(text(LEFT + WIDTH / 2, TOP + HEIGHT + 32, "epochs; error in %, of validation (thick) and training images (thin)"))
    legend = TOP + 16
    for (title, rows), colour in zip(curves, COLOURS):
        for column, stroke in ((1, 0.8), (2, 2)):
            points = " ".join(f"{x(row[0]):.1f},{y(row[column]):.1f}" for row in rows)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{stroke}"/>')
        parts.append(text(LEFT + WIDTH - 8, legend, f"{title}: {rows[-1][2]:.2f} %", "end", colour))
        legend += 16
    for title, percent in levels:
        parts.append(f'<path d="M{LEFT} {y(float(percent)):.1f}h{WIDTH}" stroke="#666" stroke-dasharray="5 4"/>')
        parts.append(text(LEFT + WIDTH - 8, legend, f"{title}: {float(percent):.2f} %", "end", "#666"))
        legend += 16
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 14}" height="{TOP + HEIGHT + 44}" '
            f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=pair, metavar="TITLE=METRICS")
    parser.add_argument("--line", action="append", type=pair, default=[], metavar="TITLE=PERCENT")
    args = parser.parse_args()
    if len(args.runs) > len(COLOURS):
        parser.error(f"more than {len(COLOURS)} runs")
    curves = [(title, epochs(path)) for title, path in args.runs]
    for title, rows in curves:
        if not rows:
            parser.error(f"{title}: no epoch with a validation error")
    sys.stdout.write(draw(curves, args.line))


if __name__ == "__main__":
    main()
