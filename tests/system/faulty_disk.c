/* A disk that fails or is slow, for disk.sh, hostile.sh and packed.sh: loaded with LD_PRELOAD, it stands before open, pread and fsync.
 *   FAULTY_EIO=TEXT     reading a file whose path holds TEXT fails with EIO
 *   FAULTY_EACCES=TEXT  opening one fails with EACCES
 *   FAULTY_SLOW=TEXT    reading or syncing one takes 20 ms longer, or FAULTY_MS */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int is_chosen(const char *variable, const char *path)
{
	const char *text = getenv(variable);

	return text && *text && strstr(path, text);
}

static void path_of(char *path, size_t size, int file)
{
	char link[64];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	length = readlink(link, path, size - 1);
	path[length < 0 ? 0 : length] = '\0';
}

static void be_late(const char *path)
{
	const char *text = getenv("FAULTY_MS");
	long milliseconds = text ? atol(text) : 20;
	const struct timespec late = {milliseconds / 1000, milliseconds % 1000 * 1000000};

	if (is_chosen("FAULTY_SLOW", path))
		nanosleep(&late, NULL);
}

int fsync(int file)
{
	int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	char path[4096];

	path_of(path, sizeof(path), file);
	be_late(path);
	return next(file);
}

ssize_t pread(int file, void *bytes, size_t size, off_t at)
{
	ssize_t (*next)(int, void *, size_t, off_t) = (ssize_t(*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread");
	char path[4096];

	path_of(path, sizeof(path), file);
	be_late(path);
	if (is_chosen("FAULTY_EIO", path)) {
		errno = EIO;
		return -1;
	}
	return next(file, bytes, size, at);
}

int open(const char *path, int flags, ...)
{
	int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	mode_t mode = 0;

	if (flags & O_CREAT) {
		va_list arguments;

		va_start(arguments, flags);
		mode = va_arg(arguments, mode_t);
		va_end(arguments);
	}
	if (is_chosen("FAULTY_EACCES", path)) {
		errno = EACCES;
		return -1;
	}
	return next(path, flags, mode);
}
