#include "trainer/state/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "nn/core/alloc.h"
#include "trainer/state/bytes.h"
#include "trainer/state/files.h"

enum { CHUNK_BYTES = 1 << 20 };

static void digest_format(char out[DIGEST_CHARS], XXH128_hash_t hash)
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, hash);
	for (size_t i = 0; i < sizeof(canonical.digest); i++) {
		out[2 * i] = "0123456789abcdef"[canonical.digest[i] >> 4];
		out[2 * i + 1] = "0123456789abcdef"[canonical.digest[i] & 15];
	}
	out[DIGEST_CHARS - 1] = '\0';
}

void digest_bytes(char out[DIGEST_CHARS], const void *bytes, size_t size)
{
	digest_format(out, XXH3_128bits(bytes, size));
}

struct digest {
	XXH3_state_t *state;
};

enum nn_status digest_create(struct digest **out)
{
	enum nn_status status = nn_alloc(out, sizeof(**out));

	if (status != NN_OK)
		return status;
	(*out)->state = XXH3_createState();
	if (!(*out)->state || XXH3_128bits_reset((*out)->state) == XXH_ERROR) {
		digest_destroy(*out);
		*out = NULL;
		nn_error(NN_ERR_MEMORY, "out of memory for a digest");
		return NN_ERR_MEMORY;
	}
	return NN_OK;
}

void digest_destroy(struct digest *digest)
{
	if (digest)
		XXH3_freeState(digest->state);
	nn_free(digest);
}

void digest_restart(struct digest *digest)
{
	XXH3_128bits_reset(digest->state);
}

void digest_update(struct digest *digest, const void *bytes, size_t size)
{
	XXH3_128bits_update(digest->state, bytes, size);
}

void digest_result(char out[DIGEST_CHARS], const struct digest *digest)
{
	digest_format(out, XXH3_128bits_digest(digest->state));
}

static void update_entry(struct digest *digest, unsigned char *chunk, const struct tensor_entry *entry)
{
	size_t count = tensor_entry_count(entry);
	size_t most = CHUNK_BYTES / sizeof(float);
	int64_t shape[TENSOR_ENTRY_DIMS];
	int dims = tensor_entry_file_shape(shape, entry);

	digest_update(digest, entry->name, strlen(entry->name));
	for (int i = 0; i < dims; i++) {
		store_le64(chunk, (uint64_t)shape[i]);
		digest_update(digest, chunk, 8);
	}
	for (size_t first = 0; first < count; first += most) {
		size_t some = count - first < most ? count - first : most;

		tensor_entry_pack(chunk, entry, first, some);
		digest_update(digest, chunk, some * sizeof(float));
	}
}

static int by_name(const void *a, const void *b)
{
	const struct tensor_entry *const *left = a, *const *right = b;

	return strcmp((*left)->name, (*right)->name);
}

enum nn_status digest_weights(char out[DIGEST_CHARS], const struct tensor_entry *entries, int count)
{
	struct digest *digest = NULL;
	unsigned char *chunk = NULL;
	const struct tensor_entry **sorted;
	size_t used = 0;
	enum nn_status status = nn_alloc(&sorted, (size_t)count * sizeof(const struct tensor_entry *));

	if (status == NN_OK)
		status = nn_alloc(&chunk, CHUNK_BYTES);
	if (status == NN_OK)
		status = digest_create(&digest);
	if (status != NN_OK)
		goto out;
	for (int i = 0; i < count; i++)
		if (entries[i].type == TENSOR_F32)
			sorted[used++] = &entries[i];
	qsort(sorted, used, sizeof(const struct tensor_entry *), by_name);
	for (size_t i = 0; i < used; i++)
		update_entry(digest, chunk, sorted[i]);
	digest_result(out, digest);
out:
	digest_destroy(digest);
	nn_free(chunk);
	nn_free(sorted);
	return status;
}

static enum nn_status update_from(struct digest *digest, unsigned char *chunk, int fd, const char *path)
{
	for (;;) {
		ssize_t got = read(fd, chunk, CHUNK_BYTES);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return file_failed("read", path);
		if (got == 0)
			return NN_OK;
		digest_update(digest, chunk, (size_t)got);
	}
}

enum nn_status digest_file(char out[DIGEST_CHARS], const char *path)
{
	struct digest *digest = NULL;
	unsigned char *chunk = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum nn_status status;

	if (fd < 0)
		return file_failed("open", path);
	status = nn_alloc(&chunk, CHUNK_BYTES);
	if (status == NN_OK)
		status = digest_create(&digest);
	if (status == NN_OK)
		status = update_from(digest, chunk, fd, path);
	if (status == NN_OK)
		digest_result(out, digest);
	digest_destroy(digest);
	nn_free(chunk);
	close(fd);
	return status;
}
