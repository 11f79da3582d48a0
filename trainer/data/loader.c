#include "trainer/data/loader.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"

/* A batch of the ring. */
struct slot {
	uint32_t *indices;
	float *images;
	int32_t *labels;
	float *shares;
	size_t samples;	 /* as the source gave them, a partner for the last one included */
	size_t finished; /* samples that are done */
	struct loader_bad *bad;
	size_t bad_count;
	uint64_t epoch;
	size_t failed; /* position of the first sample with an error, samples when there is none */
	enum nn_status status;
	char message[1024];
};

struct loader {
	struct loader_setup setup;
	struct slot slots[LOADER_AHEAD];
	pthread_mutex_t lock;
	pthread_cond_t work;  /* a slot has become free, or the end has come */
	pthread_cond_t ready; /* a batch is complete */
	pthread_t *threads;
	int started;
	uint64_t consumed; /* batches given back */
	uint64_t opened;   /* batches asked from the source */
	size_t claimed;	   /* samples of the newest batch that threads have taken */
	bool ended;	   /* the source has no more */
	bool stop;
};

struct worker {
	struct image image;
	struct augment_scratch scratch;
};

static struct slot *slot_at(struct loader *loader, uint64_t batch)
{
	return &loader->slots[batch % LOADER_AHEAD];
}

/* Under the lock. */
static void tell_watch(const struct loader *loader, const struct slot *slot, bool begins)
{
	if (loader->setup.watch)
		loader->setup.watch(loader->setup.watch_context, (int)(slot - loader->slots), begins, slot->samples);
}

/* Opens the next batch if there is room and it has one; under the lock. */
static bool open_batch(struct loader *loader)
{
	struct slot *slot = slot_at(loader, loader->opened);

	if (loader->ended || loader->opened >= loader->consumed + LOADER_AHEAD)
		return false;
	if (!loader->setup.source(slot->indices, &slot->samples, &slot->epoch, loader->setup.source_context)) {
		loader->ended = true;
		pthread_cond_broadcast(&loader->ready);
		return false;
	}
	slot->finished = 0;
	slot->bad_count = 0;
	slot->failed = slot->samples;
	slot->status = NN_OK;
	loader->opened++;
	loader->claimed = 0;
	if (slot->samples > 0)
		tell_watch(loader, slot, true);
	else
		pthread_cond_broadcast(&loader->ready);
	return true;
}

/* Takes the next sample, waiting for room; false at the end. Under the lock. */
static bool claim(struct loader *loader, struct slot **slot, size_t *position)
{
	for (;;) {
		if (loader->stop)
			return false;
		if (loader->opened > 0 && loader->claimed < slot_at(loader, loader->opened - 1)->samples) {
			*slot = slot_at(loader, loader->opened - 1);
			*position = loader->claimed++;
			return true;
		}
		if (!open_batch(loader) && !loader->stop)
			pthread_cond_wait(&loader->work, &loader->lock);
	}
}

static size_t view_floats(int size)
{
	return (size_t)size * (size_t)size * 3;
}

/* Floats of all views of a sample. */
static size_t sample_floats(const struct loader_setup *setup)
{
	return view_floats(setup->augment->size) * (setup->train ? 1 : (size_t)views_count(&setup->protocol));
}

static enum nn_status load_sample(const struct loader *loader, struct slot *slot, size_t position, struct worker *worker)
{
	const struct loader_setup *setup = &loader->setup;
	float *out = slot->images + position * sample_floats(setup);
	uint32_t index = slot->indices[position];
	struct rng rng = rng_stream(setup->seed, slot->epoch, index);
	enum nn_status status;

	if (setup->train)
		augment_before_reading(&worker->image, setup->augment, rng, &worker->scratch);
	status = dataset_read(setup->dataset, index, &worker->image);
	slot->labels[position] = dataset_label(setup->dataset, index);
	if (status != NN_OK)
		return status;
	if (!setup->train)
		return views_crops(out, &worker->image, setup->augment, &setup->protocol, &worker->scratch);
	return augment_train(out, &worker->image, setup->augment, rng, &worker->scratch);
}

