#define _GNU_SOURCE /* syncfs */
#include "trainer/data/folder_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trainer/state/files.h"

static enum nn_status make_folder(const char *path)
{
	return mkdir(path, 0777) == 0 || errno == EEXIST ? NN_OK : file_failed("create", path);
}

/* path = the file's, whose folders are made. Classes without images, which a validation split may have, get none: they would be
 * refused. */
static enum nn_status make_place(char path[FOLDER_WRITER_PATH], struct folder_writer *writer, const char *name)
{
	char *last;
	enum nn_status status = path_format(path, FOLDER_WRITER_PATH, "%s/%s", writer->part, name);

	if (status != NN_OK)
		return status;
	last = strrchr(path, '/');
	*last = '\0';
	if (strcmp(path, writer->class_folder) != 0) {
		char *split = strrchr(path, '/');

		*split = '\0';
		status = make_folder(path);
		*split = '/';
		if (status == NN_OK)
			status = make_folder(path);
		memcpy(writer->class_folder, path, strlen(path) + 1);
	}
	*last = '/';
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

enum nn_status folder_writer_begin(struct folder_writer *writer, const char *out)
{
	struct stat info;
	enum nn_status status;

	*writer = (struct folder_writer){.out = out};
	status = path_format(writer->part, sizeof(writer->part), "%s.part", out);
	if (status == NN_OK && lstat(out, &info) == 0)
		status = nn_error(NN_ERR_USAGE, "%s exists; choose another folder", out);
	if (status == NN_OK)
		status = folder_remove(writer->part);
	return status == NN_OK ? folder_create(writer->part) : status;
}

enum nn_status folder_writer_add(struct folder_writer *writer, const char *name, const uint8_t *bytes, size_t size)
{
	char path[FOLDER_WRITER_PATH];
	enum nn_status status = make_place(path, writer, name);

	return status == NN_OK ? write_file(path, bytes, size) : status;
}

enum nn_status folder_writer_link(bool *linked, struct folder_writer *writer, const char *name, const char *from)
{
	char path[FOLDER_WRITER_PATH];
	size_t size;
	enum nn_status status = make_place(path, writer, name);

	*linked = false;
	if (status != NN_OK)
		return status;
	*linked = linkat(AT_FDCWD, from, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0;
	if (*linked)
		return NN_OK;
	/* another file system, one without links, a file of someone else, or a file with all the links that it can have */
	if (errno != EXDEV && errno != EPERM && errno != EOPNOTSUPP && errno != EMLINK)
		return file_failed("link", path);
	status = image_load_file(&writer->buffer, &size, from);
	return status == NN_OK ? write_file(path, writer->buffer.encoded, size) : status;
}

enum nn_status folder_writer_end(struct folder_writer *writer)
{
	int folder = open(writer->part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool failed = folder < 0 || syncfs(folder) != 0;

	if (folder >= 0)
		close(folder);
	return failed ? file_failed("write", writer->part) : file_rename(writer->part, writer->out);
}

void folder_writer_release(struct folder_writer *writer)
{
	image_release(&writer->buffer);
}
