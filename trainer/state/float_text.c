#include "trainer/state/float_text.h"

#include <stdint.h>
#include <string.h>

#include "nn/core/alloc.h"

enum { DIGITS = 2 * sizeof(float) };

static const char digits[] = "0123456789abcdef";

enum nn_status float_text_write(char **text, const float *values, size_t count)
{
	enum nn_status status = nn_alloc(text, count * DIGITS + 1);

	if (status != NN_OK)
		return status;
	for (size_t i = 0; i < count; i++) {
		uint32_t bits;

		memcpy(&bits, &values[i], sizeof(bits));
		for (int byte = 0; byte < 4; byte++, bits >>= 8) {
			(*text)[i * DIGITS + 2 * (size_t)byte] = digits[bits >> 4 & 15];
			(*text)[i * DIGITS + 2 * (size_t)byte + 1] = digits[bits & 15];
		}
	}
	(*text)[count * DIGITS] = '\0';
	return NN_OK;
}

/* -1: no digit. */
static int digit_value(char digit)
{
	for (int value = 0; value < 16; value++)
		if (digits[value] == digit)
			return value;
	return -1;
}

enum nn_status float_text_read(float *values, size_t count, const char *text)
{
	if (strlen(text) != count * DIGITS)
		return nn_error(NN_ERR_DATA, "%zu hexadecimal digits instead of %zu", strlen(text), count * DIGITS);
	for (size_t i = 0; i < count; i++) {
		uint32_t bits = 0;

		for (unsigned k = 0; k < DIGITS; k++) {
			int value = digit_value(text[i * DIGITS + k]);

			if (value < 0)
				return nn_error(NN_ERR_DATA, "'%c' is no hexadecimal digit", text[i * DIGITS + k]);
			bits |= (uint32_t)value << (8 * (k / 2) + 4 * (1 - k % 2));
		}
		memcpy(&values[i], &bits, sizeof(bits));
	}
	return NN_OK;
}
