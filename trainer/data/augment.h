/* From a decoded picture to the numbers a network sees: crop, flip, resize, normalise. Pure functions of picture and random stream.
 */
#ifndef TRAINER_DATA_AUGMENT_H
#define TRAINER_DATA_AUGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "nn/core/rng.h"
#include "nn/core/status.h"
#include "trainer/data/image.h"
#include "trainer/data/resize.h"

enum augment_kind {
	AUGMENT_NONE,	   /* fitted: short side scaled to size, centre cropped; a picture of size x size is taken as it is */
	AUGMENT_CIFAR,	   /* fitted, 4 zeros around (after normalisation), random crop, random flip */
	AUGMENT_INCEPTION, /* torchvision's RandomResizedCrop with its default scale and ratio, random flip */
};

struct augment {
	enum augment_kind kind;
	int size;	      /* side of the result, in pixels */
	float mean[3];	      /* of channels in units of 0 to 1 */
	float inverse_std[3]; /* 1 / standard deviation, same units */
	float eval_scale;     /* evaluation scales the short side to round(size * eval_scale), >= 1, and crops: 256 / 224, or 1 */
};

/* Buffers that grow and are used again: nothing is allocated once they are large enough. Starts as {0}. */
struct augment_scratch {
	struct image scaled;
	struct resize_scratch resize;
};

/* out = one training sample, (pixel / 255 - mean) * inverse_std.
 * Shapes: out (size, size, 3) float, HWC. The same stream gives the same sample.
 * Errors: NN_ERR_MEMORY. Thread-safe for different out and scratch. */
enum nn_status augment_train(float *out, const struct image *image, const struct augment *augment, struct rng rng,
			     struct augment_scratch *scratch);

/* out = the sample for evaluation: short side scaled to round(size * eval_scale), centre cropped, normalised; never random.
 * Shapes, errors and threads as for augment_train. Source: torchvision's Resize and CenterCrop, roundings included. */
enum nn_status augment_eval(float *out, const struct image *image, const struct augment *augment, struct augment_scratch *scratch);

/* Frees the buffers; the scratch may be used again. */
void augment_scratch_release(struct augment_scratch *scratch);

/* Adds a picture's pixel values (0 to 255), their squares and their number to exact running sums, from which the statistics of any
 * set of pictures follow, in whatever order and on however many ranks they were added. */
void augment_channel_sums(uint64_t sums[3], uint64_t squares[3], uint64_t *pixels, const struct image *image);

/* mean and inverse_std of struct augment from those sums; the standard deviation is the sample's (n - 1), as torch.std's.
 * A constant channel gets inverse_std 1. Needs at least one pixel. */
void augment_channel_moments(float mean[3], float inverse_std[3], const uint64_t sums[3], const uint64_t squares[3],
			     uint64_t pixels);

#endif
