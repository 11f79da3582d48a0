#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "tests/unit/suites.h"
#include "trainer/data/sampler.h"
#include "trainer/run/sample_order.h"

enum { COUNT = 67, HOLDOUT = 6, BATCH = 16, STEPS = 4, EPOCHS = 3, SEED = 5 };

/* Images of a window: none, one step, two, three and a half (the whole has four). */
static const size_t window_sizes[] = {0, 1, 2 * BATCH, 56};

enum { WINDOW_SIZES = sizeof(window_sizes) / sizeof(window_sizes[0]) };

/* The one that orders are made with now. */
static size_t window;

static const int shard_counts[] = {1, 2, 5, 8, 13};

enum { SHARD_COUNTS = sizeof(shard_counts) / sizeof(shard_counts[0]) };

/* The order of rank `rank` of `ranks`, at the start of training. 61 images in batches of 16 are four steps, the last of 13. */
static void order_init(struct sample_order *order, const struct sample_split *split, int rank, int ranks, int shards)
{
	CU_ASSERT_EQUAL_FATAL(sample_order_init(order, split, window, BATCH), NN_OK);
	order->steps_per_epoch = STEPS;
	order->seed = SEED;
	order->shuffle = true;
	order->shards = (struct shards){shards, rank * shards / ranks, (rank + 1) * shards / ranks};
}

/* What a rank, or all ranks one behind the other, get in each step of EPOCHS epochs. */
struct record {
	uint32_t images[EPOCHS * STEPS][BATCH];
	size_t samples[EPOCHS * STEPS];
	uint64_t epochs[EPOCHS * STEPS];
};

static void record_all(struct record *record, const struct sample_split *split, int ranks, int shards)
{
	memset(record, 0, sizeof(*record));
	for (int rank = 0; rank < ranks; rank++) {
		struct sample_order order;

		order_init(&order, split, rank, ranks, shards);
		for (int i = 0; i < EPOCHS * STEPS; i++) {
			size_t samples;

			CU_ASSERT_TRUE(
			    sample_order_next(record->images[i] + record->samples[i], &samples, &record->epochs[i], &order));
			record->samples[i] += samples;
		}
		sample_order_release(&order);
	}
}

static void check_each_epoch_shows_every_training_image_once(void)
{
	struct sample_split split;
	struct record record;

	CU_ASSERT_EQUAL_FATAL(sample_split_init(&split, COUNT, HOLDOUT, SEED), NN_OK);
	for (int ranks = 1; ranks <= 8; ranks++)
		for (int v = 0; v < SHARD_COUNTS; v++) {
			int seen[EPOCHS][COUNT] = {{0}};

			record_all(&record, &split, ranks, shard_counts[v]);
			for (int i = 0; i < EPOCHS * STEPS; i++) {
				CU_ASSERT_EQUAL(record.samples[i], i % STEPS == STEPS - 1 ? 13 : BATCH);
				CU_ASSERT_EQUAL(record.epochs[i], (uint64_t)(i / STEPS));
				for (size_t k = 0; k < record.samples[i]; k++)
					seen[i / STEPS][record.images[i][k]]++;
			}
			for (int epoch = 0; epoch < EPOCHS; epoch++)
				for (size_t k = 0; k < COUNT; k++)
					CU_ASSERT_EQUAL(seen[epoch][split.images[k]], k < split.train_count);
		}
	sample_split_release(&split);
}

static void each_epoch_shows_every_training_image_once(void)
{
	for (int i = 0; i < WINDOW_SIZES; i++) {
		window = window_sizes[i];
		check_each_epoch_shows_every_training_image_once();
	}
	window = 0;
}

static void check_the_global_batch_does_not_depend_on_the_number_of_ranks(void)
{
	struct sample_split split;
	struct record one, many;

	CU_ASSERT_EQUAL_FATAL(sample_split_init(&split, COUNT, HOLDOUT, SEED), NN_OK);
	record_all(&one, &split, 1, 8);
	for (int ranks = 2; ranks <= 8; ranks++) {
		record_all(&many, &split, ranks, 8);
		CU_ASSERT_EQUAL(memcmp(&one, &many, sizeof(one)), 0);
	}
	CU_ASSERT_NOT_EQUAL(memcmp(one.images[0], one.images[STEPS], sizeof(one.images[0])), 0);
	sample_split_release(&split);
}

static void the_global_batch_does_not_depend_on_the_number_of_ranks(void)
{
	for (int i = 0; i < WINDOW_SIZES; i++) {
		window = window_sizes[i];
		check_the_global_batch_does_not_depend_on_the_number_of_ranks();
	}
	window = 0;
}

