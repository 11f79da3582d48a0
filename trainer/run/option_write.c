#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/run/option_value.h"

/* A line of an INI file has at most 197 bytes for inih, the name among them. */
enum { LINE_MAX_BYTES = 150 };

enum { PLAIN_BELOW = 1000000 }; /* so large whole numbers are written without an exponent */

/* The shortest of the forms with 1 to 17 digits that strtod reads as the same double. Returns its length. */
static size_t write_real(char *text, size_t size, double value)
{
	int length = 0;

	if (value >= 1 && value < PLAIN_BELOW && value == trunc(value))
		return (size_t)snprintf(text, size, "%.0f", value);
	for (int digits = 1; digits <= 17; digits++) {
		length = snprintf(text, size, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	return (size_t)length;
}

static void write_reals(char text[OPTION_VALUE_MAX], const struct option_list *list)
{
	size_t used = 0;

	text[0] = '\0';
	for (int i = 0; i < list->count; i++) {
		if (i)
			text[used++] = ',';
		used += write_real(text + used, OPTION_VALUE_MAX - used, list->values[i]);
	}
}

void option_write(char text[OPTION_VALUE_MAX], const struct options *options, const struct option_spec *spec)
{
	const void *field = (const char *)options + spec->offset;
	int number;

	switch (spec->kind) {
	case OPTION_INT:
		number = *(const int *)field;
		snprintf(text, OPTION_VALUE_MAX, "%d", number);
		if (spec->words && number < 0)
			snprintf(text, OPTION_VALUE_MAX, "%s", spec->words[-1 - number]);
		break;
	case OPTION_SEED:
		snprintf(text, OPTION_VALUE_MAX, "%llu", (unsigned long long)*(const uint64_t *)field);
		break;
	case OPTION_REAL:
		write_real(text, OPTION_VALUE_MAX, *(const double *)field);
		break;
	case OPTION_REALS:
	case OPTION_FACTORS:
		write_reals(text, field);
		break;
	case OPTION_SWITCH:
		snprintf(text, OPTION_VALUE_MAX, "%s", *(const bool *)field ? "on" : "off");
		break;
	case OPTION_WORD:
		snprintf(text, OPTION_VALUE_MAX, "%s", spec->words[*(const int *)field]);
		break;
	case OPTION_NAME:
	case OPTION_PATH:
	case OPTION_NAMES:
		snprintf(text, OPTION_VALUE_MAX, "%s", (const char *)field);
		break;
	}
}

/* Whether text[0 .. length-1] and the rest may stand on lines of their own. */
static bool may_cut(const char *text, size_t length, bool at_comma)
{
	return !strchr(" ;#", text[length]) && text[length - 1] != ' ' && (!at_comma || text[length - 1] == ',');
}

size_t option_line(const char *text)
{
	size_t length = strlen(text);

	if (length <= LINE_MAX_BYTES)
		return length;
	/* After a comma if there is one: a list of names is checked line by line. */
	for (int at_comma = 1; at_comma >= 0; at_comma--)
		for (length = LINE_MAX_BYTES; length > 0; length--)
			if (may_cut(text, length, at_comma))
				return length;
	return 0;
}

bool option_named(const char *names, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = names; *at;) {
		size_t here = strcspn(at, ",");

		if (here == length && strncmp(at, name, length) == 0)
			return true;
		at += here + (at[here] == ',');
	}
	return false;
}