/* Takes note of a sample that failed; under the lock. */
static void fail_sample(const struct loader *loader, struct slot *slot, size_t position, enum nn_status status)
{
	if (status == NN_ERR_DATA && loader->setup.leave_out) {
		struct loader_bad *bad = &slot->bad[slot->bad_count++];

		bad->position = position;
		bad->index = slot->indices[position];
		snprintf(bad->message, sizeof(bad->message), "%s", nn_error_message());
	} else if (position < slot->failed) {
		slot->failed = position;
		slot->status = status;
		snprintf(slot->message, sizeof(slot->message), "%s", nn_error_message());
	}
}

static void *run_worker(void *argument)
{
	struct loader *loader = argument;
	struct worker worker = {0};
	struct slot *slot;
	size_t position;

	pthread_mutex_lock(&loader->lock);
	while (claim(loader, &slot, &position)) {
		enum nn_status status;

		pthread_mutex_unlock(&loader->lock);
		status = load_sample(loader, slot, position, &worker);
		pthread_mutex_lock(&loader->lock);
		if (status != NN_OK)
			fail_sample(loader, slot, position, status);
		if (++slot->finished == slot->samples) {
			tell_watch(loader, slot, false);
			pthread_cond_broadcast(&loader->ready);
		}
	}
	pthread_mutex_unlock(&loader->lock);
	image_release(&worker.image);
	augment_scratch_release(&worker.scratch);
	return NULL;
}

size_t loader_bytes(size_t capacity, int size)
{
	return LOADER_AHEAD * capacity * (view_floats(size) * sizeof(float) + sizeof(uint32_t) + sizeof(int32_t) + sizeof(float));
}

static enum nn_status allocate(struct loader *loader)
{
	size_t capacity = loader->setup.capacity;
	enum nn_status status = nn_alloc(&loader->threads, (size_t)loader->setup.threads * sizeof(pthread_t));

	for (int i = 0; i < LOADER_AHEAD && status == NN_OK; i++) {
		struct slot *slot = &loader->slots[i];

		status = nn_alloc(&slot->indices, capacity * sizeof(*slot->indices));
		if (status == NN_OK)
			status = nn_alloc(&slot->images, capacity * sample_floats(&loader->setup) * sizeof(float));
		if (status == NN_OK)
			status = nn_alloc(&slot->labels, capacity * sizeof(*slot->labels));
		if (status == NN_OK)
			status = nn_alloc(&slot->shares, capacity * sizeof(*slot->shares));
		if (status == NN_OK && loader->setup.leave_out)
			status = nn_alloc(&slot->bad, capacity * sizeof(*slot->bad));
	}
	return status;
}

enum nn_status loader_create(struct loader **out, const struct loader_setup *setup)
{
	struct loader *loader;
	enum nn_status status = nn_alloc(&loader, sizeof(*loader));

	*out = NULL;
	if (status != NN_OK)
		return status;
	loader->setup = *setup;
	pthread_mutex_init(&loader->lock, NULL);
	pthread_cond_init(&loader->work, NULL);
	pthread_cond_init(&loader->ready, NULL);
	status = allocate(loader);
	while (status == NN_OK && loader->started < setup->threads) {
		if (pthread_create(&loader->threads[loader->started], NULL, run_worker, loader) != 0)
			status =
			    nn_error(NN_ERR_MEMORY, "cannot start %d loader threads; use fewer --loader-threads", setup->threads);
		else
			loader->started++;
	}
	if (status == NN_OK)
		*out = loader;
	else
		loader_destroy(loader);
	return status;
}

void loader_destroy(struct loader *loader)
{
	if (!loader)
		return;
	pthread_mutex_lock(&loader->lock);
	loader->stop = true;
	pthread_cond_broadcast(&loader->work);
	pthread_mutex_unlock(&loader->lock);
	for (int i = 0; i < loader->started; i++)
		pthread_join(loader->threads[i], NULL);
	for (int i = 0; i < LOADER_AHEAD; i++) {
		nn_free(loader->slots[i].indices);
		nn_free(loader->slots[i].images);
		nn_free(loader->slots[i].labels);
		nn_free(loader->slots[i].shares);
		nn_free(loader->slots[i].bad);
	}
	pthread_mutex_destroy(&loader->lock);
	pthread_cond_destroy(&loader->work);
	pthread_cond_destroy(&loader->ready);
	nn_free(loader->threads);
	nn_free(loader);
}

