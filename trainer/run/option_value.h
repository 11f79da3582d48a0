/* One option's value as text: reading it with all checks, and writing it so that reading gives the same value. */
#ifndef TRAINER_RUN_OPTION_VALUE_H
#define TRAINER_RUN_OPTION_VALUE_H

#include <stddef.h>

#include "trainer/run/option_table.h"

/* Most bytes of a value's text, with the NUL. */
enum { OPTION_VALUE_MAX = OPTION_TEXT_MAX };

/* Sets the option from `text`. `prefix` goes before the option's name in messages: "--", or a file and line.
 * Errors: NN_ERR_USAGE, "--lr 12x: must be a number"; the option keeps its value. */
enum nn_status option_read(struct options *options, const struct option_spec *spec, const char *text, const char *prefix);

/* text = the option's value, as option_read takes it; numbers have the fewest digits that give them back. */
void option_write(char text[OPTION_VALUE_MAX], const struct options *options, const struct option_spec *spec);

/* Bytes of `text` that go on one line of an INI file, so that the next line, indented, can take the rest.
 * 0 when no cut works: blanks at the ends of a line are lost, and ; and # begin comments there. */
size_t option_line(const char *text);

/* Whether `name` is one of the names in `names`, which have commas between them. */
bool option_named(const char *names, const char *name);

#endif
