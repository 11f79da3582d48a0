#!/usr/bin/env python3
"""Training at scale, simulated by SimGrid; and the simulation beside real runs.

    scale.py table BUILD    nodes x rates x networks -> BUILD/scale/{table.md,table.json,scale.svg}
    scale.py check BUILD    network namespaces as hosts (root), BUILD/scale/check.json

Environment: NETWORKS="resnet18 resnet50 resnet152", BATCH=32 images a node, THREADS=(processors), STEPS=3 steps of a profile, SPEEDS="1 16": nodes compute so many times faster
than this machine, LATENCY=10 microseconds between two nodes. A profile that is there already is used again.
"""
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
NETWORKS = os.environ.get("NETWORKS", "resnet18 resnet50 resnet152").split()
RATES = [10, 25, 100]
NODES = [8, 16, 32, 64, 128, 256, 512, 1024]
HOSTS_MAX = 16  # more nodes than this are folded onto so many hosts; with fewer, comm/ would cut a bucket into more parts than there
FOLD_CHECKS = [32, 64]
BUCKET_FLOATS = 1000000  # resnet-train's --bucket-mb 4
PAYLOAD = 1448 / 1538  # TCP's bytes in those of an Ethernet frame

PROCESSORS = os.cpu_count() or 1
BATCH = os.environ.get("BATCH", "32")
THREADS = os.environ.get("THREADS", str(PROCESSORS))
STEPS = os.environ.get("STEPS", "3")
SPEEDS = [float(word) for word in os.environ.get("SPEEDS", "1 16").split()]
LATENCY = float(os.environ.get("LATENCY", "10")) * 1e-6


def output(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"scale.py: error: {' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def profile(build, network):
    path = f"{build}/scale/{network}-{BATCH}.profile"
    if not os.path.exists(path):
        text = output([f"{build}/tests/scale/profile", network, BATCH, THREADS, STEPS])
        with open(path, "w") as file:
            file.write(text)
    return path


def words(text):
    return {name: float(value) for name, value in (word.split("=") for word in text.split())}


def platform(hosts, bytes_per_second, latency):
    """Hosts with links of their own to a switch that has the bandwidth of all."""
    return f"""<?xml version="1.0"?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
<cluster id="c" prefix="n" suffix="" radical="0-{hosts - 1}" speed="1Gf" bw="{bytes_per_second:.0f}Bps" lat="{latency / 2:.9f}s"
 loopback_bw="1TBps" loopback_lat="0s"/>
</platform>
"""


def simulate(build, path, nodes, hosts, bytes_per_second, latency, costs, speed, burst=0):
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/platform.xml", "w") as file:
            file.write(platform(hosts, bytes_per_second, latency))
        with open(f"{folder}/hosts", "w") as file:
            file.write("".join(f"n{i}\nn{i}\n" for i in range(hosts)))
        text = output(["smpirun", "-np", str(2 * hosts), "-hostfile", f"{folder}/hosts", "-platform", f"{folder}/platform.xml",
                       "--cfg=smpi/simulate-computation:no", "--cfg=smpi/bw-factor:0:1", "--cfg=smpi/lat-factor:0:1",
                       "--cfg=smpi/tmpdir:" + folder, "--log=root.thres:error", f"{build}/tests/scale/replay_simulated", path, "1", str(speed),
                       str(BUCKET_FLOATS), f"nodes={nodes}", f"burst={burst}"] + [f"{name}={costs[name]}" for name in ("message", "add", "merge")])
    return json.loads(text)


def table(build):
    paths = {network: profile(build, network) for network in NETWORKS}
    costs = words(output(["mpirun", "--timeout", "120", "-np", "2", "--oversubscribe", "--mca", "btl", "self,tcp", "--mca", "btl_tcp_if_include", "lo",
                          "--mca", "pml", "ob1", f"{build}/tests/scale/costs"]))
    cases = [(network, rate, nodes, min(nodes, HOSTS_MAX), speed) for network in reversed(NETWORKS) for rate in RATES
             for nodes in NODES for speed in SPEEDS]
    cases += [("resnet50", 25, nodes, nodes, SPEEDS[-1]) for nodes in FOLD_CHECKS]

    def run(case):
        network, rate, nodes, hosts, speed = case
        result = simulate(build, paths[network], nodes, hosts, rate * 1e9 / 8 * PAYLOAD, LATENCY, costs, speed)
        return dict(result, rate=rate, hosts=hosts, speed=speed, efficiency=result["compute"] / result["step"])

    with ThreadPoolExecutor(PROCESSORS) as pool:
        results = list(pool.map(run, cases))
    text = report(results, costs)
    for name, content in (("table.md", text), ("table.json", json.dumps({"costs": costs, "results": results}, indent=1)),
                          ("scale.svg", plot(results))):
        with open(f"{build}/scale/{name}", "w") as file:
            file.write(content)
    print(text, end="")


def report(results, costs):
    lines = [f"Weak scaling, {BATCH} images a node and step, simulated. One rank a node, SyncBN over all nodes, buckets of 4 MB, fp32.",
             f"Latency {LATENCY * 1e6:g} us; measured here: {costs['message'] * 1e6:.2f} us of a processor for a message, "
             f"{costs['add'] * 1e9:.3f} ns for an addition, {costs['merge'] * 1e9:.3f} ns for a merge.",
             "Efficiency: computing time / step. Exposed: waited for sums of gradients, for statistics, in % of the step.",
             f"Above {HOSTS_MAX} nodes, {HOSTS_MAX} simulated hosts stand for all."]
    for speed in SPEEDS:
        lines += ["", f"Nodes that compute {speed:g} times as fast as this machine:", "",
                  "| network | Gb/s | nodes | step ms | efficiency % | gradients % | statistics % |", "|---|---|---|---|---|---|---|"]
        for network in NETWORKS:
            for r in results:
                if (r["network"], r["speed"]) == (network, speed) and r["hosts"] == min(r["nodes"], HOSTS_MAX):
                    lines.append(f"| {network} | {r['rate']} | {r['nodes']} | {1e3 * r['step']:.1f} | {100 * r['efficiency']:.1f} "
                                 f"| {100 * r['gradients'] / r['step']:.1f} | {100 * r['statistics'] / r['step']:.1f} |")
    lines += ["", "The folding, checked (resnet50, 25 Gb/s):", ""]
    for r in results:
        if r["hosts"] > HOSTS_MAX:
            folded = next(f for f in results if f["hosts"] == HOSTS_MAX and all(f[k] == r[k] for k in
                          ("network", "rate", "nodes", "speed")))
            lines.append(f"- {r['nodes']} nodes on {r['hosts']} hosts: step {1e3 * r['step']:.2f} ms, on {HOSTS_MAX} hosts: "
                         f"{1e3 * folded['step']:.2f} ms, ratio {folded['step'] / r['step']:.3f}")
    return "\n".join(lines) + "\n"


def plot(results):
    """Efficiency over nodes, a panel for each network and speed."""
    width, height, left, top = 250, 190, 46, 40
    colours = {10: "#c0504d", 25: "#e0a030", 100: "#3070b0"}
    parts = []

    def text(x, y, words, anchor="middle", colour="#333"):
        parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{words}</text>')

    for row, speed in enumerate(SPEEDS):
        for column, network in enumerate(NETWORKS):
            x0, y0 = left + column * (width + 40), top + row * (height + 60)
            text(x0 + width / 2, y0 - 8, f"{network}, nodes {speed:g}x this machine")
            for percent in range(0, 101, 20):
                y = y0 + height * (1 - percent / 100)
                parts.append(f'<path d="M{x0} {y:.1f}h{width}" stroke="#ddd"/>')
                text(x0 - 4, y + 4, f"{percent}", "end")
            for i, nodes in enumerate(NODES):
                text(x0 + width * i / (len(NODES) - 1), y0 + height + 15, f"{nodes}")
            for rate, colour in colours.items():
                values = [r["efficiency"] for r in results if (r["network"], r["speed"], r["rate"]) == (network, speed, rate)
                          and r["hosts"] == min(r["nodes"], HOSTS_MAX)]
                points = " ".join(f"{x0 + width * i / (len(NODES) - 1):.1f},{y0 + height * (1 - v):.1f}" for i, v in enumerate(values))
                parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    bottom = top + len(SPEEDS) * (height + 60)
    for i, (rate, colour) in enumerate(colours.items()):
        text(left + 90 * i, bottom, f"{rate} Gb/s", "start", colour)
    text(left + 290, bottom, "efficiency in % over nodes", "start")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + 3 * (width + 40)}" height="{bottom + 20}" '
            f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n")


