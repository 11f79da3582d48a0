/* What the packer makes of the files: shrinking, colours, threads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "nn/core/alloc.h"
#include "tests/unit/image_maker.h"
#include "tests/unit/scratch_folder.h"
#include "tests/unit/suites.h"
#include "trainer/data/packed_check.h"
#include "trainer/data/packed_write.h"
#include "trainer/state/files.h"

enum { RGB_PNG = 2, FILE_MAX = 1 << 20, PICTURES = 9 };

struct fixture {
	char folder[SCRATCH_PATH];
	char data[SCRATCH_PATH + 16], packed[SCRATCH_PATH + 16], again[SCRATCH_PATH + 16];
};

static void add(const struct fixture *fixture, const char *name, struct encoded *file)
{
	scratch_write(fixture->data, name, file->bytes, file->size);
	free(file->bytes);
}

/* Three large pictures: a JPEG of 90 x 60, one in inks, a PNG. A small JPEG, and more of them. */
static void fixture_init(struct fixture *fixture)
{
	struct encoded file;
	char name[64];

	scratch_make(fixture->folder);
	snprintf(fixture->data, sizeof(fixture->data), "%s/data", fixture->folder);
	snprintf(fixture->packed, sizeof(fixture->packed), "%s/packed", fixture->folder);
	snprintf(fixture->again, sizeof(fixture->again), "%s/again", fixture->folder);
	scratch_folder(fixture->folder, "data");
	maker_jpeg(&file, &(struct jpeg_spec){90, 60, JCS_YCbCr, false, false, false, {200, 100, 50}});
	add(fixture, "train/a/0.png", &file); /* the name is wrong on purpose */
	maker_jpeg(&file, &(struct jpeg_spec){40, 80, JCS_CMYK, true, false, false, {10, 200, 30, 250}});
	add(fixture, "train/a/1.jpg", &file);
	maker_png(&file, &(struct png_spec){90, 60, RGB_PNG, 8, false, false});
	add(fixture, "train/a/2.png", &file);
	for (int i = 3; i < PICTURES; i++) {
		maker_jpeg(&file, &(struct jpeg_spec){20 + i, 30, JCS_YCbCr, false, i % 2 == 0, false, {20 * i, 255 - i, 7 * i}});
		snprintf(name, sizeof(name), "train/b/%d.jpg", i);
		add(fixture, name, &file);
	}
}

static enum nn_status pack(const char *out, const struct fixture *fixture, int shorter_side, int threads)
{
	bool made;

	return packed_write(
	    &made, out, fixture->data,
	    &(struct pack_options){.piece_bytes = 2000, .shrink = {shorter_side, shorter_side ? 90 : 0}, .threads = threads});
}

/* Colours over the images as a run would measure them. */
static struct colour_sums measure(const char *folder)
{
	struct colour_sums sums = {0};
	struct image image = {0};
	struct dataset *train;

	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_OK);
	for (size_t i = 0; i < dataset_count(train); i++)
		if (dataset_read(train, i, &image) == NN_OK)
			colours_add(&sums, &image);
	image_release(&image);
	dataset_close(train);
	return sums;
}

static bool keeps_colours(struct colour_sums *sums, const char *folder)
{
	struct dataset *train;
	bool known;

	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_OK);
	known = dataset_colours(train, sums);
	dataset_close(train);
	return known;
}

static void colours_are_those_that_a_run_would_measure(void)
{
	for (int shorter_side = 0; shorter_side <= 30; shorter_side += 30) {
		struct fixture fixture;
		struct colour_sums kept, measured;

		fixture_init(&fixture);
		CU_ASSERT_EQUAL(pack(fixture.packed, &fixture, shorter_side, 3), NN_OK);
		CU_ASSERT_TRUE(keeps_colours(&kept, fixture.packed));
		CU_ASSERT_FALSE(keeps_colours(&measured, fixture.data));
		measured = measure(fixture.packed);
		CU_ASSERT_EQUAL(memcmp(&kept, &measured, sizeof(kept)), 0);
		measured = measure(fixture.data);
		CU_ASSERT_EQUAL(memcmp(&kept, &measured, sizeof(kept)) == 0, shorter_side == 0);
		scratch_remove(fixture.folder);
	}
}

static void an_image_that_cannot_be_decoded_is_packed_and_its_set_has_no_colours(void)
{
	struct fixture fixture;
	struct colour_sums kept, measured;
	struct packed_facts facts;

	fixture_init(&fixture);
	scratch_write(fixture.data, "train/b/bad.jpg", "\xff\xd8\xff nothing", 11);
	CU_ASSERT_EQUAL(pack(fixture.packed, &fixture, 30, 2), NN_OK);
	CU_ASSERT_FALSE(keeps_colours(&kept, fixture.packed));
	CU_ASSERT_EQUAL(packed_describe(&facts, fixture.packed, "train"), NN_OK);
	CU_ASSERT(facts.images == PICTURES + 1 && facts.readable == PICTURES && facts.has_colours);
	measured = measure(fixture.packed);
	CU_ASSERT_EQUAL(memcmp(&facts.colours, &measured, sizeof(measured)), 0);
	scratch_remove(fixture.folder);
}

