#include "tests/unit/fixture.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "tests/unit/suites.h"
#include "trainer/state/bytes.h"

struct safetensors *fixture_open(const char *name)
{
	char path[128];
	struct safetensors *file;

	snprintf(path, sizeof(path), "tests/reference/fixtures/%s.safetensors", name);
	if (safetensors_open(&file, path) != NN_OK)
		CU_FAIL("tests/reference/fixtures cannot be read; run the tests from the repository's root");
	return file;
}

void fixture_read_entry(const struct safetensors *file, const char *case_name, const char *name, struct tensor_entry entry)
{
	char full[128];

	snprintf(full, sizeof(full), "%s/%s", case_name, name);
	entry.name = full;
	if (!file || safetensors_read(file, &entry) != NN_OK)
		CU_FAIL("a fixture is missing or has another shape");
}

float *fixture_read(const struct safetensors *file, const char *case_name, const char *name)
{
	const struct safetensors_tensor *tensor = NULL;
	struct tensor_entry entry = {.type = TENSOR_F32};
	char full[128];

	snprintf(full, sizeof(full), "%s/%s", case_name, name);
	if (file)
		tensor = safetensors_find(file, full);
	for (int i = 0; tensor && i < tensor->dims && i < TENSOR_ENTRY_DIMS; i++)
		entry.shape[entry.dims++] = tensor->shape[i];
	CU_ASSERT_EQUAL(nn_alloc(&entry.values, tensor_entry_count(&entry) * sizeof(float)), NN_OK);
	fixture_read_entry(file, case_name, name, entry);
	return entry.values;
}

int fixture_read_int(const struct safetensors *file, const char *case_name, const char *name)
{
	int64_t value = 0;

	fixture_read_entry(file, case_name, name, (struct tensor_entry){.type = TENSOR_I64, .values = &value});
	return (int)value;
}

/* MurmurHash3's finaliser. */
static uint32_t mixed(uint32_t x)
{
	x = (x ^ x >> 16) * 0x85ebca6bu;
	x = (x ^ x >> 13) * 0xc2b2ae35u;
	return x ^ x >> 16;
}

void fixture_values(float *out, const char *name, size_t count, double scale, double shift)
{
	uint32_t key = 2166136261u; /* FNV-1a */

	for (; *name; name++)
		key = (key ^ (unsigned char)*name) * 16777619u;
	for (size_t i = 0; i < count; i++) {
		double uniform = (double)(mixed((uint32_t)i * 0x9e3779b9u + key) >> 8) / (1 << 23) - 1;

		out[i] = (float)(shift + scale * uniform);
	}
}

float *fixture_new(const char *name, size_t count, double scale, double shift)
{
	float *out;

	CU_ASSERT_EQUAL_FATAL(nn_alloc(&out, count * sizeof(float)), NN_OK);
	fixture_values(out, name, count, scale, shift);
	return out;
}

void fixture_fill(const struct tensor_entry *entry, double scale, double shift)
{
	size_t count = tensor_entry_count(entry);
	float *file_order = fixture_new(entry->name, count, scale, shift);

	for (size_t i = 0; i < count; i++) {
		uint32_t bits;

		memcpy(&bits, &file_order[i], sizeof(bits));
		store_le32((unsigned char *)&file_order[i], bits);
	}
	tensor_entry_unpack(entry, (const unsigned char *)file_order, 0, count);
	nn_free(file_order);
}

double fixture_error(const float *got, const float *expected, size_t count)
{
	double norm = 0, error = 0;

	for (size_t i = 0; i < count; i++) {
		double difference = (double)got[i] - (double)expected[i];

		error += difference * difference;
		norm += (double)expected[i] * (double)expected[i];
	}
	return isfinite(error) ? sqrt(error / (norm > 0 ? norm : 1)) : INFINITY;
}
