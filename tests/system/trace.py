"""Whether a Python expression about a timeline holds: trace.py FILE EXPRESSION. The functions below are its words."""
import json
import sys

with open(sys.argv[1], encoding="ascii") as stream:
    everything = json.load(stream)["traceEvents"]


def events(rank=None, name=None):
    return [e for e in everything if e["ph"] == "X" and rank in (None, e["pid"]) and name in (None, e["name"])]


def ranks():
    return sorted({e["pid"] for e in everything})


def names(rank):
    return {e["name"] for e in events(rank)}


def values(rank, name):
    return [next(iter(e["args"].values())) for e in events(rank, name)]


def count(rank, name):
    return len(events(rank, name))


def parameters():
    """Of the network: the optimiser takes each once a step."""
    return sum(values(0, "optimizer")) // count(0, "step")


def metadata(what):
    return {(e["pid"], e["tid"]): e["args"]["name"] for e in everything if e["ph"] == "M" and e["name"] == what}


def track(name):
    tracks = metadata("thread_name")
    return {tracks[e["pid"], e["tid"]] for e in events(name=name)}


def process_names_are_ranks():
    found = metadata("process_name")
    return all(found[r, 0].startswith(f"rank {r} on ") and len(found[r, 0]) > len(f"rank {r} on ") for r in ranks())


EPSILON = 0.002  # microseconds: times are rounded to 0.001


def nested():
    """On each track, two events are apart or one lies inside the other."""
    for key in metadata("thread_name"):
        open_ends = []
        mine = [e for e in events() if (e["pid"], e["tid"]) == key]
        for e in sorted(mine, key=lambda e: (e["ts"], -e["dur"])):
            while open_ends and open_ends[-1] <= e["ts"] + EPSILON:
                open_ends.pop()
            if open_ends and e["ts"] + e["dur"] > open_ends[-1] + EPSILON:
                return False
            open_ends.append(e["ts"] + e["dur"])
    return True


def inside(inner, outer):
    """Every such event lies in one of the other kind on its rank."""
    return bool(events(name=inner)) and all(
        any(o["ts"] <= e["ts"] + EPSILON and e["ts"] + e["dur"] <= o["ts"] + o["dur"] + EPSILON for o in events(e["pid"], outer))
        for e in events(name=inner))


def aligned(name):
    """No rank leaves the n-th such collective before the last has come to it."""
    of_ranks = [events(r, name) for r in ranks()]
    return len({len(one) for one in of_ranks}) == 1 and bool(of_ranks[0]) and all(
        max(e["ts"] for e in same) <= min(e["ts"] + e["dur"] for e in same) + EPSILON for same in zip(*of_ranks))


def bandwidth_agrees(metrics):
    """Rank 0's buckets of the n-th step make the n-th step event's bandwidth."""
    with open(metrics, encoding="utf-8") as stream:
        told = [m["bus_bandwidth"] for m in map(json.loads, stream) if m["event"] == "step"]
    found = []
    for step in events(0, "step"):
        mine = [b for b in events(0, "bucket") if step["ts"] <= b["ts"] <= step["ts"] + step["dur"]]
        seconds = sum(b["dur"] for b in mine) * 1e-6
        found.append(2 * (len(ranks()) - 1) / len(ranks()) * sum(b["args"]["bytes"] for b in mine) / seconds)
    return len(told) == len(found) > 0 and all(abs(a / b - 1) < 0.01 for a, b in zip(told, found))


sys.exit(not eval(sys.argv[2]))
