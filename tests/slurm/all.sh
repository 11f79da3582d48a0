#!/bin/bash
# Jobs on a real Slurm cluster of two nodes, by scripts that resnet-submit makes: interrupted in every way, they end with the weights of
# a run that was left alone.
#   tests/slurm/all.sh [build/bin]
tests=$(cd "$(dirname "$0")" && pwd)
reason=$("$tests/cluster" check)
case $? in
0) ;;
77)
	echo "skipped, no Slurm cluster can run here: $reason"
	exit 0
	;;
*)
	echo "tests/slurm: $reason" >&2
	exit 1
	;;
esac
# Functions are called by name, in check and await.
# shellcheck disable=SC2317
# shellcheck source=tests/system/common.sh
. "$tests/../system/common.sh"
chmod a+x "$scratch" # munged refuses to serve where others cannot enter
submit=$tests/../../jobs/resnet-submit
export SLURM_CONF=$scratch/cluster/slurm.conf
trap '"$tests/cluster" down "$scratch/cluster"; leave' EXIT
# The nodes claim more cores than there are, so no binding; and mpirun does not have to wait long for ranks of a small net.
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_rmaps_base_mapping_policy=slot OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader,tcp OMPI_MCA_odls_base_sigkill_timeout=2
settings=(--arch resnet20 --global-batch 16 --lr 0.02 --shards 8 --log-every 1 --eval-every 0)
shape=(--nodes 2 --ranks 4) # of the jobs to come
extra=()                    # options of resnet-train for the jobs to come

