/* The safetensors file format: 8 bytes of little-endian header length, a JSON header, then the tensors' bytes without gaps.
 * Source: the format's description at github.com/huggingface/safetensors. PyTorch's safetensors package reads these files. */
#ifndef TRAINER_STATE_SAFETENSORS_H
#define TRAINER_STATE_SAFETENSORS_H

#include <stdint.h>

#include "nn/core/status.h"
#include "trainer/state/digest.h"
#include "trainer/state/tensor_entry.h"

/* An open file, checked as a whole. Opaque. */
struct safetensors;

enum { SAFETENSORS_DIMS = 8 };

/* One tensor of an open file. */
struct safetensors_tensor {
	const char *name;
	const char *dtype; /* as the file spells it: "F32", "BF16", "I64", ... */
	int dims;
	int64_t shape[SAFETENSORS_DIMS];
	uint64_t begin; /* bytes of the data part: begin .. end - 1 */
	uint64_t end;
};

/* Writes the entries, in the order given, as a new file that replaces `path` when it is complete and on disk. Values are
 * streamed: no copy of the model is made. metadata: key, value, key, value, ..., NULL; or NULL for none.
 * Errors: NN_ERR_IO, NN_ERR_MEMORY; NN_ERR_USAGE for a name that comes twice, is reserved or is not UTF-8. */
enum nn_status safetensors_write(const char *path, const struct tensor_entry *entries, int count, const char *const *metadata);

/* What was written: digests as in trainer/state/digest.h. */
struct safetensors_written {
	int64_t bytes;
	char digest[DIGEST_CHARS];     /* of the file */
	char (*tensors)[DIGEST_CHARS]; /* of each entry's bytes, `count` of them; the caller's array */
};

/* safetensors_write that also tells what it wrote, without reading it back. */
enum nn_status safetensors_write_digested(struct safetensors_written *written, const char *path, const struct tensor_entry *entries,
					  int count, const char *const *metadata);

/* Opens a file and checks all of its header: lengths, JSON, types, shapes, and offsets that cover the data once and entirely.
 * Ownership: *out is the caller's, ended by safetensors_close; NULL on error.
 * Errors: NN_ERR_CHECKPOINT when the file is missing, unreadable or damaged; NN_ERR_MEMORY. */
enum nn_status safetensors_open(struct safetensors **out, const char *path);

/* Closes the file and frees everything it gave; NULL is allowed. */
void safetensors_close(struct safetensors *file);

/* Number of tensors. */
int safetensors_count(const struct safetensors *file);

/* Name of tensor i, in the order of the data. Ownership: the file's. */
const char *safetensors_name(const struct safetensors *file, int i);

/* The tensor of that name, or NULL. Ownership: the file's. */
const struct safetensors_tensor *safetensors_find(const struct safetensors *file, const char *name);

/* Checks that the file has entry->name with exactly its shape and a type that can be read into it: F32, F64, F16 or BF16 into
 * TENSOR_F32, I64 into TENSOR_I64. Reads no values. Errors: NN_ERR_CHECKPOINT naming the file, the tensor and both shapes. */
enum nn_status safetensors_check(const struct safetensors *file, const struct tensor_entry *entry);

/* Reads entry->name into entry->values, after safetensors_check; F64, F16 and BF16 are converted to fp32.
 * Errors: as safetensors_check, NN_ERR_CHECKPOINT when the file cannot be read any more (values are then undefined),
 * NN_ERR_MEMORY. */
enum nn_status safetensors_read(const struct safetensors *file, const struct tensor_entry *entry);

/* The digest of the bytes of the tensor of that name, which must exist. Errors: NN_ERR_CHECKPOINT when they cannot be read,
 * NN_ERR_MEMORY. */
enum nn_status safetensors_digest(char out[DIGEST_CHARS], const struct safetensors *file, const char *name);

#endif
