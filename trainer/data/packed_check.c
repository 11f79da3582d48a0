#include "trainer/data/packed_check.h"

#include <string.h>

#include <xxhash.h>

enum nn_status packed_describe(struct packed_facts *facts, const char *folder, const char *split)
{
	struct packed packed;
	enum nn_status status = packed_open(&packed, folder, split);

	if (status == NN_OK)
		*facts = (struct packed_facts){.split = split,
					       .images = packed_count(&packed),
					       .classes = packed.pieces[0].classes,
					       .pieces = packed.count,
					       .smallest = UINT64_MAX,
					       .shorter_side = packed.pieces[0].shorter_side,
					       .quality = packed.pieces[0].quality};
	if (status == NN_OK)
		facts->has_colours = packed_colours(&packed, &facts->readable, &facts->colours);
	for (size_t i = 0; status == NN_OK && i < facts->images; i++) {
		size_t piece;
		uint64_t bytes = packed_find(&packed, &piece, i)->bytes;

		facts->bytes += bytes;
		facts->smallest = bytes < facts->smallest ? bytes : facts->smallest;
		facts->largest = bytes > facts->largest ? bytes : facts->largest;
	}
	packed_close(&packed);
	return status;
}

/* Images are a data file without gaps, so that its digest is that of their bytes one after the other. */
static enum nn_status verify_piece(const struct packed *packed, size_t piece, XXH3_state_t *state)
{
	const struct packed_index *index = &packed->pieces[piece];
	char path[PACKED_PATH];
	struct image image = {0};
	XXH128_canonical_t digest;
	enum nn_status status = packed_path(path, packed->folder, packed->split, (unsigned)piece, "data");

	XXH3_128bits_reset(state);
	for (uint64_t i = 0; i < index->count && status == NN_OK; i++) {
		size_t size;

		status = packed_load(&image, &size, packed, (size_t)(index->first + i));
		if (status == NN_OK)
			XXH3_128bits_update(state, image.encoded, size);
	}
	image_release(&image);
	XXH128_canonicalFromHash(&digest, XXH3_128bits_digest(state));
	if (status == NN_OK && memcmp(digest.digest, index->data_digest, PACKED_DIGEST) != 0)
		status = nn_error(NN_ERR_DATA, "%s: another digest than its index says; copy both again or pack again", path);
	return status;
}

enum nn_status packed_verify(const char *folder, const char *split)
{
	struct packed packed;
	XXH3_state_t *state = XXH3_createState();
	enum nn_status status = state ? packed_open(&packed, folder, split) : nn_error(NN_ERR_MEMORY, "out of memory for a digest");

	if (!state)
		return status;
	for (size_t piece = 0; status == NN_OK && piece < packed.count; piece++)
		status = verify_piece(&packed, piece, state);
	packed_close(&packed);
	XXH3_freeState(state);
	return status;
}