# await SECONDS COMMAND...: until it succeeds; when it does not, the caller's checks will tell.
await() {
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

# job OUT TEMPLATE STEPS [OPTION OF sbatch...]: its id is in $job.
job() {
	local out=$1 template=$2 steps=$3

	shift 3
	"$submit" --dry-run --template "$template" --partition low "${shape[@]}" --time 10 --interface 10.123.45.0/24 \
		--data "$scratch/drawn" --out "$out" -- "${settings[@]}" --steps "$steps" "${extra[@]}" >"$out.sbatch" 2>"$out.err" ||
		fail "$out" "resnet-submit: $(cat "$out.err")"
	job=$(sbatch --parsable --output="$out.log" "$@" "$out.sbatch")
}

# of_job KEY: of the last job, as scontrol shows it.
of_job() {
	scontrol show job "$job" | tr ' ' '\n' | sed -n "s/^$1=//p" | head -n 1
}

job_ended() {
	[ -z "$(squeue -h -j "$job" 2>/dev/null)" ]
}

steps_done() {
	[ "$(grep -c '"event":"step"' "$1/metrics.jsonl" 2>/dev/null)" -ge "$2" ] 2>/dev/null
}

# log_of OUT: the end of what the jobs of a run printed, and what the nodes have to say of it.
log_of() {
	tail -n 30 "$1.log"
	grep -h error cluster/slurmd.*.log | tail -n 10
}

# ends NAME OUT STEPS: the last job completes, with the weights of the run that was left alone for so many steps.
ends() {
	local name=$1 out=$2 expected

	await 300 job_ended
	expected=$("$bin/resnet-eval" --digest "$scratch/whole/checkpoints/step-$(printf %010d "$3")")
	if [ "$(of_job JobState)" = COMPLETED ] && [ -n "$expected" ] && [ "$(value "$out/metrics.jsonl" end weights)" = "$expected" ]; then
		ok "$name: ends with the weights of a run that was left alone"
	else
		fail "$name: ends with the weights of a run that was left alone" "$(of_job JobState), $(log_of "$out")"
		scancel "$job"
		await 60 job_ended
	fi
}

# came_back NAME OUT: the last job was started again by Slurm and went on from a save.
came_back() {
	check "$1: comes back and goes on" "$(of_job Restarts) restarts, resumed at step $(value "$2/metrics.jsonl" start resumed_step)" \
		[ "$(of_job Restarts)" -ge 1 -a "$(value "$2/metrics.jsonl" start resumed_step)" -ge 1 ]
}

# whole STEPS: trains in this script's own namespaces, with a checkpoint at each length that jobs have here.
whole() {
	trains "left alone" whole 2 --data "$scratch/drawn" "${settings[@]}" --steps "$1" --threads 1 --save-every 20 --keep 1000 || finish
}

# not_submitted NAME PATTERN OPTION...: resnet-submit refuses it with exit code 2 and such a message.
not_submitted() {
	local name=$1 pattern=$2 code

	shift 2
	"$submit" --out x --dry-run "$@" >/dev/null 2>refused.err
	code=$?
	check "resnet-submit, $name: exit code 2 and why" "$code, $(cat refused.err)" \
		[ "$code, $(grep -c "error: .*$pattern" refused.err)" = "2, 1" ]
}

submissions() {
	local name net

	for name in one-node nodes-srun nodes-mpirun preemptible cifar-table; do
		net=(--arch resnet20)
		[ $name != cifar-table ] || net=()
		"$submit" --dry-run --template $name --partition low --data "$scratch/drawn" --out dry -- --global-batch 16 \
			"${net[@]}" >dry.sbatch 2>dry.err
		check "resnet-submit --dry-run, $name: a script that Slurm takes" "$(cat dry.err)" sbatch --quiet --test-only dry.sbatch
	done
	check "--dry-run submits nothing" "$(squeue -h)" [ -z "$(squeue -h -t all)" ]
	not_submitted "unknown template" 'must be one of cifar-table nodes-mpirun nodes-srun one-node preemptible' --template nonsense
	not_submitted "unknown recipe" 'must be one of cifar10-plain110' --recipe nonsense
	not_submitted "unknown partition" 'no such partition' --partition nonsense
	not_submitted "too large a net" 'MiB on a node of partition low, which has 4000' --recipe imagenet-resnet152
	not_submitted "more nodes than there are" 'partition low has 2' --nodes 3
	not_submitted "option of resnet-train before --" 'go behind --' --epochs 3
	"$submit" --template preemptible --partition low --data "$scratch/drawn" --out submitted -- "${settings[@]}" --steps 20 \
		>submitted.id 2>submitted.err
	job=$(sed -n 's/^Submitted batch job //p' submitted.id)
	check "resnet-submit asks for the time that a trial says" "$(cat submitted.err)" [ "$(of_job TimeLimit)" = 00:11:00 ]
	ends "resnet-submit" submitted 20
}

# The ten networks, two steps each.
table() {
	"$submit" --template cifar-table --time 5 --data "$scratch/drawn" --out table -- --steps 2 --global-batch 16 >table.id 2>table.err
	job=$(sed -n 's/^Submitted batch job //p' table.id)
	await 180 job_ended
	check "cifar-table: ten networks come to their end" "$(cat table.err; cat table-*.log)" \
		[ "$(cat table/*/metrics.jsonl | grep -c '"event":"end","status":"complete"')" -eq 10 ]
}

# 8 ranks on two nodes, 4 on one, 8 on two; leaves their steps a second in $rate.
other_ranks() {
	job ranks nodes-srun 20
	await 60 job_ended
	shape=(--nodes 1 --ranks 4)
	job ranks one-node 40
	await 60 job_ended
	shape=(--nodes 2 --ranks 4)
	job ranks nodes-mpirun 60
	ends "8 ranks, 4, 8" ranks 60
	check "8 ranks, 4, 8: on as many" "$(grep '"event":"start"' ranks/metrics.jsonl)" \
		[ "$(sed -n 's/.*"ranks":\([0-9]*\).*/\1/p' ranks/metrics.jsonl | tr '\n' ' ')" = "8 4 8 " ]
	# Near the fastest, not the median: a job that is too long takes time, one that is too short ends before anything happens to it.
	rate=$(sed -n 's/.*"images_per_second":\([0-9.]*\).*/\1/p' ranks/metrics.jsonl | sort -g | sed -n 54p)
	rate=$(awk -v rate="$rate" 'BEGIN { print int(rate / 16 + 1) }')
}

# The shortest limit is a minute. Slurm looks every 30 s, so that the signal comes within the first 30 s of each start.
time_limit() {
	job limit nodes-srun $long --time=1 --signal=USR1@59
	ends "time limit" limit $long
	came_back "time limit" limit
}

preemption() {
	job "$1" "$2" $short
	await 60 steps_done "$1" 5
	sbatch --partition=high --nodes=2 --ntasks-per-node=4 --mem=1G --time=1 --output=/dev/null --wrap 'sleep 2' >/dev/null
	ends "preemption, $2" "$1" $short
	came_back "preemption, $2" "$1"
}

# without_node OUT NAME COMMAND...: the command is told the node that the job is on; then Slurm is told that it is down.
without_node() {
	local out=$1 name=$2 first second

	shift 2
	shape=(--nodes 1 --ranks 4)
	job "$out" one-node $short
	await 60 steps_done "$out" 12
	first=$(of_job NodeList)
	"$@" "$first"
	scontrol update nodename="$first" state=down reason=test
	ends "$name" "$out" $short
	came_back "$name" "$out"
	second=$(of_job NodeList)
	check "$name: goes on on the other" "$first, then $second" [ "$first" != "$second" ]
	scontrol update nodename="$first" state=resume
}

# No process of the node gets to do anything any more.
lose_node() {
	kill -KILL "$(cat "cluster/$1.pid")"
}

# Saved, but not once more into the queue.
cap() {
	shape+=(--max-restarts 0)
	job capped nodes-mpirun $short
	await 60 steps_done capped 5
	scancel --batch --signal=USR1 "$job"
	await 60 job_ended
	check "no restarts left: the job ends with exit code 85 and says so" "$(of_job JobState) $(of_job ExitCode) $(tail -n 1 capped.log)" \
		[ "$(of_job JobState) $(of_job ExitCode) $(grep -c '^restarted 0 times' capped.log)" = "FAILED 85:0 1" ]
	check "no restarts left: saved all the same" "$(log_of capped)" is_whole capped
}

# is_whole OUT: the latest checkpoint can be read.
is_whole() {
	"$bin/resnet-eval" --digest "$1" >/dev/null
}

# cancelled OUT TEMPLATE: what was cancelled does not come back by itself; the same script goes on.
cancelled() {
	job "$1" "$2" $short
	await 60 steps_done "$1" 12
	scancel "$job"
	await 60 job_ended
	check "scancel, $2: stays away" "$(of_job JobState)" [ "$(of_job JobState)" = CANCELLED ]
	check "scancel, $2: leaves a good checkpoint" "$(log_of "$1")" is_whole "$1"
	job "$1" "$2" $short
	ends "scancel, $2, then sbatch" "$1" $short
	check "scancel, $2, then sbatch: goes on" "$(grep '"event":"start"' "$1/metrics.jsonl")" \
		[ "$(value "$1/metrics.jsonl" start resumed_step)" -ge 1 ]
}

"$tests/cluster" up "$scratch/cluster" || { fail "the cluster starts" "$(tail -n 5 cluster/slurm*.log)"; finish; }
"$bin/resnet-data" synth drawn --train 640 --val 40 >/dev/null || exit 2
whole 60
submissions
table
other_ranks
# Long enough for what is to happen in it.
short=$(((rate * 10 + 19) / 20 * 20))
long=$(((rate * 40 + 19) / 20 * 20))
echo "   $rate steps/s: jobs of $short and $long steps"
mv whole whole.60
whole $long
extra=(--save-every 0)
time_limit
preemption preempted.srun nodes-srun
preemption preempted.mpirun nodes-mpirun
shape=(--nodes 2 --ranks 4)
cancelled cancelled.srun nodes-srun
extra=(--save-every 5)
cancelled cancelled.mpirun nodes-mpirun
cap
without_node down "node set down" true
without_node lost "node lost" lose_node
finish
