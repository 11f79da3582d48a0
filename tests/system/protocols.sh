#!/bin/bash
# The paper's augmentation, per-pixel mean, and the rest of the training protocols: the same bits on any number of ranks, and when a
# run is interrupted; resnet-eval gives the training's own figures.
#   tests/system/protocols.sh [build/bin]
. "$(dirname "$0")/common.sh"

settings=(--data drawn --arch resnet20 --shards 6 --global-batch 30 --log-every 1 --threads 1 --lr 0.02 --save-every 0)

# outcome RUN: what must be equal.
outcome() {
	events "$1/metrics.jsonl" step >"$1.figures"
	events "$1/metrics.jsonl" epoch >>"$1.figures"
	value "$1/metrics.jsonl" end weights >>"$1.figures"
}

# every_way NAME ARGUMENT...: on 1, 2, 4 and 6 ranks, with two loader threads, and in two pieces of which the second has other ranks.
every_way() {
	local name=$1 ranks

	shift
	for ranks in 1 2 4 6; do
		trains "$name, $ranks ranks" "$name.$ranks" $ranks "${settings[@]}" --steps 9 --loader-threads $((ranks % 2 + 1)) "$@" ||
			continue
		outcome "$name.$ranks"
		[ $ranks -eq 1 ] || same "$name, $ranks ranks: losses, figures and weights of one rank" "$name.1.figures" "$name.$ranks.figures"
	done
	trains "$name, first part" "$name.parts" 2 "${settings[@]}" --steps 4 --eval-every 0 "$@" || return
	trains "$name, second part" "$name.parts" 3 "${settings[@]}" --steps 9 --eval-every 1 "$@" || return
	outcome "$name.parts"
	check "$name: an interrupted run ends with the same weights" "$(tail -n 1 "$name.1.figures") $(tail -n 1 "$name.parts.figures")" \
		[ "$(tail -n 1 "$name.1.figures")" = "$(tail -n 1 "$name.parts.figures")" ]
	run "$name.eval" 2 resnet-eval "$name.4" --data drawn
	check "$name: resnet-eval gives the training's own figures" "$(cat "$name.eval.out" "$name.eval.err")" \
		grep -q "^images 60  loss $(printf '%.6f' "$(value "$name.1/metrics.jsonl" epoch val_loss)")  error" "$name.eval.out"
}

# differs NAME A B: a choice that is in effect changes the weights.
differs() {
	check "$1" "the same weights" [ "$(value "$2/metrics.jsonl" end weights)" != "$(value "$3/metrics.jsonl" end weights)" ]
}

"$bin/resnet-data" synth drawn --train 100 --val 60 >/dev/null || exit 2

every_way plain --augment none
every_way paper --augment paper
every_way pixel-mean --augment cifar --normalize pixel-mean
every_way paper-pixel-mean --augment paper --normalize pixel-mean
every_way jitter --augment inception --color-jitter 0.4,0.4,0.4,0.1 --random-erasing 0.5
every_way mixup --augment cifar --mixup 0.2 --label-smoothing 0.1
every_way mixes --augment paper --mixup 1 --cutmix 1 --random-erasing 0.2
every_way recalibrated --augment paper --bn-recalibrate 3
differs "recalibration is in effect" paper.1 recalibrated.1
check "recalibration changes no step" "other losses" \
	[ "$(events paper.1/metrics.jsonl step)" = "$(events recalibrated.1/metrics.jsonl step)" ]
differs "mixup, cutmix and erasing are in effect" paper.1 mixes.1
differs "the paper's augmentation is not none" plain.1 paper.1
differs "a per-pixel mean is not the channel's" paper.1 paper-pixel-mean.1

# Evaluation by every protocol: the same figures and scores on any number of ranks and with any batch.
for protocol in "single --flip" 10-crop multi-scale "multi-scale --flip"; do
	name=eval.${protocol// /}
	# shellcheck disable=SC2086 # the flip is a word of its own
	run "$name.1" 1 resnet-eval paper-pixel-mean.1 --data drawn --scores "$name.1.scores" --protocol $protocol
	check "resnet-eval --protocol $protocol" "$(cat "$name.1.err")" grep -q '^images 60  loss' "$name.1.out"
	# shellcheck disable=SC2086
	run "$name.3" 3 resnet-eval paper-pixel-mean.1 --data drawn --scores "$name.3.scores" --batch 3 --threads 2 --protocol $protocol
	same "resnet-eval --protocol $protocol gives the same figures on 3 ranks" "$name.1.out" "$name.3.out"
	same "resnet-eval --protocol $protocol gives the same scores on 3 ranks" "$name.1.scores" "$name.3.scores"
done
check "the protocols' figures differ" "the same loss" [ "$(cat eval.*.1.out | sort -u | wc -l)" -eq 4 ]
run picture 1 resnet-eval paper-pixel-mean.1 --protocol 10-crop drawn/val/*/000*.png
check "resnet-eval shows single pictures by a protocol too" "$(cat picture.err)" grep -q '%  ' picture.out
run twice 1 resnet-eval paper-pixel-mean.1 --data drawn --protocol 10-crop --flip
check "ten crops and flips together are refused as usage" "$? $(cat twice.err)" grep -q 'error: 10-crop has the mirrored' twice.err

# figure FILE WORD: the number behind a word of a line.
figure() {
	grep -o "$2 [0-9.]*" "$1" | head -1
}
trains "a final evaluation" final 2 "${settings[@]}" --steps 9 --augment paper --normalize pixel-mean --final-protocol 10-crop
check "--final-protocol changes no weights" "$(tail -n 1 final.out)" \
	[ "$(value final/metrics.jsonl end weights)" = "$(value paper-pixel-mean.1/metrics.jsonl end weights)" ]
check "--final-protocol says what resnet-eval says" "$(cat final.out)" \
	[ "$(figure <(grep '^10-crop: ' final.out) 'error')" = "$(figure eval.10-crop.1.out 'error')" ]
check "--final-protocol writes an event" "$(cat final/metrics.jsonl)" \
	[ "$(printf 'loss %.6f' "$(value final/metrics.jsonl final val_loss)")" = "$(figure eval.10-crop.1.out 'loss')" ]

run hue 1 resnet-train --out hue --data drawn --arch resnet20 --color-jitter 0,0,0,0.6
check "a hue of more than half a turn is refused as usage" "$? $(cat hue.err)" grep -q 'error: --color-jitter: hue' hue.err
run big 1 resnet-train --out big --data drawn --arch resnet20 --normalize pixel-mean --image-size 1024
check "a per-pixel mean of large pictures is refused as usage" "$? $(cat big.err)" grep -q 'error: --normalize pixel-mean' big.err
finish
