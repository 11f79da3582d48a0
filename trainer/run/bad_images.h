/* Images that could not be read and were left out: the same list on every rank, never longer than --max-bad. */
#ifndef TRAINER_RUN_BAD_IMAGES_H
#define TRAINER_RUN_BAD_IMAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "comm/world.h"
#include "nn/core/status.h"
#include "trainer/data/dataset.h"
#include "trainer/data/loader.h"

struct bad_image {
	int32_t split; /* enum data_split */
	uint32_t index;
	int32_t rank; /* that met it */
	char message[LOADER_MESSAGE_BYTES];
};

/* Starts as {0}. An image is in the list once. */
struct bad_images {
	struct bad_image *list;
	size_t count;
	size_t slots;
};

/* Frees the list; it is empty then. */
void bad_images_release(struct bad_images *bad);

bool bad_images_have(const struct bad_images *bad, enum data_split split, uint32_t index);

/* Adds an image unless it is there. Errors: NN_ERR_MEMORY. Not collective. */
enum nn_status bad_images_add(struct bad_images *bad, const struct bad_image *image);

/* Adds what each rank has met to the list of all, in the order of (split, index), so that the list does not depend on the number of
 * ranks. `mine_status` is how this rank fared until here. Collective.
 * Errors: NN_ERR_DATA when the list would be longer than `limit`, naming the image that was too many; mine_status; NN_ERR_MEMORY.
 */
enum nn_status bad_images_share(struct bad_images *bad, struct comm *comm, const struct bad_images *mine,
				enum nn_status mine_status, size_t limit);

/* Adds the list to a checkpoint's state, as "bad_images": {"train": [17], "val": []}. Errors: NN_ERR_MEMORY. */
enum nn_status bad_images_write(json_t *state, const struct bad_images *bad);

/* Takes the list of a split over from a checkpoint's state; numbers that the data set does not have are passed over.
 * Errors: NN_ERR_MEMORY. */
enum nn_status bad_images_read(struct bad_images *bad, const json_t *state, const struct dataset *dataset, enum data_split split);

#endif
