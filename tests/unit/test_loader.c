#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nn/core/alloc.h"
#include "tests/unit/scratch_folder.h"
#include "tests/unit/suites.h"
#include "trainer/data/loader.h"
#include "trainer/data/synth.h"

enum { IMAGES = 30, SIZE = 16, FLOATS = SIZE * SIZE * 3, CAPACITY = 7, SEED = 3, THREADS_MAX = 4, PASSES = 2 };

/* Batches of 7, 7, 0, 7, 7, 2 of the images in reverse order make an epoch. */
static const size_t sizes[] = {7, 7, 0, 7, 7, 2};

enum { BATCHES = sizeof(sizes) / sizeof(sizes[0]) };

/* A source that deals `epochs` epochs. */
struct deal {
	int batch; /* the next one */
	int epochs;
	size_t left;
};

static bool deal_next(uint32_t *images, size_t *samples, uint64_t *epoch, void *context)
{
	struct deal *deal = context;

	if (deal->batch == deal->epochs * BATCHES)
		return false;
	if (deal->batch % BATCHES == 0)
		deal->left = IMAGES;
	*samples = sizes[deal->batch % BATCHES];
	*epoch = (uint64_t)(deal->batch / BATCHES);
	for (size_t i = 0; i < *samples; i++)
		images[i] = (uint32_t)--deal->left;
	deal->batch++;
	return true;
}

/* A drawn data set and a loader over it. */
struct fixture {
	char folder[SCRATCH_PATH], path[SCRATCH_PATH + 8];
	struct dataset *dataset;
	struct augment augment;
	struct deal deal;
	struct loader_setup setup;
};

static void fixture_init(struct fixture *fixture)
{
	struct synth_options options = {.train = IMAGES, .val = SYNTH_CLASSES, .seed = 1, .size = SIZE};
	bool made;

	memset(fixture, 0, sizeof(*fixture));
	scratch_make(fixture->folder);
	snprintf(fixture->path, sizeof(fixture->path), "%s/data", fixture->folder);
	CU_ASSERT_EQUAL_FATAL(synth_write(&made, fixture->path, &options), NN_OK);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&fixture->dataset, fixture->path, SPLIT_TRAIN), NN_OK);
	fixture->augment = (struct augment){
	    .kind = AUGMENT_CIFAR, .size = SIZE, .normal = {.mean = {0.4f, 0.5f, 0.6f}, .inverse_std = {4, 3, 5}}, .eval_scale = 1};
	fixture->deal.epochs = PASSES;
	fixture->setup = (struct loader_setup){.dataset = fixture->dataset,
					       .augment = &fixture->augment,
					       .train = true,
					       .seed = SEED,
					       .capacity = CAPACITY,
					       .threads = 2,
					       .source = deal_next,
					       .source_context = &fixture->deal};
}

static void fixture_release(struct fixture *fixture)
{
	dataset_close(fixture->dataset);
	scratch_remove(fixture->folder);
}

/* Two samples of the same bits, zeros' signs included. */
static bool same_sample(const void *a, const void *b)
{
	return memcmp(a, b, FLOATS * sizeof(float)) == 0;
}

/* The sample as augment.h makes it, without a loader. */
static void sample_directly(float out[FLOATS], const struct fixture *fixture, uint64_t epoch, uint32_t index)
{
	struct augment_scratch scratch = {0};
	struct image image = {0};

	CU_ASSERT_EQUAL(dataset_read(fixture->dataset, index, &image), NN_OK);
	if (fixture->setup.train)
		CU_ASSERT_EQUAL(augment_train(out, &image, &fixture->augment, rng_stream(SEED, epoch, index), &scratch), NN_OK);
	if (!fixture->setup.train)
		CU_ASSERT_EQUAL(views_crops(out, &image, &fixture->augment, &fixture->setup.protocol, &scratch), NN_OK);
	image_release(&image);
	augment_scratch_release(&scratch);
}

