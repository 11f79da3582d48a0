/* Bilinear resizing with antialiasing, to the bit what Pillow's Image.resize(size, BILINEAR, box=...) computes.
 * Source: Pillow, src/libImaging/Resample.c (a triangle filter as wide as the reduction, two passes, 8 bits between them). */
#ifndef TRAINER_DATA_RESIZE_H
#define TRAINER_DATA_RESIZE_H

#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"
#include "trainer/data/image.h"

/* A rectangle of RGB8 pixels inside a larger picture; owns nothing. */
struct pixels {
	const uint8_t *data; /* HWC */
	int width;
	int height;
	size_t stride; /* bytes from row to row */
};

/* What to compute: the box of the source, in pixels, is scaled to width x height, of which only the crop is computed. */
struct resize {
	float left, top, right, bottom;
	int width, height;
	int crop_x, crop_y, crop_width, crop_height;
};

/* Buffers that grow and are used again. Starts as {0}. */
struct resize_scratch {
	int32_t *filters; /* those of one axis after those of the other */
	size_t capacity;  /* numbers at filters */
	struct image rows;
};

/* dst (crop_height, crop_width, 3) = the crop of the scaled box. Pixels outside the box but inside source may count, as in Pillow.
 * Needs 0 <= left < right <= width of source (top and bottom alike) and a crop inside width x height.
 * Errors: NN_ERR_MEMORY. Thread-safe for different dst and scratch. */
enum nn_status resize_bilinear(struct image *dst, struct pixels source, const struct resize *plan, struct resize_scratch *scratch);

/* The rectangle at (x, y) of an image. */
struct pixels pixels_crop(const struct image *image, int x, int y, int width, int height);

/* Frees the buffers; the scratch may be used again. */
void resize_scratch_release(struct resize_scratch *scratch);

#endif
