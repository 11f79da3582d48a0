#include "trainer/state/safetensors_header.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"

static const char METADATA[] = "__metadata__";

enum nn_status safetensors_damaged(const char *path, const char *format, ...)
{
	char reason[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	return nn_error(NN_ERR_CHECKPOINT, "%s is not a usable safetensors file: %s; take another one or copy it again", path,
			reason);
}

unsigned safetensors_dtype_bytes(const char *dtype)
{
	static const struct {
		const char *name;
		unsigned bytes;
	} types[] = {
	    {"BOOL", 1}, {"U8", 1},  {"I8", 1},	 {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
	    {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},	 {"F64", 8},	 {"I64", 8}, {"U64", 8},
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(dtype, types[i].name) == 0)
			return types[i].bytes;
	return 0;
}

static enum nn_status check_metadata(const json_t *metadata, const char *path)
{
	const char *key;
	json_t *value;

	if (!json_is_object(metadata))
		return safetensors_damaged(path, "%s is not an object", METADATA);
	json_object_foreach((json_t *)metadata, key, value)
	{
		if (!json_is_string(value))
			return safetensors_damaged(path, "the metadata value of %.100s is not text", key);
	}
	return NN_OK;
}

/* A whole number that is not negative. */
static bool read_size(int64_t *out, const json_t *value)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*out = json_integer_value(value);
	return true;
}

/* *bytes = size of a tensor of this shape and type. */
static enum nn_status read_shape(struct safetensors_tensor *tensor, uint64_t *bytes, const json_t *shape, const char *path)
{
	if (!json_is_array(shape))
		return safetensors_damaged(path, "the shape of %.100s is not a list", tensor->name);
	if (json_array_size(shape) > SAFETENSORS_DIMS)
		return safetensors_damaged(path, "%.100s has %zu dimensions, more than %d", tensor->name, json_array_size(shape),
					   SAFETENSORS_DIMS);
	tensor->dims = (int)json_array_size(shape);
	*bytes = safetensors_dtype_bytes(tensor->dtype);
	for (int i = 0; i < tensor->dims; i++) {
		uint64_t dim;

		if (!read_size(&tensor->shape[i], json_array_get(shape, (size_t)i)))
			return safetensors_damaged(path, "dimension %d of %.100s is not a size", i, tensor->name);
		dim = (uint64_t)tensor->shape[i];
		if (dim && *bytes > UINT64_MAX / dim)
			return safetensors_damaged(path, "the shape of %.100s is too large", tensor->name);
		*bytes *= dim;
	}
	return NN_OK;
}

static enum nn_status read_tensor(struct safetensors_tensor *tensor, const char *name, const json_t *json, uint64_t data_bytes,
				  const char *path)
{
	const json_t *offsets = json_object_get(json, "data_offsets");
	const char *dtype = json_string_value(json_object_get(json, "dtype"));
	int64_t begin, end;
	uint64_t bytes = 0;
	enum nn_status status;

	if (!json_is_object(json) || !dtype)
		return safetensors_damaged(path, "%.100s has no dtype", name);
	tensor->name = name;
	tensor->dtype = dtype;
	if (!safetensors_dtype_bytes(dtype))
		return safetensors_damaged(path, "%.100s has the unknown type %.20s", name, dtype);
	status = read_shape(tensor, &bytes, json_object_get(json, "shape"), path);
	if (status != NN_OK)
		return status;
	if (json_array_size(offsets) != 2 || !read_size(&begin, json_array_get(offsets, 0)) ||
	    !read_size(&end, json_array_get(offsets, 1)))
		return safetensors_damaged(path, "the data_offsets of %.100s are not two sizes", name);
	tensor->begin = (uint64_t)begin;
	tensor->end = (uint64_t)end;
	if (begin > end || tensor->end > data_bytes)
		return safetensors_damaged(path, "the bytes %lld to %lld of %.100s are not in the file's %llu bytes of data",
					   (long long)begin, (long long)end, name, (unsigned long long)data_bytes);
	if (tensor->end - tensor->begin != bytes)
		return safetensors_damaged(path, "%.100s has %llu bytes where its shape needs %llu", name,
					   (unsigned long long)(tensor->end - tensor->begin), (unsigned long long)bytes);
	return NN_OK;
}

static int by_offset(const void *a, const void *b)
{
	const struct safetensors_tensor *left = a, *right = b;

	if (left->begin != right->begin)
		return left->begin < right->begin ? -1 : 1;
	if (left->end != right->end)
		return left->end < right->end ? -1 : 1;
	return strcmp(left->name, right->name);
}

/* Sorts the tensors by their place; together they must be the data, each byte once. */
static enum nn_status check_cover(struct safetensors_header *header, uint64_t data_bytes, const char *path)
{
	uint64_t at = 0;

	if (header->count)
		qsort(header->tensors, (size_t)header->count, sizeof(*header->tensors), by_offset);
	for (int i = 0; i < header->count; i++) {
		const struct safetensors_tensor *tensor = &header->tensors[i];

		if (tensor->begin != at)
			return safetensors_damaged(path, "%s in the data before %.100s",
						   tensor->begin < at ? "an overlap" : "a hole", tensor->name);
		at = tensor->end;
	}
	if (at != data_bytes)
		return safetensors_damaged(path, "%llu bytes of data belong to no tensor", (unsigned long long)(data_bytes - at));
	return NN_OK;
}

enum nn_status safetensors_header_parse(struct safetensors_header *header, const char *bytes, size_t length, uint64_t data_bytes,
					const char *path)
{
	enum nn_status status;
	json_error_t error;
	const char *name;
	json_t *value;

	*header = (struct safetensors_header){.json = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &error)};
	if (!header->json)
		return safetensors_damaged(path, "its header is not JSON (%.200s)", error.text);
	if (!json_is_object(header->json) || bytes[0] != '{')
		return safetensors_damaged(path, "its header is not a JSON object");
	if (json_object_size(header->json) > INT_MAX)
		return safetensors_damaged(path, "it has too many tensors");
	status = nn_alloc(&header->tensors, json_object_size(header->json) * sizeof(*header->tensors));
	if (status != NN_OK)
		return status;
	json_object_foreach(header->json, name, value)
	{
		if (strcmp(name, METADATA) == 0)
			status = check_metadata(value, path);
		else
			status = read_tensor(&header->tensors[header->count++], name, value, data_bytes, path);
		if (status != NN_OK)
			return status;
	}
	return check_cover(header, data_bytes, path);
}

void safetensors_header_release(struct safetensors_header *header)
{
	json_decref(header->json);
	nn_free(header->tensors);
	*header = (struct safetensors_header){0};
}
