#include "trainer/bench/bench_data.h"

#include <stdlib.h>
#include <time.h>

#include "nn/core/alloc.h"
#include "trainer/data/dataset.h"

/* One pass over the images. */
struct pass {
	double seconds, decode;
};

struct bench {
	const struct bench_data_options *options;
	struct dataset *dataset;
	struct augment augment;
	struct augment_scratch scratch;
	struct image image;
	float *sample;
	size_t images;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static enum nn_status run_pass(struct pass *pass, struct bench *bench, uint64_t epoch)
{
	double start = now();
	enum nn_status status = NN_OK;

	pass->decode = 0;
	for (size_t i = 0; i < bench->images && status == NN_OK; i++) {
		struct rng rng = rng_stream(0, epoch, i);
		double before = now();

		augment_before_reading(&bench->image, &bench->augment, rng, &bench->scratch);
		status = dataset_read(bench->dataset, i, &bench->image);
		pass->decode += now() - before;
		if (status == NN_OK)
			status = augment_train(bench->sample, &bench->image, &bench->augment, rng, &bench->scratch);
	}
	pass->seconds = now() - start;
	return status;
}

static int shorter(const void *a, const void *b)
{
	const struct pass *x = a, *y = b;

	return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

static enum nn_status run_passes(struct bench_data_result *result, struct bench *bench)
{
	int iterations = bench->options->iterations;
	struct pass *passes, warm_up;
	enum nn_status status = nn_alloc(&passes, (size_t)iterations * sizeof(*passes));

	if (status == NN_OK)
		status = run_pass(&warm_up, bench, 0);
	for (int i = 0; i < iterations && status == NN_OK; i++)
		status = run_pass(&passes[i], bench, (uint64_t)i + 1);
	if (status == NN_OK) {
		const struct pass *median = &passes[iterations / 2];

		qsort(passes, (size_t)iterations, sizeof(*passes), shorter);
		*result = (struct bench_data_result){bench->images, median->seconds, median->decode,
						     (double)bench->images / median->seconds};
	}
	nn_free(passes);
	return status;
}

enum nn_status bench_data_run(struct bench_data_result *result, const struct bench_data_options *options)
{
	struct bench bench = {.options = options,
			      .augment = {.kind = options->augment,
					  .size = options->image_size,
					  .reduced_decode = options->reduced_decode,
					  .normal = {.mean = {0.485f, 0.456f, 0.406f}, .inverse_std = {4.37f, 4.46f, 4.44f}}}};
	size_t floats = (size_t)options->image_size * (size_t)options->image_size * 3;
	enum nn_status status = dataset_open(&bench.dataset, options->path, SPLIT_TRAIN);

	if (status == NN_OK)
		status = nn_alloc(&bench.sample, floats * sizeof(*bench.sample));
	if (status == NN_OK) {
		bench.images = dataset_count(bench.dataset) < options->images ? dataset_count(bench.dataset) : options->images;
		status = run_passes(result, &bench);
	}
	nn_free(bench.sample);
	image_release(&bench.image);
	augment_scratch_release(&bench.scratch);
	dataset_close(bench.dataset);
	return status;
}
