#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "nn/core/status.h"
#include "tests/unit/suites.h"
#include "trainer/state/digest.h"
#include "trainer/state/file_writer.h"
#include "trainer/state/files.h"
#include "trainer/state/safetensors.h"

enum { PATH_BYTES = 512 };

static char folder[PATH_BYTES];

static void make_folder(void)
{
	const char *place = getenv("TMPDIR");

	snprintf(folder, sizeof(folder), "%s/safetensors-XXXXXX", place && strlen(place) < 400 ? place : "/tmp");
	CU_ASSERT_PTR_NOT_NULL(mkdtemp(folder));
}

static const char *in_folder(const char *name)
{
	static char path[PATH_BYTES + 64];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void remove_folder(void)
{
	CU_ASSERT_EQUAL(folder_remove(folder), NN_OK);
}

/* A file of this header and `bytes` of data. */
static void put_file(const char *name, const char *header, const void *data, size_t bytes)
{
	char content[2048];
	size_t length = strlen(header);

	memset(content, 0, 8);
	content[0] = (char)(length & 255);
	content[1] = (char)(length >> 8);
	snprintf(content + 8, sizeof(content) - 8, "%s", header);
	memcpy(content + 8 + length, data, bytes);
	CU_ASSERT_EQUAL(file_write(in_folder(name), content, 8 + length + bytes), NN_OK);
}

static enum nn_status try_open(const char *name)
{
	struct safetensors *file;
	enum nn_status status = safetensors_open(&file, in_folder(name));

	CU_ASSERT_EQUAL(status == NN_OK, file != NULL);
	safetensors_close(file);
	return status;
}

static bool same_bits(const void *a, const void *b, size_t bytes)
{
	return memcmp(a, b, bytes) == 0;
}

static void a_written_file_has_the_bytes_that_the_format_says(void)
{
	static const char header[] =
	    "{\"__metadata__\":{\"format\":\"pt\"},\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
	    "\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[8,16]}}";
	static const unsigned char data[] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const char *const metadata[] = {"format", "pt", NULL};
	float values[] = {1, -2};
	int64_t number = -2;
	const struct tensor_entry entries[] = {
	    {.name = "w", .dims = 1, .shape = {2}, .values = values},
	    {.name = "n", .type = TENSOR_I64, .values = &number},
	};
	size_t padded = (strlen(header) + 7) / 8 * 8, size;
	char *bytes;

	make_folder();
	CU_ASSERT_EQUAL(safetensors_write(in_folder("f"), entries, 2, metadata), NN_OK);
	CU_ASSERT_EQUAL(file_read(&bytes, &size, in_folder("f"), 1000), NN_OK);
	CU_ASSERT_EQUAL(size, 8 + padded + 16);
	if (bytes && size == 8 + padded + 16) {
		CU_ASSERT_EQUAL((unsigned char)bytes[0], padded);
		CU_ASSERT_EQUAL(memcmp(bytes + 1, "\0\0\0\0\0\0", 7), 0);
		CU_ASSERT_EQUAL(memcmp(bytes + 8, header, strlen(header)), 0);
		for (size_t i = 8 + strlen(header); i < 8 + padded; i++)
			CU_ASSERT_EQUAL(bytes[i], ' ');
		CU_ASSERT_EQUAL(memcmp(bytes + 8 + padded, data, sizeof(data)), 0);
	}
	nn_free(bytes);
	CU_ASSERT_NOT_EQUAL(file_read(&bytes, &size, in_folder("f.tmp"), 1000), NN_OK);
	remove_folder();
}

/* O = 2, I = 3, H = 1, W = 2: the file's value 6 o + 2 i + w is at (w * 3 + i) * 2 + o in memory. */
static void convolutions_are_permuted_to_hand_computed_places(void)
{
	static const int place[12] = {0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11};
	static const int linear_place[6] = {0, 2, 4, 1, 3, 5};
	float conv[12], linear[6], plain[12], back[12] = {0};
	struct tensor_entry entries[] = {
	    {.name = "conv", .dims = 4, .shape = {2, 3, 1, 2}, .values = conv, .hwio = true},
	    {.name = "fc", .dims = 2, .shape = {2, 3}, .values = linear, .hwio = true},
	};
	struct tensor_entry as_file = {.name = "conv", .dims = 4, .shape = {2, 3, 1, 2}, .values = plain};
	struct safetensors *file;

	for (int k = 0; k < 12; k++)
		conv[place[k]] = (float)k;
	for (int k = 0; k < 6; k++)
		linear[linear_place[k]] = (float)k;
	make_folder();
	CU_ASSERT_EQUAL(safetensors_write(in_folder("f"), entries, 2, NULL), NN_OK);
	if (safetensors_open(&file, in_folder("f")) == NN_OK) {
		CU_ASSERT_EQUAL(safetensors_read(file, &as_file), NN_OK);
		for (int k = 0; k < 12; k++)
			CU_ASSERT_EQUAL(plain[k], (float)k);
		as_file = (struct tensor_entry){.name = "fc", .dims = 2, .shape = {2, 3}, .values = plain};
		CU_ASSERT_EQUAL(safetensors_read(file, &as_file), NN_OK);
		for (int k = 0; k < 6; k++)
			CU_ASSERT_EQUAL(plain[k], (float)k);
		entries[0].values = back;
		CU_ASSERT_EQUAL(safetensors_read(file, &entries[0]), NN_OK);
		CU_ASSERT(same_bits(back, conv, sizeof(conv)));
	} else {
		CU_FAIL("cannot open the file");
	}
	safetensors_close(file);
	remove_folder();
}

static void large_tensors_keep_every_bit_across_pieces(void)
{
	enum { OUT = 37, IN = 41, SIDE = 11, COUNT = OUT * IN * SIDE * SIDE };
	struct tensor_entry entry = {.name = "w", .dims = 4, .shape = {OUT, IN, SIDE, SIDE}, .hwio = true};
	uint32_t *bits = malloc(COUNT * sizeof(*bits)), *back = malloc(COUNT * sizeof(*back));
	char before[DIGEST_CHARS], after[DIGEST_CHARS];
	struct safetensors *file;

	make_folder();
	/* all kinds of bits, NaNs with payloads too */
	for (uint32_t k = 0; k < COUNT; k++)
		bits[k] = k * 2654435761u;
	entry.values = bits;
	CU_ASSERT_EQUAL(digest_weights(before, &entry, 1), NN_OK);
	CU_ASSERT_EQUAL(safetensors_write(in_folder("f"), &entry, 1, NULL), NN_OK);
	CU_ASSERT_EQUAL(safetensors_open(&file, in_folder("f")), NN_OK);
	entry.values = back;
	CU_ASSERT_EQUAL(safetensors_read(file, &entry), NN_OK);
	CU_ASSERT_EQUAL(memcmp(bits, back, COUNT * sizeof(*bits)), 0);
	entry.hwio = false;
	CU_ASSERT_EQUAL(safetensors_read(file, &entry), NN_OK);
	CU_ASSERT_EQUAL(back[((5 * IN + 7) * SIDE + 3) * SIDE + 2], bits[((3 * SIDE + 2) * IN + 7) * OUT + 5]);
	CU_ASSERT_EQUAL(digest_weights(after, &entry, 1), NN_OK);
	CU_ASSERT_STRING_EQUAL(before, after);
	safetensors_close(file);
	free(bits);
	free(back);
	remove_folder();
}

static void half_bfloat_and_double_become_fp32(void)
{
	static const unsigned char data[] = {
	    0x00, 0x3c, 0x01, 0x00, 0xff, 0xfb, 0x00, 0x7c, 0x00, 0x80, 0x01, 0x7e, /* F16: 1, 2^-24, -65504, inf, -0, NaN */
	    0xc0, 0x3f, 0x80, 0xff,						    /* BF16: 1.5, -inf */
	    0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0x3f,			    /* F64: 0.1 */
	};
	float h[6], b[2], d[1];
	const struct tensor_entry half = {.name = "h", .dims = 1, .shape = {6}, .values = h};
	const struct tensor_entry brain = {.name = "b", .dims = 1, .shape = {2}, .values = b};
	const struct tensor_entry wide = {.name = "d", .dims = 1, .shape = {1}, .values = d};
	struct safetensors *file;

	make_folder();
	put_file("f",
		 "{\"h\":{\"dtype\":\"F16\",\"shape\":[6],\"data_offsets\":[0,12]},\"b\":{\"dtype\":\"BF16\",\"shape\":[2],"
		 "\"data_offsets\":[12,16]},\"d\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[16,24]}}",
		 data, sizeof(data));
	CU_ASSERT_EQUAL(safetensors_open(&file, in_folder("f")), NN_OK);
	CU_ASSERT_EQUAL(safetensors_count(file), 3);
	CU_ASSERT_STRING_EQUAL(safetensors_name(file, 1), "b");
	CU_ASSERT_EQUAL(safetensors_read(file, &half), NN_OK);
	CU_ASSERT(h[0] == 1.0f && h[1] == 0x1p-24f && h[2] == -65504.0f && isinf(h[3]) && h[4] == 0 && signbit(h[4]) &&
		  isnan(h[5]));
	CU_ASSERT_EQUAL(safetensors_read(file, &brain), NN_OK);
	CU_ASSERT(b[0] == 1.5f && isinf(b[1]) && b[1] < 0);
	CU_ASSERT_EQUAL(safetensors_read(file, &wide), NN_OK);
	CU_ASSERT_EQUAL(d[0], 0.1f);
	safetensors_close(file);
	remove_folder();
}

#define ONE(fields) "{\"a\":{" fields "}}"
static const struct {
	const char *header, *reason;
} damaged_headers[] = {
    {"{\"a\":", "not JSON"},
    {"[1]", "not a JSON object"},
    {" {}", "not a JSON object"},
    {"{}", "belong to no tensor"},
    {"{\"__metadata__\":3}", "not an object"},
    {"{\"__metadata__\":{\"k\":3}}", "not text"},
    {"{\"a\":7}", "no dtype"},
    {ONE("\"shape\":[2],\"data_offsets\":[0,8]"), "no dtype"},
    {ONE("\"dtype\":\"F31\",\"shape\":[2],\"data_offsets\":[0,8]"), "unknown type"},
    {ONE("\"dtype\":\"F32\",\"data_offsets\":[0,8]"), "not a list"},
    {ONE("\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]"), "not a size"},
    {ONE("\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]"), "not a size"},
    {ONE("\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]"), "9 dimensions"},
    {ONE("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]"), "needs 12"},
    {ONE("\"dtype\":\"F32\",\"shape\":[4611686018427387906],\"data_offsets\":[0,8]"), "too large"},
    {ONE("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]"), "too large"},
    {ONE("\"dtype\":\"F32\",\"shape\":[2]"), "not two sizes"},
    {ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]"), "not two sizes"},
    {ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,\"8\"]"), "not two sizes"},
    {ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]"), "not two sizes"},
    {ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]"), "are not in"},
    {ONE("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]"), "are not in"},
    {ONE("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"), "4 bytes of data belong"},
    {ONE("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]"), "a hole"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
     "offsets\":[4,8]}}",
     "an overlap"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
     "offsets\":[4,8]}}",
     "duplicate"},
};

