#include "trainer/data/dataset.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "nn/core/alloc.h"
#include "trainer/data/cifar.h"
#include "trainer/data/folder.h"
#include "trainer/data/names.h"
#include "trainer/data/packed.h"
#include "trainer/data/source.h"
#include "trainer/data/subset.h"

struct dataset {
	const struct source_kind *kind;
	void *source;
	struct names classes;
	int *label_of; /* from the source's numbering to that of `classes` */
	bool is_test;
};

static const struct source_kind *const kinds[] = {&packed_kind, &cifar10_kind, &cifar100_kind, &folder_kind};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static const char *const split_names[] = {[SPLIT_TRAIN] = "training", [SPLIT_VAL] = "validation"};

/* The first kind, from `kinds[*at]` on, that finds something; *at moves behind it. */
static const struct source_kind *find_kind(size_t *at, const char *path)
{
	while (*at < KINDS) {
		const struct source_kind *kind = kinds[(*at)++];

		if (kind->has(path, SPLIT_TRAIN) || kind->has(path, SPLIT_VAL))
			return kind;
	}
	return NULL;
}

bool dataset_has_split(const char *path, enum data_split split)
{
	size_t at = 0;
	const struct source_kind *kind = find_kind(&at, path);

	return kind && kind->has(path, split);
}

bool dataset_is_packed(const char *path)
{
	size_t at = 0;

	return find_kind(&at, path) == &packed_kind && !find_kind(&at, path);
}

/* *out = the kind that holds this split. */
static enum nn_status find_split(const struct source_kind **out, const char *path, enum data_split split)
{
	static const char layouts[] =
	    "expected train/CLASS/*.png or *.jpg and val/ or test/ alike, or CIFAR binary files "
	    "(data_batch_1.bin and test_batch.bin, train.bin and test.bin), or what resnet-data pack made";
	size_t at = 0;
	const struct source_kind *kind = find_kind(&at, path), *other = kind ? find_kind(&at, path) : NULL;
	struct stat info;

	*out = kind;
	if (other)
		return nn_error(NN_ERR_DATA, "%s: two data sets in one folder, %s and %s; move one away", path, kind->name,
				other->name);
	if (kind && kind->has(path, split))
		return NN_OK;
	if (kind)
		return nn_error(NN_ERR_DATA, "%s: no %s images; %s", path, split_names[split], layouts);
	if (stat(path, &info) != 0 && errno != ENOENT && errno != ENOTDIR)
		return nn_error(NN_ERR_DATA, "%s: cannot be opened: %s; check the path and its rights", path, strerror(errno));
	if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
		return nn_error(NN_ERR_DATA, "%s: no such data folder; check the path", path);
	return nn_error(NN_ERR_DATA, "%s: no data set in this folder; %s; resnet-data split makes train and val of plain CLASS/*",
			path, layouts);
}

static enum nn_status map_labels(struct dataset *dataset, const struct names *own, const char *path)
{
	enum nn_status status = nn_alloc(&dataset->label_of, own->count * sizeof(*dataset->label_of));

	for (size_t i = 0; status == NN_OK && i < own->count; i++) {
		dataset->label_of[i] = (int)names_find(&dataset->classes, names_get(own, i));
		if (dataset->label_of[i] < 0)
			status = nn_error(NN_ERR_DATA,
					  "%s: class %s of the validation images is not a class of the training images; "
					  "remove it or add training images",
					  path, names_get(own, i));
	}
	return status;
}

static enum nn_status load_classes(struct dataset *dataset, const char *path, enum data_split split)
{
	struct names own = {0};
	bool has_train = dataset->kind->has(path, SPLIT_TRAIN);
	enum nn_status status = dataset->kind->classes(&dataset->classes, path, has_train ? SPLIT_TRAIN : split);

	if (status == NN_OK)
		status = dataset->kind->classes(&own, path, split);
	if (status == NN_OK)
		status = map_labels(dataset, &own, path);
	names_release(&own);
	return status;
}

enum nn_status dataset_open(struct dataset **out, const char *path, enum data_split split)
{
	const struct source_kind *kind;
	struct dataset *dataset;
	enum nn_status status = find_split(&kind, path, split);

	*out = NULL;
	if (status != NN_OK)
		return status;
	status = nn_alloc(&dataset, sizeof(*dataset));
	if (status != NN_OK)
		return status;
	dataset->kind = kind;
	status = load_classes(dataset, path, split);
	if (status == NN_OK)
		status = kind->open(&dataset->source, path, split);
	if (status == NN_OK && dataset_count(dataset) > UINT32_MAX)
		status = nn_error(NN_ERR_DATA, "%s: more than %u images; use fewer", path, UINT32_MAX);
	if (status != NN_OK) {
		dataset_close(dataset);
		return status;
	}
	dataset->is_test = split == SPLIT_VAL && kind->is_test(dataset->source);
	*out = dataset;
	return NN_OK;
}

/* The numbering of `classes` itself. */
static enum nn_status keep_labels(struct dataset *dataset)
{
	enum nn_status status = nn_alloc(&dataset->label_of, dataset->classes.count * sizeof(*dataset->label_of));

