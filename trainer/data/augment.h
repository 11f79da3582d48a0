/* From a decoded picture to the numbers a network sees: crop, flip, resize, normalise. Pure functions of picture and random stream.
 */
#ifndef TRAINER_DATA_AUGMENT_H
#define TRAINER_DATA_AUGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/rng.h"
#include "nn/core/status.h"
#include "trainer/data/fit.h"
#include "trainer/data/image.h"
#include "trainer/data/jitter.h"
#include "trainer/data/normalise.h"

enum augment_kind {
	AUGMENT_NONE,	   /* fitted: short side scaled to size, centre cropped; a picture of size x size is taken as it is */
	AUGMENT_CIFAR,	   /* fitted, 4 zeros around (after normalisation), random crop, random flip */
	AUGMENT_INCEPTION, /* torchvision's RandomResizedCrop with its default scale and ratio, random flip */
	AUGMENT_PAPER,	   /* short side scaled to 256 ... 480 (for size 224), random crop, random flip, colour noise */
};

struct augment {
	enum augment_kind kind;
	int size;	      /* side of the result, in pixels */
	struct normal normal; /* a per-pixel mean is that of the fitted picture, (size, size, 3) */
	float eval_scale;     /* evaluation scales the short side to round(size * eval_scale), >= 1, and crops: 256 / 224, or 1 */
	float colour_axes[3][3]; /* AUGMENT_PAPER: as from colours_axes */
	struct jitter jitter;	 /* of any kind's crop */
	double erasing;		 /* probability of random erasing, of any kind's sample */
	bool reduced_decode;	 /* JPEGs may be reduced while they are decoded, as long as no crop has to be enlarged for it */
};

/* Buffers that grow and are used again: nothing is allocated once they are large enough. Starts as {0}. */
struct augment_scratch {
	struct fit_scratch fit;
	struct image changed;
	struct image_reduction reduction;
	const struct augment *augment; /* for the choice of the reduction, as is */
	struct rng rng;
};

/* To be called before the image of a training sample is read, with that sample's stream: lets the reading reduce it if so. */
void augment_before_reading(struct image *image, const struct augment *augment, struct rng rng, struct augment_scratch *scratch);

/* out = one training sample, (pixel / 255 - mean) * inverse_std.
 * Shapes: out (size, size, 3) float, HWC. The same stream gives the same sample.
 * Errors: NN_ERR_MEMORY. Thread-safe for different out and scratch.
 * Source: He et al. 2015, section 3.4, for AUGMENT_PAPER, with sizes in proportion for others than 224; its colour noise is that of
 * Krizhevsky et al. 2012, section 4.1: the sum of alpha_i colour_axes[i], alpha_i ~ N(0, 0.1), on every pixel. */
enum nn_status augment_train(float *out, const struct image *image, const struct augment *augment, struct rng rng,
			     struct augment_scratch *scratch);

/* Frees the buffers; the scratch may be used again. */
void augment_scratch_release(struct augment_scratch *scratch);

#endif
