#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "tests/torture/faults.h"
#include "tests/torture/tiny.h"
#include "tests/torture/torture.h"
#include "trainer/state/files.h"

struct place {
	char run[PATH_MAX], folder[PATH_MAX]; /* the newest checkpoint's */
	long flips, lengths, links;
	int wrong;
};

static void wrong(struct place *place, const char *what, const char *name, long at, const char *problem)
{
	if (place->wrong++ < 10)
		printf("FAIL damage: %s %s at %ld: %s\n", what, name, at, problem);
}

static bool put(const char *path, const char *bytes, size_t size)
{
	FILE *file = fopen(path, "wb");
	bool fine = file && fwrite(bytes, 1, size, file) == size;

	return file && fclose(file) == 0 && fine;
}

/* The newest checkpoint, of step 2, is damaged: the run gives step 1 and says why. */
static void expect_previous(struct place *place, const char *what, const char *name, long at)
{
	struct tiny found;
	char warning[1024];
	enum nn_status status = tiny_check(&found, warning, sizeof(warning), place->run);

	if (status != NN_OK)
		wrong(place, what, name, at, nn_error_message());
	else if (found.step != 1)
		wrong(place, what, name, at, "accepted");
	else if (!strstr(warning, "step-0000000002") || !strstr(warning, "going on from"))
		wrong(place, what, name, at, "no warning");
	tiny_load_unverified(place->folder);
}

static void flip_bits(struct place *place, const char *path, const char *name, char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		for (int bit = 0; bit < 8; bit++) {
			char whole = bytes[i];

			bytes[i] = (char)(whole ^ 1 << bit);
			if (!put(path, bytes, size))
				wrong(place, "flip", name, (long)i, "cannot be written");
			expect_previous(place, "flip", name, (long)i);
			bytes[i] = whole;
			place->flips++;
		}
}

/* Every shorter length as it is and filled up by zeros, and up to 16 bytes more. */
static void change_length(struct place *place, const char *path, const char *name, const char *bytes, size_t size)
{
	char *other;

	if (nn_alloc(&other, size + 16) != NN_OK) {
		wrong(place, "length", name, 0, nn_error_message());
		return;
	}
	for (size_t length = 0; length <= size + 16; length++) {
		memset(other, 0, size + 16);
		memcpy(other, bytes, length < size ? length : size);
		if (length != size) {
			put(path, other, length);
			expect_previous(place, "length", name, (long)length);
			place->lengths++;
		}
		if (length < size && memcmp(other, bytes, size) != 0) {
			put(path, other, size);
			expect_previous(place, "zeros from", name, (long)length);
			place->lengths++;
		}
	}
	nn_free(other);
}

/* Every bit of the link `latest` flipped: the run still gives one of its checkpoints, whole. */
static void flip_link(struct place *place)
{
	static const char name[] = "step-0000000002";
	char link[PATH_MAX], warning[1024];

	if (path_format(link, sizeof(link), "%s/checkpoints/latest", place->run) != NN_OK)
		return;
	for (size_t i = 0; i < strlen(name); i++)
		for (int bit = 0; bit < 8; bit++) {
			char target[sizeof(name)];
			struct tiny found;

			memcpy(target, name, sizeof(name));
			target[i] = (char)(target[i] ^ 1 << bit);
			if (target[i] == '\0' || symlink_replace(link, target) != NN_OK)
				continue;
			if (tiny_check(&found, warning, sizeof(warning), place->run) != NN_OK)
				wrong(place, "flip", "latest", (long)i, nn_error_message());
			else if (found.step != 1 && found.step != 2)
				wrong(place, "flip", "latest", (long)i, "no checkpoint");
			place->links++;
		}
	symlink_replace(link, name);
}

int torture_damage(const char *scratch)
{
	static const char *const names[] = {"state.json", "model.safetensors", "optimizer.safetensors"};
	struct place place = {.wrong = 0};
	struct tiny found;
	char warning[1024];

	faults_skip_fsync(true);
	if (path_format(place.run, sizeof(place.run), "%s/damage", scratch) != NN_OK ||
	    path_format(place.folder, sizeof(place.folder), "%s/checkpoints/step-0000000002", place.run) != NN_OK ||
	    folder_create(place.run) != NN_OK || tiny_save(place.run, (struct tiny){.step = 1}, 2, false) != NN_OK ||
	    tiny_save(place.run, (struct tiny){.step = 2}, 2, true) != NN_OK) {
		printf("FAIL damage: %s\n", nn_error_message());
		return 1;
	}
	for (size_t f = 0; f < sizeof(names) / sizeof(names[0]); f++) {
		char path[PATH_MAX], *bytes;
		size_t size;

		if (path_format(path, sizeof(path), "%s/%s", place.folder, names[f]) != NN_OK ||
		    file_read(&bytes, &size, path, 1 << 20) != NN_OK) {
			wrong(&place, "read", names[f], 0, nn_error_message());
			continue;
		}
		flip_bits(&place, path, names[f], bytes, size);
		change_length(&place, path, names[f], bytes, size);
		put(path, bytes, size);
		nn_free(bytes);
	}
	flip_link(&place);
	/* else nothing above means anything */
	if (tiny_check(&found, warning, sizeof(warning), place.run) != NN_OK || found.step != 2 || *warning)
		wrong(&place, "restored", place.folder, 0, "not good again");
	faults_skip_fsync(false);
	printf("damage: %ld bits flipped, %ld other lengths, %ld links; wrong %d\n", place.flips, place.lengths, place.links,
	       place.wrong);
	return place.wrong;
}
