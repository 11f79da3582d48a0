#!/usr/bin/python3
"""Measures the machine, then resnet-bench beside PyTorch, in one run: ceilings, layers, whole steps, threads and ranks.

 compare.py [BUILD-FOLDER]        the environment chooses:

 CASES="resnet20 resnet56 resnet18 resnet50 resnet50-eval"   rows of the table
 PRECISIONS="fp32 bf16"   columns of it
 PARTS="peaks layers one two scaling"   what is measured: ceilings, layers, on one core, two ranks beside
                          DistributedDataParallel, two threads
 ROUNDS=5                 how often each program takes its turn
 PYTHON=/usr/bin/python3  a Python with torch and torchvision

Programs take turns, since a machine's speed drifts over minutes: only ratios within a run count. Every ratio is that of our median
speed to PyTorch's in its better memory format, contiguous or channels_last, of the same precision; behind it the least and the most
of the rounds, and the least that is asked for. One core means one core for the whole process. PyTorch's ranks have batch norm
statistics of their own; ours have everybody's (--sync-bn global), and in a second row their own. Writes everything, each single run
too, to BUILD-FOLDER/bench.json. Wants an idle machine; exit code 0 when everything ran, whatever the speeds.
"""
import json
import os
import platform
import statistics
import subprocess
import sys

# arch, batch, image size, steps timed in a turn
CASES = {
    'resnet20': ('resnet20', 128, 32, 5),
    'resnet56': ('resnet56', 128, 32, 3),
    'resnet18': ('resnet18', 16, 224, 3),
    'resnet50': ('resnet50', 16, 224, 2),
    'resnet50-eval': ('resnet50', 16, 224, 3),
    'tiny': ('resnet20', 4, 32, 1),  # to see whether everything runs
}
SCALED = ('resnet20', 'resnet50', 'tiny')
# The least that is asked for: of our speed to PyTorch's, by case, precision and measurement.
FLOORS = {
    (case, precision, kind): floor
    for case, floors in {
        'resnet20': (1.8, 1.4, 1.7, 1.3),
        'resnet56': (1.8, 1.4, 1.7, 1.3),
        'resnet18': (1.6, 1.1, 1.5, 1.05),
        'resnet50': (1.4, 1.1, 1.3, 1.05),
        'resnet50-eval': (1.5, 1.2, None, None),
    }.items()
    for (precision, kind), floor in zip((('fp32', 'one'), ('bf16', 'one'), ('fp32', 'two global'), ('bf16', 'two global')), floors)
}
# And of two cores to one.
SCALING_FLOORS = {'resnet20': (1.85, 1.75), 'resnet50': (1.70, 1.65)}
SECONDS = 600  # of one run

HERE = os.path.dirname(os.path.abspath(__file__))
build = sys.argv[1] if len(sys.argv) > 1 else 'build'
bench = os.path.join(build, 'bin', 'resnet-bench')
python = os.environ.get('PYTHON', '/usr/bin/python3')
rounds = int(os.environ.get('ROUNDS', '5'))
cores = sorted(os.sched_getaffinity(0))


def fail(message):
    sys.exit('compare.py: error: ' + message)


def chosen(name, known, default):
    words = os.environ.get(name, default).split()
    for word in words:
        if word not in known:
            fail(f'{name}: no {word}; there are {" ".join(known)}')
    return words


def environment():
    """PyTorch's best settings: Debian's build takes AVX2 unless told otherwise, and freed memory that goes back to the system costs
    page faults in every step. mpirun refuses root unless told otherwise."""
    env = dict(os.environ, LC_ALL='C', MALLOC_MMAP_THRESHOLD_='8589934592', MALLOC_TRIM_THRESHOLD_='17179869184',
               OMPI_ALLOW_RUN_AS_ROOT='1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1', PYTHONDONTWRITEBYTECODE='1')
    with open('/proc/cpuinfo') as info:
        if 'avx512f' in info.read():
            env.setdefault('ATEN_CPU_CAPABILITY', 'avx512')
    return env


def run(command, on, tries=1):
    """The JSON objects that the command prints; `on`: so many cores for it."""
    if on:
        command = ['taskset', '-c', ','.join(str(core) for core in cores[:on])] + command
    try:
        done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, timeout=SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        if tries == 1:
            fail(str(error))
        print(f'\ncompare.py: {error}; once more', file=sys.stderr)
        return run(command, 0, tries - 1)
    lines = [line for line in done.stdout.decode().splitlines() if line.startswith('{')]
    return [json.loads(line) for line in lines]


def options(case, precision, ours):
    arch, batch, size, iterations = CASES[case]
    words = ['--arch', arch, '--batch', str(batch), '--image-size', str(size), '--iterations', str(iterations)]
    if precision == 'bf16':
        words += ['--precision', 'bf16'] if ours else ['--bf16']
    return words