static void every_damaged_header_is_refused_with_its_reason(void)
{
	make_folder();
	for (size_t i = 0; i < sizeof(damaged_headers) / sizeof(damaged_headers[0]); i++) {
		put_file("f", damaged_headers[i].header, "\0\0\0\0\0\0\0\0", 8);
		CU_ASSERT_EQUAL(try_open("f"), NN_ERR_CHECKPOINT);
		CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), damaged_headers[i].reason));
		CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), in_folder("f")));
	}
	put_file("f", ONE("\"dtype\":\"F32\",\"shape\":[2,0],\"data_offsets\":[0,0]") "   ", "", 0);
	CU_ASSERT_EQUAL(try_open("f"), NN_OK);
	CU_ASSERT_EQUAL(try_open("missing"), NN_ERR_CHECKPOINT);
	CU_ASSERT_EQUAL(try_open("."), NN_ERR_CHECKPOINT);
	remove_folder();
}

#undef ONE

static void header_lengths_beyond_file_and_limit_are_refused(void)
{
	static const unsigned char lengths[][8] = {
	    {9}, {0, 0, 0, 0, 0, 0, 0, 0x80}, {255, 255, 255, 255, 255, 255, 255, 255}, {0, 0xe1, 0xf5, 5}, {1, 0xe1, 0xf5, 5}, {0},
	};
	char content[17] = {0};

	make_folder();
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		memcpy(content, lengths[i], 8);
		snprintf(content + 8, sizeof(content) - 8, "{}      ");
		CU_ASSERT_EQUAL(file_write(in_folder("f"), content, 16), NN_OK);
		CU_ASSERT_EQUAL(try_open("f"), NN_ERR_CHECKPOINT);
	}
	content[0] = 8;
	CU_ASSERT_EQUAL(file_write(in_folder("f"), content, 16), NN_OK);
	CU_ASSERT_EQUAL(try_open("f"), NN_OK);
	remove_folder();
}

