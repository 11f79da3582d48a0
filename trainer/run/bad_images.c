#include "trainer/run/bad_images.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/agree.h"
#include "nn/core/alloc.h"

enum { FIRST_SLOTS = 8 };

static const char *const split_keys[] = {[SPLIT_TRAIN] = "train", [SPLIT_VAL] = "val"};

void bad_images_release(struct bad_images *bad)
{
	nn_free(bad->list);
	*bad = (struct bad_images){0};
}

bool bad_images_have(const struct bad_images *bad, enum data_split split, uint32_t index)
{
	for (size_t i = 0; i < bad->count; i++)
		if (bad->list[i].split == (int32_t)split && bad->list[i].index == index)
			return true;
	return false;
}

static enum nn_status grow(struct bad_images *bad)
{
	size_t slots = bad->slots ? 2 * bad->slots : FIRST_SLOTS;
	struct bad_image *larger;
	enum nn_status status = nn_alloc(&larger, slots * sizeof(*larger));

	if (status != NN_OK)
		return status;
	if (bad->count)
		memcpy(larger, bad->list, bad->count * sizeof(*larger));
	nn_free(bad->list);
	bad->list = larger;
	bad->slots = slots;
	return NN_OK;
}

enum nn_status bad_images_add(struct bad_images *bad, const struct bad_image *image)
{
	enum nn_status status = NN_OK;

	if (bad_images_have(bad, (enum data_split)image->split, image->index))
		return NN_OK;
	if (bad->count == bad->slots)
		status = grow(bad);
	if (status == NN_OK)
		bad->list[bad->count++] = *image;
	return status;
}

static int in_order(const void *a, const void *b)
{
	const struct bad_image *left = a, *right = b;

	if (left->split != right->split)
		return left->split < right->split ? -1 : 1;
	return (left->index > right->index) - (left->index < right->index);
}

/* met = the records of all ranks, one rank's behind the other's; counts[r] of rank r. */
static void collect(struct bad_image *met, struct comm *comm, const struct bad_images *mine, const int64_t *counts)
{
	size_t at = 0;

	for (int rank = 0; rank < comm_size(comm); rank++) {
		size_t bytes = (size_t)counts[rank] * sizeof(*met);

		if (rank == comm_rank(comm) && bytes)
			memcpy(met + at, mine->list, bytes);
		comm_broadcast(comm, met + at, bytes, rank);
		at += (size_t)counts[rank];
	}
}

/* The list of all is in the same state on every rank, so only the rank that met the last image has to report it. */
static enum nn_status add_met(struct bad_images *bad, struct comm *comm, const struct bad_image *met, size_t count, size_t limit)
{
	enum nn_status status = NN_OK;

	for (size_t i = 0; i < count && status == NN_OK; i++) {
		if (bad_images_have(bad, (enum data_split)met[i].split, met[i].index))
			continue;
		if (bad->count >= limit)
			return met[i].rank != comm_rank(comm)
				   ? NN_OK
				   : nn_error(
					 NN_ERR_DATA,
					 "%s. With it %zu images cannot be read and --max-bad allows %zu; log.txt names the others",
					 met[i].message, bad->count + 1, limit);
		status = bad_images_add(bad, &met[i]);
	}
	return status;
}

enum nn_status bad_images_share(struct bad_images *bad, struct comm *comm, const struct bad_images *mine,
				enum nn_status mine_status, size_t limit)
{
	struct bad_image *met = NULL;
	int64_t *counts = NULL;
	size_t total = 0;
	enum nn_status status = mine_status;

	if (status == NN_OK)
		status = nn_alloc(&counts, (size_t)comm_size(comm) * sizeof(*counts));
	status = comm_agree(comm, status);
	if (status == NN_OK) {
		assert(counts); /* what all ranks agree on includes this one */
		counts[comm_rank(comm)] = (int64_t)mine->count;
		comm_sum_int64(comm, counts, comm_size(comm));
		for (int rank = 0; rank < comm_size(comm); rank++)
			total += (size_t)counts[rank];
		status = comm_agree(comm, nn_alloc(&met, total * sizeof(*met)));
	}
	if (status == NN_OK) {
		collect(met, comm, mine, counts);
		if (total)
			qsort(met, total, sizeof(*met), in_order);
		status = comm_agree(comm, add_met(bad, comm, met, total, limit));
	}
	nn_free(met);
	nn_free(counts);
	return status;
}

enum nn_status bad_images_write(json_t *state, const struct bad_images *bad)
{
	json_t *splits = json_object();

	for (int split = SPLIT_TRAIN; split <= SPLIT_VAL; split++) {
		json_t *indices = json_array();

		for (size_t i = 0; i < bad->count; i++)
			if (bad->list[i].split == split)
				json_array_append_new(indices, json_integer(bad->list[i].index));
		json_object_set_new(splits, split_keys[split], indices);
	}
	if (json_object_set_new(state, "bad_images", splits) != 0)
		return nn_error(NN_ERR_MEMORY, "out of memory while describing the checkpoint");
	return NN_OK;
}

enum nn_status bad_images_read(struct bad_images *bad, const json_t *state, const struct dataset *dataset, enum data_split split)
{
	const json_t *indices = json_object_get(json_object_get(state, "bad_images"), split_keys[split]);
	enum nn_status status = NN_OK;

	for (size_t i = 0; i < json_array_size(indices) && status == NN_OK; i++) {
		const json_t *index = json_array_get(indices, i);
		struct bad_image image = {.split = (int32_t)split, .index = (uint32_t)json_integer_value(index)};
		char name[DATASET_NAME_MAX];

		if (!json_is_integer(index) || (uint64_t)json_integer_value(index) >= dataset_count(dataset))
			continue;
		dataset_file_name(dataset, image.index, name);
		snprintf(image.message, sizeof(image.message), "%.400s: left out before this start", name);
		status = bad_images_add(bad, &image);
	}
	return status;
}
