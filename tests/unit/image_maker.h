/* Encoded pictures of known content for the tests of the decoders. */
#ifndef TESTS_UNIT_IMAGE_MAKER_H
#define TESTS_UNIT_IMAGE_MAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file in memory; free(bytes) by the caller. */
struct encoded {
	uint8_t *bytes;
	size_t size;
};

struct png_spec {
	int width, height;
	int colour; /* PNG_COLOR_TYPE_ */
	int depth;  /* bits */
	bool interlaced;
	bool transparent; /* with a tRNS chunk */
};

/* A PNG whose samples vary from pixel to pixel. */
void maker_png(struct encoded *file, const struct png_spec *spec);

/* What channel c of its pixel (x, y) is as RGB8. */
uint8_t maker_png_rgb(const struct png_spec *spec, int x, int y, int c);

struct jpeg_spec {
	int width, height;
	int stored; /* J_COLOR_SPACE in the file */
	bool adobe; /* with the Adobe marker */
	bool progressive;
	bool many_scans; /* one for each coefficient, 190 in a picture of three channels */
	int values[4];	 /* of every pixel: grey, RGB or the bytes for CMYK */
};

/* A JPEG of one colour. */
void maker_jpeg(struct encoded *file, const struct jpeg_spec *spec);

/* Puts a chunk of `size` bytes (zeros when `bytes` is NULL) behind a PNG's IHDR, with the right checksum. */
void maker_add_chunk(struct encoded *file, const char name[4], const uint8_t *bytes, size_t size);

/* A PNG that claims another size, with the right checksum. */
void maker_claim_size(struct encoded *file, uint32_t width, uint32_t height);

#endif
