/* What PyTorch computed, from tests/reference/fixtures; and the values it computed from, which are not stored but follow a rule
 * that tests/reference/make_fixtures.py shares. A file that cannot be read is a failure of the test, and gives zeros. */
#ifndef TESTS_UNIT_FIXTURE_H
#define TESTS_UNIT_FIXTURE_H

#include <stddef.h>

#include "trainer/state/safetensors.h"

/* Opens tests/reference/fixtures/NAME.safetensors; NULL when it cannot. Ownership: the caller's, safetensors_close. */
struct safetensors *fixture_open(const char *name);

/* The values of CASE/NAME, in the file's order. Ownership: the caller's, nn_free. */
float *fixture_read(const struct safetensors *file, const char *case_name, const char *name);

/* Reads CASE/NAME into entry->values, in the entry's shape and memory order; entry->name does not matter. */
void fixture_read_entry(const struct safetensors *file, const char *case_name, const char *name, struct tensor_entry entry);

/* The integer CASE/NAME. */
int fixture_read_int(const struct safetensors *file, const char *case_name, const char *name);

/* out[i] = shift + scale * uniform in [-1, 1), a hash of the name and i. */
void fixture_values(float *out, const char *name, size_t count, double scale, double shift);

/* fixture_values in new memory. Ownership: the caller's, nn_free. */
float *fixture_new(const char *name, size_t count, double scale, double shift);

/* Fills a tensor whose file order is that of the rule. */
void fixture_fill(const struct tensor_entry *entry, double scale, double shift);

/* Relative L2 error; infinite when something is not a number. */
double fixture_error(const float *got, const float *expected, size_t count);

#endif
