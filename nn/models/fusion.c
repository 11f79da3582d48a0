/* Which batch norms are computed inside their neighbours. */
#include <string.h>

#include "nn/core/alloc.h"
#include "nn/models/network_internal.h"

static void count_readers(int *readers, const struct graph *graph)
{
	for (int i = 1; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];

		readers[node->in]++;
		if (node->residual >= 0)
			readers[node->residual]++;
	}
}

/* Whether nothing but the convolution behind reads a batch norm's value in the backward pass, and it can make the value anew there:
 * the residual, where there is one, is kept for another convolution. Of a chain of residual blocks every second value is kept. */
static bool is_forward_only(const struct slot *slots, const struct graph *graph, int i)
{
	const struct node *node = &graph->nodes[i];

	for (int k = i + 2; k < graph->node_count; k++)
		if (graph->nodes[k].in == i && backward_reads_input(&graph->nodes[k]))
			return false;
	return node->residual < 0 || (slots[node->residual].fusion.before_conv && !slots[node->residual].fusion.unstored &&
				      !slots[node->residual].fusion.forward_only);
}

enum nn_status fusion_mark(struct slot *slots, const struct graph *graph, bool recompute)
{
	int *readers;

	if (nn_alloc(&readers, (size_t)graph->node_count * sizeof(*readers)) != NN_OK)
		return NN_ERR_MEMORY;
	count_readers(readers, graph);
	for (int i = 1; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i], *next = i + 1 < graph->node_count ? node + 1 : NULL;
		bool own_conv = graph->nodes[node->in].op == OP_CONV && readers[node->in] == 1;
		struct fusion *fusion = &slots[i].fusion;

		if (node->op != OP_BATCHNORM)
			continue;
		fusion->behind_conv = own_conv && node->in == i - 1;
		fusion->before_conv = next && next->op == OP_CONV && next->in == i;
		fusion->unstored = fusion->before_conv && readers[i] == 1 && node->residual < 0;
		fusion->forward_only = !recompute && fusion->before_conv && !fusion->unstored && is_forward_only(slots, graph, i);
		fusion->masked_again =
		    node->relu && node->residual < 0 && next && next->in == i && readers[i] == 1 && !backward_reads_input(next);
		fusion->lazy_gradient = own_conv;
		if (own_conv)
			slots[node->in].fusion.normalized_by = i;
	}
	nn_free(readers);
	return NN_OK;
}
