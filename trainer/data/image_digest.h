/* The digest of a labelled picture, by which copies of a data set are compared, whatever kind of data set they are. */
#ifndef TRAINER_DATA_IMAGE_DIGEST_H
#define TRAINER_DATA_IMAGE_DIGEST_H

#include "trainer/data/image.h"

enum { IMAGE_DIGEST_CHARS = 33 };

/* Writes 32 lower-case hexadecimal digits and a zero byte: XXH3-128 (canonical form) of the pixels as RGB8 in rows, seeded by the
 * XXH3-64 of width and height (32 bits little-endian each), seeded by the XXH3-64 of the class's name with its zero byte.
 * The name and number of the image in its data set do not count. */
void image_digest(char out[IMAGE_DIGEST_CHARS], const char *class_name, const struct image *image);

#endif
