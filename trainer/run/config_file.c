#include "trainer/run/config_file.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "trainer/run/option_value.h"

enum { PREFIX_MAX = OPTION_TEXT_MAX + 32 };

/* A file while inih reads it, a line at a time, through next_line. */
struct reading {
	struct options *options;
	FILE *stream;
	const char *path;
	enum option_source source;
	int line;
	bool indented;
	const struct option_spec *last; /* set by the lines before; an indented line continues its value */
	bool seen[OPTION_MAX];
	enum nn_status status; /* of the first line that failed */
};

/* inih would cut a longer line in two and take the rest for another line. */
static char *next_line(char *text, int size, void *context)
{
	struct reading *reading = context;

	if (reading->status != NN_OK || !fgets(text, size, reading->stream))
		return NULL;
	reading->line++;
	reading->indented = text[0] == ' ' || text[0] == '\t';
	if (!strchr(text, '\n') && !feof(reading->stream)) {
		reading->status =
		    nn_error(NN_ERR_USAGE,
			     "%s:%d: the line has more than %d bytes; a path may go on in indented lines, each with a part of it",
			     reading->path, reading->line, size - 2);
		return NULL;
	}
	return text;
}

/* Adds an indented line to the text of the line before. */
static enum nn_status continue_value(struct reading *reading, const struct option_spec *spec, const char *more, const char *prefix)
{
	char text[2 * OPTION_VALUE_MAX];
	size_t length;

	if (spec->kind != OPTION_PATH && spec->kind != OPTION_NAMES)
		return nn_error(NN_ERR_USAGE, "%s%s: the value cannot go on in an indented line; remove the blanks before '%s'",
				prefix, spec->name, more);
	option_write(text, reading->options, spec);
	length = strlen(text);
	snprintf(text + length, sizeof(text) - length, "%s", more);
	return option_read(reading->options, spec, text, prefix);
}

static enum nn_status refuse_name(const char *name, const char *prefix)
{
	const char *near = option_suggest(name, strlen(name));

	if (near)
		return nn_error(NN_ERR_USAGE, "%sunknown option '%s'; did you mean %s?", prefix, name, near);
	return nn_error(NN_ERR_USAGE, "%sunknown option '%s'; resnet-train --help names all", prefix, name);
}

static enum nn_status take_line(struct reading *reading, const char *section, const char *name, const char *value)
{
	const struct option_spec *spec = option_find(name, strlen(name));
	bool continues = reading->indented && reading->last && reading->last == spec;
	char prefix[PREFIX_MAX];
	int row;

	snprintf(prefix, sizeof(prefix), "%s:%d: ", reading->path, reading->line);
	if (*section && strcmp(section, "train") != 0)
		return nn_error(NN_ERR_USAGE, "%ssection [%s]: only [train] has a meaning", prefix, section);
	if (!spec || spec->command_only)
		return refuse_name(name, prefix);
	row = (int)(spec - option_table);
	if (reading->seen[row] && !continues)
		return nn_error(NN_ERR_USAGE, "%s%s stands in the file twice", prefix, name);
	reading->seen[row] = true;
	reading->last = spec;
	if (option_source(reading->options, spec) > reading->source)
		return NN_OK;
	reading->options->source[row] = (unsigned char)reading->source;
	return continues ? continue_value(reading, spec, value, prefix) : option_read(reading->options, spec, value, prefix);
}

static int handle(void *context, const char *section, const char *name, const char *value)
{
	struct reading *reading = context;

	if (reading->status == NN_OK)
		reading->status = take_line(reading, section, name, value);
	return reading->status == NN_OK;
}

enum nn_status options_read_ini(struct options *options, const char *path, enum option_source source)
{
	struct reading reading = {.options = options, .path = path, .source = source, .stream = fopen(path, "re")};
	int bad_line, read_error;

	if (!reading.stream)
		return nn_error(NN_ERR_USAGE, "cannot open %s: %s", path, strerror(errno));
	errno = 0;
	bad_line = ini_parse_stream(next_line, &reading, handle, &reading);
	read_error = ferror(reading.stream) ? errno : 0;
	fclose(reading.stream);
	if (read_error)
		return nn_error(NN_ERR_USAGE, "cannot read %s: %s", path, strerror(read_error));
	if (bad_line > 0 && reading.status == NN_OK)
		return nn_error(NN_ERR_USAGE, "%s:%d: must be a line like `lr = 0.1`, [train], or a comment after ;", path,
				bad_line);
	return reading.status;
}

static void write_option(FILE *stream, const struct options *options, const struct option_spec *spec)
{
	char text[OPTION_VALUE_MAX];
	const char *at = text;

	option_write(text, options, spec);
	fprintf(stream, *text ? "%s = %.*s\n" : "%s =%.*s\n", spec->name, (int)option_line(at), at);
	for (at += option_line(at); *at; at += option_line(at))
		fprintf(stream, "\t%.*s\n", (int)option_line(at), at);
}

static void write_options(FILE *stream, const struct options *options)
{
	const char *heading = NULL;

	fprintf(stream, "; Written by resnet-train %s. `resnet-train --config` with this file trains the same again.\n[train]\n",
		RESNET_VERSION);
	for (int i = 0; i < option_count; i++) {
		const struct option_spec *spec = &option_table[i];

		if (spec->command_only)
			continue;
		if (spec->heading != heading)
			fprintf(stream, "\n; %s\n", spec->heading);
		heading = spec->heading;
		write_option(stream, options, spec);
	}
}

enum nn_status options_write_ini(const struct options *options, const char *path)
{
	char part[OPTION_TEXT_MAX + 64];
	FILE *stream;
	bool written;

	if (snprintf(part, sizeof(part), "%s.part", path) >= (int)sizeof(part))
		return nn_error(NN_ERR_IO, "cannot write %.80s...: the path is too long", path);
	stream = fopen(part, "we");
	if (!stream)
		return nn_error(NN_ERR_IO, "cannot create %s: %s", part, strerror(errno));
	write_options(stream, options);
	written = fflush(stream) == 0 && fsync(fileno(stream)) == 0;
	if (fclose(stream) != 0 || !written || rename(part, path) != 0) {
		enum nn_status status = nn_error(NN_ERR_IO, "cannot write %s: %s", path, strerror(errno));

		unlink(part);
		return status;
	}
	return NN_OK;
}
