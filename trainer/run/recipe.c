#include "trainer/run/recipe.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trainer/data/listing.h"
#include "trainer/state/files.h"

static const char suffix[] = ".ini";

/* folder = the recipes that belong to the running program, found from where it lies, so that an installation can be moved. */
static enum nn_status own_folder(char folder[PATH_MAX])
{
	char program[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *slash;
	enum nn_status status;

	program[length > 0 ? length : 0] = '\0';
	slash = strrchr(program, '/');
	if (!slash)
		return nn_error(NN_ERR_USAGE, "cannot tell where the recipes are; name their folder in RESNET_RECIPES");
	*slash = '\0';
	status = path_format(folder, PATH_MAX, "%s/../share/resnet-train/recipes", program);
	if (status == NN_OK && !folder_exists(folder))
		status = path_format(folder, PATH_MAX, "%s/../../jobs/recipes", program);
	if (status == NN_OK && !folder_exists(folder))
		return nn_error(NN_ERR_USAGE,
				"no recipes in %s/../share/resnet-train/recipes; run make install, or name their folder in "
				"RESNET_RECIPES",
				program);
	return status;
}

static enum nn_status refuse(const char *name, const struct names *files, const char *folder)
{
	char list[800] = "";
	size_t used = 0;

	for (size_t i = 0; i < files->count && used < sizeof(list); i++) {
		const char *file = names_get(files, i);
		size_t length = strlen(file) - (sizeof(suffix) - 1);

		if (strlen(file) >= sizeof(suffix) && strcmp(file + length, suffix) == 0)
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%.*s", used ? ", " : "", (int)length, file);
	}
	if (!used)
		return nn_error(NN_ERR_USAGE, "--recipe %.60s: no recipes (*.ini) in %s", name, folder);
	return nn_error(NN_ERR_USAGE, "--recipe %.60s: must be one of %s", name, list);
}

enum nn_status recipe_find(char *path, size_t size, const char *name)
{
	const char *given = getenv("RESNET_RECIPES");
	char folder[PATH_MAX], file[NAME_MAX + 1];
	struct names files = {0};
	enum nn_status status = given && *given ? path_format(folder, sizeof(folder), "%s", given) : own_folder(folder);

	if (status == NN_OK && listing_files(&files, folder) != NN_OK)
		status = nn_error(NN_ERR_USAGE, "cannot read the recipes in %s; name another folder in RESNET_RECIPES", folder);
	if (status == NN_OK)
		status = names_sort(&files, 0);
	if (status == NN_OK) {
		snprintf(file, sizeof(file), "%s%s", name, suffix);
		status =
		    names_find(&files, file) < 0 ? refuse(name, &files, folder) : path_format(path, size, "%s/%s", folder, file);
	}
	names_release(&files);
	return status;
}
