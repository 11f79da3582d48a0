#include "trainer/data/packed_feed.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "nn/core/alloc.h"

/* Files under way or waiting, for each thread. */
enum { AHEAD = 4, MESSAGE_BYTES = 1024 };

/* A place of the ring, that of every image whose number has the same remainder. */
struct slot {
	struct image image;
	struct shrink_scratch scratch;
	struct packed_item item;
	bool done;
	enum nn_status status;
	char message[MESSAGE_BYTES];
};

struct packed_feed {
	const struct dataset *dataset;
	const struct shrink *shrink;
	pthread_mutex_t lock;
	pthread_cond_t room;  /* the packer has taken an image, or the end has come */
	pthread_cond_t ready; /* an image is done */
	pthread_t *threads;
	int started;
	struct slot *slots;
	size_t slot_count;
	size_t claimed; /* next image to be read */
	size_t taken;	/* next image to be given to the packer */
	bool holding;	/* the packer still has the one before */
	bool stop;
};

/* Decodes the item's bytes and adds up the colours. A file that is no picture is not readable, and no error. */
static enum nn_status look_at(struct slot *slot, const char *name)
{
	enum nn_status status = image_read_memory(&slot->image, slot->item.bytes, slot->item.size, name);

	slot->item.readable = status == NN_OK;
	memset(&slot->item.colours, 0, sizeof(slot->item.colours));
	if (slot->item.readable)
		colours_add(&slot->item.colours, &slot->image);
	return status == NN_ERR_DATA ? NN_OK : status;
}

/* Puts the shrunk file in the place of the loaded one, if it is to be shrunk; the colours are then those of the new one. */
static enum nn_status shrink_item(struct slot *slot, const struct shrink *shrink, const char *name)
{
	bool shrunk;
	enum nn_status status = shrink_image(&shrunk, &slot->image, slot->item.bytes, slot->item.size, shrink, &slot->scratch);

	if (status != NN_OK || !shrunk)
		return status;
	slot->item.bytes = slot->scratch.file.bytes;
	slot->item.size = slot->scratch.file.size;
	return look_at(slot, name);
}

static enum nn_status prepare(struct slot *slot, const struct packed_feed *feed, size_t index)
{
	char name[DATASET_NAME_MAX];
	enum nn_status status = dataset_load(feed->dataset, index, &slot->image, &slot->item.size);

	if (status != NN_OK)
		return status;
	dataset_file_name(feed->dataset, index, name);
	slot->item.bytes = slot->image.encoded;
	status = look_at(slot, name);
	if (status == NN_OK && slot->item.readable)
		status = shrink_item(slot, feed->shrink, name);
	if (status == NN_OK)
		packed_digest(slot->item.digest, slot->item.bytes, slot->item.size);
	return status;
}

/* Takes the next image, waiting for room; false at the end. Under the lock. */
static bool claim(struct packed_feed *feed, size_t *index)
{
	while (!feed->stop && feed->claimed < dataset_count(feed->dataset) &&
	       feed->claimed >= feed->taken - feed->holding + feed->slot_count)
		pthread_cond_wait(&feed->room, &feed->lock);
	if (feed->stop || feed->claimed >= dataset_count(feed->dataset))
		return false;
	*index = feed->claimed++;
	return true;
}

static void *run_worker(void *argument)
{
	struct packed_feed *feed = argument;
	size_t index;

	pthread_mutex_lock(&feed->lock);
	while (claim(feed, &index)) {
		struct slot *slot = &feed->slots[index % feed->slot_count];

		pthread_mutex_unlock(&feed->lock);
		slot->status = prepare(slot, feed, index);
		if (slot->status != NN_OK)
			snprintf(slot->message, sizeof(slot->message), "%s", nn_error_message());
		pthread_mutex_lock(&feed->lock);
		slot->done = true;
		pthread_cond_broadcast(&feed->ready);
	}
	pthread_mutex_unlock(&feed->lock);
	return NULL;
}

enum nn_status packed_feed_create(struct packed_feed **out, const struct dataset *dataset, const struct shrink *shrink,
				  size_t first, int threads)
{
	struct packed_feed *feed;
	enum nn_status status = nn_alloc(&feed, sizeof(*feed));

	*out = NULL;
	if (status != NN_OK)
		return status;
	feed->dataset = dataset;
	feed->shrink = shrink;
	feed->claimed = feed->taken = first;
	feed->slot_count = (size_t)threads * AHEAD;
	pthread_mutex_init(&feed->lock, NULL);
	pthread_cond_init(&feed->room, NULL);
	pthread_cond_init(&feed->ready, NULL);
	status = nn_alloc(&feed->threads, (size_t)threads * sizeof(*feed->threads));
	if (status == NN_OK)
		status = nn_alloc(&feed->slots, feed->slot_count * sizeof(*feed->slots));
	while (status == NN_OK && feed->started < threads) {
		int failed = pthread_create(&feed->threads[feed->started], NULL, run_worker, feed);

		if (failed)
			status = nn_error(NN_ERR_MEMORY, "cannot start thread %d of %d for packing: %s; use fewer --threads",
					  feed->started + 1, threads, strerror(failed));
		else
			feed->started++;
	}
	if (status == NN_OK)
		*out = feed;
	else
		packed_feed_destroy(feed);
	return status;
}

enum nn_status packed_feed_next(struct packed_feed *feed, const struct packed_item **item)
{
	struct slot *slot = &feed->slots[feed->taken % feed->slot_count];

	assert(feed->taken < dataset_count(feed->dataset));
	pthread_mutex_lock(&feed->lock);
	feed->holding = false;
	pthread_cond_broadcast(&feed->room);
	while (!slot->done)
		pthread_cond_wait(&feed->ready, &feed->lock);
	slot->done = false;
	feed->taken++;
	feed->holding = true;
	pthread_mutex_unlock(&feed->lock);
	*item = &slot->item;
	return slot->status == NN_OK ? NN_OK : nn_error(slot->status, "%s", slot->message);
}

void packed_feed_destroy(struct packed_feed *feed)
{
	if (!feed)
		return;
	pthread_mutex_lock(&feed->lock);
	feed->stop = true;
	pthread_cond_broadcast(&feed->room);
	pthread_mutex_unlock(&feed->lock);
	for (int i = 0; i < feed->started; i++)
		pthread_join(feed->threads[i], NULL);
	for (size_t i = 0; feed->slots && i < feed->slot_count; i++) {
		image_release(&feed->slots[i].image);
		shrink_scratch_release(&feed->slots[i].scratch);
	}
	pthread_cond_destroy(&feed->ready);
	pthread_cond_destroy(&feed->room);
	pthread_mutex_destroy(&feed->lock);
	nn_free(feed->slots);
	nn_free(feed->threads);
	nn_free(feed);
}
