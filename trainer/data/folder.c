#include "trainer/data/folder.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "nn/core/alloc.h"
#include "trainer/data/listing.h"

enum { PATH_BYTES = 4096 };

struct folder {
	const char *split; /* "train", "val" or "test" */
	char *root;	   /* the data folder */
	struct names classes;
	struct names files;  /* of all classes, one after the other */
	size_t *class_begin; /* [classes + 1]: where each class starts in files */
};

/* A name that leads nowhere (a link without a target, links in a loop, a folder behind closed rights) counts: opening it then says
 * what is wrong, where passing it over would train without validation images, say. */
static bool is_folder(const char *path, const char *name)
{
	char full[PATH_BYTES];
	struct stat info;

	snprintf(full, sizeof(full), "%s/%s", path, name);
	if (stat(full, &info) == 0)
		return S_ISDIR(info.st_mode);
	return lstat(full, &info) == 0;
}

/* Name of the split's folder, or NULL when there is none. */
static const char *split_folder(const char *path, enum data_split split)
{
	static const char *const names[][2] = {[SPLIT_TRAIN] = {"train", "train"}, [SPLIT_VAL] = {"val", "test"}};

	for (int i = 0; i < 2; i++)
		if (is_folder(path, names[split][i]))
			return names[split][i];
	return NULL;
}

static bool folder_has(const char *path, enum data_split split)
{
	return split_folder(path, split) != NULL;
}

static enum nn_status list_classes(struct names *classes, const char *path, const char *split)
{
	char full[PATH_BYTES];
	size_t files = 0;
	enum nn_status status;

	snprintf(full, sizeof(full), "%s/%s", path, split);
	status = listing_folders(classes, &files, full);
	if (status == NN_OK && classes->count == 0)
		return nn_error(NN_ERR_DATA,
				"%s: no class folders%s; put the images of each class into a folder of its own, %s/CLASS/", full,
				files ? ", only files" : "", full);
	return status == NN_OK ? names_sort(classes, 0) : status;
}

static enum nn_status folder_classes(struct names *classes, const char *path, enum data_split split)
{
	return list_classes(classes, path, split_folder(path, split));
}

static enum nn_status list_class(struct folder *folder, size_t class)
{
	char full[PATH_BYTES];
	size_t begin = folder->files.count;
	enum nn_status status;

	snprintf(full, sizeof(full), "%s/%s/%s", folder->root, folder->split, names_get(&folder->classes, class));
	status = listing_files(&folder->files, full);
	if (status == NN_OK && folder->files.count == begin)
		return nn_error(NN_ERR_DATA, "%s: class without images; add some or remove the folder", full);
	folder->class_begin[class + 1] = folder->files.count;
	return status == NN_OK ? names_sort(&folder->files, begin) : status;
}

static enum nn_status fill(struct folder *folder, const char *path, const char *split)
{
	size_t length = strlen(path) + 1;
	enum nn_status status = nn_alloc(&folder->root, length);

	if (status != NN_OK)
		return status;
	memcpy(folder->root, path, length);
	folder->split = split;
	status = list_classes(&folder->classes, path, split);
	if (status == NN_OK)
		status = nn_alloc(&folder->class_begin, (folder->classes.count + 1) * sizeof(*folder->class_begin));
	for (size_t c = 0; status == NN_OK && c < folder->classes.count; c++)
		status = list_class(folder, c);
	return status;
}

static void folder_close(void *source)
{
	struct folder *folder = source;

	if (!folder)
		return;
	nn_free(folder->root);
	names_release(&folder->classes);
	names_release(&folder->files);
	nn_free(folder->class_begin);
	nn_free(folder);
}

static enum nn_status open_split(void **source, const char *path, const char *split)
{
	enum nn_status status;

	*source = NULL;
	if (strlen(path) >= PATH_BYTES - DATASET_NAME_MAX)
		return nn_error(NN_ERR_DATA, "%.64s...: path too long (%zu bytes); use a shorter one", path, strlen(path));
	status = nn_alloc(source, sizeof(struct folder));
	if (status == NN_OK)
		status = fill(*source, path, split);
	if (status != NN_OK) {
		folder_close(*source);
		*source = NULL;
	}
	return status;
}

static enum nn_status folder_open(void **source, const char *path, enum data_split split)
{
	return open_split(source, path, split_folder(path, split));
}

enum nn_status folder_open_classes(void **source, struct names *classes, const char *path)
{
	enum nn_status status = list_classes(classes, path, ".");

	*source = NULL;
	return status == NN_OK ? open_split(source, path, ".") : status;
}

static size_t folder_count(const void *source)
{
	return ((const struct folder *)source)->files.count;
}

/* The class whose range of files holds the index, by halving. */
static int folder_label(const void *source, size_t index)
{
	const struct folder *folder = source;
	size_t lo = 0, hi = folder->classes.count;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (folder->class_begin[mid] <= index)
			lo = mid;
		else
			hi = mid;
	}
	return (int)lo;
}

static void folder_file_name(const void *source, size_t index, char name[DATASET_NAME_MAX])
{
	const struct folder *folder = source;

	snprintf(name, DATASET_NAME_MAX, "%s/%s/%s", folder->split,
		 names_get(&folder->classes, (size_t)folder_label(source, index)), names_get(&folder->files, index));
}

static void full_path(const struct folder *folder, size_t index, char full[PATH_BYTES])
{
	char name[DATASET_NAME_MAX];

	folder_file_name(folder, index, name);
	snprintf(full, PATH_BYTES, "%s/%s", folder->root, name);
}

static enum nn_status folder_read(const void *source, size_t index, struct image *image)
{
	char full[PATH_BYTES];

	full_path(source, index, full);
	return image_read_file(image, full);
}

static enum nn_status folder_load(const void *source, size_t index, struct image *image, size_t *size)
{
	char full[PATH_BYTES];

	full_path(source, index, full);
	return image_load_file(image, size, full);
}

static bool folder_is_test(const void *source)
{
	return strcmp(((const struct folder *)source)->split, "test") == 0;
}

const struct source_kind folder_kind = {
    .name = "folders of images",
    .has = folder_has,
    .classes = folder_classes,
    .open = folder_open,
    .close = folder_close,
    .count = folder_count,
    .label = folder_label,
    .file_name = folder_file_name,
    .read = folder_read,
    .load = folder_load,
    .is_test = folder_is_test,
};
