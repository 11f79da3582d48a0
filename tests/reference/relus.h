/* The outputs of a network's ReLUs, for the programs of this folder, which are one source file each. Python needs them to run
 * float64 with the same decisions (decisions.py). */
#ifndef TESTS_REFERENCE_RELUS_H
#define TESTS_REFERENCE_RELUS_H

#include <stdio.h>

#include "nn/core/alloc.h"
#include "nn/core/status.h"
#include "nn/models/network_internal.h"
#include "trainer/state/safetensors.h"

/* *values = node i's output. One that the network does not keep is made once more, in *made, which the caller frees. */
static inline enum nn_status relu_output(void **values, float **made, const struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i];
	const struct slot *slot = &network->slots[i];
	const void *residual = node->residual >= 0 ? slot_value(network, node->residual) : NULL;
	enum nn_status status;

	*values = slot->value;
	if (!slot->fusion.unstored && !slot->fusion.forward_only && !slot->fusion.masked_again)
		return NN_OK;
	status = nn_alloc(made, network->context.samples * node_size(node) * sizeof(float));
	if (status == NN_OK)
		batchnorm_apply_all(*made, &slot->bn, slot_value(network, node->in), residual, true, slot->bn.mean,
				    node_param(network, node, 1), &network->context);
	*values = *made;
	return status;
}

/* Writes the outputs (local samples, h, w, c) of all ReLUs, named 0000, 0001, ... in forward order. Call it between a forward pass
 * in train mode and the backward pass: the outputs are still in place then. Errors: NN_ERR_IO, NN_ERR_MEMORY. */
static inline enum nn_status relus_write(const struct network *network, const char *path)
{
	const struct graph *graph = network->graph;
	struct tensor_entry *entries;
	float **made;
	char(*names)[16];
	int count = 0;
	enum nn_status status = nn_alloc(&entries, (size_t)graph->node_count * (sizeof(*entries) + sizeof(*made) + sizeof(*names)));

	if (status != NN_OK)
		return status;
	made = (float **)(entries + graph->node_count);
	names = (char(*)[16])(made + graph->node_count);
	for (int i = 0; i < graph->node_count && status == NN_OK; i++) {
		const struct node *node = &graph->nodes[i];

		if (!node->relu)
			continue;
		snprintf(names[count], sizeof(names[count]), "%04d", count);
		entries[count] = (struct tensor_entry){
		    .name = names[count], .dims = 4, .shape = {(int64_t)network->context.samples, node->h, node->w, node->c}};
		status = relu_output(&entries[count].values, &made[count], network, i);
		count++;
	}
	if (status == NN_OK)
		status = safetensors_write(path, entries, count, NULL);
	for (int i = 0; i < count; i++)
		nn_free(made[i]);
	nn_free(entries);
	return status;
}

#endif
