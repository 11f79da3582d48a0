#include "trainer/run/trained.h"

#include <stdio.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "nn/models/models.h"
#include "trainer/run/look.h"
#include "trainer/run/normalization.h"
#include "trainer/state/checkpoint.h"

static enum nn_status unusable(const struct trained *trained, const char *key)
{
	return nn_error(NN_ERR_CHECKPOINT, "%s/state.json has no usable '%s'; use another checkpoint", trained->folder, key);
}

static const char *text_of(const json_t *state, const char *key)
{
	const char *text = json_string_value(json_object_get(state, key));

	return text ? text : "";
}

static enum shortcut shortcut_of(const char *text)
{
	static const char *const words[] = {"default", "A", "B", "C"};

	for (int i = SHORTCUT_A; i <= SHORTCUT_C; i++)
		if (strcmp(words[i], text) == 0)
			return (enum shortcut)i;
	return SHORTCUT_DEFAULT;
}

static enum nn_status build(struct trained *trained)
{
	const json_t *state = trained->state;
	struct model_options model = {.arch = text_of(state, "arch"),
				      .image_size = (int)json_integer_value(json_object_get(state, "image_size")),
				      .classes = (int)json_array_size(json_object_get(state, "classes")),
				      .shortcut = shortcut_of(text_of(state, "shortcut")),
				      .stride_in = strcmp(text_of(state, "stride_in"), "1x1") == 0 ? STRIDE_IN_1X1 : STRIDE_IN_3X3};

	if (!*model.arch)
		return unusable(trained, "arch");
	if (model.image_size <= 0)
		return unusable(trained, "image_size");
	if (model.classes < 2)
		return unusable(trained, "classes");
	return model_build(&trained->graph, &model);
}

static enum nn_status read_normalization(struct trained *trained)
{
	const json_t *scale = json_object_get(trained->state, "eval_scale");
	struct normalization_parts found;

	if (!json_is_number(scale))
		return unusable(trained, "eval_scale");
	trained->augment.size = trained->graph.nodes[0].h;
	trained->augment.eval_scale = (float)json_number_value(scale);
	return normalization_read(&trained->augment, &trained->pixel_mean, &found, trained->state, trained->folder);
}

static enum nn_status load(struct trained *trained, const struct kernels *kernels, size_t batch, int threads)
{
	struct network_setup setup = {.kernels = kernels,
				      .threads = threads,
				      .capacity = batch,
				      .shards = {1, 0, 1},
				      .winograd = json_is_true(json_object_get(trained->state, "winograd")),
				      .bf16 = strcmp(text_of(trained->state, "precision"), "bf16") == 0};
	enum nn_status status = network_create(&trained->network, &trained->graph, &setup);

	if (status == NN_OK)
		status = network_entries_init(&trained->entries, &trained->graph, network_parameters(trained->network),
					      network_statistics(trained->network));
	if (status == NN_OK)
		status = checkpoint_load_model(trained->folder, trained->entries.entries, trained->entries.count);
	return status;
}

enum nn_status trained_find(char folder[PATH_MAX], char *warning, size_t warning_size, const char *path)
{
	enum nn_status status = checkpoint_resolve(folder, PATH_MAX, warning, warning_size, path);

	return status == NN_OK && !*folder
		   ? nn_error(NN_ERR_CHECKPOINT, "%s has no checkpoint; name a checkpoint or run folder", path)
		   : status;
}

enum nn_status trained_open(struct trained *trained, const char *folder, const struct kernels *kernels, size_t batch, int threads)
{
	enum nn_status status;

	memset(trained, 0, sizeof(*trained));
	trained->batch = batch;
	snprintf(trained->folder, sizeof(trained->folder), "%s", folder);
	status = checkpoint_load_state(&trained->state, folder);
	if (status == NN_OK)
		status = build(trained);
	if (status == NN_OK)
		status = read_normalization(trained);
	return status == NN_OK ? load(trained, kernels, batch, threads) : status;
}

void trained_close(struct trained *trained)
{
	network_entries_release(&trained->entries);
	network_destroy(trained->network);
	graph_release(&trained->graph);
	nn_free(trained->pixel_mean);
	json_decref(trained->state);
	memset(trained, 0, sizeof(*trained));
}

const char *trained_class(const struct trained *trained, int label)
{
	const char *name = json_string_value(json_array_get(json_object_get(trained->state, "classes"), (size_t)label));

	return name ? name : "?";
}

enum nn_status trained_classify(double *probabilities, struct trained *trained, const struct kernels *kernels,
				const struct protocol *protocol, int threads, const char *image_file)
{
	struct look look = {trained->network, kernels, &trained->augment, *protocol, trained->batch, threads};
	struct augment_scratch buffers = {0};
	struct scores scores = {.probabilities = probabilities};
	struct image image = {0};
	enum nn_status status = nn_alloc(&scores.logits, (size_t)trained->graph.classes * sizeof(*scores.logits));

	if (status == NN_OK)
		status = image_read_file(&image, image_file);
	if (status == NN_OK)
		status = look_at_image(&scores, &look, &image, &buffers);
	nn_free(scores.logits);
	augment_scratch_release(&buffers);
	image_release(&image);
	return status;
}
