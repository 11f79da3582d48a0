#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "tests/unit/suites.h"
#include "trainer/data/sampler.h"

enum { COUNT_MAX = 300, BATCH_MAX = 70 };

static struct sampler_windows small(size_t count, size_t global_batch, size_t depth)
{
	return (struct sampler_windows){count, global_batch, depth};
}

static void an_order_in_two_levels_holds_every_image_once(void)
{
	static const size_t batches[] = {1, 7, 32, BATCH_MAX, 400}, depths[] = {1, 3, 8, 50};

	for (size_t count = 1; count <= COUNT_MAX; count += count < 70 ? 1 : 23)
		for (size_t b = 0; b < 5; b++)
			for (size_t d = 0; d < 4; d++) {
				const struct sampler_windows windows = small(count, batches[b], depths[d]);
				uint32_t order[COUNT_MAX], blocks[COUNT_MAX];
				int seen[COUNT_MAX] = {0};

				sampler_window_order(order, blocks, &windows, 3, 5);
				for (size_t i = 0; i < count; i++)
					seen[order[i]]++;
				for (size_t i = 0; i < count; i++)
					CU_ASSERT_EQUAL(seen[i], 1);
			}
}

static void it_depends_on_seed_and_epoch_only(void)
{
	const struct sampler_windows windows = small(COUNT_MAX, 7, 5);
	uint32_t a[COUNT_MAX], b[COUNT_MAX], blocks[COUNT_MAX];

	sampler_window_order(a, blocks, &windows, 7, 3);
	sampler_window_order(b, blocks, &windows, 7, 3);
	CU_ASSERT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	sampler_window_order(b, blocks, &windows, 7, 4);
	CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	sampler_window_order(b, blocks, &windows, 8, 3);
	CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof(a)), 0);
}

static void windows_of_a_stream_follow_each_other_to_its_end(void)
{
	for (size_t batch = 1; batch <= BATCH_MAX; batch += 3)
		for (size_t depth = 1; depth <= 9; depth++) {
			const struct sampler_windows windows = small(COUNT_MAX, batch, depth);

			for (size_t stream = 0; stream < batch; stream++) {
				size_t done = 0, begin, end, length = sampler_stream_length(&windows, stream);

				CU_ASSERT_EQUAL(length, COUNT_MAX / batch + (stream < COUNT_MAX % batch));
				for (size_t window = 0; done < length; window++) {
					sampler_window_range(&begin, &end, &windows, stream, window);
					CU_ASSERT(begin == done && end > begin && end - begin <= depth);
					CU_ASSERT_EQUAL(sampler_window_at(&windows, stream, begin), window);
					CU_ASSERT_EQUAL(sampler_window_at(&windows, stream, end - 1), window);
					done = end;
				}
				sampler_window_range(&begin, &end, &windows, stream, length + depth);
				CU_ASSERT(begin == length && end == length);
			}
		}
}

/* A window's images are neighbours: at most two blocks that it shares with others, and whole ones between. */
static void a_window_reads_whole_blocks(void)
{
	const struct sampler_windows windows = small(COUNT_MAX * 32, 8, 100);
	static uint32_t order[COUNT_MAX * 32];
	uint32_t blocks[COUNT_MAX];
	size_t begin, end;

	sampler_window_order(order, blocks, &windows, 1, 1);
	for (size_t stream = 0; stream < 8; stream++)
		for (size_t window = 0; window < 5; window++) {
			int of_block[COUNT_MAX] = {0}, torn = 0;

			sampler_window_range(&begin, &end, &windows, stream, window);
			for (size_t step = begin; step < end; step++)
				of_block[order[step * 8 + stream] / SAMPLER_BLOCK]++;
			for (int i = 0; i < COUNT_MAX; i++)
				torn += of_block[i] != 0 && of_block[i] != SAMPLER_BLOCK;
			CU_ASSERT(torn <= 2);
		}
}

/* ImageNet's size, 1000 classes one behind the other, batches of 256. */
enum { IMAGES = 1281167, CLASSES = 1000, BATCH = 256 };