/* Takes all batches and compares every sample with the one made directly. */
static void check_all_batches(struct fixture *fixture)
{
	struct loader *loader;
	float expected[FLOATS];

	fixture->deal.batch = 0;
	CU_ASSERT_EQUAL_FATAL(loader_create(&loader, &fixture->setup), NN_OK);
	for (int b = 0; b < PASSES * BATCHES; b++) {
		struct loader_batch batch;
		uint32_t next = IMAGES;

		for (int before = 0; before < b % BATCHES; before++)
			next -= (uint32_t)sizes[before];
		CU_ASSERT_EQUAL_FATAL(loader_next(loader, &batch), NN_OK);
		CU_ASSERT_EQUAL_FATAL(batch.samples, sizes[b % BATCHES]);
		for (size_t i = 0; i < batch.samples; i++) {
			sample_directly(expected, fixture, (uint64_t)(b / BATCHES), --next);
			CU_ASSERT_EQUAL(batch.labels[i], dataset_label(fixture->dataset, next));
			CU_ASSERT(same_sample(batch.images + i * FLOATS, expected));
		}
		loader_done(loader);
	}
	loader_destroy(loader);
}

/* The batches of the deal, of which the last image is a partner only; batches without images have none. */
static void samples_are_mixed_with_the_next_one_as_it_was(void)
{
	const struct mix mix = {.mixup = 1, .cutmix = 1};
	struct fixture fixture;
	struct loader *loader;
	float own[FLOATS], other[FLOATS];

	fixture_init(&fixture);
	fixture.setup.mix = mix;
	CU_ASSERT_EQUAL_FATAL(loader_create(&loader, &fixture.setup), NN_OK);
	for (int b = 0; b < BATCHES; b++) {
		struct loader_batch batch;
		uint32_t next = IMAGES;

		for (int before = 0; before < b; before++)
			next -= (uint32_t)sizes[before];
		CU_ASSERT_EQUAL_FATAL(loader_next(loader, &batch), NN_OK);
		CU_ASSERT_EQUAL_FATAL(batch.samples, sizes[b] ? sizes[b] - 1 : 0);
		for (size_t i = 0; i < batch.samples; i++) {
			float share;

			sample_directly(own, &fixture, 0, --next);
			sample_directly(other, &fixture, 0, next - 1);
			share = mix_samples(own, other, SIZE, &mix, mix_stream(SEED, 0, next));
			CU_ASSERT(same_sample(batch.images + i * FLOATS, own));
			CU_ASSERT_EQUAL(batch.shares[i], share);
			CU_ASSERT_EQUAL(batch.labels[i], dataset_label(fixture.dataset, next));
			CU_ASSERT_EQUAL(batch.other_labels[i], dataset_label(fixture.dataset, next - 1));
		}
		loader_done(loader);
	}
	loader_destroy(loader);
	fixture_release(&fixture);
}

static void batches_come_in_the_sources_order_for_any_number_of_threads(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	for (int train = 0; train <= 1; train++)
		for (int threads = 1; threads <= THREADS_MAX; threads++) {
			fixture.setup.train = train;
			fixture.setup.threads = threads;
			check_all_batches(&fixture);
		}
	fixture_release(&fixture);
}

static void behind_the_last_batch_is_the_end_again_and_again(void)
{
	struct fixture fixture;
	struct loader *loader;
	struct loader_batch batch;

	fixture_init(&fixture);
	for (fixture.deal.epochs = 0; fixture.deal.epochs < 2; fixture.deal.epochs++) {
		fixture.deal.batch = 0;
		CU_ASSERT_EQUAL_FATAL(loader_create(&loader, &fixture.setup), NN_OK);
		for (int b = 0; b < fixture.deal.epochs * BATCHES; b++) {
			CU_ASSERT_EQUAL(loader_next(loader, &batch), NN_OK);
			loader_done(loader);
		}
		CU_ASSERT_EQUAL(loader_next(loader, &batch), NN_ERR_USAGE);
		CU_ASSERT_EQUAL(loader_next(loader, &batch), NN_ERR_USAGE);
		loader_destroy(loader);
	}
	fixture_release(&fixture);
}

/* Replaces an image by bytes that are none. */
static void damage(const struct fixture *fixture, size_t index)
{
	char name[DATASET_NAME_MAX];

	dataset_file_name(fixture->dataset, index, name);
	scratch_write(fixture->path, name, "damaged", 7);
}