static void check_a_resumed_order_goes_on_with_the_same_rest(void)
{
	struct sample_split split;
	struct record whole;

	CU_ASSERT_EQUAL_FATAL(sample_split_init(&split, COUNT, HOLDOUT, SEED), NN_OK);
	record_all(&whole, &split, 1, 3);
	for (int from = 0; from < EPOCHS * STEPS; from++) {
		struct sample_order order;

		order_init(&order, &split, 0, 1, 3);
		order.epoch = (uint64_t)(from / STEPS);
		order.step = from % STEPS;
		for (int i = from; i < EPOCHS * STEPS; i++) {
			uint32_t images[BATCH] = {0};
			size_t samples;
			uint64_t epoch;

			CU_ASSERT_TRUE(sample_order_next(images, &samples, &epoch, &order));
			CU_ASSERT_EQUAL(samples, whole.samples[i]);
			CU_ASSERT_EQUAL(epoch, whole.epochs[i]);
			CU_ASSERT_EQUAL(memcmp(images, whole.images[i], sizeof(images)), 0);
		}
		sample_order_release(&order);
	}
	sample_split_release(&split);
}

static void a_resumed_order_goes_on_with_the_same_rest(void)
{
	for (int i = 0; i < WINDOW_SIZES; i++) {
		window = window_sizes[i];
		check_a_resumed_order_goes_on_with_the_same_rest();
	}
	window = 0;
}

static void without_shuffling_step_i_uses_the_next_images(void)
{
	struct sample_split split;
	struct sample_order order;

	CU_ASSERT_EQUAL_FATAL(sample_split_init(&split, COUNT, 0, SEED), NN_OK);
	order_init(&order, &split, 0, 1, 4);
	order.shuffle = false;
	order.steps_per_epoch = STEPS + 1;
	for (size_t i = 0; i < 2 * (STEPS + 1); i++) {
		uint32_t images[BATCH];
		size_t samples, step = i % (STEPS + 1);
		uint64_t epoch;

		CU_ASSERT_TRUE(sample_order_next(images, &samples, &epoch, &order));
		CU_ASSERT_EQUAL(samples, step == STEPS ? COUNT % BATCH : BATCH);
		for (size_t k = 0; k < samples; k++)
			CU_ASSERT_EQUAL(images[k], step * BATCH + k);
	}
	sample_order_release(&order);
	sample_split_release(&split);
}

static void a_rank_without_shards_gets_empty_batches(void)
{
	struct sample_split split;
	struct sample_order order;
	size_t samples;
	uint64_t epoch;

	CU_ASSERT_EQUAL_FATAL(sample_split_init(&split, COUNT, 0, SEED), NN_OK);
	order_init(&order, &split, 0, 3, 2);
	for (int i = 0; i < 2 * STEPS; i++) {
		CU_ASSERT_TRUE(sample_order_next(NULL, &samples, &epoch, &order));
		CU_ASSERT_EQUAL(samples, 0);
		CU_ASSERT_EQUAL(epoch, (uint64_t)(i / STEPS));
	}
	sample_order_release(&order);
	sample_split_release(&split);
}

/* The extra image of a rank is the next one of the whole batch, which one rank alone records. */
static void check_the_partner_of_the_last_sample_is_the_next_of_the_global_batch(void)
{
	struct sample_split split;
	struct record whole;

	CU_ASSERT_EQUAL_FATAL(sample_split_init(&split, COUNT, HOLDOUT, SEED), NN_OK);
	record_all(&whole, &split, 1, 8);
	for (int ranks = 1; ranks <= 11; ranks++)
		for (int rank = 0; rank < ranks; rank++) {
			struct sample_order order;

			order_init(&order, &split, rank, ranks, 8);
			order.partners = true;
			for (int i = 0; i < EPOCHS * STEPS; i++) {
				size_t samples, size = whole.samples[i], end = shard_begin(order.shards.hi, 8, size);
				uint32_t images[BATCH + 1];
				uint64_t epoch;

				CU_ASSERT_TRUE(sample_order_next(images, &samples, &epoch, &order));
				if (order.shards.lo == order.shards.hi) {
					CU_ASSERT_EQUAL(samples, 0);
					continue;
				}
				CU_ASSERT_EQUAL_FATAL(samples, end - shard_begin(order.shards.lo, 8, size) + 1);
				CU_ASSERT_EQUAL(images[samples - 1], whole.images[i][end % size]);
				CU_ASSERT_EQUAL(images[samples - 2], whole.images[i][end - 1]);
			}
			sample_order_release(&order);
		}
	sample_split_release(&split);
}

static void the_partner_of_the_last_sample_is_the_next_of_the_global_batch(void)
{
	for (int i = 0; i < WINDOW_SIZES; i++) {
		window = window_sizes[i];
		check_the_partner_of_the_last_sample_is_the_next_of_the_global_batch();
	}
	window = 0;
}

