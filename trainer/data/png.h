/* PNG files, by libpng. */
#ifndef TRAINER_DATA_PNG_H
#define TRAINER_DATA_PNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trainer/data/image.h"

/* Whether the bytes begin as a PNG file does. */
bool png_is(const uint8_t *bytes, size_t size);

/* Decodes any PNG into RGB8: palettes and grey are expanded, 16 bits scaled to 8, alpha and transparent colours dropped (as
 * Pillow's convert("RGB") does), no colour management. `name` stands in messages. Errors: NN_ERR_DATA (damaged, truncated, too
 * large), NN_ERR_MEMORY. Thread-safe for different images. */
enum nn_status png_read(struct image *image, const uint8_t *bytes, size_t size, const char *name);

/* Writes the picture as an RGB8 PNG file without metadata: equal pixels give equal bytes (with one version of zlib).
 * Errors: NN_ERR_IO; a torn file may then be left behind. */
enum nn_status png_write(const char *path, const struct image *image);

#endif