static void every_truncation_is_refused_and_no_changed_byte_crashes(void)
{
	float values[2] = {1, 2};
	const struct tensor_entry entry = {.name = "a", .dims = 1, .shape = {2}, .values = values};
	char *bytes;
	size_t size;
	int refused = 0;

	make_folder();
	CU_ASSERT_EQUAL(safetensors_write(in_folder("f"), &entry, 1, NULL), NN_OK);
	CU_ASSERT_EQUAL(file_read(&bytes, &size, in_folder("f"), 1000), NN_OK);
	for (size_t length = 0; length < size; length++) {
		CU_ASSERT_EQUAL(file_write(in_folder("g"), bytes, length), NN_OK);
		CU_ASSERT_EQUAL(try_open("g"), NN_ERR_CHECKPOINT);
	}
	for (size_t i = 0; i < size; i++)
		for (int bit = 0; bit < 8; bit += 3) {
			struct safetensors *file;

			bytes[i] = (char)(bytes[i] ^ (1 << bit));
			CU_ASSERT_EQUAL(file_write(in_folder("g"), bytes, size), NN_OK);
			if (safetensors_open(&file, in_folder("g")) != NN_OK || safetensors_read(file, &entry) != NN_OK)
				refused++;
			safetensors_close(file);
			bytes[i] = (char)(bytes[i] ^ (1 << bit));
		}
	/* only the eight bytes of values and a few spaces may change unnoticed here; the checkpoint's digest notices those */
	CU_ASSERT(refused > 3 * ((int)size - 16 - 8));
	nn_free(bytes);
	remove_folder();
}

