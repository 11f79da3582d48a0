/* Large JPEGs written again with fewer pixels, so that a data set becomes smaller and faster to read. */
#ifndef TRAINER_DATA_SHRINK_H
#define TRAINER_DATA_SHRINK_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/core/status.h"
#include "trainer/data/fit.h"
#include "trainer/data/image.h"
#include "trainer/data/jpeg_write.h"

struct shrink {
	int shorter_side; /* in pixels, of pictures whose shorter side is longer; 0: everything stays as it is */
	int quality;	  /* of the new JPEGs, 1 to 100; 0 with shorter_side */
};

/* Buffers that are used again. Starts as {0}. */
struct shrink_scratch {
	struct fit_scratch fit;
	struct jpeg_file file;
};

/* When `image`, which was decoded from the file `encoded`, is a JPEG to shrink: *shrunk is true and scratch->file is the new file,
 * the picture scaled as by --augment none. Other files stay as they are. Errors: NN_ERR_MEMORY. */
enum nn_status shrink_image(bool *shrunk, const struct image *image, const uint8_t *encoded, size_t size,
			    const struct shrink *shrink, struct shrink_scratch *scratch);

void shrink_scratch_release(struct shrink_scratch *scratch);

#endif
