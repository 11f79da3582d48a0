/* A named tensor in memory, and its values in the order that files and digests use.
 *
 * Files hold torchvision's order: OIHW for convolutions, [out, in] for linear layers. Memory may hold the same tensor with the
 * output dimension last, as the kernels want it; `hwio` says so, and packing and unpacking permute. */
#ifndef TRAINER_STATE_TENSOR_ENTRY_H
#define TRAINER_STATE_TENSOR_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tensor_type { TENSOR_F32, TENSOR_I64 };

enum { TENSOR_ENTRY_DIMS = 4 };

struct tensor_entry {
	const char *name;
	int dims;			  /* 0 .. TENSOR_ENTRY_DIMS; 0 is a scalar, one value */
	int64_t shape[TENSOR_ENTRY_DIMS]; /* in the file's order: O, I, H, W or out, in */
	enum tensor_type type;
	void *values; /* float or int64_t; the caller's */
	bool hwio;    /* 4 dims: memory is [H][W][I][O]; 2 dims: [in][out]; no effect on other numbers of dims */
	bool flat;    /* 4 dims that files hold as the two of a linear layer: [O, I * H * W] */
};

/* shape = the shape that files and digests give the tensor. Returns its number of dimensions. */
int tensor_entry_file_shape(int64_t shape[TENSOR_ENTRY_DIMS], const struct tensor_entry *entry);

/* Number of values: the product of the shape. */
size_t tensor_entry_count(const struct tensor_entry *entry);

/* Bytes of one value in a file: 4 or 8. */
size_t tensor_entry_value_bytes(const struct tensor_entry *entry);

/* bytes = the values first .. first + count - 1 of the file's order, little-endian. */
void tensor_entry_pack(unsigned char *bytes, const struct tensor_entry *entry, size_t first, size_t count);

/* Stores the values first .. first + count - 1 of the file's order, little-endian in `bytes`, into entry->values. */
void tensor_entry_unpack(const struct tensor_entry *entry, const unsigned char *bytes, size_t first, size_t count);

#endif
