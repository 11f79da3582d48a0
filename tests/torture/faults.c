/* All by syscall(): the library's own functions are hidden by these. The *at calls, because arm64 has no others. */
#include "tests/torture/faults.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NAMES = 4096 };

static struct fault_plan active;
static atomic_bool counting;
static atomic_long matched;
static const char *names[NAMES];
static int log_fd = -1;
static bool skip_fsync;

void faults_begin(struct fault_plan plan)
{
	active = plan;
	matched = 0;
	counting = true;
}

long faults_end(void)
{
	counting = false;
	if (log_fd >= 0)
		syscall(SYS_close, log_fd);
	log_fd = -1;
	return matched;
}

const char *faults_call(long nth)
{
	return nth >= 1 && nth <= NAMES && nth <= matched ? names[nth - 1] : "";
}

bool faults_log(const char *path)
{
	log_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return log_fd >= 0;
}

void faults_skip_fsync(bool skip)
{
	skip_fsync = skip;
}

/* faults.so takes its plan from the environment; a program that links this file has none there. */
__attribute__((constructor)) static void plan_from_environment(void)
{
	const char *error = getenv("FAULTS_ERRNO"), *first = getenv("FAULTS_FIRST"), *last = getenv("FAULTS_LAST");

	if (error || getenv("FAULTS_KILL"))
		faults_begin((struct fault_plan){.kind = error ? FAULT_ERROR : FAULT_KILL,
						 .error = error ? atoi(error) : 0,
						 .first = first ? atol(first) : 1,
						 .last = last ? atol(last) : LONG_MAX,
						 .call = getenv("FAULTS_CALL"),
						 .path = getenv("FAULTS_PATH")});
}

static bool path_matches(const char *path, int fd)
{
	char link[64], target[PATH_MAX];
	long length;

	if (!active.path)
		return true;
	if (path)
		return strstr(path, active.path) != NULL;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = syscall(SYS_readlinkat, AT_FDCWD, link, target, sizeof(target) - 1);
	target[length < 0 ? 0 : length] = '\0';
	return strstr(target, active.path) != NULL;
}

/* Counts a call with this path or descriptor; true when the plan has a fault for it. */
static bool strikes(const char *call, const char *path, int fd)
{
	long nth;

	if (!counting || (active.call && strcmp(active.call, call) != 0) || !path_matches(path, fd))
		return false;
	nth = ++matched;
	if (nth <= NAMES)
		names[nth - 1] = call;
	if (nth < active.first || nth > active.last)
		return false;
	if (active.kind == FAULT_KILL)
		kill(getpid(), SIGKILL);
	return active.kind != FAULT_NONE;
}

static bool fails(const char *call, const char *path, int fd)
{
	if (!strikes(call, path, fd) || active.kind != FAULT_ERROR)
		return false;
	errno = active.error;
	return true;
}

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
	char line[2 * PATH_MAX + 64];
	va_list arguments;
	int length;

	if (log_fd < 0)
		return;
	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	syscall(SYS_write, log_fd, line, (size_t)length);
}

static void note_bytes(int fd, const unsigned char *bytes, long count)
{
	note("write\t%d\t", fd);
	for (long i = 0; i < count; i++)
		note("%02x", bytes[i]);
	note("\n");
}

int open(const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;
	int fd;

	va_start(arguments, flags);
	mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	if (fails("open", path, -1))
		return -1;
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	if (fd >= 0)
		note("%s\t%d\t%s\n", flags & O_CREAT ? "create" : "open", fd, path);
	return fd;
}

ssize_t write(int fd, const void *bytes, size_t size)
{
	bool strikes_now = strikes("write", NULL, fd);
	long written;

	if (strikes_now && active.kind == FAULT_ERROR) {
		errno = active.error;
		return -1;
	}
	written = syscall(SYS_write, fd, bytes, strikes_now && active.kind == FAULT_SHORT ? (size + 1) / 2 : size);
	if (written >= 0 && log_fd >= 0)
		note_bytes(fd, bytes, written);
	return written;
}

int fsync(int fd)
{
	if (fails("fsync", NULL, fd))
		return -1;
	if (!skip_fsync && syscall(SYS_fsync, fd) != 0)
		return -1;
	note("fsync\t%d\n", fd);
	return 0;
}

int close(int fd)
{
	bool fault = fails("close", NULL, fd);
	int result = (int)syscall(SYS_close, fd);

	note("close\t%d\n", fd);
	if (!fault)
		return result;
	errno = active.error;
	return -1;
}

int ftruncate(int fd, off_t length)
{
	if (fails("ftruncate", NULL, fd) || syscall(SYS_ftruncate, fd, length) != 0)
		return -1;
	note("ftruncate\t%d\t%lld\n", fd, (long long)length);
	return 0;
}

int rename(const char *from, const char *to)
{
	if (fails("rename", to, -1) || syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0) != 0)
		return -1;
	note("rename\t%s\t%s\n", from, to);
	return 0;
}

int mkdir(const char *path, mode_t mode)
{
	if (fails("mkdir", path, -1) || syscall(SYS_mkdirat, AT_FDCWD, path, mode) != 0)
		return -1;
	note("mkdir\t%s\n", path);
	return 0;
}

int symlink(const char *target, const char *path)
{
	if (fails("symlink", path, -1) || syscall(SYS_symlinkat, target, AT_FDCWD, path) != 0)
		return -1;
	note("symlink\t%s\t%s\n", target, path);
	return 0;
}

int unlink(const char *path)
{
	if (fails("unlink", path, -1) || syscall(SYS_unlinkat, AT_FDCWD, path, 0) != 0)
		return -1;
	note("unlink\t%s\n", path);
	return 0;
}

int rmdir(const char *path)
{
	if (fails("rmdir", path, -1) || syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR) != 0)
		return -1;
	note("rmdir\t%s\n", path);
	return 0;
}
