/* The inside of struct network, shared by network_plan.c, network.c (memory), forward.c and backward.c. */
#ifndef NN_MODELS_NETWORK_INTERNAL_H
#define NN_MODELS_NETWORK_INTERNAL_H

#include "nn/layers/batchnorm.h"
#include "nn/layers/context.h"
#include "nn/models/network.h"
#include "nn/models/plan.h"

/* How a batch norm is computed inside the convolutions around it, chunk by chunk, instead of in passes of its own. */
struct fusion {
	/* It follows the convolution whose value only it reads. In training that convolution's sink gathers the moments; in
	 * evaluation floats are normalised as they are written, with the scale in the weights, and bf16 by the sink in place: so
	 * the batch norm's value lies where the convolution's would. */
	bool behind_conv;
	/* The next node is a convolution that reads it. That one's source normalises (unless the sink in front has), and its sink
	 * in the backward pass gathers the sums: it is the last to add to this value's gradient. */
	bool before_conv;
	/* No memory for the value: that convolution alone reads it, and makes it anew in the backward pass. */
	bool unstored;
	/* The value lives in the forward pass only, for the residuals and shortcuts that read it; in the backward pass that
	 * convolution makes it anew, from the input and a residual that is kept. */
	bool forward_only;
	/* Nothing in the backward pass but its own ReLU would read the value, which is then made anew from the input, row by row of
	 * each sample, and lives in the forward pass only: in front of a pooling. */
	bool masked_again;
	/* On a batch norm: the source of the convolution that only it reads makes the gradient of its input. On that convolution:
	 * this batch norm's index; 0: none. */
	bool lazy_gradient;
	int normalized_by;
};

/* Where a node's value, its gradient and its own state lie; NULL where there is none. */
struct slot {
	void *value;	      /* the first life's or, from its recomputation on, the second's */
	void *first, *second; /* where it lies in the two; see recompute.c */
	bool remade;	      /* it is made again for the backward pass */
	int segment;	      /* before this node's backward step, segment .. this node - 1 are made again; 0: none */
	void *gradient;
	const struct pointwise *pointwise; /* how both are stored */
	bool accumulate_in;		   /* backward: the input's gradient already holds something */
	bool accumulate_residual;	   /* backward: the same of the residual's */
	bool alias_residual;		   /* the residual's gradient is this node's gradient, in place */
	bool alias_in;			   /* the input's gradient is this node's gradient, in place */
	struct fusion fusion;
	struct batchnorm bn;
	uint8_t *taps; /* OP_MAXPOOL */
	float *packed; /* rearranged weights: its own, or everybody's in turn */
};

/* Fills in slots[i].fusion; forward_only where no segment is made again as a whole. Errors: NN_ERR_MEMORY. */
enum nn_status fusion_mark(struct slot *slots, const struct graph *graph, bool recompute);

/* Sizes of everything, in elements; the arena in floats. */
struct network_sizes {
	size_t arena, small, taps, packed, conv_scratch, tree_scratch;
	size_t reach;		  /* of the arena, what lies behind all values */
	size_t rows, sample_rows; /* doubles for a shard, and for a sample */
};

/* Where everything goes, before anything is allocated. */
struct network_plan {
	struct network_sizes sizes;
	struct plan_item *items; /* node_count values, as many second lives of values, as many gradients */
	int *alias;		 /* node whose gradient buffer a node's gradient takes over; itself when it has its own */
	int *backward;	    /* time of a node's backward step; forward steps are at the node's number, the loss at node_count */
	int *again;	    /* time at which a value would be made again; 0: it lives on */
	struct slot *slots; /* with the notes for the backward pass only */
};

/* Ownership: network_plan_release, also after an error. Errors: NN_ERR_MEMORY. */
enum nn_status network_plan_init(struct network_plan *plan, const struct graph *graph, const struct network_setup *setup);
void network_plan_release(struct network_plan *plan);

/* Lives of values and gradients with the segments that slots[i].segment cut. Errors: NN_ERR_MEMORY. */
enum nn_status network_lifetimes(struct network_plan *plan, const struct graph *graph, const struct network_setup *setup);

/* The node in whose memory a node's value lies, or from whose value it is made again. */
int value_root(const struct slot *slots, const struct graph *graph, int node, bool training);

/* Whether a node's backward step reads its input's value, and its own. */
bool backward_reads_input(const struct node *node);
bool backward_reads_output(const struct node *node, const struct slot *slot);

