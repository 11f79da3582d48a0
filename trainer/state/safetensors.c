#include "trainer/state/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/core/alloc.h"
#include "trainer/state/bytes.h"
#include "trainer/state/files.h"
#include "trainer/state/safetensors_convert.h"
#include "trainer/state/safetensors_header.h"

/* The format's own limit. */
enum { HEADER_BYTES_MAX = 100000000 };

struct safetensors {
	struct safetensors_header header;
	uint64_t data_at; /* place of the data part in the file */
	int fd;
	char path[PATH_MAX];
};

/* pread and not mmap: a file that shrinks or a disk that fails becomes an error, not a signal. */
static enum nn_status read_at(const struct safetensors *file, void *bytes, size_t size, uint64_t at)
{
	char *rest = bytes;

	while (size > 0) {
		ssize_t got = pread(file->fd, rest, size, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return safetensors_damaged(file->path, "it cannot be read (%s)", strerror(errno));
		if (got == 0)
			return safetensors_damaged(file->path, "it became shorter while it was read");
		rest += got;
		at += (uint64_t)got;
		size -= (size_t)got;
	}
	return NN_OK;
}

static enum nn_status read_header(struct safetensors *file, uint64_t file_bytes)
{
	unsigned char prefix[8];
	uint64_t length;
	char *text;
	enum nn_status status;

	if (file_bytes < sizeof(prefix))
		return safetensors_damaged(file->path, "it has only %llu bytes", (unsigned long long)file_bytes);
	status = read_at(file, prefix, sizeof(prefix), 0);
	if (status != NN_OK)
		return status;
	length = load_le64(prefix);
	if (length > HEADER_BYTES_MAX && (memcmp(prefix, "PK\3\4", 4) == 0 || memcmp(prefix, "\x80\2\x8a\n", 4) == 0))
		return nn_error(NN_ERR_CHECKPOINT,
				"%s is a file of torch.save, not of safetensors; save the state dictionary with "
				"safetensors.torch.save_file in Python",
				file->path);
	if (length > HEADER_BYTES_MAX)
		return safetensors_damaged(file->path, "its header would have %llu bytes, more than %d", (unsigned long long)length,
					   HEADER_BYTES_MAX);
	if (length > file_bytes - sizeof(prefix))
		return safetensors_damaged(file->path, "its header would have %llu bytes, but the file ends before",
					   (unsigned long long)length);
	file->data_at = sizeof(prefix) + length;
	status = nn_alloc(&text, (size_t)length);
	if (status == NN_OK)
		status = read_at(file, text, (size_t)length, sizeof(prefix));
	if (status == NN_OK)
		status = safetensors_header_parse(&file->header, text, (size_t)length, file_bytes - file->data_at, file->path);
	nn_free(text);
	return status;
}

enum nn_status safetensors_open(struct safetensors **out, const char *path)
{
	struct safetensors *file;
	struct stat info;
	enum nn_status status = nn_alloc(out, sizeof(**out));

