/* What lies in a folder: names of sub-folders or of files. Names with a leading dot are left out. */
#ifndef TRAINER_DATA_LISTING_H
#define TRAINER_DATA_LISTING_H

#include <stddef.h>

#include "nn/core/status.h"
#include "trainer/data/names.h"

/* Appends the names of the folders in `path`, unsorted; *files = how many files there were. What is neither, such as a link that
 * leads nowhere, is an error, because it may stand for a folder.
 * Links are followed. Errors: NN_ERR_DATA, NN_ERR_MEMORY. */
enum nn_status listing_folders(struct names *folders, size_t *files, const char *path);

/* Appends the names of the regular files in `path`, unsorted; anything else there is an error.
 * Links are followed. Errors: NN_ERR_DATA, NN_ERR_MEMORY. */
enum nn_status listing_files(struct names *files, const char *path);

#endif