/* Cuts the segments so that the peak is least, and leaves their lifetimes in the plan. Errors: NN_ERR_MEMORY. */
enum nn_status recompute_choose(struct network_plan *plan, const struct graph *graph, const struct network_setup *setup);

/* Fills in backward, again and slots[i].remade from slots[i].segment. */
void recompute_times(struct network_plan *plan, const struct graph *graph);

/* Rearranges a convolution's weights for training, where that has not been done; to be called early where there is waiting. */
void network_prepare(struct network *network, int node, bool backward);

/* Makes the forgotten values of nodes begin .. end - 1 again, with the batch norm statistics that the forward pass has left. */
void network_remake(struct network *network, int begin, int end);

/* Follows aliases to the node whose gradient buffer is really used. */
int gradient_root(const int *alias, int node);

/* Whether node i's value and gradient are kept as bf16: with bf16, those between the images and the pooled averages. */
bool node_is_bf16(const struct graph *graph, const struct network_setup *setup, int node);

/* Whether rearranged weights are kept from batch to batch: those of a network that only evaluates, and whose weights nobody else
 * changes; not where bf16 are computed with as floats, as they would take more memory than bf16 saves. And the floats that one
 * layer's take then. */
bool network_keeps_packed(const struct network_setup *setup);
size_t network_packed_size(const struct graph *graph, const struct network_setup *setup, int node);

/* What the setup's convolutions are computed with, without scratch. */
struct conv_env network_env(const struct network_setup *setup, bool bf16);

/* Flat gradient vectors that the setup needs: the nodes of the cover, at least one in training. */
size_t network_partials(const struct network_setup *setup);

struct network {
	const struct graph *graph;
	struct network_setup setup;
	struct slot *slots;
	float *arena;  /* values and gradients, placed by lifetime; behind them what convolutions may read too much */
	float *small;  /* batch norm means and the like */
	uint8_t *taps; /* of all max pools */
	float *parameters;
	float *statistics;
	float *gradient_block;
	float *partials[SHARD_COVER_MAX];
	struct shard_node cover[SHARD_COVER_MAX];
	int cover_count;

	float *packed;	  /* rearranged weights: of the layer at hand or the one to come, or of all layers */
	bool packed_kept; /* those of all layers are there, with the scales of evaluation */
	int prepared;	  /* whose they are in training: a node's number, negative for the backward pass; 0: nobody's */
	int summed;	  /* the batch norm whose sums in the backward pass are on their way to other ranks; 0: none's */
	float *conv_scratch;
	float *tree_scratch; /* gradients of right subtrees */
	double *sample_rows;
	double *shard_rows;
	double *losses;
	int *ranks;
	size_t *shard_begin; /* local positions, hi - lo + 1 */

	size_t global_samples;
	const float *images;
	bool train; /* the forward pass at hand: statistics of the batch */
	struct context context;
	struct conv_env env, linear_env; /* of convolutions, and of linear layers, which are fp32 always */
};

static inline const void *slot_value(const struct network *network, int node)
{
	if (!network->train && network->slots[node].fusion.behind_conv)
		return network->slots[network->graph->nodes[node].in].value;
	return node == 0 ? network->images : network->slots[node].value;
}

/* The parts of the fusions at work (fused.c): the source of a convolution's input and of its output's gradient, and its sinks. */
struct fused {
	struct network *network;
	int conv;
	struct conv shape; /* of a part; chunks are counted in parts */
	size_t parts;	   /* of a sample */
	bool forward;	   /* which way its input is read */
};
struct fused fused_begin(struct network *network, int conv);
struct source fused_input(struct fused *fused, bool forward);
struct source fused_gradient(struct fused *fused);
/* Whether evaluation computes the batch norm behind the convolution in its weights and as its output is written. */
bool fused_folds(const struct fused *fused);
struct conv_finish fused_finish(struct fused *fused);
struct sink fused_forward_sink(struct fused *fused);
/* `last`: of all samples of this process. */
struct sink fused_backward_sink(struct fused *fused, bool last);

/* Begins to merge the sums of the batch norm in front of a convolution over all ranks, unless that has been done. */
void network_merge_sums(struct network *network, int node);

static inline const float *node_param(const struct network *network, const struct node *node, int i)
{
	return network->parameters + network->graph->params[node->param + i].offset;
}

#endif