	for (size_t i = 0; status == NN_OK && i < dataset->classes.count; i++)
		dataset->label_of[i] = (int)i;
	return status;
}

enum nn_status dataset_open_classes(struct dataset **out, const char *path)
{
	struct dataset *dataset;
	enum nn_status status = nn_alloc(&dataset, sizeof(*dataset));

	*out = NULL;
	if (status != NN_OK)
		return status;
	dataset->kind = &folder_kind;
	status = folder_open_classes(&dataset->source, &dataset->classes, path);
	if (status == NN_OK)
		status = keep_labels(dataset);
	if (status == NN_OK)
		*out = dataset;
	else
		dataset_close(dataset);
	return status;
}

enum nn_status dataset_open_subset(struct dataset **out, const struct dataset *whole, const uint32_t *images, size_t count,
				   const char *split)
{
	struct dataset *dataset;
	enum nn_status status = nn_alloc(&dataset, sizeof(*dataset));

	*out = NULL;
	if (status != NN_OK)
		return status;
	dataset->kind = &subset_kind;
	for (int c = 0; c < dataset_classes(whole) && status == NN_OK; c++)
		status = names_add(&dataset->classes, dataset_class_name(whole, c));
	if (status == NN_OK)
		status = keep_labels(dataset);
	if (status == NN_OK)
		status = subset_create(&dataset->source, whole, images, count, split);
	if (status == NN_OK)
		*out = dataset;
	else
		dataset_close(dataset);
	return status;
}

void dataset_close(struct dataset *dataset)
{
	if (!dataset)
		return;
	dataset->kind->close(dataset->source);
	names_release(&dataset->classes);
	nn_free(dataset->label_of);
	nn_free(dataset);
}

size_t dataset_count(const struct dataset *dataset)
{
	return dataset->kind->count(dataset->source);
}

int dataset_classes(const struct dataset *dataset)
{
	return (int)dataset->classes.count;
}

const char *dataset_class_name(const struct dataset *dataset, int label)
{
	return names_get(&dataset->classes, (size_t)label);
}

void dataset_class_text(char text[DATASET_CLASS_TEXT], const struct dataset *dataset, int label)
{
	escape_name(text, DATASET_CLASS_TEXT, dataset_class_name(dataset, label));
}

int dataset_label(const struct dataset *dataset, size_t index)
{
	return dataset->label_of[dataset->kind->label(dataset->source, index)];
}

void dataset_file_name(const struct dataset *dataset, size_t index, char name[DATASET_NAME_MAX])
{
	dataset->kind->file_name(dataset->source, index, name);
}

enum nn_status dataset_read(const struct dataset *dataset, size_t index, struct image *image)
{
	return dataset->kind->read(dataset->source, index, image);
}

bool dataset_has_files(const struct dataset *dataset)
{
	return dataset->kind->load != NULL;
}

enum nn_status dataset_load(const struct dataset *dataset, size_t index, struct image *image, size_t *size)
{
	return dataset->kind->load(dataset->source, index, image, size);
}

void dataset_will_read(const struct dataset *dataset, size_t first, size_t last)
{
	if (dataset->kind->will_read)
		dataset->kind->will_read(dataset->source, first, last);
}

bool dataset_colours(const struct dataset *dataset, struct colour_sums *sums)
{
	return dataset->kind->colours && dataset->kind->colours(dataset->source, sums);
}

bool dataset_is_test(const struct dataset *dataset)
{
	return dataset->is_test;
}

/* Each string is hashed with the digest so far as its seed, its 0 included, so that no two lists run together. */
static uint64_t add_string(uint64_t digest, const char *text)
{
	return XXH3_64bits_withSeed(text, strlen(text) + 1, digest);
}

uint64_t dataset_digest(const struct dataset *dataset)
{
	char name[DATASET_NAME_MAX];
	uint64_t digest = 0;

	for (int c = 0; c < dataset_classes(dataset); c++)
		digest = add_string(digest, dataset_class_name(dataset, c));
	for (size_t i = 0; i < dataset_count(dataset); i++) {
		unsigned label = (unsigned)dataset_label(dataset, i);
		const uint8_t little_endian[4] = {(uint8_t)label, (uint8_t)(label >> 8), (uint8_t)(label >> 16),
						  (uint8_t)(label >> 24)};

		dataset_file_name(dataset, i, name);
		digest = add_string(digest, name);
		digest = XXH3_64bits_withSeed(little_endian, sizeof(little_endian), digest);
	}
	return digest;
}

enum nn_status dataset_check_classes(const struct dataset *train, const struct dataset *val)
{
	for (int c = 0; c < dataset_classes(val); c++) {
		const char *name = dataset_class_name(val, c);

		if (c >= dataset_classes(train) || strcmp(name, dataset_class_name(train, c)) != 0)
			return nn_error(NN_ERR_DATA,
					"class %s (number %d) of the validation images is not class %d of the training images; "
					"open both from one folder",
					name, c, c);
	}
	return NN_OK;
}
