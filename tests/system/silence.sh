#!/bin/bash
# A rank that is stopped, killed or wrong ends the job with exit code 7 and one error line that names it.
#   tests/system/silence.sh [build/bin]
. "$(dirname "$0")/common.sh"

options=(--arch resnet20 --data drawn --global-batch 16 --steps 2000 --eval-every 0 --save-every 0 --log-every 2 --threads 1)
"$bin/resnet-data" synth drawn --train 160 --val 40 >/dev/null || exit 1

# rank N: the process of rank N.
rank() {
	local pid

	for pid in $(pgrep -s "$session" -x resnet-train); do
		! tr '\0' '\n' <"/proc/$pid/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$1" || echo "$pid"
	done
}

# begin RUN RANKS ARGUMENT...: starts a job and waits until it has trained some steps.
begin() {
	local out=$1 ranks=$2

	shift 2
	launch "$ranks" resnet-train --out "$out" "${options[@]}" "$@" >"$out.out" 2>"$out.err"
	for _ in $(seq 600); do
		! grep -q '"step":4,' "$out/metrics.jsonl" 2>/dev/null || break
		sleep 0.05
	done
}

# ended NAME RUN SECONDS PATTERN CODE...: the job ends within SECONDS with one of the codes and one error line, like PATTERN.
ended() {
	local name=$1 out=$2 within=$3 pattern=$4 code problems= start=$SECONDS

	shift 4
	wait "$session"
	code=$?
	[[ " $* " == *" $code "* ]] || problems="exit code $code; "
	[ $((SECONDS - start)) -le "$within" ] || problems+="it took $((SECONDS - start)) s; "
	for _ in 1 2 3 4 5; do # to die takes a moment on a busy machine
		[ -n "$(job_processes)" ] || break
		sleep 0.2
	done
	[ -z "$(job_processes)" ] || problems+="a rank is left running; "
	[ "$(grep -c 'error:' "$out.err")" -le 1 ] || problems+="more than one error line; "
	[ -z "$pattern" ] || grep -q "^resnet-train: error: $pattern" "$out.err" || problems+="$(grep 'error:' "$out.err"); "
	end_job
	check "$name" "$problems" [ -z "$problems" ]
}

for stopped in 0 2; do
	begin "stopped$stopped" 3 --watchdog 3
	kill -STOP "$(rank $stopped)"
	ended "rank $stopped is stopped: named, exit code 7" "stopped$stopped" 15 \
		"rank $stopped on host .* is silent; the .* of step [0-9]* has waited for [34] s; " 7
done
launch 3 resnet-train --out early "${options[@]}" --watchdog 3 >early.out 2>early.err
for _ in $(seq 1000); do
	[ ! -e early/lock ] || break
	sleep 0.01
done
kill -STOP "$(rank 1)"
ended "a rank that is stopped before the first step is named" early 42 'rank 1 on host [^,]* is silent; ' 7

# Nor does MPI's own start last for ever; in it nobody can tell who is missing.
built=$bin
preload stuck_start
launch 2 resnet-train --out start "${options[@]}" >start.out 2>start.err
ended "a rank that is stopped while MPI starts does not keep the other one" start 15 \
	'MPI has not started within 600 s: another rank is silent; start the same command again (rank 0)' 7
bin=$built

# A call of MPI that blocks is watched, too: by whom, depends on the moment.
for overlap in on off; do
	begin "mpi.$overlap" 3 --watchdog 3 --allreduce mpi --overlap $overlap
	kill -STOP "$(rank 1)"
	ended "overlap $overlap: a rank that others wait for in MPI_Allreduce is named alone" "mpi.$overlap" 15 'rank 1 on host [^,]* is silent; ' 7
done
begin inline 2 --watchdog 3 --overlap off
kill -STOP "$(rank 1)"
ended "without overlap a stopped rank is named too" inline 15 'rank 1 on host .* is silent; ' 7