static void another_shape_or_type_is_refused_naming_both(void)
{
	float values[6] = {0};
	struct tensor_entry entry = {.name = "layer.w", .dims = 2, .shape = {2, 3}, .values = values};
	struct safetensors *file;

	make_folder();
	CU_ASSERT_EQUAL(safetensors_write(in_folder("f"), &entry, 1, NULL), NN_OK);
	CU_ASSERT_EQUAL(safetensors_open(&file, in_folder("f")), NN_OK);
	entry.shape[0] = 3;
	entry.shape[1] = 2;
	CU_ASSERT_EQUAL(safetensors_read(file, &entry), NN_ERR_CHECKPOINT);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "[2, 3]"));
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "[3, 2]"));
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "layer.w"));
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), in_folder("f")));
	entry = (struct tensor_entry){.name = "layer.w", .dims = 2, .shape = {2, 3}, .type = TENSOR_I64, .values = values};
	CU_ASSERT_EQUAL(safetensors_read(file, &entry), NN_ERR_CHECKPOINT);
	entry.name = "layer.x";
	CU_ASSERT_EQUAL(safetensors_read(file, &entry), NN_ERR_CHECKPOINT);
	CU_ASSERT_PTR_NULL(safetensors_find(file, "layer.x"));
	safetensors_close(file);
	remove_folder();
}

