/* A network ready to run: a graph with its memory, planned once and allocated once.
 *
 * One training step:  network_begin_batch, network_forward, network_loss, network_backward. Nothing is allocated in a step.
 * The gradient is kept as one flat vector for each node of the shard cover (nn/core/shards.h), each in the layout of the
 * parameters; summing them over all ranks in the tree's order is the caller's part (comm). */
#ifndef NN_MODELS_NETWORK_H
#define NN_MODELS_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/shards.h"
#include "nn/core/status.h"
#include "nn/kernels/kernels.h"
#include "nn/models/graph.h"

struct network_setup {
	const struct kernels *kernels;
	int threads;
	size_t capacity;      /* most samples of a batch in this process, at least 1 */
	struct shards shards; /* the logical shards that this process holds */
	bool winograd;	      /* Winograd's algorithm where it is faster; false: direct convolutions only */
	bool bf16;	      /* activations and their gradients up to the average pooling are bf16; parameters, statistics,
				 sums and what follows are fp32. Convolutions are direct where bf16 are multiplied. */
	bool bf16_gradients;  /* every node of the tree over shards is rounded to bf16, and kept as float */
	bool recompute; /* training: forget most values, and make them again for the backward pass; less memory, the same bits */
	bool training;	/* false: no memory for gradients, network_backward must not be called */
	statistics_exchange_fn exchange;    /* batch norm statistics; NULL in one process */
	statistics_begin_fn exchange_begin; /* begins one of them early; may be NULL */
	void *exchange_context;
	statistics_exchange_fn loss_exchange; /* sums of losses, over all ranks always; NULL in one process */
	void *loss_context;
	struct network *weights_of; /* a network with the same parameters, used in place of own ones; must live longer. NULL: own */
	float *gradients;	    /* the caller's memory for the partial gradients, one vector after the other; NULL: own */
};

/* Called when the gradient's range [offset, offset + count) is complete in every partial. Ranges come from the back to the front,
 * without gaps. A status other than NN_OK ends the backward pass. */
typedef enum nn_status (*gradient_ready_fn)(void *context, size_t offset, size_t count);

struct network; /* opaque */

/* Ownership: destroyed by network_destroy; keeps a pointer to graph, which must live longer.
 * Errors: NN_ERR_MEMORY. */
enum nn_status network_create(struct network **out, const struct graph *graph, const struct network_setup *setup);
void network_destroy(struct network *network);

/* PASS_AGAIN: the node's value is made again for the backward pass. */
enum network_pass { PASS_FORWARD, PASS_AGAIN, PASS_BACKWARD };

/* What network_create would allocate, in bytes. */
struct network_memory {
	size_t parameters;  /* with the running statistics */
	size_t gradients;   /* one vector for each node of the shard cover */
	size_t activations; /* one block: layers' outputs and their gradients, which share it by lifetime */
	size_t scratch;
	size_t peak;   /* the most of `activations` that is alive at once; placing it may take a little more */
	int peak_node; /* the node at which that is */
	enum network_pass peak_pass;
};

/* Errors: NN_ERR_MEMORY. */
enum nn_status network_plan_memory(struct network_memory *memory, const struct graph *graph, const struct network_setup *setup);

/* Bytes of a node's value for a whole batch, were it kept. */
size_t network_value_bytes(const struct graph *graph, const struct network_setup *setup, int node);

/* Bytes that network_create would allocate. Errors: NN_ERR_MEMORY. */
enum nn_status network_plan_bytes(size_t *bytes, const struct graph *graph, const struct network_setup *setup);

const struct graph *network_graph(const struct network *network);

/* Whether it was set up to use Winograd's algorithm. */
bool network_winograd(const struct network *network);

/* Whether it was set up to keep activations as bf16. */
bool network_bf16(const struct network *network);

/* The flat parameters and running statistics, in the layout of graph.params and graph.buffers; the caller may write them until the
 * next forward pass, through pointers that it asks for again after one. */
float *network_parameters(struct network *network);
float *network_statistics(struct network *network);

/* The partial gradients, one per node of the cover; at least one pointer even when this process holds no shard. *count = their
 * number. */
float *const *network_gradients(struct network *network, int *count);

/* Lays a batch of global_samples images over the shards; *first and *samples are this process's part of it. At most `capacity`
 * samples may fall to this process. */
void network_begin_batch(struct network *network, size_t global_samples, size_t *first, size_t *samples);

/* Takes a sample out of this process's part of the batch, after network_begin_batch; those behind it move up by one, so begin with
 * the last. Every process then says with network_set_global_samples how many samples the whole batch has left, at least 1. */
void network_leave_out(struct network *network, size_t position);
void network_set_global_samples(struct network *network, size_t global_samples);

/* For evaluation: the batch is `samples` images of this process's own, without shards. */
void network_begin_samples(struct network *network, size_t samples);

/* Runs the net over images (samples, h, w, 3), NHWC float32. train: batch statistics (collective when there is an exchange, for
 * processes without samples too) and updates of the running ones; otherwise the running statistics.
 * *logits (samples, classes) is valid until the next call. The images must stay in place until network_backward returns. */
enum nn_status network_forward(const float **logits, struct network *network, const float *images, bool train);

/* Sets the share of a batch in the running statistics for passes in train mode; 0: the usual BATCHNORM_MOMENTUM. With 1 / k in the
 * k-th of several passes they become the means over those passes, as torch.nn.BatchNorm2d makes them with momentum=None. */
void network_set_momentum(struct network *network, double momentum);

/* What network_loss gives, for the whole batch. */
struct batch_result {
	double samples;
	double loss;  /* sum over the samples */
	double wrong; /* top-1 errors */
};

/* Loss of the training batch: fills *result with the sums over all shards of all processes (the same bits on every rank) and
 * prepares the gradient of the mean over global_samples. Collective when there is a loss_exchange. */
enum nn_status network_loss(struct batch_result *result, struct network *network, const int32_t *labels, double smoothing);

/* The same for mixed labels, as loss_softmax_mixed takes them. */
enum nn_status network_loss_mixed(struct batch_result *result, struct network *network, const int32_t *labels,
				  const int32_t *others, const float *shares, double smoothing);

/* Backward pass from the loss. ready may be NULL. Collective when there is an exchange. */
enum nn_status network_backward(struct network *network, gradient_ready_fn ready, void *context);

#endif
