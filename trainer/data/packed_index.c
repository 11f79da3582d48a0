#include "trainer/data/packed_index.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <xxhash.h>

#include "nn/core/alloc.h"
#include "trainer/state/bytes.h"
#include "trainer/state/files.h"

static const char magic[8] = "RTPACK2\n";

/* Bytes of the magic before the number of the format; place of the sums in the head. */
enum { MAGIC_NAME = 6, COLOURS_AT = 104 };

/* So many pixels that sums of products of two colours stay in 63 bits. */
static const uint64_t pixels_max = (uint64_t)INT64_MAX / (255 * 255);

enum nn_status packed_path(char path[PACKED_PATH], const char *folder, const char *split, unsigned piece, const char *ending)
{
	if (snprintf(path, PACKED_PATH, "%s/%s-%05u.%s", folder, split, piece, ending) >= PACKED_PATH)
		return nn_error(NN_ERR_DATA, "%.64s...: path too long; use a shorter one", folder);
	return NN_OK;
}

static enum nn_status damaged(const char *path, const char *what)
{
	return nn_error(NN_ERR_DATA, "%s: damaged index of a packed data set (%s); copy it again or pack again", path, what);
}

void packed_digest(uint8_t digest[PACKED_DIGEST], const uint8_t *bytes, size_t size)
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, size));
	memcpy(digest, canonical.digest, PACKED_DIGEST);
}

static void read_head(struct packed_index *index, const uint8_t *bytes)
{
	index->source = load_le64(bytes + 16);
	index->total = load_le64(bytes + 24);
	index->first = load_le64(bytes + 32);
	index->count = load_le64(bytes + 40);
	index->data_bytes = load_le64(bytes + 48);
	memcpy(index->data_digest, bytes + 56, PACKED_DIGEST);
	index->classes = load_le64(bytes + 72);
	index->pool_bytes = load_le64(bytes + 80);
	index->shorter_side = load_le32(bytes + 88);
	index->quality = load_le32(bytes + 92);
	index->readable = load_le64(bytes + 96);
}

/* The sums are a vector of pixels, red, green, blue, and the products red red, red green, red blue, green green, green blue, blue
 * blue. False when no pictures have such. */
static bool read_colours(struct packed_index *index, const uint8_t *bytes)
{
	struct colour_sums *colours = &index->colours;
	uint64_t pixels = load_le64(bytes),
		 most = index->readable < pixels_max / IMAGE_PIXELS_MAX ? index->readable * IMAGE_PIXELS_MAX : pixels_max;
	bool sound = index->readable <= index->count && pixels >= index->readable && pixels <= most;

	colours->pixels = (int64_t)pixels;
	bytes += 8;
	for (int c = 0; c < 3; c++, bytes += 8) {
		sound = sound && load_le64(bytes) <= 255 * pixels;
		colours->sums[c] = (int64_t)load_le64(bytes);
	}
	for (int c = 0; c < 3; c++)
		for (int d = c; d < 3; d++, bytes += 8) {
			sound = sound && load_le64(bytes) <= 255 * 255 * pixels;
			colours->products[c][d] = colours->products[d][c] = (int64_t)load_le64(bytes);
		}
	return sound;
}

static void store_colours(uint8_t *bytes, const struct colour_sums *colours)
{
	store_le64(bytes, (uint64_t)colours->pixels);
	bytes += 8;
	for (int c = 0; c < 3; c++, bytes += 8)
		store_le64(bytes, (uint64_t)colours->sums[c]);
	for (int c = 0; c < 3; c++)
		for (int d = c; d < 3; d++, bytes += 8)
			store_le64(bytes, (uint64_t)colours->products[c][d]);
}

/* The numbers of the head add up to the size of the file. */
static bool head_fits(const struct packed_index *index, size_t size)
{
	uint64_t body = size - PACKED_HEAD - PACKED_DIGEST;

	return index->count >= 1 && index->count <= body / PACKED_RECORD &&
	       index->pool_bytes == body - index->count * PACKED_RECORD && index->pool_bytes <= UINT32_MAX && index->classes >= 1 &&
	       index->classes <= INT_MAX && index->total <= UINT32_MAX && index->first <= index->total &&
	       index->count <= index->total - index->first && index->data_bytes <= INT64_MAX && index->quality <= 100 &&
	       index->shorter_side <= IMAGE_SIDE_MAX && (index->shorter_side == 0) == (index->quality == 0);
}

static bool is_name(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && !strchr(name, '/') && strlen(name) <= NAME_MAX;
}

/* *end = where the names of the classes end in the pool; 0 when they are not all there. */
static size_t check_classes(const struct packed_index *index)
{
	size_t at = 0;

	for (uint64_t c = 0; c < index->classes; c++) {
		if (at >= index->pool_bytes || !is_name(index->pool + at))
			return 0;
		at += strlen(index->pool + at) + 1;
	}
	return at;
}

static enum nn_status check_records(const struct packed_index *index, const char *path)
{
	uint64_t at = 0;

