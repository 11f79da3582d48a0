#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "trainer/state/files.h"

bool folder_exists(const char *path)
{
	struct stat info;

	return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

enum nn_status folder_create(const char *path)
{
	if (mkdir(path, 0777) == 0)
		return folder_sync_parent(path);
	if (errno == EEXIST && folder_exists(path))
		return NN_OK;
	if (errno == EEXIST)
		return nn_error(NN_ERR_IO, "%s is a file where a folder is needed; name another folder", path);
	return file_failed("make the folder", path);
}

enum nn_status folder_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int failed;

	if (fd < 0)
		return file_failed("open the folder", path);
	do
		failed = fsync(fd);
	while (failed && errno == EINTR);
	/* EINVAL, ENOTSUP: the file system orders its names by itself */
	if (failed && (errno == EINVAL || errno == ENOTSUP))
		failed = 0;
	if (failed) {
		enum nn_status status = file_failed("sync the folder", path);

		close(fd);
		return status;
	}
	close(fd);
	return NN_OK;
}

enum nn_status folder_check_room(const char *path, size_t bytes)
{
	struct statvfs info;
	unsigned long long room;

	if (statvfs(path, &info) != 0)
		return file_failed("look at the disk of", path);
	room = (unsigned long long)info.f_bavail * info.f_frsize;
	if (info.f_blocks == 0 || room >= bytes)
		return NN_OK;
	return nn_error(NN_ERR_IO,
			"the disk of %s has %llu KiB free and a checkpoint takes %zu KiB; free some space or name another "
			"folder, then start the same command again",
			path, room >> 10, bytes >> 10);
}

enum nn_status folder_sync_parent(const char *path)
{
	char parent[PATH_MAX];
	enum nn_status status = path_format(parent, sizeof(parent), "%s", path);
	char *slash;

	if (status != NN_OK)
		return status;
	for (size_t end = strlen(parent); end > 1 && parent[end - 1] == '/'; end--)
		parent[end - 1] = '\0';
	slash = strrchr(parent, '/');
	if (!slash)
		return folder_sync(".");
	slash[slash == parent] = '\0';
	return folder_sync(parent);
}

/* Removes what is in the folder; carries on after a failure and returns the first one. */
static enum nn_status folder_empty(const char *path)
{
	enum nn_status status = NN_OK;
	DIR *folder = opendir(path);
	const struct dirent *item;

	if (!folder)
		return file_failed("open the folder", path);
	while ((item = readdir(folder))) {
		char inside[PATH_MAX];
		enum nn_status one;

		if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0)
			continue;
		one = path_format(inside, sizeof(inside), "%s/%s", path, item->d_name);
		if (one == NN_OK)
			one = folder_remove(inside);
		if (status == NN_OK)
			status = one;
	}
	closedir(folder);
	return status;
}

enum nn_status folder_remove(const char *path)
{
	struct stat info;
	enum nn_status status;

	if (lstat(path, &info) != 0)
		return errno == ENOENT ? NN_OK : file_failed("remove", path);
	if (!S_ISDIR(info.st_mode))
		return unlink(path) == 0 || errno == ENOENT ? NN_OK : file_failed("remove", path);
	status = folder_empty(path);
	if (status == NN_OK && rmdir(path) != 0 && errno != ENOENT)
		status = file_failed("remove the folder", path);
	return status;
}
