/* CIFAR's binary files with their list of class names. The input: a byte whose lowest bit says CIFAR-10 or 100, two bytes for the
 * length of the list (0: no list), the list, the records. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/targets.h"
#include "trainer/data/dataset.h"

enum { HEAD = 3, PLACE = 96 };

/* A folder for the files, in memory where the system has such a one; the files are links to files in memory. */
static void make_folder(char folder[PLACE])
{
	snprintf(folder, PLACE, "%s/resnet-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	FUZZ_CHECK(mkdtemp(folder));
}

static void link_file(char place[2 * PLACE], const char *folder, const char *name, const char *path)
{
	snprintf(place, 2 * PLACE, "%s/%s", folder, name);
	FUZZ_CHECK(symlink(path, place) == 0);
}

/* Everything that is asked of a data set. */
static void use(const char *folder)
{
	struct dataset *dataset;
	struct image image = {0};
	char text[DATASET_CLASS_TEXT], name[DATASET_NAME_MAX];

	if (dataset_open(&dataset, folder, SPLIT_TRAIN) != NN_OK) {
		FUZZ_CHECK(!dataset);
		return;
	}
	for (int c = 0; c < dataset_classes(dataset); c++)
		dataset_class_text(text, dataset, c);
	for (size_t i = 0; i < dataset_count(dataset); i++) {
		int label = dataset_label(dataset, i);

		FUZZ_CHECK(label >= 0 && label < dataset_classes(dataset));
		dataset_file_name(dataset, i, name);
		FUZZ_CHECK(dataset_read(dataset, i, &image) == NN_OK);
		FUZZ_CHECK(image.width == 32 && image.height == 32);
	}
	dataset_digest(dataset);
	image_release(&image);
	dataset_close(dataset);
}

void fuzz_cifar(const uint8_t *bytes, size_t size)
{
	static const char *const files[2] = {"data_batch_1.bin", "train.bin"};
	static const char *const lists[2] = {"batches.meta.txt", "fine_label_names.txt"};
	char folder[PLACE], path[FUZZ_PATH], list_path[FUZZ_PATH], records[2 * PLACE], list[2 * PLACE] = "";
	int kind, file, list_file = -1;
	size_t names;

	if (size < HEAD)
		return;
	kind = bytes[0] & 1;
	names = (size_t)(bytes[1] | bytes[2] << 8);
	if (names > size - HEAD)
		names = size - HEAD;
	make_folder(folder);
	file = fuzz_file(path, bytes + HEAD + names, size - HEAD - names);
	link_file(records, folder, files[kind], path);
	if (names) {
		list_file = fuzz_file(list_path, bytes + HEAD, names);
		link_file(list, folder, lists[kind], list_path);
	}
	use(folder);
	unlink(records);
	if (names) {
		unlink(list);
		close(list_file);
	}
	close(file);
	FUZZ_CHECK(rmdir(folder) == 0);
}