def check(build):
    """The bandwidth is what the links are set to, the latency that between two of the hosts."""
    path = profile(build, NETWORKS[0])
    results = []
    print("| link | hosts | kind | real ms | simulated ms | simulated / real |\n|---|---|---|---|---|---|")
    for rate, bits in (("200mbit", 2e8), ("1gbit", 1e9)):
        burst, costs, rows = 0, None, []
        for line in output(["bash", f"{HERE}/on_hosts.sh", build, path, rate]).splitlines():
            if line.startswith("burst "):
                burst = int(line.split()[1]) * 8 / bits
            elif line.startswith("latency"):
                costs = words(line)
            elif line.startswith("{"):
                rows.append(json.loads(line))
        for real in rows:
            crowd = max(1, real["nodes"] / PROCESSORS)  # hosts share the processors
            model = dict(costs, **{name: crowd * costs[name] for name in ("message", "add", "merge")})
            speed = 0 if real["compute"] == 0 else 1
            simulated = simulate(build, path, real["nodes"], real["nodes"], bits / 8 * PAYLOAD, costs["latency"], model, speed, burst)
            results.append({"link": rate, "costs": costs, "real": real, "simulated": simulated})
            print(f"| {rate} | {real['nodes']} | {'whole step' if speed else 'communication only'} | {1e3 * real['step']:.1f} "
                  f"| {1e3 * simulated['step']:.1f} | {simulated['step'] / real['step']:.3f} |", flush=True)
    with open(f"{build}/scale/check.json", "w") as file:
        json.dump(results, file, indent=1)


if len(sys.argv) != 3 or sys.argv[1] not in ("table", "check"):
    sys.exit(__doc__)
os.makedirs(f"{sys.argv[2]}/scale", exist_ok=True)
os.environ.update(OMP_WAIT_POLICY="passive", LC_ALL="C")
{"table": table, "check": check}[sys.argv[1]](os.path.abspath(sys.argv[2]))