static void names_that_cannot_be_written_are_refused(void)
{
	float value = 0;
	const struct tensor_entry twice[] = {{.name = "a", .values = &value}, {.name = "a", .values = &value}};
	const struct tensor_entry reserved = {.name = "__metadata__", .values = &value};
	const struct tensor_entry latin1 = {.name = "\xe4", .values = &value};

	make_folder();
	CU_ASSERT_EQUAL(safetensors_write(in_folder("f"), twice, 2, NULL), NN_ERR_USAGE);
	CU_ASSERT_EQUAL(safetensors_write(in_folder("f"), &reserved, 1, NULL), NN_ERR_USAGE);
	CU_ASSERT_EQUAL(safetensors_write(in_folder("f"), &latin1, 1, NULL), NN_ERR_USAGE);
	CU_ASSERT_EQUAL(safetensors_write(in_folder("none/f"), twice, 1, NULL), NN_ERR_IO);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "none/f"));
	CU_ASSERT_EQUAL(try_open("f"), NN_ERR_CHECKPOINT);
	remove_folder();
}

static enum nn_status write_read_digest(const struct tensor_entry *entry)
{
	struct safetensors *file = NULL;
	char digest[DIGEST_CHARS];
	enum nn_status status = safetensors_write(in_folder("f"), entry, 1, NULL);

	if (status == NN_OK)
		status = safetensors_open(&file, in_folder("f"));
	if (status == NN_OK)
		status = safetensors_read(file, entry);
	safetensors_close(file);
	if (status == NN_OK)
		status = digest_weights(digest, entry, 1);
	return status == NN_OK ? digest_file(digest, in_folder("f")) : status;
}

static void every_failed_allocation_is_reported(void)
{
	float values[2] = {1, 2};
	const struct tensor_entry entry = {.name = "a", .dims = 1, .shape = {2}, .values = values};
	enum nn_status status = NN_ERR_MEMORY;
	long nth = 0;

	make_folder();
	while (status == NN_ERR_MEMORY && nth < 100) {
		nn_alloc_fail_at(++nth);
		status = write_read_digest(&entry);
	}
	nn_alloc_fail_at(0);
	CU_ASSERT_EQUAL(status, NN_OK);
	CU_ASSERT(nth > 8);
	remove_folder();
}

void suite_safetensors(void)
{
	static const struct test_row rows[] = {
	    TEST(a_written_file_has_the_bytes_that_the_format_says),
	    TEST(convolutions_are_permuted_to_hand_computed_places),
	    TEST(large_tensors_keep_every_bit_across_pieces),
	    TEST(half_bfloat_and_double_become_fp32),
	    TEST(every_damaged_header_is_refused_with_its_reason),
	    TEST(header_lengths_beyond_file_and_limit_are_refused),
	    TEST(every_truncation_is_refused_and_no_changed_byte_crashes),
	    TEST(another_shape_or_type_is_refused_naming_both),
	    TEST(names_that_cannot_be_written_are_refused),
	    TEST(every_failed_allocation_is_reported),
	};

	ADD_SUITE("safetensors", rows);
}
