/* A picture in memory: RGB, 8 bits a channel, in a buffer that is used again from picture to picture. */
#ifndef TRAINER_DATA_IMAGE_H
#define TRAINER_DATA_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"

/* Largest picture that is read. The pixel count is the one above which Pillow refuses as well. */
enum { IMAGE_SIDE_MAX = 65535, IMAGE_PIXELS_MAX = 178956970 };

/* Largest file that is read, in bytes. */
enum { IMAGE_FILE_MAX = 1 << 30 };

/* Starts as {0}. The buffers only grow; image_release gives them back. */
struct image {
	uint8_t *pixels; /* height x width x 3 (HWC), rows without padding */
	int width;
	int height;
	size_t capacity;  /* bytes at pixels */
	uint8_t *encoded; /* a file's bytes, for image_read_file and image_load only */
	size_t encoded_capacity;
	struct image_reduction *reduction; /* NULL: every picture at its own size. The caller's */
};

/* A wish to have large JPEGs reduced while they are decoded, which costs much less than reducing them afterwards. */
struct image_reduction {
	/* By which of 1, 2, 4 and 8 a picture of this size may be reduced; asked before it is decoded. */
	int (*choose)(void *context, int width, int height);
	void *context;
	int by;		   /* what became of it: 1 for other files, too */
	int width, height; /* before the reduction */
};

/* Reads a PNG or JPEG file; its first bytes decide which, not its name. Never waits for a pipe that stands in a file's place.
 * Ownership: image's buffers grow as needed. The picture is undefined after an error.
 * Errors: NN_ERR_DATA (unreadable, empty, neither PNG nor JPEG, damaged, too large), NN_ERR_MEMORY. Thread-safe for different
 * images. */
enum nn_status image_read_file(struct image *image, const char *path);

/* The same from `size` bytes in memory; `name` stands in messages. */
enum nn_status image_read_memory(struct image *image, const uint8_t *bytes, size_t size, const char *name);

/* Loads `size` bytes from place `at` of an open file into image->encoded, for image_read_memory; `path` stands in messages.
 * Errors: NN_ERR_DATA (more than IMAGE_FILE_MAX, unreadable, the file ends before), NN_ERR_MEMORY. */
enum nn_status image_load(struct image *image, int file, size_t size, uint64_t at, const char *path);

/* Loads all bytes of a file, whatever they are, into image->encoded. *size = how many. Errors: as image_load. */
enum nn_status image_load_file(struct image *image, size_t *size, const char *path);

/* Sets the size and makes room for all pixels, whose values are then undefined. Errors: NN_ERR_MEMORY. */
enum nn_status image_set_size(struct image *image, int width, int height);

/* *row = where row y belongs, for decoders that fill an image from the top: room is made as rows arrive, so that a file which
 * merely claims to be large costs little. The caller has set width and height. Errors: NN_ERR_MEMORY. */
enum nn_status image_row(uint8_t **row, struct image *image, int y);

/* Checks a size that a file claims against the limits above. Errors: NN_ERR_DATA, naming file and size. */
enum nn_status image_check_size(const char *name, uint32_t width, uint32_t height);

/* A picture's size before its decoding reduced it, and by what: the reduced one is rounded up, its last row and column may be
 * partly made up. */
struct image_size {
	int width, height;
	int reduced; /* 1: not at all */
};
struct image_size image_full_size(const struct image *image);

/* Frees the buffers; the image may be used again. */
void image_release(struct image *image);

#endif
