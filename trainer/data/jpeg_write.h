/* Writing JPEG files, by libjpeg-turbo. */
#ifndef TRAINER_DATA_JPEG_WRITE_H
#define TRAINER_DATA_JPEG_WRITE_H

#include <stdint.h>

#include "nn/core/status.h"
#include "trainer/data/resize.h"

/* Longest side that the format's writer takes. */
enum { JPEG_WRITE_SIDE_MAX = 65500 };

/* A file in memory, of libjpeg's making. Starts as {0}; jpeg_file_release gives it back. */
struct jpeg_file {
	unsigned char *bytes;
	unsigned long size;
};

/* Encodes RGB8 as a baseline JPEG of quality 1 to 100 with chroma at half the resolution, as Pillow does; without metadata.
 * What the file held before is given back. Errors: NN_ERR_MEMORY. Thread-safe for different files. */
enum nn_status jpeg_write(struct jpeg_file *file, struct pixels picture, int quality);

/* The file is empty then and may be used again. */
void jpeg_file_release(struct jpeg_file *file);

#endif
