#include "tests/torture/tiny.h"

#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "trainer/state/checkpoint.h"
#include "trainer/state/files.h"

enum { CONV = 96, BIAS = 6, MODEL = 3 };

struct network {
	float conv[CONV], bias[BIAS], momentum[CONV];
	int64_t batches;
	struct tensor_entry model[MODEL], optimizer[1];
};

static void fill(struct network *network, struct tiny what)
{
	float first = (float)what.step + (float)what.variant / 8;

	*network = (struct network){.batches = what.step * 100 + what.variant};
	for (int i = 0; i < CONV; i++) {
		network->conv[i] = first + (float)i;
		network->momentum[i] = first - (float)i;
	}
	for (int i = 0; i < BIAS; i++)
		network->bias[i] = first / 3;
	network->model[0] = (struct tensor_entry){
	    .name = "conv.weight", .dims = 4, .shape = {BIAS, 4, 2, 2}, .values = network->conv, .hwio = true};
	network->model[1] = (struct tensor_entry){.name = "bn.bias", .dims = 1, .shape = {BIAS}, .values = network->bias};
	network->model[2] =
	    (struct tensor_entry){.name = "bn.num_batches_tracked", .type = TENSOR_I64, .values = &network->batches};
	network->optimizer[0] = network->model[0];
	network->optimizer[0].values = network->momentum;
}

enum nn_status tiny_save(const char *run, struct tiny what, int keep, bool best)
{
	struct network network;
	json_t *state = json_pack("{s:i}", "variant", what.variant);
	struct checkpoint checkpoint = {.step = what.step,
					.model = network.model,
					.model_count = MODEL,
					.optimizer = network.optimizer,
					.optimizer_count = 1,
					.state = state,
					.keep = keep,
					.best = best};
	enum nn_status status;

	fill(&network, what);
	status = checkpoint_save(run, &checkpoint);
	json_decref(state);
	return status;
}

static enum nn_status load(struct network *network, const char *folder)
{
	enum nn_status status;

	fill(network, (struct tiny){.step = 0});
	status = checkpoint_load_model(folder, network->model, MODEL);
	return status == NN_OK ? checkpoint_load_optimizer(folder, network->optimizer, 1) : status;
}

void tiny_load_unverified(const char *folder)
{
	struct network network;
	json_t *state;

	checkpoint_load_state(&state, folder);
	json_decref(state);
	load(&network, folder);
	checkpoint_load_optimizer(folder, network.optimizer, 1);
}

/* The values of a verified folder are those of the step and variant in its state. */
static enum nn_status compare(struct tiny *found, const char *folder)
{
	struct network loaded, wanted;
	json_t *state;
	enum nn_status status = checkpoint_load_state(&state, folder);

	if (status != NN_OK)
		return status;
	found->step = json_integer_value(json_object_get(state, "step"));
	found->variant = (int)json_integer_value(json_object_get(state, "variant"));
	json_decref(state);
	status = load(&loaded, folder);
	if (status != NN_OK)
		return status;
	fill(&wanted, *found);
	if (memcmp(loaded.conv, wanted.conv, sizeof(wanted.conv)) != 0 ||
	    memcmp(loaded.bias, wanted.bias, sizeof(wanted.bias)) != 0 ||
	    memcmp(loaded.momentum, wanted.momentum, sizeof(wanted.momentum)) != 0 || loaded.batches != wanted.batches)
		return nn_error(NN_ERR_NUMBER, "%s passes for good and holds other values than were saved", folder);
	return NN_OK;
}

enum nn_status tiny_check(struct tiny *found, char *warning, int warning_size, const char *path)
{
	char folder[PATH_MAX];
	enum nn_status status = checkpoint_resolve(folder, sizeof(folder), warning, (size_t)warning_size, path);

	*found = (struct tiny){.step = -1};
	return status == NN_OK && folder[0] ? compare(found, folder) : status;
}

enum nn_status tiny_check_best(struct tiny *found, const char *run)
{
	char best[PATH_MAX], warning[1024];
	struct stat info;
	enum nn_status status = path_format(best, sizeof(best), "%s/checkpoints/best", run);

	*found = (struct tiny){.step = -1};
	if (status != NN_OK || lstat(best, &info) != 0)
		return status;
	return tiny_check(found, warning, sizeof(warning), best);
}

const char *tiny_unfinished(const char *run)
{
	static char name[NAME_MAX + 1];
	char checkpoints[PATH_MAX];
	const struct dirent *item;
	DIR *folder;

	name[0] = '\0';
	if (path_format(checkpoints, sizeof(checkpoints), "%s/checkpoints", run) != NN_OK)
		return "";
	folder = opendir(checkpoints);
	while (folder && (item = readdir(folder)))
		if (strncmp(item->d_name, ".tmp-", 5) == 0 || strstr(item->d_name, ".tmp"))
			snprintf(name, sizeof(name), "%s", item->d_name);
	if (folder)
		closedir(folder);
	return name;
}

bool tiny_same(struct tiny a, struct tiny b)
{
	return a.step == b.step && (a.step < 0 || a.variant == b.variant);
}
