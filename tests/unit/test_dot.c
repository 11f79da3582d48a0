/* Products of bf16 against models of Intel's instructions, written with fma: every kernel set bit for bit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/rng.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

enum { BLOCK = 16, PAIRS = 16, STEP = 32 };

/* fmaf as an instruction where there is one: 10^8 calls of a function take a minute. */
#if defined(__x86_64__)
#define FAST_FMA __attribute__((target_clones("fma", "default")))
#else
#define FAST_FMA
#endif

static inline float number(uint16_t x)
{
	uint32_t bits = (uint32_t)x << 16;
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static inline float flushed(float x)
{
	return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
}

static inline float fused(float a, float b, float c)
{
	return flushed(fmaf(flushed(a), flushed(b), flushed(c)));
}

/* One step of one element: row (32), column: element [pair][column] of b. */
typedef float (*step_fn)(float sum, const uint16_t *row, const uint16_t *b, int column);

/* VDPBF16PS, a pair at a time: odd products first. */
FAST_FMA static float step_avx512(float sum, const uint16_t *row, const uint16_t *b, int column)
{
	for (int p = 0; p < PAIRS; p++) {
		const uint16_t *pair = b + 2 * BLOCK * p + 2 * column;

		sum = fused(number(row[2 * p + 1]), number(pair[1]), sum);
		sum = fused(number(row[2 * p]), number(pair[0]), sum);
	}
	return sum;
}

/* TDPBF16PS. */
FAST_FMA static float step_amx(float sum, const uint16_t *row, const uint16_t *b, int column)
{
	float even = 0, odd = 0;

	for (int p = 0; p < PAIRS; p++) {
		const uint16_t *pair = b + 2 * BLOCK * p + 2 * column;

		even = fused(number(row[2 * p]), number(pair[0]), even);
		odd = fused(number(row[2 * p + 1]), number(pair[1]), odd);
	}
	return flushed(flushed(sum) + flushed(even + odd));
}

static step_fn step_of(const struct kernels *set)
{
	return strcmp(set->name, "amx") == 0 ? step_amx : step_avx512;
}

/* Any bits in a quarter of the cases; otherwise exponents near 1, near the smallest or in between, so that sums cancel and fall
 * below what a float holds. */
static uint16_t draw(struct rng *rng, int kind)
{
	static const unsigned base[] = {0, 120, 64, 55}, width[] = {0, 10, 20, 16};
	uint16_t bits = (uint16_t)rng_below(rng, 65536);

	return kind == 0 ? bits : (uint16_t)((bits & 0x807f) | (base[kind] + rng_below(rng, width[kind])) << 7);
}

static bool same(float x, float y)
{
	return memcmp(&x, &y, sizeof(x)) == 0 || (isnan(x) && isnan(y));
}

/* Elements of the product of `steps` steps that are not the model's. */
static int wrong_elements(const struct kernels *set, const uint16_t *a, const uint16_t *b, int steps, int tiles, int columns)
{
	const uint16_t *rows[4];
	float c[4 * BLOCK * BLOCK];
	step_fn step = step_of(set);
	int wrong = 0, width = BLOCK * columns;

	for (int t = 0; t < tiles; t++)
		rows[t] = a + t * BLOCK * STEP * steps;
	set->dot_begin();
	set->dot(c, rows, b, (ptrdiff_t)STEP * steps, 0, 1, steps, tiles, columns);
	set->dot_end();
	for (int r = 0; r < tiles * BLOCK; r++)
		for (int k = 0; k < width; k++) {
			float sum = 0;

			for (int i = 0; i < steps; i++)
				sum =
				    step(sum, a + (r * steps + i) * STEP, b + (i * columns + k / BLOCK) * STEP * BLOCK, k % BLOCK);
			wrong += !same(c[r * width + k], sum);
		}
	return wrong;
}

static void fill(uint16_t *values, size_t count, struct rng *rng, int kind)
{
	for (size_t i = 0; i < count; i++)
		values[i] = draw(rng, kind);
}

static void every_set_gives_the_bits_of_its_instruction(void)
{
	static const int shapes[][2] = {{1, 1}, {2, 1}, {3, 1}, {4, 1}, {1, 2}, {2, 2}};
	enum { STEPS = 3 };
	uint16_t a[4 * BLOCK * STEP * STEPS], b[2 * BLOCK * STEP * STEPS];
	struct rng rng = rng_stream(7, 0, 0);

	for (int s = 0; reference_set(s); s++)
		for (int i = 0; i < 6 * 40; i++) {
			fill(a, sizeof(a) / sizeof(*a), &rng, i % 4);
			fill(b, sizeof(b) / sizeof(*b), &rng, i % 4);
			CU_ASSERT_EQUAL(wrong_elements(reference_set(s), a, b, STEPS, shapes[i % 6][0], shapes[i % 6][1]), 0);
		}
}

/* 4 x 256 elements x 32 pairs of each call: 10^8 of them for every set that has the instruction, 10^6 for one that makes its bits
 * by multiply-adds. */
static void a_hundred_million_pairs_agree(void)
{
	enum { STEPS = 2, PAIRS_OF_CALL = 4 * BLOCK * BLOCK * PAIRS * STEPS };
	uint16_t a[4 * BLOCK * STEP * STEPS], b[2 * BLOCK * STEP * STEPS];
	struct rng rng = rng_stream(8, 0, 0);

	for (int s = 0; reference_set(s); s++) {
		const char *name = reference_set(s)->name;
		bool instruction = strcmp(name, "amx") == 0 || strcmp(name, "avx512bf16") == 0;
		long pairs = instruction ? 100000000 : 1000000;
		int wrong = 0;

		for (long done = 0, i = 0; done < pairs; done += PAIRS_OF_CALL, i++) {
			fill(a, sizeof(a) / sizeof(*a), &rng, (int)(i % 4));
			fill(b, sizeof(b) / sizeof(*b), &rng, (int)(i % 4));
			wrong += wrong_elements(reference_set(s), a, b, STEPS, 2, 2);
		}
		CU_ASSERT_EQUAL(wrong, 0);
	}
}

static void lines_are_added_like_steps(void)
{
	uint16_t a[BLOCK * STEP * 6], b[BLOCK * STEP * 6];
	struct rng rng = rng_stream(9, 0, 0);

	fill(a, sizeof(a) / sizeof(*a), &rng, 1);
	fill(b, sizeof(b) / sizeof(*b), &rng, 1);
	for (int s = 0; reference_set(s); s++) {
		const struct kernels *set = reference_set(s);
		const uint16_t *rows = a;
		float lines[BLOCK * BLOCK], steps[BLOCK * BLOCK];

		set->dot_begin();
		set->dot(steps, &rows, b, STEP * 6, 0, 1, 6, 1, 1);
		set->dot(lines, &rows, b, STEP * 6, 2 * STEP, 3, 2, 1, 1);
		set->dot_end();
		CU_ASSERT(same_bits(steps, lines, sizeof(steps)));
	}
}

static void narrowing_rounds_to_nearest_even(void)
{
	static const uint32_t from[] = {0x3f800000, 0x3f808000, 0x3f818000, 0x3f808001, 0x3f80ffff, 0x7f7fffff, 0xff7fffff,
					0x7f800000, 0x7fa00001, 0xffffffff, 0x00000001, 0x807fffff, 0x00800000, 0x80000000};
	static const uint16_t to[] = {0x3f80, 0x3f80, 0x3f82, 0x3f81, 0x3f81, 0x7f80, 0xff80,
				      0x7f80, 0x7fe0, 0xffff, 0x0000, 0x8000, 0x0080, 0x8000};
	enum { COUNT = sizeof(to) / sizeof(*to), ALL = 3 * COUNT };
	float in[ALL];

	for (int i = 0; i < ALL; i++)
		memcpy(&in[i], &from[i % COUNT], sizeof(*in));
	for (int s = 0; reference_set(s); s++)
		for (int begin = 0; begin < COUNT; begin++) { /* in vectors and in their tails */
			uint16_t out[ALL];

			reference_set(s)->narrow(out, in + begin, (size_t)(ALL - begin));
			for (int i = begin; i < ALL; i++)
				CU_ASSERT_EQUAL(out[i - begin], to[i % COUNT]);
		}
}

static void stores_add_in_float_and_leave_other_channels_alone(void)
{
	float c[BLOCK * 2 * BLOCK];

	for (int i = 0; i < BLOCK * 2 * BLOCK; i++)
		c[i] = (float)i / 16;
	for (int s = 0; reference_set(s); s++)
		for (int channels = 1; channels <= 2 * BLOCK; channels++) {
			uint16_t out[BLOCK * 40], wanted[BLOCK * 40];
			float sums[BLOCK * 40] = {0};

			for (int i = 0; i < BLOCK * 40; i++)
				out[i] = wanted[i] = 0x3f80; /* 1 */
			reference_set(s)->dot_store(out, c, 40, (ptrdiff_t)2 * BLOCK, 5, channels, true);
			reference_set(s)->dot_add(sums, c, 40, (ptrdiff_t)2 * BLOCK, 5, channels);
			for (int r = 0; r < 5; r++)
				for (int k = 0; k < channels; k++) {
					float sum = 1 + c[r * 2 * BLOCK + k];

					reference_set(s)->narrow(&wanted[r * 40 + k], &sum, 1);
					CU_ASSERT_EQUAL(sums[r * 40 + k], c[r * 2 * BLOCK + k]);
				}
			CU_ASSERT(same_bits(out, wanted, sizeof(out)));
			CU_ASSERT_EQUAL(sums[4 * 40 + channels], 0);
		}
}

static void operands_are_rearranged_as_documented(void)
{
	uint16_t x[STEP * 50], block[STEP * BLOCK], turned[BLOCK * 40];
	const uint16_t *rows[STEP];

	for (int i = 0; i < STEP * 50; i++)
		x[i] = (uint16_t)i;
	for (int i = 0; i < STEP; i++)
		rows[i] = x + 50 * i;
	for (int s = 0; reference_set(s); s++) {
		reference_set(s)->interleave(block, rows, 7);
		reference_set(s)->transpose(turned, 40, rows);
		for (int i = 0; i < STEP; i++)
			for (int k = 0; k < BLOCK; k++)
				CU_ASSERT_EQUAL(block[i / 2 * 2 * BLOCK + 2 * k + i % 2], x[50 * i + 7 + k]);
		for (int i = 0; i < BLOCK; i++)
			for (int j = 0; j < STEP; j++)
				CU_ASSERT_EQUAL(turned[j / 2 * 40 + 2 * i + j % 2], x[50 * i + j]);
	}
}

void suite_dot(void)
{
	static const struct test_row rows[] = {
	    TEST(every_set_gives_the_bits_of_its_instruction),
	    TEST(a_hundred_million_pairs_agree),
	    TEST(lines_are_added_like_steps),
	    TEST(narrowing_rounds_to_nearest_even),
	    TEST(stores_add_in_float_and_leave_other_channels_alone),
	    TEST(operands_are_rearranged_as_documented),
	};

	ADD_SUITE("dot", rows);
}
