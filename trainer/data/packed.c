#include "trainer/data/packed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "nn/core/alloc.h"

const char *packed_split(const char *folder, enum data_split split)
{
	static const char *const names[][2] = {[SPLIT_TRAIN] = {"train", "train"}, [SPLIT_VAL] = {"val", "test"}};
	char path[PACKED_PATH];
	struct stat info;

	for (int i = 0; i < 2; i++)
		if (packed_path(path, folder, names[split][i], 0, "index") == NN_OK && lstat(path, &info) == 0)
			return names[split][i];
	return NULL;
}

static bool same_classes(const struct packed_index *a, const struct packed_index *b)
{
	const char *x = a->pool, *y = b->pool;

	for (uint64_t c = 0; a->classes == b->classes && c < a->classes; c++) {
		if (strcmp(x, y) != 0)
			return false;
		x += strlen(x) + 1;
		y += strlen(y) + 1;
	}
	return a->classes == b->classes;
}

static enum nn_status open_data(int *file, const struct packed_index *index, const char *path)
{
	struct stat info;

	*file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*file < 0 || fstat(*file, &info) != 0)
		return nn_error(NN_ERR_DATA, "%s: cannot open: %s; copy it again or pack again", path, strerror(errno));
	if (!S_ISREG(info.st_mode) || (uint64_t)info.st_size != index->data_bytes)
		return nn_error(NN_ERR_DATA, "%s: %lld bytes instead of %llu; copy it again or pack again", path,
				(long long)info.st_size, (unsigned long long)index->data_bytes);
	return NN_OK;
}

/* Opens the next piece, whose first image must be `first`. */
static enum nn_status open_piece(struct packed *packed, uint64_t first)
{
	struct packed_index *index = &packed->pieces[packed->count];
	unsigned number = (unsigned)packed->count;
	char path[PACKED_PATH];
	enum nn_status status = packed_path(path, packed->folder, packed->split, number, "index");

	packed->files[packed->count++] = -1;
	if (status == NN_OK)
		status = packed_index_load(index, path);
	if (status != NN_OK)
		return status;
	if (index->first != first || index->source != packed->pieces[0].source || index->total != packed->pieces[0].total ||
	    index->shorter_side != packed->pieces[0].shorter_side || index->quality != packed->pieces[0].quality ||
	    !same_classes(index, &packed->pieces[0]))
		return nn_error(NN_ERR_DATA, "%s: a piece of another packed data set; copy it again or pack again", path);
	status = packed_path(path, packed->folder, packed->split, number, "data");
	return status == NN_OK ? open_data(&packed->files[number], index, path) : status;
}

/* Makes room for twice as many pieces. */
static enum nn_status grow(struct packed *packed)
{
	size_t slots = packed->count ? 2 * packed->count : 1;
	struct packed_index *pieces = NULL;
	int *files = NULL;
	enum nn_status status = nn_alloc(&pieces, slots * sizeof(*pieces));

	if (status == NN_OK)
		status = nn_alloc(&files, slots * sizeof(*files));
	if (status != NN_OK) {
		nn_free(pieces);
		return status;
	}
	if (packed->count) {
		memcpy(pieces, packed->pieces, packed->count * sizeof(*pieces));
		memcpy(files, packed->files, packed->count * sizeof(*files));
	}
	nn_free(packed->pieces);
	nn_free(packed->files);
	packed->pieces = pieces;
	packed->files = files;
	return NN_OK;
}

static enum nn_status list_classes(struct packed *packed)
{
	const char *name = packed->pieces[0].pool;
	enum nn_status status = nn_alloc(&packed->classes, packed->pieces[0].classes * sizeof(*packed->classes));

	for (uint64_t c = 0; status == NN_OK && c < packed->pieces[0].classes; c++) {
		packed->classes[c] = name;
		name += strlen(name) + 1;
	}
	return status;
}

enum nn_status packed_open(struct packed *packed, const char *folder, const char *split)
{
	size_t length = strlen(folder) + 1;
	uint64_t done = 0;
	enum nn_status status;

	*packed = (struct packed){.split = split};
	status = nn_alloc(&packed->folder, length);
	if (status != NN_OK)
		return status;
	memcpy(packed->folder, folder, length);
	do {
		/* the number of pieces is a power of two, or 0: no room */
		if ((packed->count & (packed->count - 1)) == 0)
			status = grow(packed);
		if (status == NN_OK)
			status = open_piece(packed, done);
		if (status == NN_OK)
			done += packed->pieces[packed->count - 1].count;
	} while (status == NN_OK && done < packed->pieces[0].total);
	return status == NN_OK ? list_classes(packed) : status;
}

void packed_close(struct packed *packed)
{
	for (size_t i = 0; i < packed->count; i++) {
		packed_index_release(&packed->pieces[i]);
		if (packed->files[i] >= 0)
			close(packed->files[i]);
	}
	nn_free(packed->pieces);
	nn_free(packed->files);
	nn_free(packed->classes);
	nn_free(packed->folder);
	*packed = (struct packed){0};
}

size_t packed_count(const struct packed *packed)
{
	return packed->pieces[0].total;
}

