/* nftw, mkdtemp */
#define _XOPEN_SOURCE 700

#include "tests/unit/scratch_folder.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void scratch_make(char path[SCRATCH_PATH])
{
	const char *base = getenv("TMPDIR");

	snprintf(path, SCRATCH_PATH, "%s/resnet-unit-XXXXXX", base && base[0] ? base : "/tmp");
	if (!mkdtemp(path)) {
		perror(path);
		exit(2);
	}
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info;
	(void)kind;
	(void)where;
	return remove(path);
}

void scratch_remove(const char *path)
{
	if (nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS) != 0)
		perror(path);
}

/* Makes the folders that end at each slash of the path after `from`. */
static void make_parents(char *path, char *from)
{
	for (char *slash = strchr(from, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(path, 0777);
		*slash = '/';
	}
}

void scratch_folder(const char *folder, const char *name)
{
	char path[2 * SCRATCH_PATH];

	snprintf(path, sizeof(path), "%s/%s/", folder, name);
	make_parents(path, path + strlen(folder) + 1);
}

void scratch_write(const char *folder, const char *name, const void *bytes, size_t size)
{
	char path[2 * SCRATCH_PATH];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	make_parents(path, path + strlen(folder) + 1);
	file = fopen(path, "wb");
	if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
		perror(path);
		exit(2);
	}
}
