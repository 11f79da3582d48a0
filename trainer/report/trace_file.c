#include "trainer/report/trace_file.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

enum { EVENT_BYTES = 512 }; /* more than any event's line */

enum nn_status trace_file_check(const char *path)
{
	struct file_writer writer;
	struct stat about;
	enum nn_status status;

	if (stat(path, &about) == 0 && !S_ISREG(about.st_mode))
		return nn_error(NN_ERR_IO, "cannot write %s: it is no file; give --trace the name of a new file", path);
	status = file_writer_open(&writer, path);
	file_writer_abandon(&writer);
	return status;
}

static enum nn_status flush(struct trace_file *file)
{
	enum nn_status status = file_writer_write(&file->writer, file->buffer, file->used);

	file->used = 0;
	return status;
}

/* Events stand on lines of their own, with commas in between. */
static enum nn_status add(struct trace_file *file, const char *format, ...) __attribute__((format(printf, 2, 3)));
static enum nn_status add(struct trace_file *file, const char *format, ...)
{
	enum nn_status status = sizeof(file->buffer) - file->used < EVENT_BYTES ? flush(file) : NN_OK;
	va_list arguments;
	int length;

	if (status != NN_OK)
		return status;
	memcpy(file->buffer + file->used, file->begun ? ",\n" : "\n", 2);
	file->used += file->begun ? 2 : 1;
	file->begun = true;
	va_start(arguments, format);
	length = vsnprintf(file->buffer + file->used, EVENT_BYTES - 2, format, arguments);
	va_end(arguments);
	if (length < 0 || length >= EVENT_BYTES - 2)
		return nn_error(NN_ERR_IO, "%s: an event is too long", file->writer.path);
	file->used += (size_t)length;
	return NN_OK;
}

enum nn_status trace_file_open(struct trace_file *file, const char *path)
{
	static const char head[] = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[";

	file->begun = false;
	file->used = sizeof(head) - 1;
	memcpy(file->buffer, head, file->used);
	return file_writer_open(&file->writer, path);
}

/* text = "rank R on HOST" as JSON, with its quotes; a host's name that is not UTF-8 is left out. */
static void name_process(char *text, size_t size, int rank, const char *host)
{
	char plain[128];
	json_t *name;
	size_t length = 0;

	snprintf(plain, sizeof(plain), "rank %d on %s", rank, host);
	name = json_string(plain);
	if (name)
		length = json_dumpb(name, text, size - 1, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
	json_decref(name);
	if (length > 0 && length < size)
		text[length] = '\0';
	else
		snprintf(text, size, "\"rank %d\"", rank);
}

enum nn_status trace_file_rank(struct trace_file *file, int rank, const char *host)
{
	char name[400];
	enum nn_status status;

	name_process(name, sizeof(name), rank, host);
	status = add(file, "{\"ph\":\"M\",\"pid\":%d,\"tid\":0,\"name\":\"process_name\",\"args\":{\"name\":%s}}", rank, name);
	if (status == NN_OK)
		status =
		    add(file, "{\"ph\":\"M\",\"pid\":%d,\"tid\":0,\"name\":\"process_sort_index\",\"args\":{\"sort_index\":%d}}",
			rank, rank);
	for (int t = 0; t < TRACE_TRACKS && status == NN_OK; t++)
		status = add(file, "{\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"name\":\"thread_name\",\"args\":{\"name\":\"%s\"}}", rank,
			     t, trace_track_name((enum trace_track)t));
	return status;
}

static enum nn_status add_event(struct trace_file *file, int rank, enum trace_track track, const struct trace_event *event,
				double origin)
{
	const char *value = trace_value_name((enum trace_kind)event->kind);
	double begin = (event->begin - origin) * 1e6, length = (event->end - event->begin) * 1e6;
	char arguments[96] = "";

	if (value)
		snprintf(arguments, sizeof(arguments), ",\"args\":{\"%s\":%" PRId64 "}", value, event->value);
	return add(file, "{\"ph\":\"X\",\"pid\":%d,\"tid\":%d,\"name\":\"%s\",\"ts\":%.3f,\"dur\":%.3f%s}", rank, (int)track,
		   trace_kind_name((enum trace_kind)event->kind), begin, length, arguments);
}

enum nn_status trace_file_events(struct trace_file *file, int rank, enum trace_track track, const struct trace_event *events,
				 size_t count, double origin)
{
	enum nn_status status = NN_OK;

	for (size_t i = 0; i < count && status == NN_OK; i++)
		status = add_event(file, rank, track, &events[i], origin);
	return status;
}

enum nn_status trace_file_close(struct trace_file *file, enum nn_status status)
{
	static const char tail[] = "\n]}\n";

	if (status == NN_OK)
		status = flush(file);
	if (status == NN_OK)
		status = file_writer_write(&file->writer, tail, sizeof(tail) - 1);
	if (status == NN_OK)
		status = file_writer_close(&file->writer);
	file_writer_abandon(&file->writer);
	return status;
}
