#include "trainer/run/look.h"

#include "nn/core/alloc.h"
#include "nn/models/graph_input.h"

enum nn_status look_at_views(struct scores *scores, const struct look *look, const float *views, size_t count)
{
	size_t size = (size_t)look->augment->size * (size_t)look->augment->size * 3;
	int classes = network_graph(look->network)->classes;
	enum nn_status status = NN_OK;

	for (size_t done = 0; done < count && status == NN_OK;) {
		size_t part = count - done < look->batch ? count - done : look->batch;
		const float *logits;

		network_begin_samples(look->network, part);
		status = network_forward(&logits, look->network, views + done * size, false);
		for (size_t i = 0; i < part && status == NN_OK; i++)
			scores_add(scores, logits + i * (size_t)classes, look->kernels, classes);
		done += part;
	}
	return status;
}

static enum nn_status look_at_crops(struct scores *scores, const struct look *look, const struct image *image,
				    struct augment_scratch *scratch)
{
	size_t size = (size_t)look->augment->size * (size_t)look->augment->size * 3;
	size_t count = (size_t)views_count(&look->protocol);
	float *views;
	enum nn_status status = nn_alloc(&views, count * size * sizeof(*views));

	if (status == NN_OK)
		status = views_crops(views, image, look->augment, &look->protocol, scratch);
	if (status == NN_OK)
		status = look_at_views(scores, look, views, count);
	nn_free(views);
	return status;
}

/* Runs the network over one whole picture, as it is and mirrored if so. */
static enum nn_status run_whole(struct scores *scores, struct network *whole, float *pixels, const struct look *look,
				const struct image *image, const struct fit *fit, struct augment_scratch *scratch)
{
	enum nn_status status = NN_OK;

	for (int mirrored = 0; mirrored <= look->protocol.flip && status == NN_OK; mirrored++) {
		const float *logits;

		status = views_whole(pixels, image, look->augment, fit, mirrored, scratch);
		network_begin_samples(whole, 1);
		if (status == NN_OK)
			status = network_forward(&logits, whole, pixels, false);
		if (status == NN_OK)
			scores_add(scores, logits, look->kernels, network_graph(whole)->classes);
	}
	return status;
}

/* Pictures of one size each want a network of that size; making it costs little beside running it once. */
static enum nn_status look_at_scale(struct scores *scores, const struct look *look, const struct image *image, int scale,
				    struct augment_scratch *scratch)
{
	struct fit fit = views_scale(image, look->augment, scale);
	struct network_setup setup = {.kernels = look->kernels,
				      .threads = look->threads,
				      .capacity = 1,
				      .shards = {1, 0, 1},
				      .winograd = network_winograd(look->network),
				      .bf16 = network_bf16(look->network),
				      .weights_of = look->network};
	struct graph graph;
	struct network *whole = NULL;
	float *pixels = NULL;
	enum nn_status status = graph_with_input(&graph, network_graph(look->network), fit.height, fit.width);

	if (status == NN_OK)
		status = network_create(&whole, &graph, &setup);
	if (status == NN_OK)
		status = nn_alloc(&pixels, (size_t)fit.width * (size_t)fit.height * 3 * sizeof(*pixels));
	if (status == NN_OK)
		status = run_whole(scores, whole, pixels, look, image, &fit, scratch);
	nn_free(pixels);
	network_destroy(whole);
	graph_release(&graph);
	return status;
}

enum nn_status look_at_image(struct scores *scores, const struct look *look, const struct image *image,
			     struct augment_scratch *scratch)
{
	int classes = network_graph(look->network)->classes;
	enum nn_status status = NN_OK;

	scores_clear(scores, classes);
	if (look->protocol.kind == PROTOCOL_MULTI_SCALE)
		for (int scale = 0; scale < VIEW_SCALES && status == NN_OK; scale++)
			status = look_at_scale(scores, look, image, scale, scratch);
	else
		status = look_at_crops(scores, look, image, scratch);
	if (status == NN_OK)
		scores_finish(scores, classes);
	return status;
}
