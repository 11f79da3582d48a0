/* Writes an image folder that appears whole or not at all: in OUT.part, which is synced and renamed at the end. */
#ifndef TRAINER_DATA_FOLDER_WRITER_H
#define TRAINER_DATA_FOLDER_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"
#include "trainer/data/image.h"

enum { FOLDER_WRITER_PATH = 4096 };

struct folder_writer {
	const char *out;
	char part[FOLDER_WRITER_PATH];
	char class_folder[FOLDER_WRITER_PATH]; /* made last */
	struct image buffer;		       /* for files that are copied */
};

/* Begins with an empty OUT.part, whatever an interrupted call left there. Ownership: folder_writer_release, also after an error;
 * `out` stays the caller's. Errors: NN_ERR_USAGE (out exists), NN_ERR_IO. */
enum nn_status folder_writer_begin(struct folder_writer *writer, const char *out);

/* Adds a file `name`, SPLIT/CLASS/FILE, which must be new. Errors: NN_ERR_IO, NN_ERR_USAGE (the path is too long). */
enum nn_status folder_writer_add(struct folder_writer *writer, const char *name, const uint8_t *bytes, size_t size);

/* Adds a hard link to the file `from`, or to what a link of that name points to; where that is not possible, as on another file
 * system, a copy: *linked tells which. Errors: as above; NN_ERR_DATA (from cannot be read), NN_ERR_MEMORY. */
enum nn_status folder_writer_link(bool *linked, struct folder_writer *writer, const char *name, const char *from);

/* Makes the folder appear. Errors: NN_ERR_IO. */
enum nn_status folder_writer_end(struct folder_writer *writer);

void folder_writer_release(struct folder_writer *writer);

#endif
