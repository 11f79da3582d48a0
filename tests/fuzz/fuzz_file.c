#define _GNU_SOURCE /* memfd_create */
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/targets.h"

int fuzz_file(char path[FUZZ_PATH], const uint8_t *bytes, size_t size)
{
	int file = memfd_create("fuzz", MFD_CLOEXEC);

	FUZZ_CHECK(file >= 0);
	FUZZ_CHECK(write(file, bytes, size) == (ssize_t)size);
	snprintf(path, FUZZ_PATH, "/proc/self/fd/%d", file);
	return file;
}
