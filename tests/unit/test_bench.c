#include "tests/unit/suites.h"

#include "nn/core/alloc.h"
#include "nn/kernels/kernels.h"
#include "tests/unit/fixture.h"
#include "trainer/bench/bench.h"
#include "trainer/bench/layers.h"
#include "trainer/bench/timing.h"

enum { FLOATS = 256 };

static void the_median_is_the_middle_or_between_the_two_middle_ones(void)
{
	double odd[] = {5, 1, 3}, even[] = {8, 2, 4, 1};

	CU_ASSERT_EQUAL(timing_median(odd, 3), 3);
	CU_ASSERT_EQUAL(odd[0], 1);
	CU_ASSERT_EQUAL(timing_median(even, 4), 3);
}

static void every_set_really_does_the_work_of_its_peaks(void)
{
	for (int k = 0; kernels_all[k]; k++) {
		const struct kernel_peaks *peak = &kernels_all[k]->peak;
		float x[PEAK_CHAINS * 16], a[FLOATS], b[FLOATS], out[FLOATS];

		if (!kernels_usable(kernels_all[k]))
			continue;
		for (int i = 0; i < PEAK_CHAINS * 16; i++)
			x[i] = 1;
		for (int i = 0; i < FLOATS; i++) {
			a[i] = (float)i;
			b[i] = 2;
		}
		/* 1, 1.5, 1.75 */
		peak->multiply_adds(x, 0.5f, 2);
		CU_ASSERT_EQUAL(x[0], 1.75f);
		CU_ASSERT_EQUAL(x[PEAK_CHAINS * kernels_all[k]->vector - 1], 1.75f);
		peak->triad(out, a, b, 0.5f, FLOATS);
		CU_ASSERT_EQUAL(out[FLOATS - 1], FLOATS);
		CU_ASSERT_EQUAL(peak->read(a, FLOATS), FLOATS * (FLOATS - 1) / 2);
		peak->write(out, 7, FLOATS);
		CU_ASSERT_EQUAL(peak->read(out, FLOATS), 7 * FLOATS);
	}
}

/* 2 x 2 pixels of 3 channels; a 1 x 1 convolution to 4; a second one to 5. */
static void bytes_and_operations_of_a_small_graph_are_those_counted_by_hand(void)
{
	struct graph graph;
	int node;

	CU_ASSERT_EQUAL(graph_init(&graph, "small", 2, 2, 3), NN_OK);
	CU_ASSERT_EQUAL(graph_conv(&graph, &node, 0, 4, 1, 1, 0, "a"), NN_OK);
	CU_ASSERT_EQUAL(graph_conv(&graph, &node, node, 5, 1, 1, 0, "b"), NN_OK);
	CU_ASSERT_EQUAL(bench_flops(&graph, false), 2 * (48 + 80));
	CU_ASSERT_EQUAL(bench_flops(&graph, true), 3 * 2 * (48 + 80) - 2 * 48);
	CU_ASSERT_EQUAL(bench_bytes(&graph, false, 10), 4 * (10 * (12 + 16) + 12 + 10 * (16 + 20) + 20));
	CU_ASSERT_EQUAL(bench_bytes(&graph, true, 10),
			4 * (2 * 10 * (12 + 16) + 3 * 12 + 2 * 10 * (16 + 20) + 3 * 20 + 10 * 16 + 5 * 32));
	graph_release(&graph);
}

static void layers_without_memory_say_so(void)
{
	struct bench_options options = {.arch = "resnet20", .batch = 1, .threads = 1, .iterations = 1, .image_size = 32};
	struct layers layers;
	enum nn_status status = NN_ERR_MEMORY;
	int failures = 0;

	for (long nth = 1; status == NN_ERR_MEMORY; nth += 5) {
		nn_alloc_fail_at(nth);
		status = layers_measure(&layers, &options);
		failures += status == NN_ERR_MEMORY;
		layers_release(&layers);
	}
	nn_alloc_fail_at(0);
	CU_ASSERT_EQUAL(status, NN_OK);
	CU_ASSERT(failures > 10);
}

void suite_bench(void)
{
	static const struct test_row rows[] = {
	    TEST(the_median_is_the_middle_or_between_the_two_middle_ones),
	    TEST(every_set_really_does_the_work_of_its_peaks),
	    TEST(bytes_and_operations_of_a_small_graph_are_those_counted_by_hand),
	    TEST(layers_without_memory_say_so),
	};

	ADD_SUITE("bench", rows);
}
