#!/bin/bash
# Kills, failing calls, power cuts and damage: a run gives its last good checkpoint or the one before, never a wrong one.
#   tests/system/torture.sh [build/bin]     short; RESNET_KILLS=N, as `make torture` gives it, for N kills and all power cuts
#   RESNET_SEED=N repeats the moments of an earlier call
. "$(dirname "$0")/common.sh"
kills=${RESNET_KILLS:-15}
long=${RESNET_KILLS:+yes}
seed=${RESNET_SEED:-$((($$ * 32749 + $(date +%s)) % 32768))}
torture=$(cd "$bin/../tests/torture" && pwd)/torture
scripts=$here/../torture
echo "moments by RESNET_SEED=$seed"

# Thousands of small files: in memory, where there is such a place.
small=$(mktemp -d /dev/shm/resnet-torture.XXXXXX 2>/dev/null) || small=$(mktemp -d)
trap 'rm -rf "$small"; leave' EXIT

# part NAME SECONDS COMMAND...: it ends well; its figures are shown.
part() {
	local name=$1 seconds=$2

	shift 2
	timeout --foreground -k 5 "$seconds" "$@" >part.out 2>&1
	check "$name" "exit code $? of $*" [ $? -eq 0 ]
	sed 's/^/   /' part.out
	rm -rf "${small:?}"/*
}

part "a save killed or failing at any call" 300 "$torture" calls "$small"
part "any bit flipped, any other length" 300 "$torture" damage "$small"
part "saving killed at random moments" $((100 + kills)) "$torture" kills "$small" $((10 * kills)) "$seed"
part "power cut at any call of a save" 300 "$scripts/power.py" "$torture" "$small" "$([ "$long" ] && echo 2000 || echo 60)" "$seed"
for what in files folders; do
	part "power cuts would show a missing fsync of $what" 300 "$scripts/power.py" "$torture" "$small" 60 "$seed" \
		--without-fsync-of $what
done

# What the program does to files, by strace: calls that change nothing (sync_file_range is a hint, which the model allows for at any
# moment) are left out, whatever else there is must be in our own log.
# Sorted, because the order of names in a folder, by which it is cleared, may differ.
system_calls() {
	strace -f -qq -e trace=%file,%desc -o strace.out "$torture" save "$1" run || return
	grep -v ' = -1 ' strace.out | sed -E 's/^[0-9]+ +//; /^openat/{/O_CREAT|O_WRONLY|O_RDWR/!d}' |
		grep -Ev '^(execve|access|read|pread64|close|fstat|newfstatat|stat|lstat|readlink|getdents64|mmap|lseek|fcntl|getcwd)\(' |
		grep -v '^sync_file_range(' |
		sed -E 's/^openat\(.*O_CREAT.*/create/; s/^unlinkat\(.*AT_REMOVEDIR.*/rmdir/; s/^(unlink|rename|mkdir|symlink)at2?\(/\1(/; s/\(.*//'
}

if command -v strace >/dev/null; then
	for name in $("$torture" scenarios); do
		rm -rf run
		"$torture" prepare "$name" run && "$torture" save "$name" run log
		grep -Ev '^(open|close)	' log | cut -f 1 | sort >log.calls
		rm -rf run
		"$torture" prepare "$name" run && system_calls "$name" | sort >strace.calls
		same "the log of the save '$name' has all its system calls" log.calls strace.calls
	done
elif [ "$long" ]; then
	fail "the log of a save has all its system calls" "no strace; jobs/install-deps --dev installs it"
else
	echo "   not checked: that the log of a save has all its system calls (no strace; jobs/install-deps --dev installs it)"
fi

"$bin/resnet-data" synth drawn --train 40 --val 10 >/dev/null || exit 2
part "resnet-train killed at random moments" $((120 + 5 * kills)) "$scripts/kills.py" "$bin/resnet-train" "$torture" drawn "$scratch" \
	"$kills" "$seed"
finish
