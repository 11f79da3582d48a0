#include "trainer/data/escape.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Bytes of the UTF-8 character at `at`, 0 when there is none: overlong forms, surrogates and numbers past U+10FFFF are none.
 * Source: RFC 3629. */
static size_t utf8_length(const uint8_t *at)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = at[0] < 0x80 ? 1 : (at[0] & 0xe0) == 0xc0 ? 2 : (at[0] & 0xf0) == 0xe0 ? 3 : (at[0] & 0xf8) == 0xf0 ? 4 : 0;
	uint32_t code = length == 1 ? at[0] : at[0] & (0xffu >> (length + 1));

	for (size_t i = 1; i < length; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3fu);
	}
	if (length == 0 || code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	return length;
}

/* U+0000 to U+001F, U+007F to U+009F. */
static bool is_control(const uint8_t *at)
{
	return at[0] < ' ' || at[0] == 0x7f || (at[0] == 0xc2 && at[1] < 0xa0);
}

static bool looks_escaped(const uint8_t *at)
{
	return at[0] == '\\' && at[1] == 'x' && isxdigit(at[2]) && isxdigit(at[3]);
}

void escape_name(char *text, size_t size, const char *name)
{
	const uint8_t *at = (const uint8_t *)name;

	assert(size >= ESCAPE_BYTES(strlen(name)));
	while (*at) {
		size_t length = utf8_length(at);

		if (length == 0 || is_control(at) || looks_escaped(at)) {
			text += snprintf(text, 5, "\\x%02x", *at++);
			continue;
		}
		memcpy(text, at, length);
		text += length;
		at += length;
	}
	*text = '\0';
}
