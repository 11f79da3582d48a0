/* A folder for the files of one test, removed with all it holds. */
#ifndef TESTS_UNIT_SCRATCH_FOLDER_H
#define TESTS_UNIT_SCRATCH_FOLDER_H

#include <stddef.h>

enum { SCRATCH_PATH = 1024 };

/* Makes an empty folder under $TMPDIR or /tmp and leaves its path in `path`. Ends the program when that fails. */
void scratch_make(char path[SCRATCH_PATH]);

/* Removes the folder and everything in it. */
void scratch_remove(const char *path);

/* Writes folder/name, making the folders in between; `name` may hold slashes. */
void scratch_write(const char *folder, const char *name, const void *bytes, size_t size);

/* Makes folder/name and the folders in between. */
void scratch_folder(const char *folder, const char *name);

#endif
