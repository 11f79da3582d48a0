/* A batch that a Python program left in a file, for the programs of this folder, which are one source file each. */
#ifndef TESTS_REFERENCE_BATCH_H
#define TESTS_REFERENCE_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "nn/core/alloc.h"
#include "nn/core/status.h"
#include "trainer/state/safetensors.h"

struct batch {
	float *images;	 /* (samples, size, size, 3) */
	int32_t *labels; /* (samples) */
	size_t samples;
	int size;
	int classes;
};

/* Frees what batch_read gave; a zeroed struct is allowed. */
static inline void batch_release(struct batch *batch)
{
	nn_free(batch->images);
	nn_free(batch->labels);
}

static inline enum nn_status batch_read_values(struct batch *batch, const struct safetensors *file)
{
	struct tensor_entry images = {.name = "images", .dims = 4, .shape = {(int64_t)batch->samples, batch->size, batch->size, 3}};
	struct tensor_entry labels = {.name = "labels", .dims = 1, .shape = {(int64_t)batch->samples}, .type = TENSOR_I64};
	int64_t classes = 0, *wide;
	struct tensor_entry count = {.name = "classes", .type = TENSOR_I64, .values = &classes};
	enum nn_status status = nn_alloc(&wide, batch->samples * sizeof(*wide));

	labels.values = wide;
	if (status == NN_OK)
		status = nn_alloc(&batch->images, tensor_entry_count(&images) * sizeof(float));
	if (status == NN_OK)
		status = nn_alloc(&batch->labels, batch->samples * sizeof(*batch->labels));
	images.values = batch->images;
	if (status == NN_OK)
		status = safetensors_read(file, &images);
	if (status == NN_OK)
		status = safetensors_read(file, &labels);
	if (status == NN_OK)
		status = safetensors_read(file, &count);
	for (size_t n = 0; status == NN_OK && n < batch->samples; n++)
		batch->labels[n] = (int32_t)wide[n];
	batch->classes = (int)classes;
	nn_free(wide);
	return status;
}

/* Reads images (n, size, size, 3), labels (n) and classes () from a safetensors file.
 * Ownership: the caller's, freed by batch_release, also after an error. Errors: NN_ERR_CHECKPOINT, NN_ERR_MEMORY. */
static inline enum nn_status batch_read(struct batch *batch, const char *path)
{
	struct safetensors *file;
	const struct safetensors_tensor *images;
	enum nn_status status = safetensors_open(&file, path);

	*batch = (struct batch){0};
	if (status != NN_OK)
		return status;
	images = safetensors_find(file, "images");
	if (images && images->dims == 4) {
		batch->samples = (size_t)images->shape[0];
		batch->size = (int)images->shape[1];
		status = batch_read_values(batch, file);
	} else {
		status = nn_error(NN_ERR_CHECKPOINT, "%s has no images (n, h, w, 3)", path);
	}
	safetensors_close(file);
	return status;
}

#endif
