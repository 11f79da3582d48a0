/* Times each shape of convolution in a network alone, beside a whole step and what the machine can do at most. */
#ifndef TRAINER_BENCH_LAYERS_H
#define TRAINER_BENCH_LAYERS_H

#include <stdbool.h>

#include "nn/core/status.h"
#include "nn/layers/conv.h"
#include "trainer/bench/bench.h"
#include "trainer/bench/peaks.h"

enum layer_pass { LAYER_FORWARD, LAYER_DATA_GRADIENT, LAYER_WEIGHT_GRADIENT, LAYER_PASSES };

/* One pass of all layers of one shape; the network's first layer has no data gradient. */
struct layer_row {
	struct conv conv;
	enum layer_pass pass;
	int layers;	/* so many layers have the shape */
	bool winograd;	/* otherwise direct */
	double seconds; /* of one layer, the median; rearranging its weights included */
	double gflops;	/* 1e9 operations per second, those of a direct convolution */
	double bytes;	/* of its three arrays: moved at least */
};

struct layers {
	struct layer_row *rows;
	int count;
	struct peak ceiling;	  /* multiply-adds, on as many threads */
	struct bench_result step; /* a whole training step */
	double convolutions;	  /* seconds of all layers of all rows */
	double optimizer;	  /* seconds */
};

/* "forward", "data gradient", "weight gradient". */
const char *layer_pass_name(enum layer_pass pass);

/* Seconds of a step that are neither convolutions nor the optimiser: batch norm, ReLU and residual sums, which run inside the
 * convolutions' chunks in a step, pooling, linear layers, loss. */
double layers_rest(const struct layers *layers);

/* Runs it, options->iterations times each. Ownership: layers_release, also after an error.
 * Errors: NN_ERR_USAGE (architecture, image size, kernel set), NN_ERR_MEMORY. */
enum nn_status layers_measure(struct layers *layers, const struct bench_options *options);
void layers_release(struct layers *layers);

#endif
