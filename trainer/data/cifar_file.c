#include "trainer/data/cifar_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/core/alloc.h"

enum { PATH_BYTES = 4096, LINE_BYTES = 256, BLOCK_RECORDS = 128 };

bool cifar_file_exists(const char *path, const char *name)
{
	char full[PATH_BYTES];
	struct stat info;

	snprintf(full, sizeof(full), "%s/%s", path, name);
	return stat(full, &info) == 0 && S_ISREG(info.st_mode);
}

/* pread and not mmap: a file that shrinks or a disk that fails becomes an error, not a signal. */
static enum nn_status read_at(uint8_t *bytes, const struct cifar_file *file, size_t size, size_t at)
{
	while (size > 0) {
		ssize_t got = pread(file->descriptor, bytes, size, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return nn_error(NN_ERR_DATA, "%s: cannot read: %s; check the file system", file->path, strerror(errno));
		if (got == 0)
			return nn_error(NN_ERR_DATA, "%s: became shorter while it was read; leave the data alone during training",
					file->path);
		bytes += got;
		at += (size_t)got;
		size -= (size_t)got;
	}
	return NN_OK;
}

/* Reads many records at a time: the labels lie far apart. */
static enum nn_status load_labels(struct cifar_file *file, uint8_t *block)
{
	const struct cifar_layout *layout = file->layout;
	enum nn_status status = NN_OK;

	for (size_t first = 0; first < file->records && status == NN_OK; first += BLOCK_RECORDS) {
		size_t count = file->records - first < BLOCK_RECORDS ? file->records - first : BLOCK_RECORDS;

		status = read_at(block, file, count * layout->record_bytes, first * layout->record_bytes);
		for (size_t i = 0; i < count && status == NN_OK; i++) {
			file->labels[first + i] = block[i * layout->record_bytes + layout->label_at];
			if (file->labels[first + i] >= layout->classes)
				status =
				    nn_error(NN_ERR_DATA, "%s: label %d in record %zu (allowed: 0 to %d); damaged, copy it again",
					     file->path, file->labels[first + i], first + i, layout->classes - 1);
		}
	}
	return status;
}

static enum nn_status look_at(struct cifar_file *file)
{
	size_t record_bytes = file->layout->record_bytes;
	struct stat info;
	uint8_t *block = NULL;
	enum nn_status status;

	if (fstat(file->descriptor, &info) != 0)
		return nn_error(NN_ERR_DATA, "%s: cannot read: %s; check the file system", file->path, strerror(errno));
	file->records = (size_t)info.st_size / record_bytes;
	if (info.st_size == 0 || (size_t)info.st_size % record_bytes != 0)
		return nn_error(NN_ERR_DATA, "%s: %lld bytes are not a whole number of records of %zu bytes; copy the file again",
				file->path, (long long)info.st_size, record_bytes);
	status = nn_alloc(&file->labels, file->records);
	if (status == NN_OK)
		status = nn_alloc(&block, BLOCK_RECORDS * record_bytes);
	if (status == NN_OK)
		status = load_labels(file, block);
	nn_free(block);
	return status;
}

enum nn_status cifar_file_open(struct cifar_file *file, const char *path, const char *name, const struct cifar_layout *layout)
{
	size_t length = strlen(path) + strlen(name) + 2;
	enum nn_status status;

	*file = (struct cifar_file){.name = name, .layout = layout, .descriptor = -1};
	status = nn_alloc(&file->path, length);
	if (status != NN_OK)
		return status;
	snprintf(file->path, length, "%s/%s", path, name);
	file->descriptor = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file->descriptor < 0)
		return nn_error(NN_ERR_DATA, "%s: cannot open: %s; copy it there", file->path, strerror(errno));
	return look_at(file);
}

void cifar_file_close(struct cifar_file *file)
{
	if (file->descriptor >= 0)
		close(file->descriptor);
	nn_free(file->path);
	nn_free(file->labels);
	*file = (struct cifar_file){.descriptor = -1};
}

enum nn_status cifar_file_read(uint8_t bytes[CIFAR_RECORD_MAX], const struct cifar_file *file, size_t record)
{
	const struct cifar_layout *layout = file->layout;
	enum nn_status status = read_at(bytes, file, layout->record_bytes, record * layout->record_bytes);

	if (status == NN_OK && bytes[layout->label_at] != file->labels[record])
		return nn_error(NN_ERR_DATA,
				"%s: record %zu had the label %d at the start and has %d now; leave the data alone during training",
				file->path, record, file->labels[record], bytes[layout->label_at]);
	return status;
}

static enum nn_status number_classes(struct names *classes, int count)
{
	enum nn_status status = NN_OK;
	char number[16];

	for (int i = 0; status == NN_OK && i < count; i++) {
		snprintf(number, sizeof(number), "%d", i);
		status = names_add(classes, number);
	}
	return status;
}

/* Two classes of one name would become one. */
static enum nn_status check_names(const struct names *classes, const char *full, int count)
{
	if (classes->count != (size_t)count)
		return nn_error(NN_ERR_DATA, "%s: %zu class names instead of %d; copy the file again or remove it", full,
				classes->count, count);
	for (size_t i = 0; i < classes->count; i++)
		if (names_find(classes, names_get(classes, i)) != (long)i)
			return nn_error(NN_ERR_DATA, "%s: two classes are called %s; copy the file again or remove it", full,
					names_get(classes, i));
	return NN_OK;
}

enum nn_status cifar_class_names(struct names *classes, const char *path, const char *name, int count)
{
	char full[PATH_BYTES];
	char line[LINE_BYTES];
	FILE *file;
	enum nn_status status = NN_OK;

	if (!cifar_file_exists(path, name))
		return number_classes(classes, count);
	snprintf(full, sizeof(full), "%s/%s", path, name);
	file = fopen(full, "re");
	if (!file)
		return nn_error(NN_ERR_DATA, "%s: cannot open: %s; check its rights", full, strerror(errno));
	while (status == NN_OK && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\r\n")] = 0;
		if (line[0])
			status = names_add(classes, line);
	}
	fclose(file);
	return status == NN_OK ? check_names(classes, full, count) : status;
}
