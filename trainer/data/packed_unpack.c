#include "trainer/data/folder_writer.h"
#include "trainer/data/packed.h"
#include "trainer/data/packed_write.h"

/* The names were checked when the index was read: none leads out of its folder. */
static enum nn_status unpack_split(struct folder_writer *writer, const char *folder, const char *split)
{
	char name[DATASET_NAME_MAX];
	struct packed packed;
	struct image image = {0};
	enum nn_status status = packed_open(&packed, folder, split);

	for (size_t i = 0; status == NN_OK && i < packed_count(&packed); i++) {
		size_t size;

		status = packed_load(&image, &size, &packed, i);
		if (status != NN_OK)
			break;
		packed_file_name(&packed, i, name);
		status = folder_writer_add(writer, name, image.encoded, size);
	}
	image_release(&image);
	packed_close(&packed);
	return status;
}

enum nn_status packed_unpack(const char *out, const char *packed_folder)
{
	struct folder_writer writer;
	const char *splits[2] = {packed_split(packed_folder, SPLIT_TRAIN), packed_split(packed_folder, SPLIT_VAL)};
	enum nn_status status;

	if (!splits[0] && !splits[1])
		return nn_error(NN_ERR_DATA, "%s: no packed data set in this folder; check the path", packed_folder);
	status = folder_writer_begin(&writer, out);
	for (int i = 0; i < 2 && status == NN_OK; i++)
		if (splits[i])
			status = unpack_split(&writer, packed_folder, splits[i]);
	if (status == NN_OK)
		status = folder_writer_end(&writer);
	folder_writer_release(&writer);
	return status;
}
