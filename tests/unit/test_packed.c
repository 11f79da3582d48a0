#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/core/alloc.h"
#include "tests/unit/image_maker.h"
#include "tests/unit/scratch_folder.h"
#include "tests/unit/suites.h"
#include "trainer/data/packed_check.h"
#include "trainer/data/packed_write.h"
#include "trainer/state/files.h"

enum { GREY_PNG = 0, FILE_MAX = 1 << 16 };

static bool message_has(const char *text)
{
	return strstr(nn_error_message(), text) != NULL;
}

/* An image folder DATA of pictures that are told apart by their width, one of them no picture at all, and room for what is made. */
struct fixture {
	char folder[SCRATCH_PATH];
	char data[SCRATCH_PATH + 16], packed[SCRATCH_PATH + 16], back[SCRATCH_PATH + 16];
};

static void add_picture(const struct fixture *fixture, const char *name, int width)
{
	struct encoded file;

	maker_png(&file, &(struct png_spec){width, 1, GREY_PNG, 8, false, false});
	scratch_write(fixture->data, name, file.bytes, file.size);
	free(file.bytes);
}

static void fixture_init(struct fixture *fixture)
{
	scratch_make(fixture->folder);
	snprintf(fixture->data, sizeof(fixture->data), "%s/data", fixture->folder);
	snprintf(fixture->packed, sizeof(fixture->packed), "%s/packed", fixture->folder);
	snprintf(fixture->back, sizeof(fixture->back), "%s/back", fixture->folder);
	scratch_folder(fixture->folder, "data");
	add_picture(fixture, "train/ant/1.png", 1);
	add_picture(fixture, "train/ant/2.png", 2);
	add_picture(fixture, "train/caf\xe9/\n.png", 3);
	scratch_write(fixture->data, "train/caf\xe9/empty.png", "", 0);
	add_picture(fixture, "val/caf\xe9/1.png", 4);
}

static enum nn_status pack_into(bool *made, const char *out, const char *folder, uint64_t piece_bytes)
{
	return packed_write(made, out, folder, &(struct pack_options){.piece_bytes = piece_bytes, .threads = 2});
}

static void pack(const struct fixture *fixture, uint64_t piece_bytes)
{
	bool made;

	CU_ASSERT_EQUAL_FATAL(pack_into(&made, fixture->packed, fixture->data, piece_bytes), NN_OK);
	CU_ASSERT(made);
}

static void check_same(const char *folder, const char *other, enum data_split split)
{
	struct dataset *a, *b;
	struct image image = {0}, twin = {0};

	CU_ASSERT_EQUAL_FATAL(dataset_open(&a, folder, split), NN_OK);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&b, other, split), NN_OK);
	CU_ASSERT_EQUAL_FATAL(dataset_count(a), dataset_count(b));
	CU_ASSERT_EQUAL(dataset_digest(a), dataset_digest(b));
	CU_ASSERT_EQUAL(dataset_is_test(a), dataset_is_test(b));
	for (size_t i = 0; i < dataset_count(a); i++) {
		enum nn_status status = dataset_read(a, i, &image);

		CU_ASSERT_EQUAL(dataset_read(b, i, &twin), status);
		CU_ASSERT_EQUAL(dataset_label(a, i), dataset_label(b, i));
		CU_ASSERT(status != NN_OK || (image.width == twin.width && memcmp(image.pixels, twin.pixels, 3) == 0));
	}
	image_release(&image);
	image_release(&twin);
	dataset_close(a);
	dataset_close(b);
}

static void a_packed_folder_is_the_same_data_set_in_pieces_of_any_size(void)
{
	static const uint64_t sizes[] = {0, 1, 100, 150, 1 << 30};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fixture fixture;

		fixture_init(&fixture);
		pack(&fixture, sizes[i]);
		check_same(fixture.data, fixture.packed, SPLIT_TRAIN);
		check_same(fixture.data, fixture.packed, SPLIT_VAL);
		CU_ASSERT_EQUAL(packed_unpack(fixture.back, fixture.packed), NN_OK);
		check_same(fixture.data, fixture.back, SPLIT_TRAIN);
		check_same(fixture.data, fixture.back, SPLIT_VAL);
		CU_ASSERT_EQUAL(packed_unpack(fixture.back, fixture.packed), NN_ERR_USAGE);
		scratch_remove(fixture.folder);
	}
}

