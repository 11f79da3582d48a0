#define _GNU_SOURCE /* syncfs */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trainer/data/packed.h"
#include "trainer/data/packed_write.h"
#include "trainer/state/files.h"

static enum nn_status make_folder(const char *path)
{
	return mkdir(path, 0777) == 0 || errno == EEXIST ? NN_OK : file_failed("create", path);
}

/* The folder of a file's class. Those without images, which a validation split may have, stay away: they would be refused. */
static enum nn_status make_class(char *path)
{
	char *slash = strrchr(path, '/');
	enum nn_status status;

	*slash = '\0';
	status = make_folder(path);
	*slash = '/';
	return status;
}

/* A file that is there already, from an image of the same name, is an error. */
static enum nn_status write_file(const char *path, const uint8_t *bytes, size_t size)
{
	int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	bool failed = false;

	if (file < 0)
		return file_failed("create", path);
	while (size > 0 && !failed) {
		ssize_t written = write(file, bytes, size);

		if (written > 0) {
			bytes += written;
			size -= (size_t)written;
		}
		failed = written < 0 && errno != EINTR;
	}
	if (close(file) != 0 || failed)
		return file_failed("write", path);
	return NN_OK;
}

/* The names were checked when the index was read: none leads out of its folder. */
static enum nn_status unpack_split(const char *part, const char *folder, const char *split)
{
	char path[PACKED_PATH], name[DATASET_NAME_MAX];
	struct packed packed;
	struct image image = {0};
	enum nn_status status = packed_open(&packed, folder, split);

	if (status == NN_OK)
		status = path_format(path, sizeof(path), "%s/%s", part, split);
	if (status == NN_OK)
		status = make_folder(path);
	for (size_t i = 0; status == NN_OK && i < packed_count(&packed); i++) {
		size_t size;

		status = packed_load(&image, &size, &packed, i);
		if (status != NN_OK)
			break;
		packed_file_name(&packed, i, name);
		status = path_format(path, sizeof(path), "%s/%s", part, name);
		if (status == NN_OK)
			status = make_class(path);
		if (status == NN_OK)
			status = write_file(path, image.encoded, size);
	}
	image_release(&image);
	packed_close(&packed);
	return status;
}

static enum nn_status sync_all(const char *part)
{
	int folder = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool failed = folder < 0 || syncfs(folder) != 0;

	if (folder >= 0)
		close(folder);
	return failed ? file_failed("write", part) : NN_OK;
}

enum nn_status packed_unpack(const char *out, const char *packed_folder)
{
	char part[PACKED_PATH];
	struct stat info;
	const char *splits[2] = {packed_split(packed_folder, SPLIT_TRAIN), packed_split(packed_folder, SPLIT_VAL)};
	enum nn_status status = path_format(part, sizeof(part), "%s.part", out);

	if (status == NN_OK && !splits[0] && !splits[1])
		status = nn_error(NN_ERR_DATA, "%s: no packed data set in this folder; check the path", packed_folder);
	if (status == NN_OK && lstat(out, &info) == 0)
		status = nn_error(NN_ERR_USAGE, "%s exists; choose another folder", out);
	if (status == NN_OK)
		status = folder_remove(part);
	if (status == NN_OK)
		status = folder_create(part);
	for (int i = 0; i < 2 && status == NN_OK; i++)
		if (splits[i])
			status = unpack_split(part, packed_folder, splits[i]);
	if (status == NN_OK)
		status = sync_all(part);
	return status == NN_OK ? file_rename(part, out) : status;
}
