#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "nn/core/alloc.h"
#include "trainer/state/bytes.h"
#include "trainer/state/file_writer.h"
#include "trainer/state/safetensors.h"

enum { CHUNK_VALUES = 1 << 18 };

static const char METADATA[] = "__metadata__";

static size_t entry_bytes(const struct tensor_entry *entry)
{
	return tensor_entry_count(entry) * tensor_entry_value_bytes(entry);
}

static json_t *describe_entry(const struct tensor_entry *entry, size_t begin)
{
	json_int_t end = (json_int_t)begin + (json_int_t)entry_bytes(entry);
	json_t *shape = json_array();
	int64_t sizes[TENSOR_ENTRY_DIMS];
	int dims = tensor_entry_file_shape(sizes, entry);

	for (int i = 0; i < dims; i++)
		if (json_array_append_new(shape, json_integer(sizes[i])) != 0) {
			json_decref(shape);
			return NULL;
		}
	return json_pack("{s:s, s:o, s:[I, I]}", "dtype", entry->type == TENSOR_I64 ? "I64" : "F32", "shape", shape, "data_offsets",
			 (json_int_t)begin, end);
}

static enum nn_status add_metadata(json_t *header, const char *const *metadata, const char *path)
{
	json_t *object = json_object();

	for (size_t i = 0; metadata[i]; i += 2)
		if (json_object_set_new(object, metadata[i], json_string(metadata[i + 1])) != 0) {
			json_decref(object);
			return nn_error(NN_ERR_USAGE, "cannot write %s: the metadata %.100s is not UTF-8 text", path, metadata[i]);
		}
	if (json_object_set_new(header, METADATA, object) != 0)
		return nn_error(NN_ERR_MEMORY, "out of memory for the header of %s", path);
	return NN_OK;
}

static enum nn_status add_entries(json_t *header, const struct tensor_entry *entries, int count, const char *path)
{
	size_t begin = 0;

	for (int i = 0; i < count; i++) {
		const char *name = entries[i].name;

		if (json_object_get(header, name) || strcmp(name, METADATA) == 0)
			return nn_error(NN_ERR_USAGE, "cannot write %s: the tensor name %.100s comes twice or is reserved", path,
					name);
		if (json_object_set_new(header, name, describe_entry(&entries[i], begin)) != 0)
			return nn_error(NN_ERR_USAGE, "cannot write %s: the tensor name %.100s is not UTF-8, or memory is short",
					path, name);
		begin += entry_bytes(&entries[i]);
	}
	return NN_OK;
}

/* A file on its way to the disk, with the digests of what went there. */
struct stream {
	struct file_writer writer;
	struct digest *file, *tensor;
	int64_t bytes;
};

static enum nn_status stream_write(struct stream *stream, const void *bytes, size_t size)
{
	digest_update(stream->file, bytes, size);
	stream->bytes += (int64_t)size;
	return file_writer_write(&stream->writer, bytes, size);
}

/* The length and the JSON, padded with spaces so that the data begin at a multiple of 8 bytes. */
static enum nn_status write_header(struct stream *stream, const json_t *header)
{
	size_t length = json_dumpb(header, NULL, 0, JSON_COMPACT);
	size_t padded = (length + 7) / 8 * 8;
	unsigned char *bytes;
	enum nn_status status = nn_alloc(&bytes, 8 + padded);

	if (status != NN_OK)
		return status;
	store_le64(bytes, padded);
	memset(bytes + 8, ' ', padded);
	if (length == 0 || json_dumpb(header, (char *)bytes + 8, length, JSON_COMPACT) != length)
		status = nn_error(NN_ERR_MEMORY, "out of memory for the header of %s", stream->writer.path);
	if (status == NN_OK)
		status = stream_write(stream, bytes, 8 + padded);
	nn_free(bytes);
	return status;
}

static enum nn_status write_entry(struct stream *stream, unsigned char *chunk, const struct tensor_entry *entry)
{
	size_t values = tensor_entry_count(entry), width = tensor_entry_value_bytes(entry);
	enum nn_status status = NN_OK;

	digest_restart(stream->tensor);
	for (size_t first = 0; first < values && status == NN_OK; first += CHUNK_VALUES) {
		size_t some = values - first < CHUNK_VALUES ? values - first : CHUNK_VALUES;

		tensor_entry_pack(chunk, entry, first, some);
		digest_update(stream->tensor, chunk, some * width);
		status = stream_write(stream, chunk, some * width);
	}
	return status;
}

static enum nn_status write_entries(struct safetensors_written *written, struct stream *stream, const struct tensor_entry *entries,
				    int count)
{
	unsigned char *chunk;
	size_t most = 0;
	enum nn_status status;

	for (int i = 0; i < count; i++)
		if (tensor_entry_count(&entries[i]) > most)
			most = tensor_entry_count(&entries[i]);
	status = nn_alloc(&chunk, (most < CHUNK_VALUES ? most : CHUNK_VALUES) * sizeof(int64_t));
	for (int i = 0; i < count && status == NN_OK; i++) {
		status = write_entry(stream, chunk, &entries[i]);
		if (written && written->tensors)
			digest_result(written->tensors[i], stream->tensor);
	}
	nn_free(chunk);
	return status;
}

static enum nn_status write_file(struct safetensors_written *written, struct stream *stream, const char *path, const json_t *header,
				 const struct tensor_entry *entries, int count)
{
	enum nn_status status = digest_create(&stream->file);

	if (status == NN_OK)
		status = digest_create(&stream->tensor);
	if (status == NN_OK)
		status = file_writer_open(&stream->writer, path);
	if (status == NN_OK)
		status = write_header(stream, header);
	if (status == NN_OK)
		status = write_entries(written, stream, entries, count);
	if (status == NN_OK)
		status = file_writer_close(&stream->writer);
	if (status == NN_OK && written) {
		written->bytes = stream->bytes;
		digest_result(written->digest, stream->file);
	}
	file_writer_abandon(&stream->writer);
	digest_destroy(stream->file);
	digest_destroy(stream->tensor);
	return status;
}

enum nn_status safetensors_write_digested(struct safetensors_written *written, const char *path, const struct tensor_entry *entries,
					  int count, const char *const *metadata)
{
	struct stream stream = {.writer = {.fd = -1}};
	json_t *header = json_object();
	enum nn_status status = NN_OK;

	if (metadata)
		status = add_metadata(header, metadata, path);
	if (status == NN_OK)
		status = add_entries(header, entries, count, path);
	if (status == NN_OK)
		status = write_file(written, &stream, path, header, entries, count);
	json_decref(header);
	return status;
}

enum nn_status safetensors_write(const char *path, const struct tensor_entry *entries, int count, const char *const *metadata)
{
	return safetensors_write_digested(NULL, path, entries, count, metadata);
}
