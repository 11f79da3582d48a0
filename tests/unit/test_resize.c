#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "tests/unit/suites.h"
#include "trainer/data/resize.h"

enum { WIDTH = 23, HEIGHT = 17 };

/* A picture of Pillow's: size, box of the source, pixels. */
struct pil_case {
	int width, height;
	float box[4];
	const uint8_t *pixels;
};

#include "tests/reference/resize_pil.inc"

/* The formula of make_resize.py. */
static void make_source(struct image *image)
{
	CU_ASSERT_EQUAL_FATAL(image_set_size(image, WIDTH, HEIGHT), NN_OK);
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH; x++)
			for (int c = 0; c < 3; c++)
				image->pixels[(y * WIDTH + x) * 3 + c] = (uint8_t)(x * x * 7 + y * 13 + c * 50 + x * y * 3);
}

static struct resize plan_of(const struct pil_case *pil)
{
	return (struct resize){pil->box[0], pil->box[1], pil->box[2], pil->box[3], pil->width,
			       pil->height, 0,		 0,	      pil->width,  pil->height};
}

static void resized_pictures_are_those_of_pillow(void)
{
	struct image source = {0}, result = {0};
	struct resize_scratch scratch = {0};

	make_source(&source);
	for (size_t i = 0; i < sizeof(pil_cases) / sizeof(pil_cases[0]); i++) {
		const struct pil_case *pil = &pil_cases[i];
		struct resize plan = plan_of(pil);

		CU_ASSERT_EQUAL_FATAL(resize_bilinear(&result, pixels_crop(&source, 0, 0, WIDTH, HEIGHT), &plan, &scratch), NN_OK);
		CU_ASSERT_EQUAL(result.width, pil->width);
		CU_ASSERT_EQUAL(result.height, pil->height);
		CU_ASSERT_EQUAL(memcmp(result.pixels, pil->pixels, (size_t)pil->width * (size_t)pil->height * 3), 0);
	}
	image_release(&source);
	image_release(&result);
	resize_scratch_release(&scratch);
}

static void a_crop_of_the_result_has_the_pixels_of_the_whole(void)
{
	struct image source = {0}, result = {0};
	struct resize_scratch scratch = {0};
	const struct pil_case *pil = &pil_cases[1];
	struct resize plan = plan_of(pil);

	make_source(&source);
	plan.crop_x = 5;
	plan.crop_y = 7;
	plan.crop_width = 11;
	plan.crop_height = 13;
	CU_ASSERT_EQUAL_FATAL(resize_bilinear(&result, pixels_crop(&source, 0, 0, WIDTH, HEIGHT), &plan, &scratch), NN_OK);
	for (int y = 0; y < 13; y++)
		CU_ASSERT_EQUAL(memcmp(result.pixels + y * 11 * 3, pil->pixels + ((y + 7) * pil->width + 5) * 3, 11 * 3), 0);
	image_release(&source);
	image_release(&result);
	resize_scratch_release(&scratch);
}

static void pixels_outside_the_given_rectangle_do_not_count(void)
{
	struct image source = {0}, cut = {0}, a = {0}, b = {0};
	struct resize_scratch scratch = {0};
	struct resize plan = {0, 0, 10, 9, 4, 3, 0, 0, 4, 3};

	make_source(&source);
	CU_ASSERT_EQUAL_FATAL(image_set_size(&cut, 10, 9), NN_OK);
	for (size_t y = 0; y < 9; y++)
		memcpy(cut.pixels + y * 30, source.pixels + ((y + 4) * WIDTH + 6) * 3, 30);
	CU_ASSERT_EQUAL_FATAL(resize_bilinear(&a, pixels_crop(&source, 6, 4, 10, 9), &plan, &scratch), NN_OK);
	CU_ASSERT_EQUAL_FATAL(resize_bilinear(&b, pixels_crop(&cut, 0, 0, 10, 9), &plan, &scratch), NN_OK);
	CU_ASSERT_EQUAL(memcmp(a.pixels, b.pixels, 4 * 3 * 3), 0);
	image_release(&source);
	image_release(&cut);
	image_release(&a);
	image_release(&b);
	resize_scratch_release(&scratch);
}

static void a_failed_allocation_is_reported_and_leaves_buffers_usable(void)
{
	struct image source = {0}, result = {0};
	struct resize_scratch scratch = {0};
	struct resize plan = plan_of(&pil_cases[0]);
	enum nn_status status = NN_ERR_MEMORY;
	int failures = 0;

	make_source(&source);
	for (long nth = 1; status != NN_OK && nth < 10; nth++) {
		struct pixels whole = pixels_crop(&source, 0, 0, WIDTH, HEIGHT);

		image_release(&result);
		resize_scratch_release(&scratch);
		nn_alloc_fail_at(nth);
		status = resize_bilinear(&result, whole, &plan, &scratch);
		nn_alloc_fail_at(0);
		CU_ASSERT(status == NN_OK || status == NN_ERR_MEMORY);
		failures += status != NN_OK;
		CU_ASSERT_EQUAL(resize_bilinear(&result, whole, &plan, &scratch), NN_OK);
	}
	CU_ASSERT_EQUAL(failures, 3);
	image_release(&source);
	image_release(&result);
	resize_scratch_release(&scratch);
}

void suite_resize(void)
{
	static const struct test_row rows[] = {
	    TEST(resized_pictures_are_those_of_pillow),
	    TEST(a_crop_of_the_result_has_the_pixels_of_the_whole),
	    TEST(pixels_outside_the_given_rectangle_do_not_count),
	    TEST(a_failed_allocation_is_reported_and_leaves_buffers_usable),
	};

	ADD_SUITE("resize", rows);
}