static void a_finished_set_is_left_alone_and_another_is_not_overwritten(void)
{
	struct fixture fixture;
	bool made;

	fixture_init(&fixture);
	pack(&fixture, 100);
	CU_ASSERT_EQUAL(pack_into(&made, fixture.packed, fixture.data, 200), NN_OK);
	CU_ASSERT_FALSE(made);
	add_picture(&fixture, "train/ant/3.png", 5);
	CU_ASSERT_EQUAL(pack_into(&made, fixture.packed, fixture.data, 100), NN_ERR_USAGE);
	CU_ASSERT(message_has("/packed exists and is not "));
	CU_ASSERT_EQUAL(pack_into(&made, fixture.back, fixture.folder, 100), NN_ERR_DATA);
	CU_ASSERT(message_has("no folder of images"));
	scratch_remove(fixture.folder);
}

/* What an interrupted call may leave: whole pieces, a torn data file, an index of other data. */
static void an_interrupted_call_is_continued_and_half_files_are_not_taken(void)
{
	struct fixture fixture;
	char part[SCRATCH_PATH + 32], path[SCRATCH_PATH + 64], kept[SCRATCH_PATH + 64];
	struct stat before, after;

	fixture_init(&fixture);
	pack(&fixture, 1);
	snprintf(part, sizeof(part), "%s.part", fixture.packed);
	CU_ASSERT_EQUAL(rename(fixture.packed, part), 0);
	snprintf(kept, sizeof(kept), "%s/train-00000.data", part);
	CU_ASSERT_EQUAL(stat(kept, &before), 0);
	scratch_write(part, "train-00001.data", "torn", 4);
	scratch_write(part, "train-00002.index", "torn", 4);
	scratch_write(part, "train-00003.data.tmp", "torn", 4);
	scratch_write(part, "train-00004.index", "of more images", 14);
	scratch_write(part, "test-00000.index", "of another split", 16);
	pack(&fixture, 1);
	CU_ASSERT_EQUAL(packed_verify(fixture.packed, "train"), NN_OK);
	check_same(fixture.data, fixture.packed, SPLIT_TRAIN);
	check_same(fixture.data, fixture.packed, SPLIT_VAL);
	snprintf(kept, sizeof(kept), "%s/train-00000.data", fixture.packed);
	CU_ASSERT(stat(kept, &after) == 0 && after.st_ino == before.st_ino);
	snprintf(path, sizeof(path), "%s/train-00004.index", fixture.packed);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/test-00000.index", fixture.packed);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	scratch_remove(fixture.folder);
}

/* Verifying with each byte of the file changed in turn must fail each time. Returns how many bytes there were. */
static size_t flip_each_byte(const struct fixture *fixture, const char *name, const char *split)
{
	char path[SCRATCH_PATH + 64], *bytes;
	size_t size;
	int found = 0;

	snprintf(path, sizeof(path), "%s/%s", fixture->packed, name);
	CU_ASSERT_EQUAL_FATAL(file_read(&bytes, &size, path, FILE_MAX), NN_OK);
	for (size_t i = 0; i < size; i++) {
		bytes[i] ^= (char)(1 << i % 8);
		scratch_write(fixture->packed, name, bytes, size);
		found += packed_verify(fixture->packed, split) == NN_ERR_DATA && message_has(fixture->packed);
		bytes[i] ^= (char)(1 << i % 8);
	}
	scratch_write(fixture->packed, name, bytes, size);
	CU_ASSERT_EQUAL(found, (int)size);
	CU_ASSERT_EQUAL(packed_verify(fixture->packed, split), NN_OK);
	nn_free(bytes);
	return size;
}

