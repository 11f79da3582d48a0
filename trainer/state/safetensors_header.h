/* The header of a safetensors file, parsed and checked. Private to safetensors*.c. */
#ifndef TRAINER_STATE_SAFETENSORS_HEADER_H
#define TRAINER_STATE_SAFETENSORS_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "nn/core/status.h"
#include "trainer/state/safetensors.h"

struct safetensors_header {
	json_t *json; /* owns names, dtypes and metadata */
	struct safetensors_tensor *tensors;
	int count;
};

/* Parses `length` bytes of JSON and checks them against the size of the data part; `path` is for messages.
 * Ownership: the caller's, freed by safetensors_header_release, also after an error. Errors: NN_ERR_CHECKPOINT, NN_ERR_MEMORY. */
enum nn_status safetensors_header_parse(struct safetensors_header *header, const char *bytes, size_t length, uint64_t data_bytes,
					const char *path);

/* Frees what the header holds. */
void safetensors_header_release(struct safetensors_header *header);

/* Bytes of one value of the named type; 0 for an unknown type. */
unsigned safetensors_dtype_bytes(const char *dtype);

/* NN_ERR_CHECKPOINT: the file at `path` is damaged, with the reason. */
enum nn_status safetensors_damaged(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
