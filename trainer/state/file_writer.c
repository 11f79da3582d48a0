#define _GNU_SOURCE /* sync_file_range */
#include "trainer/state/file_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "trainer/state/files.h"

enum nn_status file_writer_open(struct file_writer *writer, const char *path)
{
	enum nn_status status;

	writer->fd = -1;
	status = path_format(writer->path, sizeof(writer->path), "%s", path);
	if (status == NN_OK)
		status = path_format(writer->temporary, sizeof(writer->temporary), "%s.tmp", path);
	if (status != NN_OK)
		return status;
	writer->fd = open(writer->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return writer->fd < 0 ? file_failed("create", writer->temporary) : NN_OK;
}

/* Lets the disk work on what is written while the next piece is prepared; fsync then has less to wait for. Only a hint. */
static void begin_writeback(const struct file_writer *writer)
{
#ifdef __linux__
	sync_file_range(writer->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
#else
	(void)writer;
#endif
}

enum nn_status file_writer_write(struct file_writer *writer, const void *bytes, size_t size)
{
	const char *rest = bytes;

	while (size > 0) {
		ssize_t written = write(writer->fd, rest, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return file_failed("write", writer->path);
		rest += written;
		size -= (size_t)written;
	}
	begin_writeback(writer);
	return NN_OK;
}

enum nn_status file_writer_close(struct file_writer *writer)
{
	enum nn_status status = NN_OK;
	int fd = writer->fd;
	int failed;

	do
		failed = fsync(fd);
	while (failed && errno == EINTR);
	if (failed)
		status = file_failed("write", writer->path);
	writer->fd = -1;
	/* network file systems report a full disk here; after EINTR the descriptor is closed and the bytes are synced */
	if (close(fd) != 0 && errno != EINTR && status == NN_OK)
		status = file_failed("write", writer->path);
	if (status == NN_OK)
		status = file_rename(writer->temporary, writer->path);
	if (status != NN_OK)
		unlink(writer->temporary);
	return status;
}

void file_writer_abandon(struct file_writer *writer)
{
	if (writer->fd < 0)
		return;
	close(writer->fd);
	unlink(writer->temporary);
	writer->fd = -1;
}

enum nn_status file_write(const char *path, const void *bytes, size_t size)
{
	struct file_writer writer;
	enum nn_status status = file_writer_open(&writer, path);

	if (status == NN_OK)
		status = file_writer_write(&writer, bytes, size);
	if (status == NN_OK)
		status = file_writer_close(&writer);
	file_writer_abandon(&writer);
	return status;
}
