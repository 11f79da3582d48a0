/* The index of one piece of a packed data set: which images are in it, and where. See PACKED.md for the bytes. */
#ifndef TRAINER_DATA_PACKED_INDEX_H
#define TRAINER_DATA_PACKED_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"
#include "trainer/data/colours.h"

enum { PACKED_DIGEST = 16, PACKED_HEAD = 184, PACKED_RECORD = 40, PACKED_PATH = 4096 };

/* One image. */
struct packed_record {
	uint64_t at; /* of its bytes in the data file */
	uint64_t bytes;
	uint8_t digest[PACKED_DIGEST]; /* XXH3-128 of them, canonical */
	uint32_t label;
	uint32_t name; /* of its file, in the pool */
};

/* Starts as {0}. */
struct packed_index {
	uint64_t source; /* dataset_digest of the split that was packed */
	uint64_t total;	 /* images of the split */
	uint64_t first;	 /* number of the piece's first image */
	uint64_t count;
	uint64_t data_bytes; /* of the data file */
	uint8_t data_digest[PACKED_DIGEST];
	uint64_t classes;
	uint64_t pool_bytes;
	uint32_t shorter_side;	       /* JPEGs with a longer one were written again with this one; 0: everything is as it was */
	uint32_t quality;	       /* of those, 1 to 100; 0 with shorter_side */
	uint64_t readable;	       /* images that could be decoded */
	struct colour_sums colours;    /* of those, as they are here */
	struct packed_record *records; /* `count` */
	char *pool;		       /* names, each with its 0: those of the classes, then those of the files */
};

/* digest = XXH3-128 of the bytes, canonical. */
void packed_digest(uint8_t digest[PACKED_DIGEST], const uint8_t *bytes, size_t size);

/* path = FOLDER/SPLIT-NNNNN.ENDING; ending: "index" or "data". Errors: NN_ERR_DATA when it is too long. */
enum nn_status packed_path(char path[PACKED_PATH], const char *folder, const char *split, unsigned piece, const char *ending);

/* Reads and checks an index: its digest, that images are the data file without gaps, and that names are names (not empty, without
 * '/', no leading dot). Ownership: packed_index_release, also after an error. Errors: NN_ERR_DATA (missing, damaged),
 * NN_ERR_MEMORY. */
enum nn_status packed_index_load(struct packed_index *index, const char *path);

/* The same from bytes in memory; `path` stands in messages. */
enum nn_status packed_index_parse(struct packed_index *index, const uint8_t *bytes, size_t size, const char *path);

/* Bytes that packed_index_format writes. */
size_t packed_index_bytes(const struct packed_index *index);

/* bytes = the index as a file holds it. */
void packed_index_format(uint8_t *bytes, const struct packed_index *index);

void packed_index_release(struct packed_index *index);

#endif
