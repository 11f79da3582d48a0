/* A drawn data set for demonstrations and tests: ten shapes in random colours, sizes, places and angles on noisy backgrounds. */
#ifndef TRAINER_DATA_SYNTH_H
#define TRAINER_DATA_SYNTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/rng.h"
#include "nn/core/status.h"
#include "trainer/data/image.h"

enum { SYNTH_CLASSES = 10, SYNTH_SIZE_MIN = 16, SYNTH_SIZE_MAX = 512, SYNTH_IMAGES_MAX = 10000000 };

struct synth_options {
	size_t train; /* images, from SYNTH_CLASSES to SYNTH_IMAGES_MAX; spread over the classes as evenly as possible */
	size_t val;
	uint64_t seed;
	int size; /* side in pixels, from SYNTH_SIZE_MIN to SYNTH_SIZE_MAX */
};

/* Name of a class, in byte order of names. */
const char *synth_class_name(int label);

/* Draws one picture of size x size. Only exactly rounded arithmetic is used, so one stream gives the same pixels on every machine.
 * Errors: NN_ERR_MEMORY. */
enum nn_status synth_draw(struct image *image, int label, int size, struct rng rng);

/* Writes the set as an image folder: out/train/CLASS/NNNN.png, out/val/CLASS/NNNN.png, and out/synth.txt, which names the options.
 * It is written into out.tmp and renamed when whole; an unfinished out.tmp of an earlier call is replaced. When out is already a
 * set with the same options, nothing is done and *made is false. Errors: NN_ERR_USAGE (options, or out is something else),
 * NN_ERR_IO, NN_ERR_MEMORY. */
enum nn_status synth_write(bool *made, const char *out, const struct synth_options *options);

#endif
