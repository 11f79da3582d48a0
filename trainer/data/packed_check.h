/* What a packed data set holds, and whether every byte of it is as it was written. */
#ifndef TRAINER_DATA_PACKED_CHECK_H
#define TRAINER_DATA_PACKED_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/core/status.h"
#include "trainer/data/packed.h"

/* Of one split. */
struct packed_facts {
	const char *split;
	uint64_t images;
	uint64_t classes;
	uint64_t pieces;
	uint64_t bytes;	   /* of all images */
	uint64_t smallest; /* bytes of an image */
	uint64_t largest;
	unsigned shorter_side; /* of the index, 0: nothing was shrunk */
	unsigned quality;
	uint64_t readable;	    /* images that could be decoded when they were packed */
	bool has_colours;	    /* colours are known */
	struct colour_sums colours; /* of the readable images */
};

/* Errors: NN_ERR_DATA, NN_ERR_MEMORY. */
enum nn_status packed_describe(struct packed_facts *facts, const char *folder, const char *split);

/* Reads everything and compares all digests: of indices, images and data files. Errors: NN_ERR_DATA naming the first file that is
 * damaged, and the image; NN_ERR_MEMORY. */
enum nn_status packed_verify(const char *folder, const char *split);

#endif
