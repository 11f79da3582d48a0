#!/bin/bash
# Runs every libFuzzer target for some time, beginning with the kept inputs and with real files if there are any.
#   tests/fuzz/run.sh BUILD-FOLDER SECONDS [TARGET...]
# FUZZ_DATA=DIR...: folders with real files (*.png, *.jpg or *.jpeg, *.bin, *.index, *.safetensors, *.ini, *.jsonl), from which the corpus grows.
# What libFuzzer adds stays in BUILD-FOLDER/corpus. Exit code: 0 when nothing was found; what was found is in BUILD-FOLDER/found.
set -u
export LC_ALL=C
build=$1
seconds=$2
shift 2
here=$(dirname "$0")
found=$build/found
mkdir -p "$found"
failures=0
[ $# -gt 0 ] || set -- png jpeg cifar packed safetensors ini lines

# real_files FOLDER HEAD PATTERN [BYTES]: the first 20 real files of this kind that have less than 64 KiB go into FOLDER behind HEAD;
# with BYTES, the first so many bytes of files of any size.
real_files() {
	local out=$1 head=$2 pattern=$3 bytes=${4:-} file number=0 limit=(-size -64k)

	[ -n "${FUZZ_DATA:-}" ] || return 0
	[ -z "$bytes" ] || limit=()
	# shellcheck disable=SC2086
	while read -r file; do
		number=$((number + 1))
		# shellcheck disable=SC2059
		(printf "$head" && head -c "${bytes:-65536}" "$file") >"$out/real-$number"
	done < <(find -L $FUZZ_DATA -type f ${limit[@]+"${limit[@]}"} -regextype posix-extended -iregex ".*\.($pattern)" | sort | head -n 20)
}

for target; do
	corpus=$build/corpus/$target
	mkdir -p "$corpus"
	case $target in
	png) real_files "$corpus" '' png ;;
	jpeg) real_files "$corpus" '' 'jpe?g' ;;
	cifar) real_files "$corpus" '\0\0\0' bin $((2 * 3073)) ;;
	packed) real_files "$corpus" '' index ;;
	safetensors) real_files "$corpus" '' safetensors ;;
	ini) real_files "$corpus" '' ini ;;
	lines) real_files "$corpus" '\0\1\0\0' jsonl 4000 ;;
	esac
	log=$build/fuzz-$target.log
	"$build/fuzz/$target" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=3000 -max_len=65536 -print_final_stats=1 \
		-artifact_prefix="$found/$target-" -dict="$here/dictionary.txt" "$corpus" "$here/corpus/$target" >"$log" 2>&1
	code=$?
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	coverage=$(grep -o 'cov: [0-9]* ft: [0-9]* corp: [0-9]*' "$log" | tail -n 1)
	echo "fuzz: $target: ${runs:-?} executions in $seconds s, ${coverage:-no coverage}, exit code $code"
	if [ $code -ne 0 ]; then
		failures=$((failures + 1))
		tail -n 40 "$log" >&2
	fi
done
[ $failures -eq 0 ]
