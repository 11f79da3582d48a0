/* Zeros around the images of direct convolutions: how many, and the copies that have them. */
#include <string.h>

#include "nn/layers/conv_internal.h"

int direct_phase_first(const struct conv *conv, int phase)
{
	int offset = conv->pad - phase;

	return offset > 0 ? (offset + conv->stride - 1) / conv->stride : 0;
}

int direct_phase_last(const struct conv *conv, int phase, int size)
{
	int top = size - 1 + conv->pad - phase;

	return top < 0 ? -1 : top / conv->stride;
}

int direct_pad_before(const struct conv *conv)
{
	int pad = 0;

	for (int a = 0; a < conv->stride; a++) {
		int reach = direct_phase_taps(conv, a) - 1 - direct_phase_first(conv, a);

		pad = reach > pad ? reach : pad;
	}
	return pad;
}

int direct_pad_behind(const struct conv *conv, int in_size, int out_size)
{
	int pad = 0;

	for (int a = 0; a < conv->stride; a++) {
		int reach = direct_phase_taps(conv, a) ? direct_phase_last(conv, a, in_size) - (out_size - 1) : 0;

		pad = reach > pad ? reach : pad;
	}
	return pad;
}

size_t direct_framed_size(const struct conv *conv, bool backward)
{
	int before = direct_pad_before(conv);
	int h = conv->out_h + before + direct_pad_behind(conv, conv->in_h, conv->out_h);
	int w = conv->out_w + before + direct_pad_behind(conv, conv->in_w, conv->out_w);

	if (backward)
		return (size_t)h * (size_t)w * (size_t)conv->out_c;
	return (size_t)(conv->in_h + 2 * conv->pad) * (size_t)(conv->in_w + 2 * conv->pad) * (size_t)conv->in_c;
}

void direct_copy_padded(void *to_values, const void *from_values, int h, int w, size_t bytes, int before, int behind_h,
			int behind_w)
{
	size_t line = (size_t)w * bytes, left = (size_t)before * bytes, right = (size_t)behind_w * bytes;
	size_t full = left + line + right;
	char *to = to_values;
	const char *from = from_values;

	memset(to, 0, full * (size_t)before);
	to += full * (size_t)before;
	for (int i = 0; i < h; i++, to += full, from += line) {
		memset(to, 0, left);
		memcpy(to + left, from, line);
		memset(to + left + line, 0, right);
	}
	memset(to, 0, full * (size_t)behind_h);
}
