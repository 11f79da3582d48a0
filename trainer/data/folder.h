/* Image folders: train/CLASS/FILE and val/CLASS/FILE (or test/CLASS/FILE). */
#ifndef TRAINER_DATA_FOLDER_H
#define TRAINER_DATA_FOLDER_H

#include "trainer/data/source.h"

extern const struct source_kind folder_kind;

#endif
