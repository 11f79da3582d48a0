/* Image folders: SPLIT/CLASS/FILE. */
#ifndef TRAINER_DATA_FOLDER_H
#define TRAINER_DATA_FOLDER_H

#include "trainer/data/source.h"

extern const struct source_kind folder_kind;

/* Opens path/CLASS/FILE as a split called "."; appends the names of its classes. Ownership and errors: as source_kind's open. */
enum nn_status folder_open_classes(void **source, struct names *classes, const char *path);

#endif
