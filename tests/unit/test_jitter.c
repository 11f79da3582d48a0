#include <string.h>

#include "tests/unit/suites.h"
#include "trainer/data/jitter.h"

enum { WIDTH = 24, HEIGHT = 16, PIXELS = WIDTH * HEIGHT, BYTES = PIXELS * 3 };

/* What Pillow makes of the picture. */
struct pil_change {
	void (*change)(uint8_t *pixels, size_t count, double factor);
	double factor;
	const uint8_t *pixels;
};

#include "tests/reference/jitter_pil.inc"

/* The formula of make_jitter.py. */
static void make_picture(uint8_t pixels[BYTES])
{
	for (unsigned i = 0; i < PIXELS; i++)
		for (unsigned c = 0; c < 3; c++)
			pixels[3 * i + c] = (uint8_t)(i * i * (7 + c) + i * (13 + 31 * c) + c * 50);
}

static void every_change_is_pillows_to_the_bit(void)
{
	for (size_t i = 0; i < sizeof(pil_changes) / sizeof(pil_changes[0]); i++) {
		uint8_t pixels[BYTES];

		make_picture(pixels);
		pil_changes[i].change(pixels, PIXELS, pil_changes[i].factor);
		CU_ASSERT_EQUAL(memcmp(pixels, pil_changes[i].pixels, BYTES), 0);
	}
}

/* A grey pixel under brightness 0.5 alone lies between half and one and a half times its value, evenly. */
static void amounts_bound_the_factors(void)
{
	const struct jitter jitter = {.brightness = 0.5};
	int low = 0, high = 0;

	for (uint64_t sample = 0; sample < 2000; sample++) {
		struct rng rng = rng_stream(1, 2, sample);
		uint8_t pixel[3] = {100, 100, 100};

		jitter_apply(pixel, 1, &jitter, &rng);
		CU_ASSERT(pixel[0] >= 50 && pixel[0] <= 150);
		CU_ASSERT(pixel[0] == pixel[1] && pixel[1] == pixel[2]);
		low += pixel[0] < 75;
		high += pixel[0] > 125;
	}
	CU_ASSERT(low > 400 && low < 600);
	CU_ASSERT(high > 400 && high < 600);
}

/* Every sample is another picture, and the same stream gives the same one. */
static void streams_decide_on_amounts_and_order(void)
{
	const struct jitter jitter = {.brightness = 0.9, .contrast = 0.9, .saturation = 0.9, .hue = 0.5};
	uint8_t first[BYTES];
	int different = 0;

	CU_ASSERT(jitter_is_on(&jitter));
	for (uint64_t sample = 0; sample < 20; sample++) {
		uint8_t pixels[BYTES], again[BYTES];
		struct rng rng = rng_stream(1, 3, sample), same = rng;

		make_picture(pixels);
		make_picture(again);
		jitter_apply(pixels, PIXELS, &jitter, &rng);
		jitter_apply(again, PIXELS, &jitter, &same);
		CU_ASSERT_EQUAL(memcmp(pixels, again, BYTES), 0);
		if (sample == 0)
			memcpy(first, pixels, BYTES);
		different += memcmp(first, pixels, BYTES) != 0;
	}
	CU_ASSERT_EQUAL(different, 19);
}

static void no_amount_is_no_change(void)
{
	const struct jitter jitter = {.brightness = 0};
	struct rng rng = rng_stream(1, 4, 0);
	uint8_t pixels[BYTES], before[BYTES];

	CU_ASSERT(!jitter_is_on(&jitter));
	make_picture(pixels);
	make_picture(before);
	jitter_apply(pixels, PIXELS, &jitter, &rng);
	CU_ASSERT_EQUAL(memcmp(pixels, before, BYTES), 0);
}

void suite_jitter(void)
{
	static const struct test_row rows[] = {
	    TEST(every_change_is_pillows_to_the_bit),
	    TEST(amounts_bound_the_factors),
	    TEST(streams_decide_on_amounts_and_order),
	    TEST(no_amount_is_no_change),
	};

	ADD_SUITE("jitter", rows);
}
