/* Readers of foreign bytes, each as a function of any bytes: for libFuzzer (entry.c, run.sh), and for the unit tests, which give
 * them the kept inputs of tests/fuzz/corpus. A reader may refuse its input; it may not crash, leak, or break a FUZZ_CHECK. */
#ifndef TESTS_FUZZ_TARGETS_H
#define TESTS_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FUZZ_TARGETS(X)                                                                                                            \
	X(png)                                                                                                                     \
	X(jpeg)                                                                                                                    \
	X(cifar)                                                                                                                   \
	X(safetensors)                                                                                                             \
	X(ini)                                                                                                                     \
	X(lines)                                                                                                                   \
	X(packed)

#define FUZZ_DECLARE(name) void fuzz_##name(const uint8_t *bytes, size_t size);
FUZZ_TARGETS(FUZZ_DECLARE)
#undef FUZZ_DECLARE

/* A property of the reader; breaking it ends the program, as libFuzzer wants it. */
#define FUZZ_CHECK(condition)                                                                                                      \
	do                                                                                                                         \
		if (!(condition)) {                                                                                                \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);                                    \
			abort();                                                                                                   \
		}                                                                                                                  \
	while (0)

enum { FUZZ_PATH = 64 };

/* path = the name of a file in memory that holds these bytes. Returns its descriptor; close(it) removes the file. */
int fuzz_file(char path[FUZZ_PATH], const uint8_t *bytes, size_t size);

#endif