static bool message_names(const struct fixture *fixture, size_t index)
{
	char name[DATASET_NAME_MAX];

	dataset_file_name(fixture->dataset, index, name);
	return strstr(nn_error_message(), name) != NULL;
}

/* Images 29 .. 23 make the first batch, 8 .. 2 the fifth; batches between them use the ring's places again. */
static void a_batch_fails_with_its_first_bad_sample_and_the_next_ones_are_whole(void)
{
	static const int bad[BATCHES] = {[0] = 27, [4] = 5};
	struct fixture fixture;

	fixture_init(&fixture);
	damage(&fixture, 27);
	damage(&fixture, 26);
	damage(&fixture, 23);
	damage(&fixture, 5);
	damage(&fixture, 2);
	for (int i = 0; i < 8 * THREADS_MAX; i++) {
		struct loader *loader;
		struct loader_batch batch;

		fixture.setup.threads = 1 + i % THREADS_MAX;
		fixture.deal.batch = 0;
		CU_ASSERT_EQUAL_FATAL(loader_create(&loader, &fixture.setup), NN_OK);
		for (int b = 0; b < PASSES * BATCHES; b++) {
			int index = bad[b % BATCHES];

			CU_ASSERT_EQUAL(loader_next(loader, &batch), index ? NN_ERR_DATA : NN_OK);
			CU_ASSERT(!index || message_names(&fixture, (size_t)index));
			CU_ASSERT_EQUAL(batch.samples, sizes[b % BATCHES]);
			loader_done(loader);
		}
		loader_destroy(loader);
	}
	fixture_release(&fixture);
}

/* Images 29 .. 23 make the first batch: 27, 26 and 23 are left out of it. */
static void bad_samples_can_be_left_out_and_leave_no_gap(void)
{
	static const uint32_t good[] = {29, 28, 25, 24}, bad[] = {27, 26, 23};
	struct fixture fixture;
	float expected[FLOATS];

	fixture_init(&fixture);
	for (int i = 0; i < 3; i++)
		damage(&fixture, bad[i]);
	fixture.setup.leave_out = true;
	for (int i = 0; i < 4 * THREADS_MAX; i++) {
		struct loader *loader;
		struct loader_batch batch;

		fixture.setup.threads = 1 + i % THREADS_MAX;
		fixture.deal.batch = 0;
		CU_ASSERT_EQUAL_FATAL(loader_create(&loader, &fixture.setup), NN_OK);
		CU_ASSERT_EQUAL(loader_next(loader, &batch), NN_OK);
		CU_ASSERT_EQUAL_FATAL(batch.samples, 4);
		CU_ASSERT_EQUAL_FATAL(batch.bad_count, 3);
		for (size_t n = 0; n < 4; n++) {
			sample_directly(expected, &fixture, 0, good[n]);
			CU_ASSERT_EQUAL(batch.labels[n], dataset_label(fixture.dataset, good[n]));
			CU_ASSERT(same_sample(batch.images + n * FLOATS, expected));
		}
		for (size_t n = 0; n < 3; n++) {
			CU_ASSERT_EQUAL(batch.bad[n].index, bad[n]);
			CU_ASSERT_EQUAL(batch.bad[n].position, 29 - bad[n]);
			CU_ASSERT(strstr(batch.bad[n].message, ": not a PNG or JPEG image") != NULL);
		}
		loader_done(loader);
		CU_ASSERT_EQUAL(loader_next(loader, &batch), NN_OK);
		CU_ASSERT_EQUAL(batch.samples, 7);
		CU_ASSERT_EQUAL(batch.bad_count, 0);
		loader_destroy(loader);
	}
	fixture_release(&fixture);
}

