/* What the tests of nn share: plain double versions of its mathematics, buffers with guards, and a network with a batch. */
#ifndef TESTS_UNIT_REFERENCE_H
#define TESTS_UNIT_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/kernels/kernels.h"
#include "nn/layers/conv.h"
#include "nn/models/graph.h"
#include "nn/models/models.h"
#include "nn/models/network.h"

/* The i-th kernel set that this processor can run, best first; NULL behind the last. */
const struct kernels *reference_set(int i);

/* The same for bf16: sets without its instructions twice, as they are and with products of bf16 by multiply-adds. */
const struct kernels *reference_bf16_set(int i);

/* Zeroed memory; ends the program when there is none. Ownership: the caller's, by free. */
void *reference_alloc(size_t bytes);

/* `count` values uniform in [-1, 1), the same for the same seed, in a buffer of exactly that size. Ownership: the caller's, by
 * free. */
float *reference_values(size_t count, uint64_t seed);

/* The same values as doubles. Ownership: the caller's, by free. */
double *reference_doubles(const float *values, size_t count);

/* The largest |x[i] - y[i]|; infinite when one of them is not a number. */
double reference_distance(const float *x, const double *y, size_t count);

/* The largest |x[i]|. */
double reference_largest(const double *x, size_t count);

/* Values in a sample of a convolution's input and output, and in its weight. */
size_t reference_in_size(const struct conv *conv);
size_t reference_out_size(const struct conv *conv);
size_t reference_weight_size(const struct conv *conv);

bool same_bits(const void *x, const void *y, size_t bytes);

/* `count` floats that are not numbers, between guards. Ownership: freed by guard_free. */
float *guard_alloc(size_t count);

/* Whether nobody wrote outside [0, count). */
bool guard_intact(const float *values, size_t count);
void guard_free(float *values);

/* A convolution in double, NHWC and HWIO as nn/layers/conv.h. The functions overwrite what they are named after. */
struct reference_conv {
	struct conv shape;
	size_t samples;
	double *in, *weight, *out;
};
void reference_conv_forward(const struct reference_conv *conv);
void reference_conv_data(const struct reference_conv *conv);
void reference_conv_weight(const struct reference_conv *conv);

/* The loss of one sample (nn/layers/loss.h) in double, by libm. */
double reference_loss(const double *logits, int label, int classes, double smoothing);

/* A graph's forward pass in double. One parameter may be moved along a direction, for finite differences. */
struct reference {
	const struct graph *graph;
	const float *params;	 /* the network's */
	const float *statistics; /* running ones; NULL: those of the batch */
	size_t samples;
	double **values; /* of each node; 0 is the images */
	double *weight;	 /* scratch: the largest parameter */
	int moved;	 /* its index; -1: none */
	double step;
	const double *direction;
};

/* Ownership: released by reference_release; keeps pointers to graph and params. */
void reference_init(struct reference *reference, const struct graph *graph, const float *params, const float *images,
		    size_t samples);
void reference_release(struct reference *reference);

/* Computes the values of the nodes from `first` (at least 1) on; those before must be there. */
void reference_run(struct reference *reference, int first);

/* The mean loss over the batch from the last node's values. */
double reference_mean_loss(const struct reference *reference, const int32_t *labels, double smoothing);

/* A network with random parameters (batch norm's too), images and labels. */
struct fixture {
	struct graph graph;
	struct network *network;
	float *images;
	int32_t *labels;
	size_t samples; /* of the global batch */
};

/* A graph by name; ends the program when it cannot be built. */
struct graph fixture_graph(const char *arch, int image_size, int classes, enum shortcut shortcut);

/* One process that holds `shards` shards, and 1 thread. */
struct network_setup fixture_setup(const struct kernels *kernels, size_t capacity, int shards);

/* Takes the graph over. Every fixture of one graph has the same parameters, images and labels. Released by fixture_release. */
void fixture_init(struct fixture *fixture, struct graph graph, const struct network_setup *setup, size_t samples);
void fixture_release(struct fixture *fixture);

/* One training step without the optimiser, on this process's part of the batch. */
enum nn_status fixture_step(struct batch_result *result, struct fixture *fixture, double smoothing);

#endif
