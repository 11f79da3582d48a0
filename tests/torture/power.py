#!/usr/bin/python3
"""Power cuts: from a log of a save's calls, every state that a disk may be in after a cut at any of them.

  tests/torture/power.py TORTURE SCRATCH CAP SEED [--without-fsync-of files|folders]

The model. A file's bytes are safe once it has been synced; until then it may be as it was when it was synced last, empty, any
prefix, or zeros of its full length. A change of a folder (create, rename, remove, link) is safe once that folder has been synced;
until then any subset of the changes may have reached the disk, whatever their order; a rename is one change. A cut may come before
or after every call. Each state is made as a folder, and `torture judge` tells what a program that goes on would find there.

A cut that allows more than CAP states is sampled by SEED, with the state where nothing and the one where all has reached the disk;
the last line says how many were. With --without-fsync-of those calls are struck from the log; then states must be found that are
wrong, or the model would prove nothing."""

import argparse
import itertools
import os
import random
import shutil
import subprocess
import sys

PREFIXES = 24  # lengths tried of a file that was not synced, beside the places where a write ended
BATCH = 400


class File:
    def __init__(self, data=b"", synced=False):
        self.current = data
        self.safe = data if synced else b""
        self.synced = synced
        self.ends = set()

    def states(self):
        if self.synced:
            return [("file", self.current)]
        size = len(self.current)
        lengths = {0, size} | self.ends | {size * i // PREFIXES for i in range(PREFIXES)}
        contents = {self.current[:n] for n in lengths} | {self.safe, bytes(size)}
        return [("file", content) for content in sorted(contents)]


class Link:
    def __init__(self, target):
        self.target = target

    def states(self):
        return [("link", self.target)]


class Folder:
    """`changes` have been made and are not safe yet: lists of (name, what is there from then on or None)."""

    def __init__(self):
        self.safe = {}
        self.changes = []

    def entries(self, changes):
        result = dict(self.safe)
        for change in changes:
            for name, node in change:
                if node is None:
                    result.pop(name, None)
                else:
                    result[name] = node
        return result

    def now(self):
        return self.entries(self.changes)

    def sync(self):
        self.safe = self.now()
        self.changes = []

    def subsets(self):
        for bits in itertools.product((False, True), repeat=len(self.changes)):
            yield self.entries([change for change, bit in zip(self.changes, bits) if bit])

    def count(self, most):
        """How many states there are, as far as `most`."""
        if 2 ** len(self.changes) > most:
            return most + 1
        total = 0
        for entries in self.subsets():
            product = 1
            for node in entries.values():
                product *= node.count(most) if isinstance(node, Folder) else len(node.states())
            total += product
            if total > most:
                return most + 1
        return total

    def states(self):
        result = []
        for entries in self.subsets():
            names = sorted(entries)
            for choice in itertools.product(*(entries[name].states() for name in names)):
                result.append(("folder", tuple(zip(names, choice))))
        return result

    def sample(self, chance, generator):
        """One state; each change is on disk with this chance, 0 for none and 1 for all."""
        entries = self.entries([c for c in self.changes if generator.random() < chance])
        return ("folder", tuple((name, sample(entries[name], chance, generator)) for name in sorted(entries)))


def sample(node, chance, generator):
    if isinstance(node, Folder):
        return node.sample(chance, generator)
    if isinstance(node, File) and chance in (0, 1):
        return ("file", node.current if chance == 1 else node.safe)
    return generator.choice(node.states())


def read(path):
    """What is there before the save, all of it safe."""
    if os.path.islink(path):
        return Link(os.readlink(path))
    if not os.path.isdir(path):
        with open(path, "rb") as file:
            return File(file.read(), synced=True)
    folder = Folder()
    folder.safe = {name: read(os.path.join(path, name)) for name in os.listdir(path)}
    return folder


class Disk:
    def __init__(self, root):
        self.root = root
        self.top = read(root)
        self.open = {}

    def find(self, path):
        """The folder that holds the path and the name in it; None for what is not in the run."""
        relative = os.path.relpath(path, self.root)
        if relative.startswith(".."):
            return None, None
        if relative == ".":
            return self.top, None
        parts = relative.split("/")
        folder = self.top
        for part in parts[:-1]:
            folder = folder.now()[part]
        return folder, parts[-1]

    def node(self, path):
        folder, name = self.find(path)
        return folder if name is None else folder.now()[name]

    def change(self, path, node):
        folder, name = self.find(path)
        folder.changes.append([(name, node)])

    def do(self, call, arguments):
        if call in ("create", "open"):
            number, path = arguments
            if call == "create":
                folder, name = self.find(path)
                node = folder.now().get(name)
                if node is None:
                    node = File()
                    self.change(path, node)
                node.current, node.synced = b"", False  # file_writer truncates
            self.open[number] = self.node(path)
        elif call == "write":
            file = self.open[arguments[0]]
            file.current += bytes.fromhex(arguments[1])
            file.ends.add(len(file.current))
            file.synced = False
        elif call == "fsync":
            node = self.open[arguments[0]]
            if isinstance(node, Folder):
                node.sync()
            elif node is not None:
                node.safe, node.synced = node.current, True
        elif call == "close":
            self.open.pop(arguments[0], None)
        elif call == "rename":
            (source, source_name), (target, target_name) = map(self.find, arguments)
            assert source is target, "a rename into another folder has no model here"
            source.changes.append([(source_name, None), (target_name, source.now()[source_name])])
        elif call == "mkdir":
            self.change(arguments[0], Folder())
        elif call == "symlink":
            self.change(arguments[1], Link(arguments[0]))
        elif call in ("unlink", "rmdir"):
            self.change(arguments[0], None)
        else:
            sys.exit(f"power.py: the call {call} has no model here")


def make(path, state):
    kind, content = state
    if kind == "file":
        with open(path, "wb") as file:
            file.write(content)
    elif kind == "link":
        os.symlink(content, path)
    else:
        os.mkdir(path)
        for name, inside in content:
            make(f"{path}/{name}", inside)


def states_of(disk, cap, generator):
    """The states that a cut at this moment may leave, and whether these are not all."""
    if disk.top.count(cap) <= cap:
        return disk.top.states(), False
    chances = [0, 1] + [generator.random() for _ in range(cap - 2)]
    return [disk.top.sample(chance, generator) for chance in chances], True


def calls_of(log, blind):
    folders = set()
    with open(log, encoding="ascii") as lines:
        for line in lines:
            call, *arguments = line.rstrip("\n").split("\t")
            if call == "open":
                folders.add(arguments[0])
            elif call == "create":
                folders.discard(arguments[0])
            if call == "fsync" and blind == ("folders" if arguments[0] in folders else "files"):
                continue
            yield call, arguments


def judge(torture, name, before, scratch, states):
    """The judgement of each state: old, new or FAIL and why."""
    result = []
    for first in range(0, len(states), BATCH):
        place = os.path.join(scratch, "states")
        os.mkdir(place)
        runs = [f"{place}/{i}" for i in range(first, min(first + BATCH, len(states)))]
        for run, state in zip(runs, states[first:]):
            make(run, state)
        done = subprocess.run([torture, "judge", name, before, *runs], stdout=subprocess.PIPE, check=False, text=True)
        lines = done.stdout.splitlines()
        if done.returncode or len(lines) != len(runs):
            lines += [f"FAIL the program ended with {done.returncode}"] * (len(runs) - len(lines))
        result += lines
        shutil.rmtree(place)
    return result


def scenario(options, name, generator):
    """Returns the numbers of cuts, of states, of cuts that were sampled, of old and of wrong ones."""
    before, run, log = (os.path.join(options.scratch, f"{name}.{what}") for what in ("before", "run", "log"))
    subprocess.run([options.torture, "prepare", name, before], check=True)
    subprocess.run([options.torture, "prepare", name, run], check=True)
    disk = Disk(run)
    subprocess.run([options.torture, "save", name, run, log], check=True)
    found = {}
    cuts = sampled = 0
    last = []
    for call, arguments in [(None, [])] + list(calls_of(log, options.without_fsync_of)):
        if call:
            disk.do(call, arguments)
        if call in ("open", "close"):
            continue  # nothing changed
        last, some = states_of(disk, options.cap, generator)
        cuts += 1
        sampled += some
        for state in last:
            found.setdefault(state, f"cut {cuts} after {call}")
    states = list(found)
    judgements = judge(options.torture, name, before, options.scratch, states)
    returned = set(last)
    old = 0
    wrong = []
    for state, judgement in zip(states, judgements):
        if judgement == "old" and state in returned:
            judgement = "FAIL the save had returned, and its checkpoint is lost"
        if judgement.startswith("FAIL"):
            wrong.append(f"{name}, {found[state]}: {judgement[5:]}")
        old += judgement == "old"
    if not options.without_fsync_of:
        for line in wrong[:5]:
            print(f"FAIL power: {line}")
    return cuts, len(states), sampled, old, len(wrong)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("torture")
    parser.add_argument("scratch")
    parser.add_argument("cap", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("--without-fsync-of", choices=("files", "folders"))
    options = parser.parse_args()
    generator = random.Random(options.seed)
    names = subprocess.run([options.torture, "scenarios"], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    cuts, states, sampled, old, wrong = map(sum, zip(*(scenario(options, name, generator) for name in names)))
    what = f"power, without fsync of {options.without_fsync_of}" if options.without_fsync_of else "power"
    print(f"{what}: {len(names)} scenarios, {cuts} cuts ({sampled} sampled by seed {options.seed}), {states} states: "
          f"old checkpoint {old}, new one {states - old - wrong}; wrong {wrong}")
    return (wrong == 0) == bool(options.without_fsync_of)


if __name__ == "__main__":
    sys.exit(main())
