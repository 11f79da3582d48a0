#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "tests/unit/image_maker.h"
#include "tests/unit/suites.h"
#include "trainer/data/augment.h"

enum { WIDTH = 417, HEIGHT = 300, SIZE = 24, VALUES = SIZE * SIZE * 3 };

/* A JPEG of two slopes and a soft wave; free(bytes) by the caller. */
static void make_jpeg(struct encoded *file)
{
	struct jpeg_compress_struct codec;
	struct jpeg_error_mgr errors;
	unsigned long size = 0;
	uint8_t row[WIDTH * 3];

	codec.err = jpeg_std_error(&errors);
	jpeg_create_compress(&codec);
	file->bytes = NULL;
	jpeg_mem_dest(&codec, &file->bytes, &size);
	codec.image_width = WIDTH;
	codec.image_height = HEIGHT;
	codec.input_components = 3;
	codec.in_color_space = JCS_RGB;
	jpeg_set_defaults(&codec);
	jpeg_set_quality(&codec, 97, TRUE);
	jpeg_start_compress(&codec, TRUE);
	for (int y = 0; y < HEIGHT; y++) {
		JSAMPROW rows[1] = {row};

		for (int x = 0; x < WIDTH; x++) {
			row[3 * x] = (uint8_t)(x * 255 / WIDTH);
			row[3 * x + 1] = (uint8_t)(y * 255 / HEIGHT);
			row[3 * x + 2] = (uint8_t)(128 + 100 * sin(x / 40.0) * cos(y / 30.0));
		}
		jpeg_write_scanlines(&codec, rows, 1);
	}
	jpeg_finish_compress(&codec);
	jpeg_destroy_compress(&codec);
	file->size = size;
}

/* out = the sample of this stream; returns by what the picture was reduced. */
static int sample_of(float out[VALUES], const struct encoded *file, const struct augment *augment, struct rng rng)
{
	struct augment_scratch scratch = {0};
	struct image image = {0};
	int by;

	augment_before_reading(&image, augment, rng, &scratch);
	CU_ASSERT_EQUAL_FATAL(image_read_memory(&image, file->bytes, file->size, "memory"), NN_OK);
	by = image.reduction ? image.reduction->by : 1;
	CU_ASSERT_EQUAL(image.width, (WIDTH + by - 1) / by);
	CU_ASSERT_EQUAL(image.height, (HEIGHT + by - 1) / by);
	CU_ASSERT_EQUAL(augment_train(out, &image, augment, rng, &scratch), NN_OK);
	image_release(&image);
	augment_scratch_release(&scratch);
	return by;
}

/* The same crops, of which the pixels differ by what two ways to reduce a smooth picture may. */
static void reduced_pictures_give_nearly_the_same_samples(void)
{
	static const enum augment_kind kinds[] = {AUGMENT_NONE, AUGMENT_CIFAR, AUGMENT_INCEPTION, AUGMENT_PAPER};
	struct encoded file;

	make_jpeg(&file);
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct augment whole = {.kind = kinds[k], .size = SIZE, .normal.inverse_std = {255, 255, 255}, .eval_scale = 1};
		struct augment reduced = whole;
		int times[9] = {0};

		reduced.reduced_decode = true;
		for (uint64_t sample = 0; sample < 40; sample++) {
			float a[VALUES], b[VALUES];
			double difference = 0;

			CU_ASSERT_EQUAL(sample_of(a, &file, &whole, rng_stream(1, 2, sample)), 1);
			times[sample_of(b, &file, &reduced, rng_stream(1, 2, sample))]++;
			for (int i = 0; i < VALUES; i++)
				difference += fabs((double)a[i] - (double)b[i]) / VALUES;
			CU_ASSERT(difference < 2.5);
		}
		if (kinds[k] == AUGMENT_INCEPTION)
			CU_ASSERT(times[8] > 5 && times[4] > 5);
		if (kinds[k] == AUGMENT_NONE)
			CU_ASSERT_EQUAL(times[8], 40);
		if (kinds[k] == AUGMENT_PAPER)
			CU_ASSERT(times[8] > 5 && times[4] > 5);
	}
	free(file.bytes);
}

/* Wanted: 160 pixels of 300. */
static void nothing_is_reduced_below_what_the_crop_needs(void)
{
	struct augment augment = {.kind = AUGMENT_NONE, .size = 160, .normal.inverse_std = {1, 1, 1}, .reduced_decode = true};
	struct augment_scratch scratch = {0};
	struct image image = {0};
	struct encoded file;

	make_jpeg(&file);
	augment_before_reading(&image, &augment, rng_stream(0, 0, 0), &scratch);
	CU_ASSERT_EQUAL(image_read_memory(&image, file.bytes, file.size, "memory"), NN_OK);
	CU_ASSERT_EQUAL(image.reduction->by, 1);
	augment.size = 150;
	CU_ASSERT_EQUAL(image_read_memory(&image, file.bytes, file.size, "memory"), NN_OK);
	CU_ASSERT_EQUAL(image.reduction->by, 2);
	CU_ASSERT_EQUAL(image.reduction->width, WIDTH);
	image_release(&image);
	augment_scratch_release(&scratch);
	free(file.bytes);
}

static void png_files_keep_their_size(void)
{
	struct augment augment = {.kind = AUGMENT_NONE, .size = 4, .normal.inverse_std = {1, 1, 1}, .reduced_decode = true};
	struct augment_scratch scratch = {0};
	struct image image = {0};
	struct encoded file;

	maker_png(&file, &(struct png_spec){.width = 64, .height = 64, .colour = 2, .depth = 8});
	augment_before_reading(&image, &augment, rng_stream(0, 0, 0), &scratch);
	CU_ASSERT_EQUAL(image_read_memory(&image, file.bytes, file.size, "memory"), NN_OK);
	CU_ASSERT_EQUAL(image.reduction->by, 1);
	CU_ASSERT_EQUAL(image.width, 64);
	image_release(&image);
	augment_scratch_release(&scratch);
	free(file.bytes);
}

void suite_reduced_decode(void)
{
	static const struct test_row rows[] = {
	    TEST(reduced_pictures_give_nearly_the_same_samples),
	    TEST(nothing_is_reduced_below_what_the_crop_needs),
	    TEST(png_files_keep_their_size),
	};

	ADD_SUITE("reduced_decode", rows);
}
