/* Scaling a picture by its short side and cutting a rectangle out of the result; only that rectangle is computed.
 * Source: torchvision's Resize and CenterCrop, roundings included. */
#ifndef TRAINER_DATA_FIT_H
#define TRAINER_DATA_FIT_H

#include "nn/core/status.h"
#include "trainer/data/image.h"
#include "trainer/data/resize.h"

/* The rectangle (x, y, crop_width, crop_height), in pixels, of a picture scaled to width x height. */
struct fit {
	int width, height;
	int x, y;
	int crop_width, crop_height;
};

/* Buffers that grow and are used again. Starts as {0}. */
struct fit_scratch {
	struct image scaled;
	struct resize_scratch resize;
};

/* The whole of `image` after its short side was scaled to short_side. */
struct fit fit_whole(const struct image *image, int short_side);

/* Its central size x size pixels; size <= short_side. */
struct fit fit_centre(const struct image *image, int short_side, int size);

/* *crop = the rectangle, in `image` itself when it keeps its size, else in the scratch until its next use.
 * Errors: NN_ERR_MEMORY. Thread-safe for different scratch. */
enum nn_status fit_crop(struct pixels *crop, const struct image *image, const struct fit *fit, struct fit_scratch *scratch);

/* Frees the buffers; the scratch may be used again. */
void fit_scratch_release(struct fit_scratch *scratch);

/* Python's round(): halves go to the even neighbour. */
int round_to_even(double x);

#endif