struct quality {
	double correlation; /* of an image's number and its place in the order */
	double apart;	    /* mean distance of neighbours in the order, of the whole */
	double in_batch;    /* classes in a batch */
	double in_ten;	    /* and in ten batches */
	double imbalance;   /* images of a class in ten batches: mean square of (seen - expected), over that of drawing */
};

static double classes_in(const uint32_t *order, size_t images, double *square)
{
	double sum = 0, expected = (double)images / CLASSES;
	size_t parts = IMAGES / images;

	*square = 0;
	for (size_t part = 0; part < parts; part++) {
		int seen[CLASSES + 1] = {0};

		for (size_t i = 0; i < images; i++)
			seen[(size_t)order[part * images + i] * CLASSES / IMAGES]++;
		for (int c = 0; c < CLASSES; c++) {
			sum += seen[c] > 0;
			*square += (seen[c] - expected) * (seen[c] - expected);
		}
	}
	*square /= (double)parts * CLASSES * expected;
	return sum / (double)parts;
}

static struct quality judge(const uint32_t *order, uint32_t *place)
{
	struct quality quality = {.correlation = 0};
	double middle = (IMAGES - 1) / 2.0, square;

	for (size_t i = 0; i < IMAGES; i++)
		place[order[i]] = (uint32_t)i;
	for (size_t i = 0; i < IMAGES; i++)
		quality.correlation += ((double)i - middle) * (place[i] - middle);
	quality.correlation /= (double)IMAGES * IMAGES / 12 * IMAGES;
	for (size_t i = 1; i < IMAGES; i++)
		quality.apart += fabs((double)place[i] - place[i - 1]) / IMAGES / (IMAGES - 1);
	quality.in_batch = classes_in(order, BATCH, &square);
	quality.in_ten = classes_in(order, (size_t)10 * BATCH, &quality.imbalance);
	return quality;
}

/* The figures of README.md, "Packed folders". */
static void the_quality_of_a_shuffle_is_what_readme_says(void)
{
	static const struct {
		size_t window;
		double apart, in_batch, in_ten, imbalance;
	} expected[] = {{0, 0.333, 226, 923, 1.0},
			{16384, 0.015, 227, 524, 4.4},
			{65536, 0.027, 227, 796, 2.0},
			{262144, 0.072, 227, 896, 1.25}};
	uint32_t *order, *place;
	static uint32_t blocks[IMAGES / SAMPLER_BLOCK + 1];

	CU_ASSERT_EQUAL_FATAL(nn_alloc(&order, IMAGES * sizeof(*order)), NN_OK);
	CU_ASSERT_EQUAL_FATAL(nn_alloc(&place, IMAGES * sizeof(*place)), NN_OK);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		const struct sampler_windows windows = small(IMAGES, BATCH, expected[i].window / BATCH);
		struct quality quality;

		if (expected[i].window)
			sampler_window_order(order, blocks, &windows, 0, 0);
		else
			sampler_permutation(order, IMAGES, 0, 0);
		quality = judge(order, place);
		CU_ASSERT(fabs(quality.correlation) < 0.01);
		CU_ASSERT(fabs(quality.apart - expected[i].apart) < 0.001);
		CU_ASSERT(fabs(quality.in_batch - expected[i].in_batch) < 1);
		CU_ASSERT(fabs(quality.in_ten - expected[i].in_ten) < 2);
		CU_ASSERT(fabs(quality.imbalance - expected[i].imbalance) < 0.05);
	}
	nn_free(order);
	nn_free(place);
}

void suite_sampler_windows(void)
{
	static const struct test_row rows[] = {
	    TEST(an_order_in_two_levels_holds_every_image_once),    TEST(it_depends_on_seed_and_epoch_only),
	    TEST(windows_of_a_stream_follow_each_other_to_its_end), TEST(a_window_reads_whole_blocks),
	    TEST(the_quality_of_a_shuffle_is_what_readme_says),
	};

	ADD_SUITE("sampler_windows", rows);
}
