/* Names of files and classes as text: a name may hold any byte but 0 and '/', and JSON, terminals and lists of lines do not take
 * all of them. */
#ifndef TRAINER_DATA_ESCAPE_H
#define TRAINER_DATA_ESCAPE_H

#include <stddef.h>

/* Most bytes that the text of a name of `length` bytes takes, with its 0. */
#define ESCAPE_BYTES(length) (4 * (length) + 1)

/* text = the name in printable UTF-8: a control character, a byte that is no part of UTF-8, and a backslash in front of an x and
 * two hexadecimal digits become \xHH; everything else stays. Different names give different texts.
 * `size` bytes are at `text`, at least ESCAPE_BYTES(strlen(name)). */
void escape_name(char *text, size_t size, const char *name);

#endif
