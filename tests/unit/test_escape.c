#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/status.h"
#include "tests/unit/suites.h"
#include "trainer/data/escape.h"

/* The way back, as a reader in any language would write it. */
static void unescape(char *name, const char *text)
{
	while (*text) {
		unsigned byte;

		if (sscanf(text, "\\x%2x", &byte) == 1 && strspn(text + 2, "0123456789abcdefABCDEF") >= 2) {
			*name++ = (char)byte;
			text += 4;
		} else {
			*name++ = *text++;
		}
	}
	*name = '\0';
}

static void check(const char *name, const char *expected)
{
	char text[ESCAPE_BYTES(64)], back[ESCAPE_BYTES(64)];

	escape_name(text, sizeof(text), name);
	CU_ASSERT_STRING_EQUAL(text, expected);
	unescape(back, text);
	CU_ASSERT_STRING_EQUAL(back, name);
}

static void plain_names_stay_as_they_are(void)
{
	check("", "");
	check("cat 1 \"q\" 'r' %41 -x", "cat 1 \"q\" 'r' %41 -x");
	check("k\xc3\xa4tzchen \xe7\x8c\xab \xf0\x9f\x90\x88", "k\xc3\xa4tzchen \xe7\x8c\xab \xf0\x9f\x90\x88");
	check("back\\slash \\x4 \\xg1", "back\\slash \\x4 \\xg1");
}

static void what_no_terminal_or_json_takes_becomes_hexadecimal(void)
{
	check("a\nb\x1b[2J\x7f", "a\\x0ab\\x1b[2J\\x7f");
	check("caf\xe9", "caf\\xe9");
	check("\xc2\x9b", "\\xc2\\x9b");			      /* a control character of two bytes */
	check("\xc0\xaf \xed\xa0\x80", "\\xc0\\xaf \\xed\\xa0\\x80"); /* overlong, surrogate */
	check("\xf4\x90\x80\x80 \xf0\x9f", "\\xf4\\x90\\x80\\x80 \\xf0\\x9f");
	check("\\x41", "\\x5cx41"); /* would be read as A */
	check("\\\\x41", "\\\\x5cx41");
}

/* Bytes that make trouble together, in all orders. */
static void names_of_any_bytes_come_back(void)
{
	static const char bytes[] = "\\x5cA\n\xc3\xa4\xff";
	char name[6] = "", text[ESCAPE_BYTES(5)], back[ESCAPE_BYTES(5)];
	int different = 0;

	for (int n = 0; n < 59049; n++) {
		for (int i = 0, rest = n; i < 5; i++, rest /= 9)
			name[i] = bytes[rest % 9];
		escape_name(text, sizeof(text), name);
		unescape(back, text);
		different += strcmp(back, name) != 0;
		for (const char *at = text; *at; at++)
			different += *at == '\n' || *at == '\xff';
	}
	CU_ASSERT_EQUAL(different, 0);
}

static void a_message_is_one_printable_line_whatever_a_file_is_called(void)
{
	char longest[2000];

	nn_error(NN_ERR_DATA, "%s: damaged", "a\nb\x1b[31m\xe9");
	CU_ASSERT_STRING_EQUAL(nn_error_message(), "a\\x0ab\\x1b[31m\xe9: damaged");
	nn_error(NN_ERR_DATA, "again: %s", nn_error_message());
	CU_ASSERT_STRING_EQUAL(nn_error_message(), "again: a\\x0ab\\x1b[31m\xe9: damaged");
	memset(longest, '\n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	nn_error(NN_ERR_DATA, "%s", longest);
	CU_ASSERT_EQUAL(strlen(nn_error_message()), 1020);
	CU_ASSERT_PTR_NULL(strchr(nn_error_message(), '\n'));
}

void suite_escape(void)
{
	static const struct test_row rows[] = {
	    TEST(plain_names_stay_as_they_are),
	    TEST(what_no_terminal_or_json_takes_becomes_hexadecimal),
	    TEST(names_of_any_bytes_come_back),
	    TEST(a_message_is_one_printable_line_whatever_a_file_is_called),
	};

	ADD_SUITE("escape", rows);
}
