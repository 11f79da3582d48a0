/* Packing an image folder, and unpacking it. */
#ifndef TRAINER_DATA_PACKED_WRITE_H
#define TRAINER_DATA_PACKED_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/core/status.h"

/* Packs both splits of the image folder `folder` into a new folder `out`, in data files of about `piece_bytes` bytes (the image
 * that reaches it ends a file). Works in OUT.part and renames it at the end; a call that was interrupted is continued by the next
 * one, which keeps the finished files. A finished `out` of the same names and labels is left alone (*made false). Errors:
 * NN_ERR_DATA (the folder), NN_ERR_USAGE (out is something else, or another program packs there), NN_ERR_IO, NN_ERR_MEMORY. */
enum nn_status packed_write(bool *made, const char *out, const char *folder, uint64_t piece_bytes);

/* Writes the files of a packed folder as an image folder `out`, which must not exist; made in OUT.part and renamed at the end.
 * Errors: NN_ERR_DATA (damaged), NN_ERR_USAGE (out exists), NN_ERR_IO, NN_ERR_MEMORY. */
enum nn_status packed_unpack(const char *out, const char *packed_folder);

#endif