static int by_position(const void *a, const void *b)
{
	const struct loader_bad *left = a, *right = b;

	return (left->position > right->position) - (left->position < right->position);
}

static bool is_bad(const struct slot *slot, size_t position)
{
	const struct loader_bad key = {.position = position};

	return slot->bad_count > 0 && bsearch(&key, slot->bad, slot->bad_count, sizeof(key), by_position);
}

/* Mixes each sample with the next one, which is still as it was loaded. One whose partner is left out stays as it is: its bits must
 * not depend on whose partner is on which rank. */
static void mix_batch(struct slot *slot, const struct loader_setup *setup, size_t samples)
{
	size_t floats = sample_floats(setup);

	for (size_t i = 0; i < samples; i++) {
		bool whole = is_bad(slot, i) || is_bad(slot, i + 1);

		slot->shares[i] =
		    whole ? 1
			  : mix_samples(slot->images + i * floats, slot->images + (i + 1) * floats, setup->augment->size,
					&setup->mix, mix_stream(setup->seed, slot->epoch, slot->indices[i]));
	}
}

/* Moves the first `samples` samples together over those that are left out; returns how many are left. A partner's label stays
 * behind its sample's. */
static size_t close_gaps(struct slot *slot, const struct loader_setup *setup, size_t samples)
{
	size_t size = sample_floats(setup), left = 0;

	if (slot->bad_count == 0)
		return samples;
	for (size_t i = 0; i < samples; i++) {
		if (is_bad(slot, i))
			continue;
		memmove(slot->images + left * size, slot->images + i * size, size * sizeof(*slot->images));
		slot->shares[left] = slot->shares[i];
		slot->labels[left++] = slot->labels[i];
	}
	if (slot->samples > samples)
		slot->labels[left] = slot->labels[samples];
	return left;
}

/* The batch as its user gets it: without a last one's partner, mixed, without gaps. */
static void prepare_batch(struct loader_batch *batch, struct slot *slot, const struct loader_setup *setup)
{
	bool mixes = mix_is_on(&setup->mix);
	size_t samples = slot->samples - (mixes && slot->samples > 0);

	if (slot->bad_count > 0)
		qsort(slot->bad, slot->bad_count, sizeof(*slot->bad), by_position);
	if (mixes && slot->status == NN_OK)
		mix_batch(slot, setup, samples);
	*batch = (struct loader_batch){.images = slot->images,
				       .labels = slot->labels,
				       .other_labels = mixes ? slot->labels + 1 : NULL,
				       .shares = mixes ? slot->shares : NULL,
				       .samples = close_gaps(slot, setup, samples),
				       .bad = slot->bad};
	/* a partner that is left out is counted where it is a sample */
	batch->bad_count = samples - batch->samples;
}

enum nn_status loader_next(struct loader *loader, struct loader_batch *batch)
{
	struct slot *slot = slot_at(loader, loader->consumed);
	bool have;

	pthread_mutex_lock(&loader->lock);
	for (;;) {
		have = loader->opened > loader->consumed;
		if ((have && slot->finished == slot->samples) || (!have && loader->ended))
			break;
		pthread_cond_wait(&loader->ready, &loader->lock);
	}
	pthread_mutex_unlock(&loader->lock);
	if (!have)
		return nn_error(NN_ERR_USAGE, "no more batches");
	prepare_batch(batch, slot, &loader->setup);
	return slot->status == NN_OK ? NN_OK : nn_error(slot->status, "%s", slot->message);
}

void loader_done(struct loader *loader)
{
	pthread_mutex_lock(&loader->lock);
	loader->consumed++;
	pthread_cond_broadcast(&loader->work);
	pthread_mutex_unlock(&loader->lock);
}
