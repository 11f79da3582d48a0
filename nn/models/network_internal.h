/* The inside of struct network, shared by network_plan.c, network.c (memory), forward.c and backward.c. */
#ifndef NN_MODELS_NETWORK_INTERNAL_H
#define NN_MODELS_NETWORK_INTERNAL_H

#include "nn/layers/batchnorm.h"
#include "nn/layers/context.h"
#include "nn/models/network.h"
#include "nn/models/plan.h"

/* Where a node's value, its gradient and its own state lie; NULL where there is none. */
struct slot {
	float *value;
	float *gradient;
	bool accumulate_in;	  /* backward: the input's gradient already holds something */
	bool accumulate_residual; /* backward: the same of the residual's */
	bool alias_residual;	  /* the residual's gradient is this node's gradient, in place */
	bool alias_in;		  /* the input's gradient is this node's gradient, in place */
	struct batchnorm bn;
	uint8_t *taps; /* OP_MAXPOOL */
};

/* Sizes of everything, in elements. */
struct network_sizes {
	size_t arena, small, taps, packed, conv_scratch, tree_scratch, rows;
};

/* Where everything goes, before anything is allocated. */
struct network_plan {
	struct network_sizes sizes;
	struct plan_item *items; /* node_count values, then as many gradients */
	int *alias;		 /* node whose gradient buffer a node's gradient takes over; itself when it has its own */
	struct slot *slots;	 /* with the notes for the backward pass only */
};

/* Ownership: network_plan_release, also after an error. Errors: NN_ERR_MEMORY. */
enum nn_status network_plan_init(struct network_plan *plan, const struct graph *graph, const struct network_setup *setup);
void network_plan_release(struct network_plan *plan);

/* Follows aliases to the node whose gradient buffer is really used. */
int gradient_root(const int *alias, int node);

/* What the setup's convolutions are computed with, without scratch. */
struct conv_env network_env(const struct network_setup *setup);

/* Flat gradient vectors that the setup needs: the nodes of the cover, at least one in training. */
size_t network_partials(const struct network_setup *setup);

struct network {
	const struct graph *graph;
	struct network_setup setup;
	struct slot *slots;
	float *arena;  /* values and gradients, placed by lifetime */
	float *small;  /* batch norm means and the like */
	uint8_t *taps; /* of all max pools */
	float *parameters;
	float *statistics;
	float *gradient_block;
	float *partials[SHARD_COVER_MAX];
	struct shard_node cover[SHARD_COVER_MAX];
	int cover_count;

	float *packed;	     /* rearranged weights of the layer at hand */
	float *conv_scratch;
	float *tree_scratch; /* gradients of right subtrees */
	double *sample_rows;
	double *shard_rows;
	double *losses;
	int *ranks;
	size_t *shard_begin; /* local positions, hi - lo + 1 */

	size_t global_samples;
	const float *images;
	struct context context;
	struct conv_env env;
};

static inline const float *slot_value(const struct network *network, int node)
{
	return node == 0 ? network->images : network->slots[node].value;
}

static inline const float *node_param(const struct network *network, const struct node *node, int i)
{
	return network->parameters + network->graph->params[node->param + i].offset;
}

#endif