static void a_holdout_takes_images_at_random_and_keeps_both_parts_in_order(void)
{
	struct sample_split split, again, other;
	int seen[COUNT] = {0};

	CU_ASSERT_EQUAL_FATAL(sample_split_init(&split, COUNT, HOLDOUT, SEED), NN_OK);
	CU_ASSERT_EQUAL_FATAL(sample_split_init(&again, COUNT, HOLDOUT, SEED), NN_OK);
	CU_ASSERT_EQUAL_FATAL(sample_split_init(&other, COUNT, HOLDOUT, SEED + 1), NN_OK);
	CU_ASSERT_EQUAL(split.train_count, COUNT - HOLDOUT);
	CU_ASSERT_EQUAL(split.holdout_count, HOLDOUT);
	for (size_t i = 0; i < COUNT; i++) {
		seen[split.images[i]]++;
		CU_ASSERT(i == 0 || i == split.train_count || split.images[i - 1] < split.images[i]);
	}
	for (size_t i = 0; i < COUNT; i++)
		CU_ASSERT_EQUAL(seen[i], 1);
	CU_ASSERT_EQUAL(memcmp(split.images, again.images, COUNT * sizeof(uint32_t)), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(split.images, other.images, COUNT * sizeof(uint32_t)), 0);
	sample_split_release(&split);
	sample_split_release(&again);
	sample_split_release(&other);
}

static void a_holdout_of_everything_is_refused(void)
{
	struct sample_split split;

	for (size_t holdout = COUNT; holdout <= COUNT + 1; holdout++) {
		CU_ASSERT_EQUAL(sample_split_init(&split, COUNT, holdout, SEED), NN_ERR_USAGE);
		CU_ASSERT(strstr(nn_error_message(), "--holdout") != NULL);
		sample_split_release(&split);
	}
}

static void a_range_ends_with_a_partial_batch(void)
{
	static const uint32_t chosen[] = {9, 4, 7, 1, 3, 8};
	struct sample_range numbers = {.next = 3, .end = 8, .batch = 2},
			    images = {.images = chosen, .next = 1, .end = 4, .batch = 8};
	uint32_t out[8] = {0};
	size_t samples;
	uint64_t epoch;

	for (uint32_t first = 3; first < 8; first += 2) {
		CU_ASSERT_TRUE(sample_range_next(out, &samples, &epoch, &numbers));
		CU_ASSERT_EQUAL(samples, first == 7 ? 1 : 2);
		CU_ASSERT_EQUAL(out[0], first);
		CU_ASSERT(samples == 1 || out[1] == first + 1);
	}
	CU_ASSERT_FALSE(sample_range_next(out, &samples, &epoch, &numbers));
	CU_ASSERT_TRUE(sample_range_next(out, &samples, &epoch, &images));
	CU_ASSERT_EQUAL(samples, 3);
	CU_ASSERT_EQUAL(memcmp(out, chosen + 1, 3 * sizeof(out[0])), 0);
	CU_ASSERT_FALSE(sample_range_next(out, &samples, &epoch, &images));
}

static void a_failing_allocation_is_reported(void)
{
	struct sample_split split;
	struct sample_order order;

	nn_alloc_fail_at(1);
	CU_ASSERT_EQUAL(sample_split_init(&split, COUNT, 0, SEED), NN_ERR_MEMORY);
	CU_ASSERT_EQUAL_FATAL(sample_split_init(&split, COUNT, 0, SEED), NN_OK);
	nn_alloc_fail_at(1);
	CU_ASSERT_EQUAL(sample_order_init(&order, &split, 0, BATCH), NN_ERR_MEMORY);
	for (long nth = 1; nth <= 3; nth++) {
		sample_order_release(&order);
		nn_alloc_fail_at(nth);
		CU_ASSERT_EQUAL(sample_order_init(&order, &split, 2 * BATCH, BATCH), NN_ERR_MEMORY);
	}
	nn_alloc_fail_at(0);
	sample_order_release(&order);
	sample_split_release(&split);
}

void suite_sample_order(void)
{
	static const struct test_row rows[] = {
	    TEST(each_epoch_shows_every_training_image_once),
	    TEST(the_global_batch_does_not_depend_on_the_number_of_ranks),
	    TEST(a_resumed_order_goes_on_with_the_same_rest),
	    TEST(without_shuffling_step_i_uses_the_next_images),
	    TEST(a_rank_without_shards_gets_empty_batches),
	    TEST(the_partner_of_the_last_sample_is_the_next_of_the_global_batch),
	    TEST(a_holdout_takes_images_at_random_and_keeps_both_parts_in_order),
	    TEST(a_holdout_of_everything_is_refused),
	    TEST(a_range_ends_with_a_partial_batch),
	    TEST(a_failing_allocation_is_reported),
	};

	ADD_SUITE("sample_order", rows);
}