# mpirun sees a dead process, too, and whoever is first speaks.
begin killed 3 --watchdog 0
kill -KILL "$(rank 1)"
ended "rank 1 is killed: the job ends at once" killed 10 '' 7 137

# A job that is stopped as a whole, as a scheduler may do, has not been silent.
begin paused 2 --watchdog 2
mapfile -t ranks < <(pgrep -s "$session" -x resnet-train)
kill -STOP "${ranks[@]}"
sleep 5
steps=$(grep -c '"event":"step"' paused/metrics.jsonl)
kill -CONT "${ranks[@]}"
sleep 4
check "a job that was stopped as a whole goes on" "$(grep error: paused.err) $steps steps before" \
	[ "$(grep -c '"event":"step"' paused/metrics.jsonl)" -gt "$steps" ]
end_job

# flip PID FILE: changes one bit of the bias of the last layer, as FILE has it, wherever it lies in the process.
flip() {
	python3 - "$1" "$2" <<-'END'
		import json, re, sys
		data = open(sys.argv[2], "rb").read()
		size = int.from_bytes(data[:8], "little")
		begin, end = json.loads(data[8:8 + size])["fc.bias"]["data_offsets"]
		wanted = data[8 + size + begin:8 + size + end]
		memory = open(f"/proc/{sys.argv[1]}/mem", "r+b", 0)
		found = 0
		for line in open(f"/proc/{sys.argv[1]}/maps").readlines():
		    low, high = (int(x, 16) for x in line.split()[0].split("-"))
		    if not line.split()[1].startswith("rw") or "[v" in line:
		        continue
		    # What cannot be read is not the program's own; a process that the audit has ended by now has nothing more to read.
		    try:
		        memory.seek(low)
		        region = memory.read(high - low)
		        for match in re.finditer(re.escape(wanted), region):
		            memory.seek(low + match.start())
		            memory.write(bytes([region[match.start()] ^ 1]))
		            found += 1
		    except OSError:
		        continue
		print(found)
	END
}

# With a learning rate of 0 the weights stay those of the first checkpoint.
begin audited 3 --audit-every 3 --save-every 2 --lr 0 --keep 100000
flipped=$(flip "$(rank 1)" audited/checkpoints/step-0000000002/model.safetensors)
ended "rank 1 holds another bit: the audit names it ($flipped found)" audited 20 \
	'replicas differ after step [0-9]*: rank 1 on host .* holds other weights than 2 of the ranks do' 7

trains "audits of equal replicas" equal 2 "${options[@]}" --steps 12 --audit-every 1
trains "no audits" quiet 2 "${options[@]}" --steps 12
check "audits and waits are no part of the weights" "other weights" \
	[ "$(value equal/metrics.jsonl end weights)" = "$(value quiet/metrics.jsonl end weights)" ]
check "the log names the slowest rank of an epoch" "$(cat quiet/log.txt)" \
	grep -q 'epoch 1: slowest rank [01] on host .*, it waited [0-9.]* s for the others; .*; by rank: [0-9.]* [0-9.]*$' quiet/log.txt

# An MPI library that lets only one thread call it.
trains "several threads may call MPI" several 2 "${options[@]}" --steps 12 --allreduce mpi
preload funneled
trains "only one thread may call MPI" single 2 "${options[@]}" --steps 12 --allreduce mpi
check "only one thread may call MPI: said, and the sums are the same" "$(cat single.err single/log.txt)" \
	[ "$(grep -c 'warning: this MPI library grants no MPI_THREAD_MULTIPLE' several/log.txt single/log.txt | tr '\n' ' ')$(
		value single/metrics.jsonl end weights)" = "several/log.txt:0 single/log.txt:1 $(value several/metrics.jsonl end weights)" ]
for algorithm in own mpi; do
	begin "single.$algorithm" 3 --watchdog 3 --allreduce $algorithm
	kill -STOP "$(rank 1)"
	ended "only one thread may call MPI, $algorithm: a stopped rank is named alone" "single.$algorithm" 15 'rank 1 on host [^,]* is silent; ' 7
done
finish
