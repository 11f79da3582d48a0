/* Times the communication of training: steps on all ranks of a job, with gradients summed during the backward pass and after it,
 * with every rank for itself, and with only one of gradients and statistics going between ranks. */
#ifndef TRAINER_BENCH_BENCH_COMM_H
#define TRAINER_BENCH_BENCH_COMM_H

#include <stdbool.h>

#include "comm/world.h"
#include "nn/core/status.h"
#include "trainer/bench/bench.h"

/* Medians over steps of the seconds of the rank that took longest in each. */
struct bench_comm_row {
	double step;
	double gradients;  /* waited for sums of gradients, and spent on them in the thread that computes */
	double statistics; /* the same for batch norm statistics */
	double exposed;	   /* fraction: (step - local) / step */
};

struct bench_comm_result {
	const char *isa;
	double local;			  /* seconds of a step with copies of a rank's own values for the sums over ranks */
	double flops;			  /* of one image, as bench_flops counts them */
	size_t peak_bytes;		  /* most memory that a rank has used so far */
	struct bench_comm_row overlap[2]; /* off, on */
	double exposed_gradients;	  /* as exposed with overlap, when statistics stay local */
	double exposed_statistics;	  /* when gradients do */
};

/* Whether sums can be made while this rank computes: between nodes only where MPI lets several threads call it. */
bool bench_comm_overlaps(const struct comm *comm);

/* Runs options->iterations steps of each of five kinds, taking turns; options->batch counts images over all ranks.
 * Collective. Errors: NN_ERR_USAGE, NN_ERR_MEMORY, the same on all ranks. */
enum nn_status bench_comm_run(struct bench_comm_result *result, struct comm *comm, const struct bench_options *options);

#endif
