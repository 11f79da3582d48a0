#include "trainer/data/subset.h"

#include <stdio.h>
#include <string.h>

#include "nn/core/alloc.h"

struct subset {
	const struct dataset *whole;
	const char *split;
	uint32_t *images;
	size_t count;
};

static void subset_close(void *source)
{
	struct subset *subset = source;

	if (subset)
		nn_free(subset->images);
	nn_free(subset);
}

enum nn_status subset_create(void **source, const struct dataset *whole, const uint32_t *images, size_t count, const char *split)
{
	struct subset *subset;
	enum nn_status status = nn_alloc(&subset, sizeof(*subset));

	*source = NULL;
	if (status != NN_OK)
		return status;
	*subset = (struct subset){.whole = whole, .split = split, .count = count};
	status = nn_alloc(&subset->images, count * sizeof(*images));
	if (status != NN_OK) {
		subset_close(subset);
		return status;
	}
	memcpy(subset->images, images, count * sizeof(*images));
	*source = subset;
	return NN_OK;
}

static size_t subset_count(const void *source)
{
	return ((const struct subset *)source)->count;
}

static int subset_label(const void *source, size_t index)
{
	const struct subset *subset = source;

	return dataset_label(subset->whole, subset->images[index]);
}

/* SPLIT/CLASS/FILE, whatever the split was called before. */
static void subset_file_name(const void *source, size_t index, char name[DATASET_NAME_MAX])
{
	const struct subset *subset = source;
	char before[DATASET_NAME_MAX];

	dataset_file_name(subset->whole, subset->images[index], before);
	snprintf(name, DATASET_NAME_MAX, "%s%s", subset->split, strchr(before, '/'));
}

static enum nn_status subset_read(const void *source, size_t index, struct image *image)
{
	const struct subset *subset = source;

	return dataset_read(subset->whole, subset->images[index], image);
}

static enum nn_status subset_load(const void *source, size_t index, struct image *image, size_t *size)
{
	const struct subset *subset = source;

	return dataset_load(subset->whole, subset->images[index], image, size);
}

static bool subset_is_test(const void *source)
{
	(void)source;
	return false;
}

const struct source_kind subset_kind = {
    .name = "a part of a data set",
    .close = subset_close,
    .count = subset_count,
    .label = subset_label,
    .file_name = subset_file_name,
    .read = subset_read,
    .load = subset_load,
    .is_test = subset_is_test,
};
