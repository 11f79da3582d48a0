/* What every layer needs to know about the batch at hand and the machine. */
#ifndef NN_LAYERS_CONTEXT_H
#define NN_LAYERS_CONTEXT_H

#include <stddef.h>

#include "nn/core/shards.h"
#include "nn/kernels/kernels.h"

struct context {
	const struct kernels *kernels;
	int threads;
	size_t samples;		   /* this process's part of the batch; may be 0 */
	struct shards shards;	   /* the logical shards that it holds */
	const size_t *shard_begin; /* hi - lo + 1 positions: shard lo + i holds samples shard_begin[i] .. shard_begin[i + 1] - 1 */
	statistics_exchange_fn exchange;    /* NULL in one process */
	statistics_begin_fn exchange_begin; /* NULL: exchanges are not begun earlier than they are waited for */
	void *exchange_context;
	double *sample_rows; /* scratch: the statistics rows of every sample, of the layer with the largest ones */
	double *shard_rows;  /* and one per local shard, at least one */
	double momentum;     /* share of the batch in batch norm's running statistics; 0: BATCHNORM_MOMENTUM */
};

/* Merges sample_rows (rows of 1 + 2 channels, `parts` per sample) inside each shard in sample order, and begins the exchange of the
 * results; waits for nobody. Collective when context has an exchange, as is context_total, which must follow. */
void context_gather(const struct context *context, int channels, size_t parts, enum merge merge);

/* Merges over all shards of all processes in the tree's order. *total is the result, valid until the next context_gather. */
enum nn_status context_total(const double **total, const struct context *context, int channels, enum merge merge);

#endif
