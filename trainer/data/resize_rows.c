#include "trainer/data/resize_rows.h"

enum { HALF = 1 << (RESIZE_PRECISION - 1) };

static uint8_t clip(int32_t sum)
{
	int32_t value = sum >> RESIZE_PRECISION;

	return (uint8_t)(value > 255 ? 255 : value);
}

/* Output i of the row. */
static void scale_pixel(uint8_t *dst, const uint8_t *src, const struct resize_axis *axis, int i)
{
	const int32_t *weights = axis->weights + (size_t)i * (size_t)axis->taps;
	const uint8_t *in = src + (size_t)axis->first[i] * 3;
	int32_t red = HALF, green = HALF, blue = HALF;

	for (int k = 0; k < axis->used[i]; k++) {
		red += in[3 * k] * weights[k];
		green += in[3 * k + 1] * weights[k];
		blue += in[3 * k + 2] * weights[k];
	}
	dst[3 * i] = clip(red);
	dst[3 * i + 1] = clip(green);
	dst[3 * i + 2] = clip(blue);
}

static void scale_row(uint8_t *dst, const uint8_t *src, const struct resize_axis *axis)
{
	for (int i = 0; i < axis->count; i++)
		scale_pixel(dst, src, axis, i);
}

/* Columns from `at` on, in blocks whose sums stay in registers and the nearest cache. */
static void mix_rows(uint8_t *dst, const uint8_t *src, size_t stride, const int32_t *weights, int used, size_t at)
{
	enum { BLOCK = 64 };

	for (; at < stride; at += BLOCK) {
		size_t width = stride - at < BLOCK ? stride - at : BLOCK;
		int32_t sums[BLOCK];

		for (size_t j = 0; j < width; j++)
			sums[j] = HALF;
		for (int k = 0; k < used; k++)
			for (size_t j = 0; j < width; j++)
				sums[j] += src[(size_t)k * stride + at + j] * weights[k];
		for (size_t j = 0; j < width; j++)
			dst[at + j] = clip(sums[j]);
	}
}

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

/* A pixel and the byte behind it as four numbers. */
AVX2 static inline __m128i load_pixel(const uint8_t *pixel)
{
	int word;

	__builtin_memcpy(&word, pixel, sizeof(word));
	return _mm_cvtepu8_epi32(_mm_cvtsi32_si128(word));
}

/* Four bytes are read where a pixel has three, and written likewise; the last output, behind which nothing is ours, is left to
 * scale_pixel, as are outputs that reach the row's last pixel. Sums are never negative, and packing saturates as clip does. */
AVX2 static void scale_row_avx2(uint8_t *dst, const uint8_t *src, const struct resize_axis *axis, int width)
{
	int i = 0;

	for (; i < axis->count - 1 && axis->first[i] + axis->used[i] < width; i++) {
		const int32_t *weights = axis->weights + (size_t)i * (size_t)axis->taps;
		const uint8_t *in = src + (size_t)axis->first[i] * 3;
		__m128i sums = _mm_set1_epi32(HALF);
		int word;

		for (int k = 0; k < axis->used[i]; k++)
			sums = _mm_add_epi32(sums, _mm_mullo_epi32(load_pixel(in + 3 * k), _mm_set1_epi32(weights[k])));
		sums = _mm_srai_epi32(sums, RESIZE_PRECISION);
		sums = _mm_packus_epi32(sums, sums);
		word = _mm_cvtsi128_si32(_mm_packus_epi16(sums, sums));
		__builtin_memcpy(dst + 3 * i, &word, sizeof(word));
	}
	for (; i < axis->count; i++)
		scale_pixel(dst, src, axis, i);
}

/* Sums of 8 columns. */
AVX2 static inline __m256i mix_eight(const uint8_t *src, size_t stride, const int32_t *weights, int used)
{
	__m256i sums = _mm256_set1_epi32(HALF);

	for (int k = 0; k < used; k++) {
		__m256i row = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(src + (size_t)k * stride)));

		sums = _mm256_add_epi32(sums, _mm256_mullo_epi32(row, _mm256_set1_epi32(weights[k])));
	}
	return _mm256_srai_epi32(sums, RESIZE_PRECISION);
}

AVX2 static void mix_rows_avx2(uint8_t *dst, const uint8_t *src, size_t stride, const int32_t *weights, int used)
{
	size_t at = 0;

	for (; at + 16 <= stride; at += 16) {
		__m256i low = mix_eight(src + at, stride, weights, used), high = mix_eight(src + at + 8, stride, weights, used);
		/* packing works in halves of 128 bits: 0-3 8-11 4-7 12-15 */
		__m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
		__m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));

		_mm_storeu_si128((__m128i *)(void *)(dst + at), bytes);
	}
	mix_rows(dst, src, stride, weights, used, at);
}

void resize_scale_row(uint8_t *dst, const uint8_t *src, int width, const struct resize_axis *axis)
{
	if (__builtin_cpu_supports("avx2"))
		scale_row_avx2(dst, src, axis, width);
	else
		scale_row(dst, src, axis);
}

void resize_mix_rows(uint8_t *dst, const uint8_t *src, size_t stride, const int32_t *weights, int used)
{
	if (__builtin_cpu_supports("avx2"))
		mix_rows_avx2(dst, src, stride, weights, used);
	else
		mix_rows(dst, src, stride, weights, used, 0);
}
#else
void resize_scale_row(uint8_t *dst, const uint8_t *src, int width, const struct resize_axis *axis)
{
	(void)width;
	scale_row(dst, src, axis);
}

void resize_mix_rows(uint8_t *dst, const uint8_t *src, size_t stride, const int32_t *weights, int used)
{
	mix_rows(dst, src, stride, weights, used, 0);
}
#endif
