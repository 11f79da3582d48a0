/* JPEG files, by libjpeg-turbo. */
#ifndef TRAINER_DATA_JPEG_H
#define TRAINER_DATA_JPEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trainer/data/image.h"

/* Whether the bytes begin as a JPEG file does. */
bool jpeg_is(const uint8_t *bytes, size_t size);

/* Decodes a JPEG, baseline or progressive, grey, colour, CMYK or YCCK, into RGB8; no colour management, EXIF rotation ignored (as
 * by torchvision). Inks are taken as inverted when the Adobe marker is there. `name` stands in messages. Errors: NN_ERR_DATA
 * (damaged, truncated, too large), NN_ERR_MEMORY. Data that end early or make no sense are errors although the library could fill
 * the gap with grey; stray bytes between markers, which real photographs have, are not. More than 100 scans, and sizes that no file
 * of so few bytes can have, are errors before memory or time is spent. Thread-safe for different images. */
enum nn_status jpeg_read(struct image *image, const uint8_t *bytes, size_t size, const char *name);

#endif
