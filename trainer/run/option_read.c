#include "trainer/run/option_value.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FACTORS = 4 };

/* A text that is to become a value, and how messages call it. */
struct input {
	const struct option_spec *spec;
	const char *text;
	const char *prefix;
};

__attribute__((format(printf, 2, 3))) static enum nn_status refuse(const struct input *input, const char *format, ...)
{
	char reason[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	return nn_error(NN_ERR_USAGE, "%s%s %.200s: %s", input->prefix, input->spec->name, input->text, reason);
}

static int find_word(const char *const *words, const char *text)
{
	for (int i = 0; words && words[i]; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	return -1;
}

static enum nn_status refuse_word(const struct input *input)
{
	char list[400] = "";
	size_t used = 0;

	for (int i = 0; input->spec->words[i] && used < sizeof(list); i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", input->spec->words[i]);
	return refuse(input, "must be one of %s", list);
}

static enum nn_status check_range(const struct input *input, double value)
{
	if (value < input->spec->min)
		return refuse(input, "must be at least %.10g", input->spec->min);
	if (value > input->spec->max)
		return refuse(input, "must be at most %.10g", input->spec->max);
	return NN_OK;
}

static enum nn_status read_int(int *value, const struct input *input)
{
	const char *text = input->text;
	int word = find_word(input->spec->words, text);
	char *end;
	long long number;
	enum nn_status status;

	if (word >= 0) {
		*value = -1 - word;
		return NN_OK;
	}
	number = strtoll(text, &end, 10);
	if (end == text || *end || strspn(text, "+-0123456789") != strlen(text))
		return input->spec->words ? refuse(input, "must be a whole number or %s", input->spec->words[0])
					  : refuse(input, "must be a whole number");
	status = check_range(input, (double)number);
	if (status == NN_OK)
		*value = (int)number;
	return status;
}

static enum nn_status read_seed(uint64_t *value, const struct input *input)
{
	const char *text = input->text;
	unsigned long long number;

	if (strspn(text, "0123456789") != strlen(text))
		return refuse(input, "must be a whole number, 0 or more");
	errno = 0;
	number = strtoull(text, NULL, 10);
	if (errno)
		return refuse(input, "must be at most 18446744073709551615");
	*value = number;
	return NN_OK;
}

/* Reads the number at `text`, which ends before `stop`: ',' or the end. Hexadecimal, nan and inf are no numbers here. */
static enum nn_status read_real(double *value, const struct input *input, const char *text, const char *stop)
{
	char *end;
	double number;
	enum nn_status status;

	errno = 0;
	number = strtod(text, &end);
	if (end == text || end != stop || strspn(text, "+-.0123456789eE") < (size_t)(stop - text))
		return refuse(input, "must be a number");
	if (errno == ERANGE)
		return refuse(input, "is out of the range of numbers");
	status = check_range(input, number);
	if (status == NN_OK)
		*value = number;
	return status;
}

static enum nn_status read_reals(struct option_list *list, const struct input *input)
{
	bool increasing = input->spec->kind == OPTION_REALS;
	struct option_list read = {0};
	const char *at = input->text;

	for (;;) {
		const char *stop = at + strcspn(at, ",");
		enum nn_status status;

		if (read.count == OPTION_LIST_MAX)
			return refuse(input, "must be at most %d numbers", OPTION_LIST_MAX);
		status = read_real(&read.values[read.count], input, at, stop);
		if (status != NN_OK)
			return status;
		if (increasing && read.count && read.values[read.count] <= read.values[read.count - 1])
			return refuse(input, "must increase from number to number");
		read.count++;
		if (!*stop)
			break;
		at = stop + 1;
	}
	if (input->spec->kind == OPTION_FACTORS && read.count != FACTORS)
		return refuse(input, "must be %d numbers", FACTORS);
	*list = read;
	return NN_OK;
}

static enum nn_status read_switch(bool *value, const struct input *input)
{
	bool on = strcmp(input->text, "on") == 0;

	if (!on && strcmp(input->text, "off") != 0)
		return refuse(input, "must be on or off");
	*value = on;
	return NN_OK;
}

static enum nn_status check_names(const struct input *input)
{
	for (const char *at = input->text; *at;) {
		size_t length = strcspn(at, ",");
		const struct option_spec *spec = option_find(at, length);
		const char *near = option_suggest(at, length);

		if (!spec && near)
			return refuse(input, "no option is called '%.*s'; did you mean %s?", (int)length, at, near);
		if (!spec)
			return refuse(input, "no option is called '%.*s'", (int)length, at);
		if (strcmp(spec->name, "arch") == 0)
			return refuse(input, "a run keeps its %s; --init-from takes the weights of a run into another", spec->name);
		/* the images that --data leads to are part of the mathematics, where they lie is not */
		if (spec->class != OPTION_MATHEMATICS && strcmp(spec->name, "data") != 0)
			return refuse(input, "%s may change without being named here", spec->name);
		at += length + (at[length] == ',');
	}
	return NN_OK;
}

/* Text goes into config.ini and must come back from there as it was. */
static enum nn_status read_text(char *value, const struct input *input)
{
	const char *text = input->text;
	size_t length = strlen(text);

	if (length >= input->spec->bytes)
		return refuse(input, "must be shorter than %zu bytes", input->spec->bytes);
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < ' ')
			return refuse(input, "must not have line breaks, tabs or other control characters");
	if (length && (strchr(" ;#", text[0]) || text[length - 1] == ' ' || strstr(text, " ;")))
		return refuse(input, "must not begin with ; or #, begin or end with a blank, or have a blank before a ;");
	for (const char *at = text; *at; at += option_line(at))
		if (option_line(at) == 0)
			return refuse(input, "cannot be written to an INI file: too many ; or # in a row");
	memmove(value, text, length + 1);
	return NN_OK;
}

enum nn_status option_read(struct options *options, const struct option_spec *spec, const char *text, const char *prefix)
{
	struct input input = {spec, text, prefix};
	void *field = option_field(options, spec);
	enum nn_status status = NN_OK;
	int word;

	if (!*text && spec->kind != OPTION_PATH && spec->kind != OPTION_NAMES)
		return nn_error(NN_ERR_USAGE, "%s%s: a value is missing (%s)", prefix, spec->name, spec->argument);
	switch (spec->kind) {
	case OPTION_INT:
		return read_int(field, &input);
	case OPTION_SEED:
		return read_seed(field, &input);
	case OPTION_REAL:
		return read_real(field, &input, text, text + strlen(text));
	case OPTION_REALS:
	case OPTION_FACTORS:
		return read_reals(field, &input);
	case OPTION_SWITCH:
		return read_switch(field, &input);
	case OPTION_WORD:
	case OPTION_NAME:
		word = find_word(spec->words, text);
		if (word < 0)
			return refuse_word(&input);
		if (spec->kind == OPTION_NAME)
			return read_text(field, &input);
		*(int *)field = word;
		return NN_OK;
	case OPTION_NAMES:
		status = check_names(&input);
		return status == NN_OK ? read_text(field, &input) : status;
	case OPTION_PATH:
		return read_text(field, &input);
	}
	return status;
}
