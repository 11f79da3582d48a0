/* Times one process's computing: whole training steps, or forward passes of evaluation, on made-up images in memory. */
#ifndef TRAINER_BENCH_BENCH_H
#define TRAINER_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include "nn/core/status.h"
#include "nn/models/graph.h"

struct bench_options {
	const char *arch;
	bool train; /* forward, loss, backward and optimiser; otherwise forward with running statistics */
	size_t batch;
	int threads;
	bool winograd;
	bool bf16;
	int image_size;	     /* 0: the architecture's usual one */
	int iterations;	     /* timed steps, at least 1; one more goes before them */
	int shards;	     /* of training: logical shards; 0: as many as ranks */
	bool sync_bn;	     /* bench_comm_run: batch norm statistics of all ranks, not of each rank alone */
	bool bf16_gradients; /* bench_comm_run: gradients are rounded to bf16 and travel as such */
	const char *isa;     /* kernel set; NULL or "": the best one */
};

struct bench_result {
	const char *isa;
	int image_size;
	double median_seconds; /* of a step */
	double least_seconds;
	double images_per_second;
	double gflops;	   /* 1e9 operations per second, as bench_flops counts them */
	double gigabytes;  /* 1e9 bytes, as bench_bytes counts them */
	size_t peak_bytes; /* most memory that the process has used so far */
};

/* Runs the benchmark. Errors: NN_ERR_USAGE (architecture, image size, kernel set), NN_ERR_MEMORY. */
enum nn_status bench_run(struct bench_result *result, const struct bench_options *options);

/* Operations for one image in convolutions and linear layers, a multiply-add being two: those of the forward pass, and in training
 * as many again for the data gradient, of which the first layer has none, and for the weight gradient. */
double bench_flops(const struct graph *graph, bool train);

/* Bytes that convolutions and linear layers must at least move between memory and processor in a step of `batch` images: each pass
 * reads and writes each of its arrays once; in training also the optimiser. */
double bench_bytes(const struct graph *graph, bool train, size_t batch);

/* The network that the options name. Ownership: graph_release, also after an error. Errors: NN_ERR_USAGE, NN_ERR_MEMORY. */
enum nn_status bench_graph(struct graph *graph, const struct bench_options *options);

#endif
