#include "trainer/state/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/core/alloc.h"

enum nn_status file_failed(const char *verb, const char *path)
{
	int reason = errno;

	if (reason == ENOSPC || reason == EDQUOT)
		return nn_error(NN_ERR_IO, "cannot %s %s: %s; free some space, then start the same command again", verb, path,
				strerror(reason));
	return nn_error(NN_ERR_IO, "cannot %s %s: %s; check the path and its permissions, then start the same command again", verb,
			path, strerror(reason));
}

enum nn_status path_format(char *out, size_t size, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(out, size, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= size)
		return nn_error(NN_ERR_USAGE, "the path %.200s... is too long; use a shorter one", out);
	return NN_OK;
}

/* Reads up to `size` bytes; *got is less only at the end of the file. */
static enum nn_status read_fully(size_t *got, int fd, char *bytes, size_t size, const char *path)
{
	*got = 0;
	while (*got < size) {
		ssize_t step = read(fd, bytes + *got, size - *got);

		if (step < 0 && errno == EINTR)
			continue;
		if (step < 0)
			return file_failed("read", path);
		if (step == 0)
			break;
		*got += (size_t)step;
	}
	return NN_OK;
}

enum nn_status file_read(char **bytes, size_t *size, const char *path, size_t limit)
{
	enum nn_status status = NN_OK;
	struct stat info;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	*bytes = NULL;
	*size = 0;
	if (fd < 0)
		return file_failed("open", path);
	if (fstat(fd, &info) != 0)
		status = file_failed("read", path);
	else if (!S_ISREG(info.st_mode))
		status = nn_error(NN_ERR_IO, "cannot read %s: it is not a regular file; give the path of a file", path);
	else if ((unsigned long long)info.st_size > limit)
		status = nn_error(
		    NN_ERR_IO,
		    "cannot read %s: it has %lld bytes, more than the %zu such a file may have; check that it is the right one",
		    path, (long long)info.st_size, limit);
	if (status == NN_OK)
		status = nn_alloc(bytes, (size_t)info.st_size + 1);
	if (status == NN_OK)
		status = read_fully(size, fd, *bytes, (size_t)info.st_size, path);
	if (status != NN_OK) {
		nn_free(*bytes);
		*bytes = NULL;
	}
	close(fd);
	return status;
}

enum nn_status file_rename(const char *from, const char *to)
{
	if (rename(from, to) != 0)
		return file_failed("rename a file or folder to", to);
	return folder_sync_parent(to);
}

enum nn_status symlink_replace(const char *path, const char *target)
{
	char temporary[PATH_MAX];
	enum nn_status status = path_format(temporary, sizeof(temporary), "%s.tmp", path);

	if (status != NN_OK)
		return status;
	if (unlink(temporary) != 0 && errno != ENOENT)
		return file_failed("remove", temporary);
	if (symlink(target, temporary) != 0)
		return file_failed("make the symbolic link", temporary);
	if (rename(temporary, path) != 0) {
		status = file_failed("replace by a symbolic link", path);
		unlink(temporary);
		return status;
	}
	return folder_sync_parent(path);
}
