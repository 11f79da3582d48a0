/* safetensors files. */
#include <string.h>
#include <unistd.h>

#include "nn/core/alloc.h"
#include "tests/fuzz/targets.h"
#include "trainer/state/safetensors.h"

/* Reads a tensor as what it says it is, if it is of a type that can be read. */
static void read_tensor(const struct safetensors *file, const char *name, size_t file_bytes)
{
	const struct safetensors_tensor *tensor = safetensors_find(file, name);
	struct tensor_entry entry = {.name = name, .type = strcmp(tensor->dtype, "I64") == 0 ? TENSOR_I64 : TENSOR_F32};
	char digest[DIGEST_CHARS];

	FUZZ_CHECK(tensor->begin <= tensor->end && tensor->end <= file_bytes);
	FUZZ_CHECK(safetensors_digest(digest, file, name) == NN_OK);
	if (tensor->dims > TENSOR_ENTRY_DIMS)
		return;
	entry.dims = tensor->dims;
	memcpy(entry.shape, tensor->shape, (size_t)tensor->dims * sizeof(entry.shape[0]));
	if (safetensors_check(file, &entry) != NN_OK)
		return;
	FUZZ_CHECK(tensor_entry_count(&entry) <= file_bytes);
	FUZZ_CHECK(nn_alloc(&entry.values, tensor_entry_count(&entry) * 8) == NN_OK);
	FUZZ_CHECK(safetensors_read(file, &entry) == NN_OK);
	nn_free(entry.values);
}

void fuzz_safetensors(const uint8_t *bytes, size_t size)
{
	char path[FUZZ_PATH];
	int descriptor = fuzz_file(path, bytes, size);
	struct safetensors *file;

	if (safetensors_open(&file, path) == NN_OK) {
		for (int i = 0; i < safetensors_count(file); i++)
			read_tensor(file, safetensors_name(file, i), size);
		safetensors_close(file);
	} else {
		FUZZ_CHECK(!file);
	}
	close(descriptor);
}