const struct packed_record *packed_find(const struct packed *packed, size_t *piece, size_t index)
{
	size_t lo = 0, hi = packed->count;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (packed->pieces[mid].first <= index)
			lo = mid;
		else
			hi = mid;
	}
	*piece = lo;
	return &packed->pieces[lo].records[index - packed->pieces[lo].first];
}

void packed_file_name(const struct packed *packed, size_t index, char name[DATASET_NAME_MAX])
{
	size_t piece;
	const struct packed_record *record = packed_find(packed, &piece, index);

	snprintf(name, DATASET_NAME_MAX, "%s/%s/%s", packed->split, packed->classes[record->label],
		 packed->pieces[piece].pool + record->name);
}

enum nn_status packed_load(struct image *image, size_t *size, const struct packed *packed, size_t index)
{
	size_t piece;
	const struct packed_record *record = packed_find(packed, &piece, index);
	char name[DATASET_NAME_MAX], path[PACKED_PATH];
	XXH128_canonical_t digest;
	enum nn_status status = packed_path(path, packed->folder, packed->split, (unsigned)piece, "data");

	*size = record->bytes;
	if (status == NN_OK)
		status = image_load(image, packed->files[piece], record->bytes, record->at, path);
	if (status != NN_OK)
		return status;
	XXH128_canonicalFromHash(&digest, XXH3_128bits(image->encoded, record->bytes));
	if (memcmp(digest.digest, record->digest, PACKED_DIGEST) == 0)
		return NN_OK;
	packed_file_name(packed, index, name);
	return nn_error(NN_ERR_DATA, "%s: the bytes of %s are damaged; copy the file again or pack again", path, name);
}

bool packed_colours(const struct packed *packed, uint64_t *readable, struct colour_sums *sums)
{
	bool fits = true;

	*readable = 0;
	*sums = (struct colour_sums){0};
	for (size_t i = 0; i < packed->count; i++) {
		*readable += packed->pieces[i].readable;
		fits = fits && colours_join(sums, &packed->pieces[i].colours);
	}
	return fits && *readable > 0;
}

static bool source_has(const char *path, enum data_split split)
{
	return packed_split(path, split) != NULL;
}

static enum nn_status source_classes(struct names *classes, const char *path, enum data_split split)
{
	struct packed_index index = {0};
	char full[PACKED_PATH];
	enum nn_status status = packed_path(full, path, packed_split(path, split), 0, "index");

	if (status == NN_OK)
		status = packed_index_load(&index, full);
	for (const char *name = index.pool; index.classes > 0 && status == NN_OK; index.classes--, name += strlen(name) + 1)
		status = names_add(classes, name);
	packed_index_release(&index);
	return status;
}

static void source_close(void *source)
{
	if (source)
		packed_close(source);
	nn_free(source);
}

static enum nn_status source_open(void **source, const char *path, enum data_split split)
{
	enum nn_status status = nn_alloc(source, sizeof(struct packed));

	if (status == NN_OK)
		status = packed_open(*source, path, packed_split(path, split));
	if (status != NN_OK) {
		source_close(*source);
		*source = NULL;
	}
	return status;
}

static size_t source_count(const void *source)
{
	return packed_count(source);
}

static int source_label(const void *source, size_t index)
{
	size_t piece;

	return (int)packed_find(source, &piece, index)->label;
}

static void source_file_name(const void *source, size_t index, char name[DATASET_NAME_MAX])
{
	packed_file_name(source, index, name);
}

static enum nn_status source_read(const void *source, size_t index, struct image *image)
{
	char name[DATASET_NAME_MAX];
	size_t size;
	enum nn_status status = packed_load(image, &size, source, index);

	if (status != NN_OK)
		return status;
	packed_file_name(source, index, name);
	return image_read_memory(image, image->encoded, size, name);
}

static enum nn_status source_load(const void *source, size_t index, struct image *image, size_t *size)
{
	return packed_load(image, size, source, index);
}

static void source_will_read(const void *source, size_t first, size_t last)
{
	const struct packed *packed = source;

	while (first < last) {
		size_t piece;
		const struct packed_record *begin = packed_find(packed, &piece, first), *end;
		size_t behind = packed->pieces[piece].first + packed->pieces[piece].count;

		behind = behind < last ? behind : last;
		end = begin + (behind - 1 - first);
		posix_fadvise(packed->files[piece], (off_t)begin->at, (off_t)(end->at + end->bytes - begin->at),
			      POSIX_FADV_WILLNEED);
		first = behind;
	}
}

static bool source_colours(const void *source, struct colour_sums *sums)
{
	uint64_t readable;

	return packed_colours(source, &readable, sums) && readable == packed_count(source);
}

static bool source_is_test(const void *source)
{
	return strcmp(((const struct packed *)source)->split, "test") == 0;
}

const struct source_kind packed_kind = {
    .name = "a packed data set",
    .has = source_has,
    .classes = source_classes,
    .open = source_open,
    .close = source_close,
    .count = source_count,
    .label = source_label,
    .file_name = source_file_name,
    .read = source_read,
    .load = source_load,
    .will_read = source_will_read,
    .colours = source_colours,
    .is_test = source_is_test,
};
