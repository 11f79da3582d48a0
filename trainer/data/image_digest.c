#include "trainer/data/image_digest.h"

#include <string.h>
#include <xxhash.h>

static void store_le32(uint8_t bytes[4], int value)
{
	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8_t)((unsigned)value >> (8 * i));
}

void image_digest(char out[IMAGE_DIGEST_CHARS], const char *class_name, const struct image *image)
{
	uint64_t seed = XXH3_64bits(class_name, strlen(class_name) + 1);
	XXH128_canonical_t canonical;
	uint8_t size[8];

	store_le32(size, image->width);
	store_le32(size + 4, image->height);
	seed = XXH3_64bits_withSeed(size, sizeof(size), seed);
	XXH128_canonicalFromHash(&canonical,
				 XXH3_128bits_withSeed(image->pixels, (size_t)image->width * (size_t)image->height * 3, seed));
	for (size_t i = 0; i < sizeof(canonical.digest); i++) {
		out[2 * i] = "0123456789abcdef"[canonical.digest[i] >> 4];
		out[2 * i + 1] = "0123456789abcdef"[canonical.digest[i] & 15];
	}
	out[IMAGE_DIGEST_CHARS - 1] = '\0';
}
