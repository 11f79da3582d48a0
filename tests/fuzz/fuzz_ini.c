/* The INI file of --config. What was read is written and read again, and must be the same. */
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/targets.h"
#include "trainer/run/config_file.h"
#include "trainer/run/option_value.h"

static void check_equal(const struct options *one, const struct options *other)
{
	char text[OPTION_VALUE_MAX], again[OPTION_VALUE_MAX];

	for (int i = 0; i < option_count; i++) {
		option_write(text, one, &option_table[i]);
		option_write(again, other, &option_table[i]);
		FUZZ_CHECK(strcmp(text, again) == 0);
	}
}

static void check_round_trip(struct options *options)
{
	static struct options again; /* large */
	char path[FUZZ_PATH], written[2 * FUZZ_PATH];

	snprintf(path, sizeof(path), "%s/resnet-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	FUZZ_CHECK(mkdtemp(path));
	snprintf(written, sizeof(written), "%s/config.ini", path);
	FUZZ_CHECK(options_write_ini(options, written) == NN_OK);
	options_init(&again);
	FUZZ_CHECK(options_read_ini(&again, written, OPTION_FROM_FILE) == NN_OK);
	check_equal(options, &again);
	unlink(written);
	rmdir(path);
}

void fuzz_ini(const uint8_t *bytes, size_t size)
{
	static struct options options;
	char path[FUZZ_PATH];
	int file = fuzz_file(path, bytes, size);

	options_init(&options);
	if (options_read_ini(&options, path, OPTION_FROM_FILE) == NN_OK && options_resolve(&options) == NN_OK)
		check_round_trip(&options);
	close(file);
}