static void only_large_jpegs_are_shrunk(void)
{
	static const int sides[3][2] = {{45, 30}, {30, 60}, {90, 60}};
	struct fixture fixture;
	struct dataset *before, *after;
	struct image image = {0}, twin = {0};

	fixture_init(&fixture);
	CU_ASSERT_EQUAL(pack(fixture.packed, &fixture, 30, 2), NN_OK);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&before, fixture.data, SPLIT_TRAIN), NN_OK);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&after, fixture.packed, SPLIT_TRAIN), NN_OK);
	CU_ASSERT_EQUAL(dataset_digest(before), dataset_digest(after));
	for (size_t i = 0; i < PICTURES; i++) {
		size_t size, other;
		bool same;

		CU_ASSERT_EQUAL(dataset_load(before, i, &image, &size), NN_OK);
		CU_ASSERT_EQUAL(dataset_load(after, i, &twin, &other), NN_OK);
		same = size == other && memcmp(image.encoded, twin.encoded, size) == 0;
		CU_ASSERT_EQUAL(same, i >= 2);
		CU_ASSERT_EQUAL(dataset_read(before, i, &image), NN_OK);
		CU_ASSERT_EQUAL(dataset_read(after, i, &twin), NN_OK);
		CU_ASSERT(i > 2 || (twin.width == sides[i][0] && twin.height == sides[i][1]));
		for (int c = 0; c < 3 && i < 2; c++)
			CU_ASSERT(abs(image.pixels[c] - twin.pixels[c]) <= 3);
	}
	image_release(&image);
	image_release(&twin);
	dataset_close(before);
	dataset_close(after);
	scratch_remove(fixture.folder);
}

static bool same_files(const char *folder, const char *other)
{
	bool same = true;

	for (int i = 0; i < 40 && same; i++) {
		char path[SCRATCH_PATH + 64], *a = NULL, *b = NULL;
		size_t size = 0, twin = 0;

		snprintf(path, sizeof(path), "%s/train-%05d.%s", folder, i / 2, i % 2 ? "index" : "data");
		file_read(&a, &size, path, FILE_MAX);
		snprintf(path, sizeof(path), "%s/train-%05d.%s", other, i / 2, i % 2 ? "index" : "data");
		file_read(&b, &twin, path, FILE_MAX);
		same = (i > 3 || a) && size == twin && (!a) == (!b) && (!a || memcmp(a, b, size) == 0);
		nn_free(a);
		nn_free(b);
	}
	return same;
}

static void threads_change_no_byte(void)
{
	struct fixture fixture;

	fixture_init(&fixture);
	CU_ASSERT_EQUAL(pack(fixture.packed, &fixture, 30, 1), NN_OK);
	for (int threads = 2; threads <= 9; threads++) {
		CU_ASSERT_EQUAL(pack(fixture.again, &fixture, 30, threads), NN_OK);
		CU_ASSERT_TRUE(same_files(fixture.packed, fixture.again));
		scratch_remove(fixture.again);
	}
	scratch_remove(fixture.folder);
}

static void shrunk_and_unshrunk_pieces_are_not_mixed(void)
{
	struct fixture fixture;
	char part[SCRATCH_PATH + 32];

	fixture_init(&fixture);
	CU_ASSERT_EQUAL(pack(fixture.packed, &fixture, 0, 2), NN_OK);
	CU_ASSERT_EQUAL(pack(fixture.packed, &fixture, 30, 2), NN_ERR_USAGE);
	CU_ASSERT(strstr(nn_error_message(), "/packed exists and is not ") != NULL);
	snprintf(part, sizeof(part), "%s.part", fixture.packed);
	CU_ASSERT_EQUAL(rename(fixture.packed, part), 0);
	CU_ASSERT_EQUAL(pack(fixture.packed, &fixture, 30, 2), NN_OK);
	CU_ASSERT_EQUAL(pack(fixture.again, &fixture, 30, 2), NN_OK);
	CU_ASSERT_TRUE(same_files(fixture.packed, fixture.again));
	scratch_remove(fixture.folder);
}

static void a_set_of_an_earlier_format_is_refused_by_name(void)
{
	struct packed_index index;

	CU_ASSERT_EQUAL(packed_index_parse(&index, (const uint8_t *)"RTPACK1\n and more", 17, "old.index"), NN_ERR_DATA);
	CU_ASSERT(strstr(nn_error_message(), "old.index: of another version of the format than 2") != NULL);
}

void suite_packed_contents(void)
{
	static const struct test_row rows[] = {
	    TEST(colours_are_those_that_a_run_would_measure),
	    TEST(an_image_that_cannot_be_decoded_is_packed_and_its_set_has_no_colours),
	    TEST(only_large_jpegs_are_shrunk),
	    TEST(threads_change_no_byte),
	    TEST(shrunk_and_unshrunk_pieces_are_not_mixed),
	    TEST(a_set_of_an_earlier_format_is_refused_by_name),
	};

	ADD_SUITE("packed_contents", rows);
}
