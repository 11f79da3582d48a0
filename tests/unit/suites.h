/* The list of unit suites. Each tests/unit/test_NAME.c defines suite_NAME, which adds its suite and tests to CUnit's registry. */
#ifndef TESTS_UNIT_SUITES_H
#define TESTS_UNIT_SUITES_H

#include <CUnit/CUnit.h>

#define SUITES(X)                                                                                                                  \
	X(core)                                                                                                                    \
	X(kernels)                                                                                                                 \
	X(bench)                                                                                                                   \
	X(pointwise)                                                                                                               \
	X(tiles)                                                                                                                   \
	X(winograd_tiles)                                                                                                          \
	X(stored)                                                                                                                  \
	X(conv)                                                                                                                    \
	X(conv_ranges)                                                                                                             \
	X(fold)                                                                                                                    \
	X(batchnorm)                                                                                                               \
	X(pool)                                                                                                                    \
	X(loss)                                                                                                                    \
	X(models)                                                                                                                  \
	X(optimizer)                                                                                                               \
	X(plan)                                                                                                                    \
	X(recompute)                                                                                                               \
	X(network)                                                                                                                 \
	X(gradients)                                                                                                               \
	X(lockstep)                                                                                                                \
	X(options)                                                                                                                 \
	X(metrics)                                                                                                                 \
	X(progress)                                                                                                                \
	X(tuning)                                                                                                                  \
	X(trace)                                                                                                                   \
	X(binding)                                                                                                                 \
	X(memory)                                                                                                                  \
	X(digest)                                                                                                                  \
	X(safetensors)                                                                                                             \
	X(checkpoint)                                                                                                              \
	X(run_lock)                                                                                                                \
	X(files)                                                                                                                   \
	X(escape)                                                                                                                  \
	X(images)                                                                                                                  \
	X(bombs)                                                                                                                   \
	X(resize)                                                                                                                  \
	X(sampler)                                                                                                                 \
	X(sampler_windows)                                                                                                         \
	X(augment)                                                                                                                 \
	X(augment_paper)                                                                                                           \
	X(views)                                                                                                                   \
	X(look)                                                                                                                    \
	X(colours)                                                                                                                 \
	X(reduced_decode)                                                                                                          \
	X(jitter)                                                                                                                  \
	X(mix)                                                                                                                     \
	X(normalization)                                                                                                           \
	X(dataset)                                                                                                                 \
	X(cifar)                                                                                                                   \
	X(packed)                                                                                                                  \
	X(packed_contents)                                                                                                         \
	X(doubling)                                                                                                                \
	X(split)                                                                                                                   \
	X(synth)                                                                                                                   \
	X(loader)                                                                                                                  \
	X(sample_order)                                                                                                            \
	X(position)                                                                                                                \
	X(bad_images)                                                                                                              \
	X(fuzz)                                                                                                                    \
	X(dot)                                                                                                                     \
	X(conv_bf16)                                                                                                               \
	X(network_bf16)                                                                                                            \
	X(network_entries)                                                                                                         \
	X(network_exchange)                                                                                                        \
	X(fixtures)                                                                                                                \
	X(fixture_nets)

#define DECLARE(name) void suite_##name(void);
SUITES(DECLARE)
#undef DECLARE

/* One row per test; the name is a sentence. */
struct test_row {
	const char *name;
	CU_TestFunc function;
};

/* Adds a suite with `count` tests; ends the program when CUnit refuses. */
void add_suite(const char *name, const struct test_row *rows, int count);

#define TEST(function)                                                                                                             \
	{                                                                                                                          \
#function, function                                                                                                \
	}
#define ADD_SUITE(name, rows) add_suite(name, rows, (int)(sizeof(rows) / sizeof((rows)[0])))

#endif
