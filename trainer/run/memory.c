#include <stdio.h>
#include <string.h>

#include "trainer/run/internal.h"

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

/* What the control group of a container or job still allows; version 2, then 1. */
static size_t group_available(void)
{
	size_t limit = read_number("/sys/fs/cgroup/memory.max"), used = read_number("/sys/fs/cgroup/memory.current");

	if (limit == SIZE_MAX) {
		limit = read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes");
		used = read_number("/sys/fs/cgroup/memory/memory.usage_in_bytes");
	}
	if (limit == SIZE_MAX || used == SIZE_MAX)
		return SIZE_MAX;
	return limit > used ? limit - used : 0;
}

size_t memory_available(void)
{
	size_t system = system_available(), group = group_available();

	return group < system ? group : system;
}