static void a_loader_can_be_destroyed_at_any_moment(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	fixture.deal.epochs = 1000;
	for (int threads = 1; threads <= THREADS_MAX; threads++)
		for (int taken = 0; taken < 12; taken++) {
			struct loader *loader;
			struct loader_batch batch;

			fixture.setup.threads = threads;
			fixture.deal.batch = 0;
			CU_ASSERT_EQUAL_FATAL(loader_create(&loader, &fixture.setup), NN_OK);
			for (int b = 0; b < taken; b++) {
				CU_ASSERT_EQUAL(loader_next(loader, &batch), NN_OK);
				if (b + 1 < taken)
					loader_done(loader);
			}
			loader_destroy(loader);
			CU_ASSERT(fixture.deal.batch <= (taken ? taken - 1 : 0) + LOADER_AHEAD);
		}
	loader_destroy(NULL);
	fixture_release(&fixture);
}

static void a_batch_stays_in_place_until_it_is_given_back(void)
{
	const struct timespec moment = {0, 30000000};
	struct fixture fixture;
	struct loader *loader;
	struct loader_batch batch;
	float before[FLOATS];

	fixture_init(&fixture);
	CU_ASSERT_EQUAL_FATAL(loader_create(&loader, &fixture.setup), NN_OK);
	CU_ASSERT_EQUAL(loader_next(loader, &batch), NN_OK);
	memcpy(before, batch.images, sizeof(before));
	nanosleep(&moment, NULL);
	CU_ASSERT(same_sample(batch.images, before));
	CU_ASSERT_EQUAL(loader_next(loader, &batch), NN_OK);
	CU_ASSERT(same_sample(batch.images, before));
	loader_done(loader);
	CU_ASSERT_EQUAL(loader_next(loader, &batch), NN_OK);
	CU_ASSERT_FALSE(same_sample(batch.images, before));
	loader_destroy(loader);
	fixture_release(&fixture);
}

static void every_failing_allocation_is_reported(void)
{
	struct fixture fixture;
	struct loader *loader;

	fixture_init(&fixture);
	for (long nth = 1; nth <= 2 + 3 * LOADER_AHEAD; nth++) {
		nn_alloc_fail_at(nth);
		CU_ASSERT_EQUAL(loader_create(&loader, &fixture.setup), NN_ERR_MEMORY);
		CU_ASSERT_PTR_NULL(loader);
	}
	nn_alloc_fail_at(0);
	fixture_release(&fixture);
}

/* What a watch was told: batches under way by slot, and how many were complete. */
struct watched {
	bool under_way[LOADER_AHEAD];
	size_t samples;
	int complete, wrong;
};

static void watch(void *context, int slot, bool begins, size_t samples)
{
	struct watched *watched = context;

	if (slot < 0 || slot >= LOADER_AHEAD || watched->under_way[slot] == begins) {
		watched->wrong++;
		return;
	}
	watched->under_way[slot] = begins;
	watched->complete += !begins;
	watched->samples += begins ? 0 : samples;
}

static void a_watch_is_told_of_each_batch_that_has_samples(void)
{
	struct watched watched = {.complete = 0};
	struct fixture fixture;

	fixture_init(&fixture);
	fixture.setup.watch = watch;
	fixture.setup.watch_context = &watched;
	check_all_batches(&fixture);
	CU_ASSERT_EQUAL(watched.wrong, 0);
	CU_ASSERT_EQUAL(watched.complete, PASSES * (BATCHES - 1));
	CU_ASSERT_EQUAL(watched.samples, PASSES * IMAGES);
	fixture_release(&fixture);
}

void suite_loader(void)
{
	static const struct test_row rows[] = {
	    TEST(samples_are_mixed_with_the_next_one_as_it_was),
	    TEST(batches_come_in_the_sources_order_for_any_number_of_threads),
	    TEST(behind_the_last_batch_is_the_end_again_and_again),
	    TEST(a_batch_fails_with_its_first_bad_sample_and_the_next_ones_are_whole),
	    TEST(bad_samples_can_be_left_out_and_leave_no_gap),
	    TEST(a_loader_can_be_destroyed_at_any_moment),
	    TEST(a_batch_stays_in_place_until_it_is_given_back),
	    TEST(every_failing_allocation_is_reported),
	    TEST(a_watch_is_told_of_each_batch_that_has_samples),
	};

	ADD_SUITE("loader", rows);
}
