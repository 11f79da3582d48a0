#include "trainer/report/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LINE_MAX_BYTES = 2048, STAMP_MAX = 32 };

/* Coordinated universal time, since a run may go on in another place. Returns the stamp's length. */
static size_t write_stamp(char stamp[STAMP_MAX])
{
	struct timespec now;
	struct tm parts;
	size_t length;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	length = strftime(stamp, STAMP_MAX, "%Y-%m-%dT%H:%M:%S", &parts);
	return length + (size_t)snprintf(stamp + length, STAMP_MAX - length, ".%03dZ ", (int)(now.tv_nsec / 1000000));
}

enum nn_status log_open(struct run_log *run_log, const char *path)
{
	return lines_open(&run_log->lines, path, INT64_MAX);
}

enum nn_status log_line(struct run_log *run_log, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	size_t begin;
	va_list arguments;

	if (run_log->lines.file < 0)
		return NN_OK;
	begin = write_stamp(line);
	va_start(arguments, format);
	vsnprintf(line + begin, sizeof(line) - begin - 1, format, arguments);
	va_end(arguments);
	for (char *at = line; *at; at++)
		if (*at == '\n' || *at == '\r')
			*at = ' ';
	begin = strlen(line);
	line[begin] = '\n';
	return lines_append(&run_log->lines, line, begin + 1);
}

enum nn_status log_close(struct run_log *run_log)
{
	return lines_close(&run_log->lines);
}
