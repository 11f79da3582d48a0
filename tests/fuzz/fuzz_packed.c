/* The index of a packed data set. Length and digest are put right first, or nothing behind them would be looked at; what is
 * accepted must be what packed_index_format writes. */
#include <string.h>

#include <xxhash.h>

#include "tests/fuzz/targets.h"
#include "trainer/data/packed_index.h"
#include "trainer/state/bytes.h"

static void put_right(uint8_t *bytes, size_t size)
{
	XXH128_canonical_t digest;

	if (size < PACKED_HEAD + PACKED_DIGEST)
		return;
	store_le64(bytes + 8, size);
	XXH128_canonicalFromHash(&digest, XXH3_128bits(bytes, size - PACKED_DIGEST));
	memcpy(bytes + size - PACKED_DIGEST, digest.digest, PACKED_DIGEST);
}

static void check_index(const struct packed_index *index, const uint8_t *bytes, size_t size)
{
	uint8_t *again = malloc(size);

	FUZZ_CHECK(again && packed_index_bytes(index) == size);
	packed_index_format(again, index);
	FUZZ_CHECK(memcmp(again, bytes, size) == 0);
	for (uint64_t i = 0; i < index->count; i++) {
		const char *name = index->pool + index->records[i].name;

		FUZZ_CHECK(index->records[i].label < index->classes);
		FUZZ_CHECK(*name && *name != '.' && !strchr(name, '/'));
		FUZZ_CHECK(index->records[i].at + index->records[i].bytes <= index->data_bytes);
	}
	free(again);
}

void fuzz_packed(const uint8_t *bytes, size_t size)
{
	struct packed_index index;
	uint8_t *copy = malloc(size ? size : 1);

	FUZZ_CHECK(copy);
	if (size)
		memcpy(copy, bytes, size);
	put_right(copy, size);
	if (packed_index_parse(&index, copy, size, "fuzz") == NN_OK)
		check_index(&index, copy, size);
	packed_index_release(&index);
	free(copy);
}
