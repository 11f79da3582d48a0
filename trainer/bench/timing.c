#include "trainer/bench/timing.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

double timing_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int increasing(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double timing_median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), increasing);
	return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

size_t timing_peak_bytes(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (size_t)usage.ru_maxrss * 1024;
}