def contenders(case, precision, parts):
    """name: (command, cores) of all that take turns."""
    evaluates = case.endswith('-eval')
    ours, torch = options(case, precision, True), options(case, precision, False)
    step = [bench, 'eval' if evaluates else 'step', '--json'] + ours
    peer = [python, os.path.join(HERE, 'step_torch.py')] + torch + (['--eval'] if evaluates else [])
    ranks = ['mpirun', '-np', '2', '--bind-to', 'core', '--timeout', str(SECONDS), bench, 'comm', '--json'] + ours
    all_of_them = {}
    if 'one' in parts:
        all_of_them['one'] = (step, 1)
        all_of_them['torch one contiguous'] = (peer, 1)
        all_of_them['torch one channels_last'] = (peer + ['--channels-last'], 1)
    if 'two' in parts and not evaluates:
        all_of_them['two global'] = (ranks, 0)
        all_of_them['two off'] = (ranks + ['--sync-bn', 'off'], 0)
        all_of_them['torch two contiguous'] = (peer + ['--ddp'], 2)
        all_of_them['torch two channels_last'] = (peer + ['--ddp', '--channels-last'], 2)
    if 'scaling' in parts and case in SCALED and precision == 'fp32':
        all_of_them.setdefault('one', (step, 1))
        all_of_them['threads'] = (step + ['--threads', '2'], 2)
        all_of_them.setdefault('two global', (ranks, 0))
    return all_of_them


def measure(case, precision, parts):
    """name: the object of each round. resnet-bench comm prints two, the last one is with overlap."""
    them, results = contenders(case, precision, parts), {}
    for turn in range(rounds):
        for name, (command, on) in them.items():
            print(f'\r{case} {precision} round {turn + 1}/{rounds} {name:24}', end='', file=sys.stderr, flush=True)
            # PyTorch's processes end in an abort now and then, which must not cost an hour of measuring.
            results.setdefault(name, []).append(run(command, on, 3 if name.startswith('torch') else 1)[-1])
    print('\r' + 60 * ' ' + '\r', end='', file=sys.stderr)
    return results


def speeds(runs):
    return [run['images_per_second'] for run in runs]


def best_of_torch(results, kind):
    formats = [name for name in results if name.startswith(f'torch {kind} ')]
    return max(formats, key=lambda name: statistics.median(speeds(results[name])))


def ratio(case, over, under, floor):
    """Of medians, with the least and the most over the rounds."""
    each = [a / b for a, b in zip(speeds(over), speeds(under))]
    value = statistics.median(speeds(over)) / statistics.median(speeds(under))
    return {'case': case, 'ratio': round(value, 3), 'least': round(min(each), 3), 'most': round(max(each), 3), 'floor': floor}


def memory(runs):
    return max(run['peak_mib'] for run in runs)


def compare(case, precision, results):
    """The ratios of one case: name -> cell."""
    cells = {}
    for name, kind in (('one', 'one'), ('two global', 'two'), ('two off', 'two')):
        if name in results and any(other.startswith(f'torch {kind} ') for other in results):
            best = best_of_torch(results, kind)
            cells[name] = ratio(case, results[name], results[best], FLOORS.get((case, precision, name)))
            cells[name].update(precision=precision, peer=best, peak_mib=memory(results[name]),
                               peer_peak_mib=memory(results[best]))
    if 'threads' in results:
        floors = SCALING_FLOORS.get(case, (None, None))
        cells['two threads / one'] = ratio(case, results['threads'], results['one'], floors[0])
        cells['two ranks / one'] = ratio(case, results['two global'], results['one'], floors[1])
    return cells


def show(cell):
    text = f"{cell['ratio']:.2f} ({cell['least']:.2f} - {cell['most']:.2f})"
    if cell['floor'] is not None:
        text += f" {'>=' if cell['ratio'] >= cell['floor'] else 'BELOW'} {cell['floor']:.2f}"
    return text


def print_details(case, precision, results, ceiling):
    arch, batch, size, _ = CASES[case]
    print(f'\n{case}, {precision}: {arch}, batch {batch} at {size} pixels')
    for name, runs in results.items():
        times = [run['median_ms'] for run in runs]
        line = f'  {name:24} {statistics.median(times):10.2f} ms ({min(times):.2f} - {max(times):.2f})'
        line += f' {statistics.median(speeds(runs)):10.2f} images/s'
        if 'gflops' in runs[0]:
            gflops = statistics.median(run['gflops'] for run in runs)
            line += f' {gflops:8.1f} GFLOP/s'
            if ceiling and precision == 'fp32':
                line += f" {100 * gflops / ceiling / (2 if name == 'threads' or 'two' in name else 1):5.1f} %"
        if 'gigabytes_at_least' in runs[0]:
            line += f" {runs[0]['gigabytes_at_least']:6.2f} GB"
        print(f'{line} {memory(runs):7.0f} MiB')


