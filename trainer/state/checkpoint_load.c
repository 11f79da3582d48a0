#include <limits.h>
#include <string.h>

#include "trainer/state/checkpoint.h"
#include "trainer/state/checkpoint_state.h"
#include "trainer/state/files.h"
#include "trainer/state/safetensors.h"

/* PyTorch's counter of batches per norm layer, which training here does not need. */
static bool is_batch_counter(const char *name)
{
	static const char suffix[] = "num_batches_tracked";
	size_t length = strlen(name), tail = strlen(suffix);

	return length >= tail && strcmp(name + length - tail, suffix) == 0;
}

static bool is_wanted(const char *name, const struct tensor_entry *entries, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(entries[i].name, name) == 0)
			return true;
	return false;
}

static enum nn_status check_surplus(const struct safetensors *file, const char *path, const struct tensor_entry *entries, int count)
{
	for (int i = 0; i < safetensors_count(file); i++) {
		const char *name = safetensors_name(file, i);

		if (!is_batch_counter(name) && !is_wanted(name, entries, count))
			return nn_error(NN_ERR_CHECKPOINT,
					"%s has a tensor %.200s that the network has not; check that --arch is the same", path,
					name);
	}
	return NN_OK;
}

static enum nn_status load(const char *folder, const char *name, const struct tensor_entry *entries, int count)
{
	char path[PATH_MAX];
	struct safetensors *file = NULL;
	enum nn_status status = path_format(path, sizeof(path), "%s/%s", folder, name);

	if (status == NN_OK)
		status = safetensors_open(&file, path);
	for (int i = 0; i < count && status == NN_OK; i++)
		status = safetensors_check(file, &entries[i]);
	if (status == NN_OK)
		status = check_surplus(file, path, entries, count);
	for (int i = 0; i < count && status == NN_OK; i++)
		status = safetensors_read(file, &entries[i]);
	safetensors_close(file);
	return status;
}

enum nn_status checkpoint_load_model(const char *folder, const struct tensor_entry *entries, int count)
{
	return load(folder, CHECKPOINT_MODEL, entries, count);
}

enum nn_status checkpoint_load_optimizer(const char *folder, const struct tensor_entry *entries, int count)
{
	return load(folder, CHECKPOINT_OPTIMIZER, entries, count);
}
