#include "trainer/run/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The number in a file that holds one, in bytes; SIZE_MAX when there is none ("max", no such file). */
static size_t read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long long value;
	size_t result = SIZE_MAX;

	if (!file)
		return SIZE_MAX;
	if (fscanf(file, "%llu", &value) == 1)
		result = (size_t)value;
	fclose(file);
	return result;
}

static size_t system_available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128];
	unsigned long long kib = 0;

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	fclose(file);
	return (size_t)kib * 1024;
}

/* Copies of files that the kernel gives back when memory is wanted; they count as used. `prefix` is that of the group with its
 * children. */
static size_t file_cache(const char *path, const char *prefix)
{
	FILE *file = fopen(path, "re");
	size_t length = strlen(prefix), bytes = 0;
	char line[128];
	unsigned long long value;

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, prefix, length) != 0)
			continue;
		if (sscanf(line + length, "inactive_file %llu", &value) == 1 ||
		    sscanf(line + length, "active_file %llu", &value) == 1)
			bytes += (size_t)value;
	}
	fclose(file);
	return bytes;
}

static size_t allowed_by(const char *root, const char *limit_file, const char *used_file, const char *stat_file, const char *prefix)
{
	char path[4096];
	size_t limit, used, cache;

	snprintf(path, sizeof(path), "%s/%s", root, limit_file);
	limit = read_number(path);
	snprintf(path, sizeof(path), "%s/%s", root, used_file);
	used = read_number(path);
	snprintf(path, sizeof(path), "%s/%s", root, stat_file);
	cache = file_cache(path, prefix);
	if (limit == SIZE_MAX || used == SIZE_MAX)
		return SIZE_MAX;
	used -= cache < used ? cache : used;
	return limit > used ? limit - used : 0;
}

size_t memory_group_available(const char *root)
{
	size_t second = allowed_by(root, "memory.max", "memory.current", "memory.stat", "");

	return second < SIZE_MAX ? second
				 : allowed_by(root, "memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes",
					      "memory/memory.stat", "total_");
}

size_t memory_available(void)
{
	size_t system = system_available(), group = memory_group_available("/sys/fs/cgroup");

	return group < system ? group : system;
}
