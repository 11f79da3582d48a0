#include "trainer/data/cifar_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, LINE_BYTES = 256 };

bool cifar_file_exists(const char *path, const char *name)
{
	char full[PATH_BYTES];
	struct stat info;

	snprintf(full, sizeof(full), "%s/%s", path, name);
	return stat(full, &info) == 0 && S_ISREG(info.st_mode);
}

static enum nn_status map(struct cifar_file *file, int descriptor, const char *full, size_t record_bytes)
{
	struct stat info;
	void *bytes;

	if (fstat(descriptor, &info) != 0)
		return nn_error(NN_ERR_DATA, "%s: cannot read: %s; check the file system", full, strerror(errno));
	file->size = (size_t)info.st_size;
	file->records = file->size / record_bytes;
	if (file->size == 0 || file->size % record_bytes != 0)
		return nn_error(NN_ERR_DATA, "%s: %zu bytes are not a whole number of records of %zu bytes; copy the file again",
				full, file->size, record_bytes);
	bytes = mmap(NULL, file->size, PROT_READ, MAP_SHARED, descriptor, 0);
	if (bytes == MAP_FAILED)
		return nn_error(NN_ERR_DATA, "%s: cannot map: %s; check the file system", full, strerror(errno));
	file->bytes = bytes;
	return NN_OK;
}

enum nn_status cifar_file_open(struct cifar_file *file, const char *path, const char *name, size_t record_bytes)
{
	char full[PATH_BYTES];
	int descriptor;
	enum nn_status status;

	*file = (struct cifar_file){.name = name};
	snprintf(full, sizeof(full), "%s/%s", path, name);
	descriptor = open(full, O_RDONLY | O_CLOEXEC);
	if (descriptor < 0)
		return nn_error(NN_ERR_DATA, "%s: cannot open: %s; copy it there", full, strerror(errno));
	status = map(file, descriptor, full, record_bytes);
	close(descriptor);
	return status;
}

void cifar_file_close(struct cifar_file *file)
{
	if (file->bytes)
		munmap((void *)(uintptr_t)file->bytes, file->size);
	*file = (struct cifar_file){0};
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
	if (status == NN_OK && classes->count != (size_t)count)
		return nn_error(NN_ERR_DATA, "%s: %zu class names instead of %d; copy the file again or remove it", full,
				classes->count, count);
	return status;
}