	if (index->pool_bytes == 0 || index->pool[index->pool_bytes - 1] != '\0' || check_classes(index) == 0)
		return damaged(path, "names of classes");
	for (uint64_t i = 0; i < index->count; i++) {
		const struct packed_record *record = &index->records[i];

		if (record->at != at || record->bytes > index->data_bytes - at)
			return damaged(path, "the place of an image");
		at += record->bytes;
		if (record->label >= index->classes)
			return damaged(path, "a label without a class");
		if (record->name >= index->pool_bytes || !is_name(index->pool + record->name))
			return damaged(path, "the name of a file");
	}
	return at == index->data_bytes ? NN_OK : damaged(path, "bytes that belong to no image");
}

enum nn_status packed_index_parse(struct packed_index *index, const uint8_t *bytes, size_t size, const char *path)
{
	uint8_t digest[PACKED_DIGEST];
	enum nn_status status;

	*index = (struct packed_index){0};
	if (size >= sizeof(magic) && memcmp(bytes, magic, MAGIC_NAME) == 0 && memcmp(bytes, magic, sizeof(magic)) != 0)
		return nn_error(NN_ERR_DATA, "%s: of another version of the format than %c, which this program reads; pack again",
				path, magic[MAGIC_NAME]);
	if (size < PACKED_HEAD + PACKED_DIGEST || memcmp(bytes, magic, sizeof(magic)) != 0)
		return damaged(path, "it does not begin as one");
	if (load_le64(bytes + 8) != size)
		return damaged(path, "another length than it says");
	packed_digest(digest, bytes, size - PACKED_DIGEST);
	if (memcmp(digest, bytes + size - PACKED_DIGEST, PACKED_DIGEST) != 0)
		return damaged(path, "another digest than it says");
	read_head(index, bytes);
	if (!head_fits(index, size))
		return damaged(path, "its counts");
	if (!read_colours(index, bytes + COLOURS_AT))
		return damaged(path, "its colours");
	status = nn_alloc(&index->records, index->count * sizeof(*index->records));
	if (status == NN_OK)
		status = nn_alloc(&index->pool, index->pool_bytes);
	if (status != NN_OK)
		return status;
	for (uint64_t i = 0; i < index->count; i++) {
		const uint8_t *at = bytes + PACKED_HEAD + i * PACKED_RECORD;
		struct packed_record *record = &index->records[i];

		*record = (struct packed_record){.at = load_le64(at), .bytes = load_le64(at + 8)};
		memcpy(record->digest, at + 16, PACKED_DIGEST);
		record->label = load_le32(at + 32);
		record->name = load_le32(at + 36);
	}
	memcpy(index->pool, bytes + PACKED_HEAD + index->count * PACKED_RECORD, index->pool_bytes);
	return check_records(index, path);
}

enum nn_status packed_index_load(struct packed_index *index, const char *path)
{
	char *bytes;
	size_t size;
	enum nn_status status = file_read(&bytes, &size, path, INT64_MAX);

	*index = (struct packed_index){0};
	if (status == NN_ERR_IO)
		return nn_error(NN_ERR_DATA, "%s", nn_error_message());
	if (status == NN_OK)
		status = packed_index_parse(index, (const uint8_t *)bytes, size, path);
	nn_free(bytes);
	return status;
}

size_t packed_index_bytes(const struct packed_index *index)
{
	return PACKED_HEAD + index->count * PACKED_RECORD + index->pool_bytes + PACKED_DIGEST;
}

void packed_index_format(uint8_t *bytes, const struct packed_index *index)
{
	size_t size = packed_index_bytes(index);
	uint8_t *at = bytes + PACKED_HEAD;

	memcpy(bytes, magic, sizeof(magic));
	store_le64(bytes + 8, size);
	store_le64(bytes + 16, index->source);
	store_le64(bytes + 24, index->total);
	store_le64(bytes + 32, index->first);
	store_le64(bytes + 40, index->count);
	store_le64(bytes + 48, index->data_bytes);
	memcpy(bytes + 56, index->data_digest, PACKED_DIGEST);
	store_le64(bytes + 72, index->classes);
	store_le64(bytes + 80, index->pool_bytes);
	store_le32(bytes + 88, index->shorter_side);
	store_le32(bytes + 92, index->quality);
	store_le64(bytes + 96, index->readable);
	store_colours(bytes + COLOURS_AT, &index->colours);
	for (uint64_t i = 0; i < index->count; i++, at += PACKED_RECORD) {
		const struct packed_record *record = &index->records[i];

		store_le64(at, record->at);
		store_le64(at + 8, record->bytes);
		memcpy(at + 16, record->digest, PACKED_DIGEST);
		store_le32(at + 32, record->label);
		store_le32(at + 36, record->name);
	}
	memcpy(at, index->pool, index->pool_bytes);
	packed_digest(bytes + size - PACKED_DIGEST, bytes, size - PACKED_DIGEST);
}

void packed_index_release(struct packed_index *index)
{
	nn_free(index->records);
	nn_free(index->pool);
	*index = (struct packed_index){0};
}
