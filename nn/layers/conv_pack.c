/* Rearranged weights of direct convolutions: in the order in which a tile reads them. */
#include <string.h>

#include "nn/layers/conv_internal.h"

int conv_panel_vectors(int channels_left, int vector)
{
	return channels_left > vector ? 2 : 1;
}

size_t direct_panels_size(int channels, int vector, size_t taps)
{
	size_t padded = ((size_t)channels + (size_t)vector - 1) / (size_t)vector * (size_t)vector;

	return padded * taps;
}

int direct_phase_taps(const struct conv *conv, int phase)
{
	return phase < conv->kernel ? (conv->kernel - phase + conv->stride - 1) / conv->stride : 0;
}

size_t direct_packed_size(const struct conv *conv, const struct kernels *kernels, bool backward)
{
	size_t taps = (size_t)conv->kernel * (size_t)conv->kernel;

	if (backward)
		return direct_panels_size(conv->in_c, kernels->vector, taps * (size_t)conv->out_c);
	return direct_panels_size(conv->out_c, kernels->vector, taps * (size_t)conv->in_c);
}

/* One panel of the forward weights: taps in HWI order, `width` output channels each, zeros beyond out_c. */
static void pack_forward(float *packed, const float *weight, const float *scale, const struct conv *conv, int vector)
{
	size_t taps = (size_t)conv->kernel * (size_t)conv->kernel * (size_t)conv->in_c;

	for (int k = 0; k < conv->out_c;) {
		int width = vector * conv_panel_vectors(conv->out_c - k, vector);
		int used = conv->out_c - k < width ? conv->out_c - k : width;

		for (size_t t = 0; t < taps; t++, packed += width) {
			memcpy(packed, weight + t * (size_t)conv->out_c + k, (size_t)used * sizeof(float));
			memset(packed + used, 0, (size_t)(width - used) * sizeof(float));
			for (int i = 0; scale && i < used; i++)
				packed[i] *= scale[k + i];
		}
		k += width;
	}
}

void direct_transpose(float *to, ptrdiff_t to_row, const float *from, ptrdiff_t from_row, int channels, int count,
		      const struct kernels *kernels)
{
	enum { BLOCK = 16 };

	for (int k = 0; k < count; k += BLOCK)
		for (int c = 0; c < channels; c += BLOCK) {
			const uint16_t *rows[BLOCK];

			if (channels - c < BLOCK || count - k < BLOCK) {
				for (int i = k; i < count && i < k + BLOCK; i++)
					for (int j = c; j < channels && j < c + BLOCK; j++)
						to[i * to_row + j] = from[j * from_row + i];
				continue;
			}
			for (int j = 0; j < BLOCK; j++)
				rows[j] = (const void *)(from + (c + j) * from_row + k);
			kernels->transpose((void *)(to + k * to_row + c), 2 * to_row, rows);
		}
}

/* The data gradient of phase (a, b): kernel rows a + stride t, columns b + stride u, both flipped; [row][column][out_c][in_c
 * panel]. */
static float *pack_phase(float *packed, const float *weight, const struct conv *conv, const struct kernels *kernels, int a, int b)
{
	int rows = direct_phase_taps(conv, a), columns = direct_phase_taps(conv, b), vector = kernels->vector;

	for (int c0 = 0; c0 < conv->in_c;) {
		int width = vector * conv_panel_vectors(conv->in_c - c0, vector);
		int used = conv->in_c - c0 < width ? conv->in_c - c0 : width;

		if (used < width)
			memset(packed, 0, (size_t)(rows * columns * conv->out_c) * (size_t)width * sizeof(float));
		for (int t = rows - 1; t >= 0; t--)
			for (int u = columns - 1; u >= 0; u--) {
				ptrdiff_t tap = (a + conv->stride * t) * conv->kernel + b + conv->stride * u;

				direct_transpose(packed, width, weight + (tap * conv->in_c + c0) * conv->out_c, conv->out_c, used,
						 conv->out_c, kernels);
				packed += (ptrdiff_t)conv->out_c * width;
			}
		c0 += width;
	}
	return packed;
}

void direct_pack(float *packed, const float *weight, const float *scale, const struct conv *conv, const struct kernels *kernels,
		 bool backward)
{
	if (!backward) {
		pack_forward(packed, weight, scale, conv, kernels->vector);
		return;
	}
	for (int a = 0; a < conv->stride; a++)
		for (int b = 0; b < conv->stride; b++)
			packed = pack_phase(packed, weight, conv, kernels, a, b);
}