def print_table(table, precisions):
    """Ratios to PyTorch's better setting, one row a case, a second one for --sync-bn off."""
    columns = [f'{precision} {kind}' for kind in ('1 core', '2 ranks / DDP') for precision in precisions]
    print('\nSpeed, 1 = PyTorch\'s better setting: median ratio (least - most of rounds) asked for; then MiB per process, ours / PyTorch')
    print('| | ' + ' | '.join(columns + [f'{precision} memory' for precision in precisions]) + ' |')
    print('|---' * (1 + len(columns) + len(precisions)) + '|')
    for case, by_precision in table.items():
        for ranks in ('two global', 'two off'):
            cells = [by_precision[p].get('one') if ranks == 'two global' else None for p in precisions]
            cells += [by_precision[p].get(ranks) for p in precisions]
            if not any(cells):
                continue
            row = [show(cell) if cell else '' for cell in cells]
            # Memory of one process alone; of a rank where that was not measured, and in the second row.
            for p, cell in zip(precisions, cells[:len(precisions)]):
                cell = cell or by_precision[p].get(ranks)
                row.append(f"{cell['peak_mib']:.0f} / {cell['peer_peak_mib']:.0f}" if cell else '')
            print(f"| {case}{', --sync-bn off' if ranks == 'two off' else ''} | " + ' | '.join(row) + ' |')
    for by_precision in table.values():
        for cells in by_precision.values():
            for name in ('two threads / one', 'two ranks / one'):
                if name in cells:
                    print(f"{cells[name]['case']}, {name}: {show(cells[name])}")


def machine():
    with open('/proc/cpuinfo') as info:
        models = [line.split(':', 1)[1].strip() for line in info if line.startswith('model name')]
    return {'processor': models[0] if models else platform.machine(), 'cores': len(cores), 'kernel': platform.release()}


def measure_ours(parts, cases):
    """Ceilings and layers, printed by resnet-bench; returns them as objects, and the fp32 ceiling of a core."""
    report = {}
    if 'peaks' in parts:
        report['peaks'] = run([bench, 'peaks', '--json', '--threads', str(len(cores)), '--iterations', '9'], 0)
        for row in report['peaks']:
            print(f"{row['name']:20} {row['threads']} threads {row['median']:9.1f} {row['unit']:8} (highest {row['highest']:.1f})")
    if 'layers' in parts:
        for case in cases:
            if not case.endswith('-eval'):
                rows = run([bench, 'layers', '--json'] + options(case, 'fp32', True), 1)
                report.setdefault('layers', {})[case] = rows
                print_layers(case, rows)
    ceiling = max((row['highest'] for row in report.get('peaks', []) if row['unit'] == 'GFLOP/s' and row['threads'] == 1
                   and row['name'].startswith('fp32')), default=0)
    return report, ceiling


def print_layers(case, rows):
    step = rows[-1]
    print(f"\n{case}, each shape of convolution alone on one core; share of {step['peak_gflops']:.1f} GFLOP/s, bytes at least")
    for row in rows[:-1]:
        shape = f"{row['kernel']} x {row['kernel']} /{row['stride']}"
        sizes = ' -> '.join(' x '.join(f'{n:3d}' for n in row[end]) for end in ('in', 'out'))
        print(f"  {row['layers']:2d} x {shape} {sizes:40} {row['pass']:15} {row['algorithm']:8} {row['median_ms']:9.3f} ms"
              f" {row['gflops']:8.1f} GFLOP/s {100 * row['share_of_peak']:5.1f} % {row['megabytes_at_least']:8.2f} MB")
    print(f"  step {step['median_ms']:.2f} ms: convolutions {step['convolutions_ms']:.2f}, optimiser {step['optimizer_ms']:.2f}, "
          f"the rest {step['rest_ms']:.2f}; {step['gflops']:.1f} GFLOP/s, {100 * step['share_of_peak']:.1f} %")


def save(path, report):
    sys.stdout.flush()
    with open(path, 'w') as file:
        json.dump(report, file, indent=1)


def main():
    cases = chosen('CASES', CASES, 'resnet20 resnet56 resnet18 resnet50 resnet50-eval')
    precisions = chosen('PRECISIONS', ('fp32', 'bf16'), 'fp32 bf16')
    parts = chosen('PARTS', ('peaks', 'layers', 'one', 'two', 'scaling'), 'peaks layers one two scaling')
    if len(cores) < 2 and {'two', 'scaling'} & set(parts):
        fail('two cores are needed; PARTS="peaks layers one" needs one')
    path = os.path.join(build, 'bench.json')
    report, ceiling = measure_ours(parts, cases)
    report.update(machine=machine(), rounds=rounds, runs={}, ratios={})
    for case in cases if {'one', 'two', 'scaling'} & set(parts) else []:
        for precision in precisions:
            results = measure(case, precision, parts)
            print_details(case, precision, results, ceiling)
            report['runs'].setdefault(case, {})[precision] = results
            report['ratios'].setdefault(case, {})[precision] = compare(case, precision, results)
            save(path, report)
    if report['ratios']:
        print_table(report['ratios'], precisions)
    save(path, report)
    print(f'\neverything: {path}')


if __name__ == '__main__':
    main()
