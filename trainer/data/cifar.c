#include "trainer/data/cifar.h"

#include <stdint.h>
#include <stdio.h>

#include "nn/core/alloc.h"
#include "trainer/data/cifar_file.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, FILES_MAX = 5 };

struct format {
	const char *files[2][FILES_MAX + 1]; /* of each split; the first must be there */
	const char *class_names;
	struct cifar_layout layout;
};

static const struct format cifar10 = {
    .files = {[SPLIT_TRAIN] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
	      [SPLIT_VAL] = {"test_batch.bin"}},
    .class_names = "batches.meta.txt",
    .layout = {.record_bytes = 1 + 3 * PLANE, .label_at = 0, .classes = 10},
};

static const struct format cifar100 = {
    .files = {[SPLIT_TRAIN] = {"train.bin"}, [SPLIT_VAL] = {"test.bin"}},
    .class_names = "fine_label_names.txt",
    .layout = {.record_bytes = 2 + 3 * PLANE, .label_at = 1, .classes = 100},
};

struct cifar {
	const struct format *format;
	enum data_split split;
	int file_count;
	struct cifar_file files[FILES_MAX];
};

static void cifar_close(void *source)
{
	struct cifar *cifar = source;

	if (!cifar)
		return;
	for (int i = 0; i < cifar->file_count; i++)
		cifar_file_close(&cifar->files[i]);
	nn_free(cifar);
}

static enum nn_status fill(struct cifar *cifar, const char *path)
{
	const char *const *names = cifar->format->files[cifar->split], *missing = NULL;
	enum nn_status status = NN_OK;

	for (int i = 0; status == NN_OK && names[i]; i++) {
		if (i > 0 && !cifar_file_exists(path, names[i])) {
			missing = missing ? missing : names[i];
			continue;
		}
		if (missing)
			return nn_error(NN_ERR_DATA, "%s/%s is missing, and %s is there; copy the data set again", path, missing,
					names[i]);
		status = cifar_file_open(&cifar->files[cifar->file_count++], path, names[i], &cifar->format->layout);
	}
	return status;
}

static enum nn_status cifar_open(void **source, const char *path, enum data_split split, const struct format *format)
{
	struct cifar *cifar;
	enum nn_status status = nn_alloc(&cifar, sizeof(*cifar));

	*source = NULL;
	if (status != NN_OK)
		return status;
	cifar->format = format;
	cifar->split = split;
	status = fill(cifar, path);
	if (status == NN_OK)
		*source = cifar;
	else
		cifar_close(cifar);
	return status;
}

/* The file that holds an image; *record = which of its records. */
static const struct cifar_file *find_record(const struct cifar *cifar, size_t *record, size_t index)
{
	const struct cifar_file *file = cifar->files;

	for (*record = index; *record >= file->records; file++)
		*record -= file->records;
	return file;
}

static size_t cifar_count(const void *source)
{
	const struct cifar *cifar = source;
	size_t count = 0;

	for (int i = 0; i < cifar->file_count; i++)
		count += cifar->files[i].records;
	return count;
}

static int cifar_label(const void *source, size_t index)
{
	size_t record;
	const struct cifar_file *file = find_record(source, &record, index);

	return file->labels[record];
}

static void cifar_file_name(const void *source, size_t index, char name[DATASET_NAME_MAX])
{
	size_t record;
	const struct cifar_file *file = find_record(source, &record, index);

	snprintf(name, DATASET_NAME_MAX, "%s record %zu", file->name, record);
}

static enum nn_status cifar_read(const void *source, size_t index, struct image *image)
{
	uint8_t bytes[CIFAR_RECORD_MAX];
	size_t record;
	const struct cifar_file *file = find_record(source, &record, index);
	const uint8_t *planes = bytes + file->layout->label_at + 1;
	enum nn_status status = cifar_file_read(bytes, file, record);

	if (status == NN_OK)
		status = image_set_size(image, SIDE, SIDE);
	for (int i = 0; status == NN_OK && i < PLANE; i++)
		for (int c = 0; c < 3; c++)
			image->pixels[i * 3 + c] = planes[c * PLANE + i];
	return status;
}

static bool cifar_is_test(const void *source)
{
	return ((const struct cifar *)source)->split == SPLIT_VAL;
}

/* Any file of the split counts, so that a missing first one is reported as such. */
static bool has_files(const char *path, enum data_split split, const struct format *format)
{
	for (const char *const *name = format->files[split]; *name; name++)
		if (cifar_file_exists(path, *name))
			return true;
	return false;
}

static bool cifar10_has(const char *path, enum data_split split)
{
	return has_files(path, split, &cifar10);
}

static enum nn_status cifar10_classes(struct names *classes, const char *path, enum data_split split)
{
	(void)split;
	return cifar_class_names(classes, path, cifar10.class_names, cifar10.layout.classes);
}

static enum nn_status cifar10_open(void **source, const char *path, enum data_split split)
{
	return cifar_open(source, path, split, &cifar10);
}

static bool cifar100_has(const char *path, enum data_split split)
{
	return has_files(path, split, &cifar100);
}

static enum nn_status cifar100_classes(struct names *classes, const char *path, enum data_split split)
{
	(void)split;
	return cifar_class_names(classes, path, cifar100.class_names, cifar100.layout.classes);
}

static enum nn_status cifar100_open(void **source, const char *path, enum data_split split)
{
	return cifar_open(source, path, split, &cifar100);
}

const struct source_kind cifar10_kind = {
    .name = "CIFAR-10 files",
    .has = cifar10_has,
    .classes = cifar10_classes,
    .open = cifar10_open,
    .close = cifar_close,
    .count = cifar_count,
    .label = cifar_label,
    .file_name = cifar_file_name,
    .read = cifar_read,
    .is_test = cifar_is_test,
};

const struct source_kind cifar100_kind = {
    .name = "CIFAR-100 files",
    .has = cifar100_has,
    .classes = cifar100_classes,
    .open = cifar100_open,
    .close = cifar_close,
    .count = cifar_count,
    .label = cifar_label,
    .file_name = cifar_file_name,
    .read = cifar_read,
    .is_test = cifar_is_test,
};
