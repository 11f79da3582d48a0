#include "trainer/report/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum nn_status fail(const struct lines *lines, const char *what)
{
	return nn_error(NN_ERR_IO, "cannot %s %s: %s", what, lines->path, strerror(errno));
}

/* *end = the place after the last newline in the first `size` bytes; 0 when there is none. */
static int find_line_end(int64_t *end, int file, int64_t size)
{
	char block[4096];

	while (size > 0) {
		int64_t begin = size > (int64_t)sizeof(block) ? size - (int64_t)sizeof(block) : 0;
		ssize_t got = pread(file, block, (size_t)(size - begin), begin);

		if (got != size - begin)
			return -1;
		for (; size > begin; size--)
			if (block[size - begin - 1] == '\n') {
				*end = size;
				return 0;
			}
	}
	*end = 0;
	return 0;
}

/* Cuts the file back; a device or pipe has nothing to cut. */
static enum nn_status keep_lines(struct lines *lines, int64_t keep)
{
	struct stat about;

	if (fstat(lines->file, &about) != 0)
		return fail(lines, "look at");
	if (!S_ISREG(about.st_mode))
		return NN_OK;
	if (keep > about.st_size)
		keep = about.st_size;
	if (find_line_end(&lines->bytes, lines->file, keep) != 0)
		return fail(lines, "read");
	if (lines->bytes != about.st_size && ftruncate(lines->file, lines->bytes) != 0)
		return fail(lines, "cut back");
	return NN_OK;
}

enum nn_status lines_open(struct lines *lines, const char *path, int64_t keep)
{
	enum nn_status status;

	lines->bytes = 0;
	lines->waiting = NULL;
	lines->waiting_bytes = 0;
	snprintf(lines->path, sizeof(lines->path), "%s", path);
	lines->file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (lines->file < 0)
		return fail(lines, "open");
	status = keep_lines(lines, keep);
	if (status != NN_OK) {
		close(lines->file);
		lines->file = -1;
	}
	return status;
}

/* Appends whole or not at all. */
static enum nn_status append(struct lines *lines, const char *text, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t wrote = write(lines->file, text + done, bytes - done);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0) {
			enum nn_status status = fail(lines, "write to");

			if (done && ftruncate(lines->file, lines->bytes) != 0)
				return fail(lines, "take back a part of a line of");
			return status;
		}
		done += (size_t)wrote;
	}
	lines->bytes += (int64_t)bytes;
	return NN_OK;
}

static enum nn_status keep_waiting(struct lines *lines, const char *text, size_t bytes)
{
	char *more = realloc(lines->waiting, lines->waiting_bytes + bytes);

	if (!more)
		return nn_error(NN_ERR_MEMORY, "out of memory for the lines of %s that the disk does not take", lines->path);
	memcpy(more + lines->waiting_bytes, text, bytes);
	lines->waiting = more;
	lines->waiting_bytes += bytes;
	return NN_OK;
}

enum nn_status lines_append(struct lines *lines, const char *text, size_t bytes)
{
	enum nn_status status = lines_flush(lines);

	if (status == NN_OK)
		status = append(lines, text, bytes);
	if (status != NN_OK && keep_waiting(lines, text, bytes) != NN_OK)
		return NN_ERR_MEMORY;
	return status;
}

enum nn_status lines_flush(struct lines *lines)
{
	enum nn_status status = lines->waiting ? append(lines, lines->waiting, lines->waiting_bytes) : NN_OK;

	if (status == NN_OK) {
		free(lines->waiting);
		lines->waiting = NULL;
		lines->waiting_bytes = 0;
	}
	return status;
}

enum nn_status lines_sync(const struct lines *lines)
{
	/* EINVAL: a device or pipe, which cannot be synced. */
	if (fsync(lines->file) != 0 && errno != EINVAL)
		return fail(lines, "sync");
	return NN_OK;
}

enum nn_status lines_close(struct lines *lines)
{
	enum nn_status status;

	if (lines->file < 0)
		return NN_OK;
	status = lines_flush(lines);
	if (status == NN_OK)
		status = lines_sync(lines);
	if (close(lines->file) != 0 && status == NN_OK)
		status = fail(lines, "close");
	free(lines->waiting);
	lines->waiting = NULL;
	lines->file = -1;
	return status;
}
