#!/bin/sh
# Compiles every header alone, and twice in one file, which its guard must allow.
#   CC=gcc CFLAGS="-std=c11 ..." tests/headers.sh HEADER...
# Exit code: 0 when all compile without a warning, 1 otherwise.
set -u
cd "$(dirname "$0")/.." || exit 2
compiler=${CC:-gcc}
flags=${CFLAGS:--std=c11 -Wall -Wextra -Wpedantic -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -I.}
failures=0
count=0

[ $# -gt 0 ] || {
	echo "headers.sh: no headers named" >&2
	exit 2
}
for header in "$@"; do
	# The one source of the kernel sets, which their .c files include behind definitions of their own.
	count=$((count + 1))
	# The compiler's name and flags are words.
	# shellcheck disable=SC2086
	printf '#include "%s"\n#include "%s"\n' "$header" "$header" | $compiler $flags -Werror -fsyntax-only -x c - || {
		echo "headers.sh: $header does not compile alone" >&2
		failures=$((failures + 1))
	}
done
[ $failures -eq 0 ] && echo "headers.sh: $count headers compile alone"
[ $failures -eq 0 ]