static void verify_finds_any_byte_that_has_changed(void)
{
	static const char *const files[] = {"train-00000.index", "train-00000.data", "train-00001.index",
					    "train-00001.data",	 "val-00000.index",  "val-00000.data"};
	struct fixture fixture;
	size_t bytes = 0;

	fixture_init(&fixture);
	pack(&fixture, 100);
	for (int i = 0; i < 6; i++)
		bytes += flip_each_byte(&fixture, files[i], files[i][0] == 't' ? "train" : "val");
	CU_ASSERT(bytes > 800);
	scratch_remove(fixture.folder);
}

static void damage_is_named_when_a_set_is_opened_or_an_image_read(void)
{
	struct fixture fixture;
	struct dataset *train;
	struct image image = {0};
	char path[SCRATCH_PATH + 64];

	fixture_init(&fixture);
	pack(&fixture, 1);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, fixture.packed, SPLIT_TRAIN), NN_OK);
	snprintf(path, sizeof(path), "%s/train-00001.data", fixture.packed);
	CU_ASSERT_EQUAL(truncate(path, 10), 0);
	CU_ASSERT_EQUAL(dataset_read(train, 1, &image), NN_ERR_DATA);
	CU_ASSERT(message_has("/train-00001.data: became shorter"));
	CU_ASSERT_EQUAL(truncate(path, 1000), 0);
	CU_ASSERT_EQUAL(dataset_read(train, 1, &image), NN_ERR_DATA);
	CU_ASSERT(message_has("/train-00001.data: the bytes of train/ant/2.png are damaged"));
	CU_ASSERT_EQUAL(dataset_read(train, 0, &image), NN_OK);
	dataset_close(train);
	CU_ASSERT_EQUAL(dataset_open(&train, fixture.packed, SPLIT_TRAIN), NN_ERR_DATA);
	CU_ASSERT(message_has("/train-00001.data: 1000 bytes instead of "));
	snprintf(path, sizeof(path), "%s/train-00002.index", fixture.packed);
	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_EQUAL(packed_verify(fixture.packed, "train"), NN_ERR_DATA);
	image_release(&image);
	scratch_remove(fixture.folder);
}

static void pieces_of_two_sets_are_not_mixed(void)
{
	struct fixture one, other;
	char from[SCRATCH_PATH + 64], to[SCRATCH_PATH + 64];

	fixture_init(&one);
	fixture_init(&other);
	add_picture(&other, "train/caf\xe9/z.png", 9);
	pack(&one, 1);
	pack(&other, 1);
	snprintf(from, sizeof(from), "%s/train-00001.index", other.packed);
	snprintf(to, sizeof(to), "%s/train-00001.index", one.packed);
	CU_ASSERT_EQUAL(rename(from, to), 0);
	CU_ASSERT_EQUAL(packed_verify(one.packed, "train"), NN_ERR_DATA);
	CU_ASSERT(message_has("/train-00001.index: a piece of another packed data set"));
	scratch_remove(one.folder);
	scratch_remove(other.folder);
}

/* An index of two images that someone wrote with a right digest; `spoil` makes it a hostile one. */
static enum nn_status parse_spoilt(void (*spoil)(struct packed_index *index))
{
	char pool[] = "cat\0dog\0a.png\0b.png";
	struct packed_record records[2] = {{.at = 0, .bytes = 5, .label = 0, .name = 8},
					   {.at = 5, .bytes = 7, .label = 1, .name = 14}};
	struct packed_index index = {.total = 2,
				     .count = 2,
				     .data_bytes = 12,
				     .classes = 2,
				     .readable = 1,
				     .colours = {.pixels = 3},
				     .records = records,
				     .pool = pool,
				     .pool_bytes = sizeof(pool)};
	struct packed_index back;
	uint8_t bytes[512];
	enum nn_status status;

	spoil(&index);
	packed_index_format(bytes, &index);
	status = packed_index_parse(&back, bytes, packed_index_bytes(&index), "made.index");
	packed_index_release(&back);
	return status;
}

