#!/bin/bash
# With --shards V the bits do not depend on ranks and threads; without it they do, within summation error, and evaluation never does.
#   tests/system/shards.sh [build/bin]
. "$(dirname "$0")/common.sh"

# outcome RUN: everything that must be equal, in parts.
outcome() {
	events "$1/metrics.jsonl" step >"$1.steps"
	events "$1/metrics.jsonl" epoch >"$1.epochs"
	events "$1/metrics.jsonl" end >"$1.end"
	last_line "$1.out" >>"$1.end"
}

# alike NAME RUN RANKS ARGUMENT...: trains like the run called reference; the first one makes it.
alike() {
	local name=$1 out=$2

	trains "$@" || return
	outcome "$out"
	if [ "$reference" = "" ]; then
		reference=$out
		check "$name: 20 step events" "$(wc -l <"$out.steps")" [ "$(wc -l <"$out.steps")" -eq 20 ]
		check "$name: the end event and the last line name the weights" "$(cat "$out.end")" \
			grep -q "^complete: step 20, .*weights $(value "$out/metrics.jsonl" end weights)\$" "$out.end"
		return
	fi
	same "$name: every step's loss" "$reference.steps" "$out.steps"
	same "$name: train and validation figures" "$reference.epochs" "$out.epochs"
	same "$name: weights" "$reference.end" "$out.end"
}

# every_rank_count NAME ARGUMENT...: 1, 2, 3, 4 and 8 ranks, and two threads, with 8 shards.
every_rank_count() {
	local name=$1 ranks

	shift
	reference=
	for ranks in 1 2 3 4 8; do
		alike "$name, $ranks ranks" "$name.$ranks" "$ranks" --arch resnet20 --shards 8 --steps 20 --log-every 1 --threads 1 "$@"
	done
	alike "$name, 3 ranks with 2 threads" "$name.3x2" 3 --arch resnet20 --shards 8 --steps 20 --log-every 1 --threads 2 \
		--loader-threads 2 "$@"
}

"$bin/resnet-data" synth drawn --train 200 --val 60 >/dev/null || exit 2
python3 "$here/make_images.py" cifar binary --train 200 --val 60 || exit 2

# 200 images: the seventh batch of an epoch has 8 images, or 20.
every_rank_count png-32 --data drawn --global-batch 32 --augment cifar
every_rank_count png-30 --data drawn --global-batch 30 --augment none --shuffle off
every_rank_count cifar-32 --data binary --global-batch 32 --augment none
every_rank_count cifar-30 --data binary --global-batch 30 --augment cifar --seed 5 --label-smoothing 0.1 --nesterov on
every_rank_count cifar-bf16 --data binary --global-batch 30 --augment cifar --precision bf16
every_rank_count cifar-bf16-gradients --data binary --global-batch 30 --augment cifar --gradient-dtype bf16

# The digest of the weights for 8 shards: ranks by threads by buckets, and a run that goes on with other ranks in the middle of an epoch.
for dtype in fp32 bf16; do
	options=(--data binary --arch resnet20 --global-batch 24 --shards 8 --steps 11 --log-every 1 --augment cifar --precision $dtype
		--gradient-dtype $dtype)
	digest=
	for ranks in 1 2 4 8; do
		for threads in 1 2; do
			for megabytes in 0.01 0.3 4; do
				name="$dtype, $ranks ranks, $threads threads, buckets of $megabytes MB" out=digest.$dtype.$ranks.$threads.$megabytes
				trains "$name" $out $ranks "${options[@]}" --threads $threads --bucket-mb $megabytes || continue
				digest=${digest:-$(value $out/metrics.jsonl end weights)}
				check "$name: the digest of one rank" "$(value $out/metrics.jsonl end weights)" \
					[ "$(value $out/metrics.jsonl end weights)" = "$digest" ]
			done
		done
	done
	for kind in 8:3 2:6 4:11; do
		trains "$dtype, resumed: ${kind#*:} steps" digest.$dtype ${kind%:*} "${options[@]}" --steps ${kind#*:}
	done
	check "$dtype, 8 ranks, then 2, then 4: the digest of one rank" "$(value digest.$dtype/metrics.jsonl end weights)" \
		[ "$(value digest.$dtype/metrics.jsonl end weights)" = "$digest" ]
	check "$dtype, 8 ranks, then 2, then 4: each went on" "$(grep '"start"' digest.$dtype/metrics.jsonl)" \
		[ "$(sed -nE 's/.*"ranks":([0-9]+).*"resumed_step":([0-9]+).*/\1 from \2/p' digest.$dtype/metrics.jsonl | tr '\n' ',')" = \
			"8 from 0,2 from 3,4 from 6," ]
done

# shellcheck disable=SC2317 # called through check
# close STEPS STEPS: losses differ by at most 1e-4 of themselves.
close() {
	paste -d ' ' <(sed -E 's/.*"loss":([^,]*).*/\1/' "$1") <(sed -E 's/.*"loss":([^,]*).*/\1/' "$2") |
		awk '{ d = $1 - $2; if (NF != 2 || (d < 0 ? -d : d) > 1e-4 * $1) bad = 1 } END { exit bad || NR < 4 }'
}

for ranks in 1 2 3 4 8; do
	trains "without --shards, $ranks ranks" "free.$ranks" $ranks --data drawn --arch resnet20 --global-batch 32 --steps 4 \
		--log-every 1 --lr 0.01 || continue
	outcome "free.$ranks"
	check "without --shards, $ranks ranks: losses are close to those of one rank" \
		"$(tr '\n' ' ' <"free.$ranks.steps")" close free.1.steps "free.$ranks.steps"
	check "without --shards, $ranks ranks: as many shards as ranks" "$(value "free.$ranks/metrics.jsonl" start shards)" \
		[ "$(value "free.$ranks/metrics.jsonl" start shards)" -eq $ranks ]
done
check "without --shards, the number of ranks changes bits" "8 ranks and 1 have the same weights" \
	[ "$(value free.8/metrics.jsonl end weights)" != "$(value free.1/metrics.jsonl end weights)" ]

for ranks in 1 2 3 4 8; do
	run "eval.$ranks" $ranks resnet-eval png-32.1/checkpoints/latest --data drawn
	same "resnet-eval on $ranks ranks gives the same figures" eval.1.out "eval.$ranks.out"
done
run eval.small 3 resnet-eval png-32.1 --data drawn --batch 7 --threads 2
same "resnet-eval with another batch and threads gives the same figures" eval.1.out eval.small.out
check "resnet-eval gives the training's own figures" "$(cat eval.1.out) $(tail -n 1 png-32.1.epochs)" \
	grep -q "^images 60  loss $(printf '%.6f' "$(value png-32.1/metrics.jsonl epoch val_loss)")  error $(printf '%.2f' \
		"$(value png-32.1/metrics.jsonl epoch val_error)") %  top-5 error $(printf '%.2f' \
		"$(value png-32.1/metrics.jsonl epoch val_error_top5)") %" eval.1.out
run digest 2 resnet-eval png-32.1 --digest
check "resnet-eval --digest gives the digest of the end event" "$(cat digest.out)" \
	[ "$(last_line digest.out)" = "$(value png-32.1/metrics.jsonl end weights)" ]
finish
