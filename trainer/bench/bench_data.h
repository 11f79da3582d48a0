/* Times one thread's reading of training images: file, decoding, augmentation, numbers in a batch. */
#ifndef TRAINER_BENCH_BENCH_DATA_H
#define TRAINER_BENCH_BENCH_DATA_H

#include <stdbool.h>
#include <stddef.h>

#include "nn/core/status.h"
#include "trainer/data/augment.h"

struct bench_data_options {
	const char *path; /* data folder with training images */
	enum augment_kind augment;
	bool reduced_decode; /* as in struct augment */
	int image_size;
	size_t images;	/* the first so many, at most */
	int iterations; /* timed passes over them, at least 1; one more goes before, which also brings the files into memory */
};

struct bench_data_result {
	size_t images;
	double median_seconds; /* of a pass */
	double decode_seconds; /* reading and decoding alone, in that pass */
	double images_per_second;
};

/* Runs the benchmark. Errors: NN_ERR_DATA, NN_ERR_MEMORY. */
enum nn_status bench_data_run(struct bench_data_result *result, const struct bench_data_options *options);

#endif
