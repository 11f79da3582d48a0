#include "trainer/state/network_entries.h"

#include <stdio.h>
#include <string.h>

#include "nn/core/alloc.h"

/* Names and shape as torchvision has them: a linear weight is [out, in]; one over an image with several pixels is flattened from
 * (channel, row, column), which is its OIHW form read as two dimensions. */
static struct tensor_entry param_entry(const struct param *param, float *values)
{
	struct tensor_entry entry = {.name = param->name,
				     .dims = param->dims,
				     .type = TENSOR_F32,
				     .values = values,
				     .hwio = true,
				     .flat = param->kind == PARAM_LINEAR};

	for (int i = 0; i < param->dims; i++)
		entry.shape[i] = param->shape[i];
	return entry;
}

enum nn_status network_entries_init(struct network_entries *entries, const struct graph *graph, float *parameters,
				    float *statistics)
{
	int room = graph->param_count + graph->buffer_count / 2 * 3;
	enum nn_status status = nn_alloc(&entries->entries, (size_t)room * sizeof(*entries->entries));

	entries->names = NULL;
	entries->count = 0;
	entries->batches = 0;
	if (status == NN_OK)
		status = nn_alloc(&entries->names, (size_t)(graph->buffer_count + 1) * sizeof(*entries->names));
	if (status != NN_OK)
		return status;
	for (int i = 0; i < graph->param_count; i++)
		entries->entries[entries->count++] = param_entry(&graph->params[i], parameters + graph->params[i].offset);
	entries->head = graph->param_count - 2;
	for (int i = 0; statistics && i < graph->buffer_count; i++) {
		const struct param *buffer = &graph->buffers[i];
		size_t prefix = strlen(buffer->name) - strlen("running_var");

		entries->entries[entries->count++] = param_entry(buffer, statistics + buffer->offset);
		if (buffer->kind != PARAM_VARIANCE)
			continue;
		snprintf(entries->names[i], sizeof(entries->names[i]), "%.*snum_batches_tracked", (int)prefix, buffer->name);
		entries->entries[entries->count++] =
		    (struct tensor_entry){.name = entries->names[i], .dims = 0, .type = TENSOR_I64, .values = &entries->batches};
	}
	return NN_OK;
}

void network_entries_release(struct network_entries *entries)
{
	nn_free(entries->entries);
	nn_free(entries->names);
	memset(entries, 0, sizeof(*entries));
}
