#!/usr/bin/python3
"""SIGKILL to resnet-train at random moments, in training and in saving, again and again; each time it goes on from there.

  tests/torture/kills.py RESNET_TRAIN TORTURE DATA SCRATCH KILLS SEED

First a run that is left alone tells the digests of each step's checkpoint. After every kill the run must give the newest checkpoint
or the one before, never an older one than before the kill, without a warning and with the digests of that step. What a kill left
unfinished must be gone when one more step has been saved. A run that got to its end must have the same weights; then a new one
begins. Nine of ten runs are one process, started without mpirun for speed; the tenth is two ranks under mpirun, killed all at once."""

import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

STEPS = 40
KEEP = 2
SECONDS = 120  # of one run


def command(program, data, run, ranks, keep):
    options = [f"--data={data}", f"--out={run}", "--arch=resnet20", "--global-batch=4", f"--steps={STEPS}", "--save-every=1",
               f"--keep={keep}", "--log-every=1", "--threads=1", "--shards=2", "--eval-every=0", "--lr=0.02"]
    launcher = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(ranks)] if ranks > 1 else []
    return launcher + [program] + options


def processes_of(session):
    """The living processes of a session."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append(int(name))
    return found


def kill_session(process):
    """SIGKILL to all of them at once, until none is left."""
    while True:
        left = processes_of(process.pid)
        if not left:
            break
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.001)
    process.wait()


def digests(folder):
    with open(f"{folder}/state.json", encoding="utf-8") as file:
        state = json.load(file)
    return state["step"], tuple(state["files"][name]["xxh3_128"] for name in ("model.safetensors", "optimizer.safetensors"))


def last_line(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().splitlines()[-1:]


class Kills:
    def __init__(self, program, torture, data, scratch, seed):
        self.program, self.torture, self.data, self.scratch = program, torture, data, scratch
        self.run = f"{scratch}/run"
        self.checkpoints = f"{self.run}/checkpoints"
        self.random = random.Random(seed)
        self.outcomes = collections.Counter()
        self.wrong = 0
        self.completed = 0
        self.forget()

    def forget(self):
        shutil.rmtree(self.run, ignore_errors=True)
        self.step = 0  # that the run gave last
        self.newest = 0  # of the complete folders, after the last kill
        self.unfinished = set()

    def fail(self, what):
        self.wrong += 1
        print(f"FAIL kills of resnet-train: {what}", flush=True)

    def left_alone(self):
        """The digests of every step and the last line; how long a run takes to begin, and for a step with its save."""
        start = time.monotonic()
        output = f"{self.scratch}/alone.out"
        with open(output, "wb") as file:
            process = subprocess.Popen(command(self.program, self.data, f"{self.scratch}/alone", 1, STEPS + 1), stdout=file,
                                       stderr=subprocess.STDOUT, start_new_session=True)
            try:
                begin = self.wait_for(process, f"{self.scratch}/alone/metrics.jsonl")
                process.wait(timeout=SECONDS)
            finally:
                kill_session(process)
        self.begin = begin - start
        self.step_seconds = (time.monotonic() - begin) / STEPS
        self.end = last_line(output)
        folder = f"{self.scratch}/alone/checkpoints"
        self.wanted = dict(digests(f"{folder}/{name}") for name in os.listdir(folder) if name.startswith("step-"))
        if process.returncode or sorted(self.wanted) != list(range(1, STEPS + 1)):
            sys.exit(f"kills.py: the run that was left alone ended with {process.returncode}: {self.end}")
        shutil.rmtree(f"{self.scratch}/alone")

    @staticmethod
    def wait_for(process, path):
        while process.poll() is None and not os.path.exists(path):
            time.sleep(0.001)
        return time.monotonic()

    def names(self):
        try:
            return os.listdir(self.checkpoints)
        except FileNotFoundError:
            return []

    def latest(self):
        """What the link leads to; None before it is there."""
        try:
            return os.readlink(f"{self.checkpoints}/latest")
        except FileNotFoundError:
            return None

    def started(self):
        """Changes when the run has begun to train, which writes metrics.jsonl."""
        try:
            return os.stat(f"{self.run}/metrics.jsonl").st_mtime_ns
        except FileNotFoundError:
            return None

    def wait(self, process, metrics):
        """Until the kill: one of ten comes before training begins, the others during the next twelve steps and their saves."""
        if self.random.random() < 0.1:
            time.sleep(self.random.uniform(0, self.begin))
            return
        while process.poll() is None and self.started() == metrics:
            time.sleep(0.001)
        time.sleep(self.random.uniform(0, 12 * self.step_seconds))

    def one(self):
        ranks = 2 if self.random.random() < 0.1 else 1
        metrics = self.started()
        output = f"{self.scratch}/run.out"
        with open(output, "wb") as file:
            process = subprocess.Popen(command(self.program, self.data, self.run, ranks, KEEP), stdout=file,
                                       stderr=subprocess.STDOUT, start_new_session=True)
            try:
                self.wait(process, metrics)
                ended = process.poll()
            finally:
                kill_session(process)
        if ended is not None:
            self.complete(ended, output)
            return False
        self.outcomes["in " + self.where(metrics)] += 1
        self.judge()
        return True

    def complete(self, code, output):
        if code or last_line(output) != self.end:
            self.fail(f"a run ended with {code}: {last_line(output)} instead of {self.end}")
        # a run that was killed after its last checkpoint has no other save that would clear away
        if self.step < STEPS and [name for name in self.names() if ".tmp" in name]:
            self.fail(f"a finished run left {self.names()}")
        self.completed += 1
        self.forget()

    def where(self, metrics):
        """What the run was doing, by what it left."""
        names = self.names()
        steps = sorted(name for name in names if name.startswith("step-"))
        if any(name.startswith(".tmp-step-") for name in names):
            return "saving: writing"
        if any(".tmp" in name for name in names) or len(steps) > KEEP or (steps and self.latest() != steps[-1]):
            return "saving: renaming, linking or removing"
        return "starting" if self.started() == metrics else "training"

    def judge(self):
        names = self.names()
        newest = max((int(name[5:]) for name in names if name.startswith("step-")), default=0)
        unfinished = {name for name in names if name.startswith(".tmp-")}
        if newest > self.newest and self.unfinished & unfinished:
            self.fail(f"{self.unfinished & unfinished} outlived the next save")
        self.newest, self.unfinished = newest, unfinished
        done = subprocess.run([self.torture, "resolve", self.run], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        folder, warning = (done.stdout.split("\n") + ["", ""])[:2]
        if not os.path.isdir(self.run):
            return
        # the first save of all, killed before the link was made, is found and warned of
        if done.returncode or (warning and self.latest()):
            self.fail(f"after step {newest}: {done.stdout}")
            return
        step, found = digests(folder) if folder else (0, None)
        if step and self.wanted.get(step) != found:
            self.fail(f"step {step} has other digests than in the run that was left alone")
        if not newest - 1 <= step <= newest or step < self.step:
            self.fail(f"the run gave step {self.step} and now gives {step}; the newest is {newest}")
        self.step = step


def main():
    program, torture, data, scratch, count, seed = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the run under way is ended as well
    os.environ["OMP_WAIT_POLICY"] = "passive"
    # where killed ranks leave their session folders and shared memory
    os.environ["TMPDIR"] = os.environ["OMPI_MCA_btl_vader_backing_directory"] = scratch
    kills = Kills(program, torture, data, scratch, int(seed))
    kills.left_alone()
    done = 0
    while done < int(count):
        done += kills.one()
    print(f"kills of resnet-train: {done} by seed {seed}, {kills.completed} runs got to their end; killed " +
          ", ".join(f"{what} {number}" for what, number in sorted(kills.outcomes.items())) + f"; wrong {kills.wrong}")
    return kills.wrong != 0


if __name__ == "__main__":
    sys.exit(main())