static void leave(struct packed_index *index)
{
	(void)index;
}
static void climb(struct packed_index *index)
{
	memcpy(index->pool + 8, "..", 3);
}
static void descend(struct packed_index *index)
{
	index->pool[9] = '/';
}
static void class_climbs(struct packed_index *index)
{
	memcpy(index->pool, "..", 3);
}
static void no_end(struct packed_index *index)
{
	index->pool_bytes--;
}
static void no_class(struct packed_index *index)
{
	index->records[1].label = 2;
}
static void many_classes(struct packed_index *index)
{
	index->classes = UINT64_MAX;
}
static void far_name(struct packed_index *index)
{
	index->records[1].name = 20;
}
static void far_image(struct packed_index *index)
{
	index->records[1].bytes = UINT64_MAX;
}
static void gap(struct packed_index *index)
{
	index->records[1].at = 6;
}
static void rest(struct packed_index *index)
{
	index->data_bytes = 13;
}
static void behind(struct packed_index *index)
{
	index->first = UINT64_MAX;
}

static void many_readable(struct packed_index *index)
{
	index->readable = 3;
}
static void no_pixels(struct packed_index *index)
{
	index->colours.pixels = 0;
}
static void huge_pictures(struct packed_index *index)
{
	index->colours.pixels = (int64_t)IMAGE_PIXELS_MAX + 1;
}
static void whiter_than_white(struct packed_index *index)
{
	index->colours.sums[2] = 3 * 255 + 1;
}
static void negative_product(struct packed_index *index)
{
	index->colours.products[1][2] = -1;
}
static void quality_of_nothing(struct packed_index *index)
{
	index->quality = 90;
}

static void an_index_with_a_right_digest_and_wrong_contents_is_refused(void)
{
	static void (*const spoils[])(struct packed_index * index) = {
	    climb, descend, class_climbs,  no_end,    no_class,	     many_classes,	far_name,	  far_image,	     gap,
	    rest,  behind,  many_readable, no_pixels, huge_pictures, whiter_than_white, negative_product, quality_of_nothing};

	CU_ASSERT_EQUAL(parse_spoilt(leave), NN_OK);
	for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
		CU_ASSERT_EQUAL(parse_spoilt(spoils[i]), NN_ERR_DATA);
		CU_ASSERT(message_has("made.index: damaged index"));
	}
}

static void every_failed_allocation_is_reported_and_what_was_begun_is_continued(void)
{
	struct fixture fixture;
	enum nn_status status = NN_ERR_MEMORY;
	int failures = 0;
	bool made;

	fixture_init(&fixture);
	for (long nth = 1; status != NN_OK && nth < 200; nth++) {
		nn_alloc_fail_at(nth);
		status = pack_into(&made, fixture.packed, fixture.data, 1);
		nn_alloc_fail_at(0);
		CU_ASSERT(status == NN_OK || status == NN_ERR_MEMORY);
		failures += status != NN_OK;
	}
	CU_ASSERT(status == NN_OK && failures > 20);
	check_same(fixture.data, fixture.packed, SPLIT_TRAIN);
	status = NN_ERR_MEMORY;
	for (long nth = 1; status != NN_OK && nth < 200; nth++) {
		struct dataset *train;

		nn_alloc_fail_at(nth);
		status = dataset_open(&train, fixture.packed, SPLIT_TRAIN);
		nn_alloc_fail_at(0);
		CU_ASSERT(status == NN_OK || (status == NN_ERR_MEMORY && !train));
		dataset_close(train);
	}
	CU_ASSERT_EQUAL(status, NN_OK);
	scratch_remove(fixture.folder);
}

void suite_packed(void)
{
	static const struct test_row rows[] = {
	    TEST(a_packed_folder_is_the_same_data_set_in_pieces_of_any_size),
	    TEST(a_finished_set_is_left_alone_and_another_is_not_overwritten),
	    TEST(an_interrupted_call_is_continued_and_half_files_are_not_taken),
	    TEST(verify_finds_any_byte_that_has_changed),
	    TEST(damage_is_named_when_a_set_is_opened_or_an_image_read),
	    TEST(pieces_of_two_sets_are_not_mixed),
	    TEST(an_index_with_a_right_digest_and_wrong_contents_is_refused),
	    TEST(every_failed_allocation_is_reported_and_what_was_begun_is_continued),
	};

	ADD_SUITE("packed", rows);
}