	if (status != NN_OK)
		return status;
	file = *out;
	file->fd = -1;
	status = path_format(file->path, sizeof(file->path), "%s", path);
	if (status != NN_OK)
		goto out;
	file->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (file->fd < 0 || fstat(file->fd, &info) != 0)
		status = nn_error(NN_ERR_CHECKPOINT, "cannot open %s: %s; check the path", path, strerror(errno));
	else if (!S_ISREG(info.st_mode))
		status = safetensors_damaged(path, "it is not a regular file");
	else
		status = read_header(file, (uint64_t)info.st_size);
out:
	if (status != NN_OK) {
		safetensors_close(file);
		*out = NULL;
	}
	return status;
}

void safetensors_close(struct safetensors *file)
{
	if (!file)
		return;
	if (file->fd >= 0)
		close(file->fd);
	safetensors_header_release(&file->header);
	nn_free(file);
}

int safetensors_count(const struct safetensors *file)
{
	return file->header.count;
}

const char *safetensors_name(const struct safetensors *file, int i)
{
	return file->header.tensors[i].name;
}

const struct safetensors_tensor *safetensors_find(const struct safetensors *file, const char *name)
{
	for (int i = 0; i < file->header.count; i++)
		if (strcmp(file->header.tensors[i].name, name) == 0)
			return &file->header.tensors[i];
	return NULL;
}

static bool is_readable(const struct safetensors_tensor *tensor, const struct tensor_entry *entry)
{
	if (entry->type == TENSOR_I64)
		return strcmp(tensor->dtype, "I64") == 0;
	return strcmp(tensor->dtype, "F32") == 0 || safetensors_converter(tensor->dtype);
}

static void format_shape(char *out, size_t size, const int64_t *shape, int dims)
{
	size_t used = (size_t)snprintf(out, size, "[");

	for (int i = 0; i < dims && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%lld", i ? ", " : "", (long long)shape[i]);
	if (used < size)
		snprintf(out + used, size - used, "]");
}

enum nn_status safetensors_check(const struct safetensors *file, const struct tensor_entry *entry)
{
	const struct safetensors_tensor *tensor = safetensors_find(file, entry->name);
	char theirs[SAFETENSORS_DIMS * 24], ours[SAFETENSORS_DIMS * 24];
	int64_t shape[TENSOR_ENTRY_DIMS];
	int dims = tensor_entry_file_shape(shape, entry);
	bool same;

	if (!tensor)
		return nn_error(NN_ERR_CHECKPOINT, "%s has no tensor %s; check that it was made for the same --arch", file->path,
				entry->name);
	same = tensor->dims == dims && is_readable(tensor, entry);
	for (int i = 0; same && i < dims; i++)
		same = tensor->shape[i] == shape[i];
	if (same)
		return NN_OK;
	format_shape(theirs, sizeof(theirs), tensor->shape, tensor->dims);
	format_shape(ours, sizeof(ours), shape, dims);
	return nn_error(
	    NN_ERR_CHECKPOINT,
	    "%s: tensor %s is %s %s in the file, %s %s is needed; check that it was made for the same --arch and classes "
	    "(--init-from reads all but the classes' layer with --reset-head on)",
	    file->path, entry->name, tensor->dtype, theirs, entry->type == TENSOR_I64 ? "I64" : "F32", ours);
}

enum nn_status safetensors_read(const struct safetensors *file, const struct tensor_entry *entry)
{
	enum { CHUNK_VALUES = 1 << 18, VALUE_BYTES_MAX = 8 };
	const struct safetensors_tensor *tensor = safetensors_find(file, entry->name);
	enum nn_status status = safetensors_check(file, entry);
	size_t count, value_bytes, most;
	unsigned char *stored, *converted;
	safetensors_convert_fn convert;

	if (status != NN_OK)
		return status;
	count = tensor_entry_count(entry);
	most = count < CHUNK_VALUES ? count : CHUNK_VALUES;
	status = nn_alloc(&stored, most * (VALUE_BYTES_MAX + sizeof(float)));
	if (status != NN_OK)
		return status;
	converted = stored + most * VALUE_BYTES_MAX;
	convert = safetensors_converter(tensor->dtype);
	value_bytes = safetensors_dtype_bytes(tensor->dtype);
	for (size_t first = 0; first < count && status == NN_OK; first += most) {
		size_t some = count - first < most ? count - first : most;

		status = read_at(file, stored, some * value_bytes, file->data_at + tensor->begin + first * value_bytes);
		if (status != NN_OK)
			break;
		if (convert)
			convert(converted, stored, some);
		tensor_entry_unpack(entry, convert ? converted : stored, first, some);
	}
	nn_free(stored);
	return status;
}

enum nn_status safetensors_digest(char out[DIGEST_CHARS], const struct safetensors *file, const char *name)
{
	enum { CHUNK_BYTES = 1 << 17 };
	const struct safetensors_tensor *tensor = safetensors_find(file, name);
	struct digest *digest = NULL;
	unsigned char *chunk;
	enum nn_status status = nn_alloc(&chunk, CHUNK_BYTES);

	if (status == NN_OK)
		status = digest_create(&digest);
	for (uint64_t at = tensor->begin; status == NN_OK && at < tensor->end; at += CHUNK_BYTES) {
		size_t some = tensor->end - at < CHUNK_BYTES ? (size_t)(tensor->end - at) : CHUNK_BYTES;

		status = read_at(file, chunk, some, file->data_at + at);
		if (status == NN_OK)
			digest_update(digest, chunk, some);
	}
	if (status == NN_OK)
		digest_result(out, digest);
	digest_destroy(digest);
	nn_free(chunk);
	return status;
}
