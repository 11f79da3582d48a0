#include "trainer/data/packed_piece.h"

#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#include <xxhash.h>

#include "nn/core/alloc.h"
#include "trainer/data/names.h"
#include "trainer/data/packed_index.h"
#include "trainer/state/file_writer.h"
#include "trainer/state/files.h"

enum { BUFFER_BYTES = 1 << 20, NAMES_MAX = 1 << 30 };

/* One piece while it is written. */
struct piece {
	struct packed_index index;
	struct file_writer writer;
	uint8_t *buffer; /* BUFFER_BYTES, for small images */
	size_t buffered;
	XXH3_state_t *digest;
	struct names names; /* the pool */
	uint64_t slots;	    /* of records */
};

static void canonical(uint8_t out[PACKED_DIGEST], XXH128_hash_t hash)
{
	XXH128_canonical_t digest;

	XXH128_canonicalFromHash(&digest, hash);
	memcpy(out, digest.digest, PACKED_DIGEST);
}

static enum nn_status add_record(struct piece *piece, const struct packed_record *record, const char *name)
{
	struct packed_index *index = &piece->index;

	if (index->count == piece->slots) {
		uint64_t slots = piece->slots ? 2 * piece->slots : 64;
		struct packed_record *larger;
		enum nn_status status = nn_alloc(&larger, slots * sizeof(*larger));

		if (status != NN_OK)
			return status;
		if (index->count)
			memcpy(larger, index->records, index->count * sizeof(*larger));
		nn_free(index->records);
		index->records = larger;
		piece->slots = slots;
	}
	index->records[index->count] = *record;
	index->records[index->count++].name = (uint32_t)piece->names.used;
	return names_add(&piece->names, name);
}

static enum nn_status flush(struct piece *piece)
{
	size_t size = piece->buffered;

	piece->buffered = 0;
	return size ? file_writer_write(&piece->writer, piece->buffer, size) : NN_OK;
}

static enum nn_status append(struct piece *piece, const void *bytes, size_t size)
{
	enum nn_status status = NN_OK;

	assert(piece->buffer);
	XXH3_128bits_update(piece->digest, bytes, size);
	piece->index.data_bytes += size;
	if (size > BUFFER_BYTES - piece->buffered)
		status = flush(piece);
	if (status == NN_OK && size > BUFFER_BYTES)
		return file_writer_write(&piece->writer, bytes, size);
	if (status == NN_OK && size) {
		memcpy(piece->buffer + piece->buffered, bytes, size);
		piece->buffered += size;
	}
	return status;
}

/* The file's bytes, whatever they are. */
static enum nn_status add_image(struct piece *piece, struct packing *packing, struct packed_feed *feed, size_t i)
{
	char name[DATASET_NAME_MAX];
	struct packed_record record = {.at = piece->index.data_bytes, .label = (uint32_t)dataset_label(packing->dataset, i)};
	const struct packed_item *item;
	enum nn_status status = packed_feed_next(feed, &item);

	if (status != NN_OK)
		return status;
	record.bytes = item->size;
	memcpy(record.digest, item->digest, PACKED_DIGEST);
	piece->index.readable += item->readable;
	if (!colours_join(&piece->index.colours, &item->colours))
		return nn_error(NN_ERR_USAGE, "too many pixels for one piece; give a smaller --piece");
	status = append(piece, item->bytes, item->size);
	if (status != NN_OK)
		return status;
	dataset_file_name(packing->dataset, i, name);
	packing->bytes += item->size;
	status = add_record(piece, &record, strrchr(name, '/') + 1);
	if (status == NN_OK && packing->options->progress)
		packing->options->progress(packing->options->context, packing->split, i + 1, dataset_count(packing->dataset),
					   packing->bytes);
	return status;
}

static enum nn_status write_index(struct piece *piece, const char *path)
{
	struct packed_index *index = &piece->index;
	uint8_t *bytes;
	size_t size;
	enum nn_status status;

	canonical(index->data_digest, XXH3_128bits_digest(piece->digest));
	index->pool = piece->names.pool;
	index->pool_bytes = piece->names.used;
	size = packed_index_bytes(index);
	status = nn_alloc(&bytes, size);
	if (status == NN_OK) {
		packed_index_format(bytes, index);
		status = file_write(path, bytes, size);
	}
	nn_free(bytes);
	index->pool = NULL;
	return status;
}

static enum nn_status begin_piece(struct piece *piece, const struct packing *packing, size_t first, const char *path)
{
	enum nn_status status;

	piece->index = (struct packed_index){.source = packing->source,
					     .total = dataset_count(packing->dataset),
					     .first = first,
					     .shorter_side = (uint32_t)packing->options->shrink.shorter_side,
					     .quality = (uint32_t)packing->options->shrink.quality,
					     .classes = (uint64_t)dataset_classes(packing->dataset)};
	piece->digest = XXH3_createState();
	if (!piece->digest || XXH3_128bits_reset(piece->digest) == XXH_ERROR)
		return nn_error(NN_ERR_MEMORY, "out of memory for a digest");
	status = nn_alloc(&piece->buffer, BUFFER_BYTES);
	for (int c = 0; c < dataset_classes(packing->dataset) && status == NN_OK; c++)
		status = names_add(&piece->names, dataset_class_name(packing->dataset, c));
	return status == NN_OK ? file_writer_open(&piece->writer, path) : status;
}

enum nn_status packed_piece_write(size_t *next, struct packing *packing, struct packed_feed *feed, unsigned number)
{
	struct piece piece = {.writer = {.fd = -1}};
	char data[PACKED_PATH], index[PACKED_PATH];
	enum nn_status status = packed_path(data, packing->part, packing->split, number, "data");

	if (status == NN_OK)
		status = packed_path(index, packing->part, packing->split, number, "index");
	if (status == NN_OK)
		status = begin_piece(&piece, packing, *next, data);
	while (status == NN_OK && *next < dataset_count(packing->dataset) &&
	       (piece.index.count == 0 || (piece.index.data_bytes < packing->options->piece_bytes && piece.names.used < NAMES_MAX)))
		status = add_image(&piece, packing, feed, (*next)++);
	if (status == NN_OK)
		status = flush(&piece);
	if (status == NN_OK)
		status = file_writer_close(&piece.writer);
	if (status == NN_OK)
		status = write_index(&piece, index);
	file_writer_abandon(&piece.writer);
	XXH3_freeState(piece.digest);
	nn_free(piece.buffer);
	names_release(&piece.names);
	packed_index_release(&piece.index);
	return status;
}

bool packed_piece_exists(size_t *next, const struct packing *packing, unsigned number)
{
	struct packed_index index = {0};
	char path[PACKED_PATH];
	struct stat info;
	bool have = packed_path(path, packing->part, packing->split, number, "index") == NN_OK &&
		    packed_index_load(&index, path) == NN_OK && index.source == packing->source && index.first == *next &&
		    index.total == dataset_count(packing->dataset) &&
		    index.shorter_side == (uint32_t)packing->options->shrink.shorter_side &&
		    index.quality == (uint32_t)packing->options->shrink.quality &&
		    packed_path(path, packing->part, packing->split, number, "data") == NN_OK && stat(path, &info) == 0 &&
		    (uint64_t)info.st_size == index.data_bytes;

	if (have)
		*next += index.count;
	packed_index_release(&index);
	return have;
}
