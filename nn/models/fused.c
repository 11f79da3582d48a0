/* Batch norms inside convolutions: what sources and sinks do with a chunk of samples. The node numbers: a batch norm in front of
 * the convolution is conv - 1, one behind it conv + 1. */
#include "nn/models/network_internal.h"

static const struct node *node_of(const struct network *network, int i)
{
	return &network->graph->nodes[i];
}

struct fused fused_begin(struct network *network, int conv)
{
	const struct conv *shape = &network->graph->nodes[conv].conv;

	return (struct fused){network, conv, conv_part(shape), (size_t)conv_parts(shape), false};
}

/* Floats of one part of a sample of node `i`'s value. */
static size_t part_size(const struct fused *fused, int i)
{
	return node_size(node_of(fused->network, i)) / fused->parts;
}

/* Pixels in `count` parts of node `i`'s value. */
static size_t part_pixels(const struct fused *fused, int i, size_t count)
{
	const struct node *node = node_of(fused->network, i);

	return count * ((size_t)node->h * (size_t)node->w / fused->parts);
}

/* out = batch norm `i` of the chunk x. */
static void apply(void *out, const struct fused *fused, int i, const void *x, size_t first, size_t count)
{
	const struct network *network = fused->network;
	const struct node *node = node_of(network, i);
	const struct batchnorm *bn = &network->slots[i].bn;
	const void *residual =
	    node->residual >= 0 ? stored(bn->pointwise, slot_value(network, node->residual), first * part_size(fused, i)) : NULL;
	const float *mean = network->train ? bn->mean : network->statistics + network->graph->buffers[node->buffer].offset;

	batchnorm_apply(out, bn, x, residual, node->relu, mean, node_param(network, node, 1), part_pixels(fused, i, count));
}

/* Adds `count` parts from `first` on of values that lie as those of node `i` do. */
static void add_ahead(struct ahead *ahead, const struct fused *fused, int i, const void *values, size_t first, size_t count)
{
	const struct pointwise *pointwise = fused->network->slots[i].pointwise;
	size_t size = part_size(fused, i);

	ahead_add(ahead, stored(pointwise, values, first * size), count * size * pointwise->bytes);
}

/* Whether the value in front is in memory, or comes to be there. */
static bool is_stored(const struct fused *fused)
{
	const struct fusion *fusion = &fused->network->slots[fused->conv - 1].fusion;

	return !fusion->unstored && (fused->forward || !fusion->forward_only);
}

/* The value of the batch norm in front: in its own memory, or in the room when it has none. */
static const void *normalize(void *context, void *room, size_t first, size_t count)
{
	const struct fused *fused = context;
	const struct network *network = fused->network;
	int i = fused->conv - 1;
	const struct slot *slot = &network->slots[i];
	size_t at = first * part_size(fused, i);
	void *out = is_stored(fused) ? stored_into(slot->pointwise, slot->value, at) : room;

	apply(out, fused, i, stored(slot->pointwise, slot_value(network, node_of(network, i)->in), at), first, count);
	return out;
}

static void normalize_ahead(void *context, struct ahead *ahead, size_t first, size_t count)
{
	const struct fused *fused = context;
	const struct network *network = fused->network;
	int i = fused->conv - 1;
	const struct node *node = node_of(network, i);

	add_ahead(ahead, fused, i, slot_value(network, node->in), first, count);
	if (node->residual >= 0)
		add_ahead(ahead, fused, i, slot_value(network, node->residual), first, count);
	if (is_stored(fused))
		add_ahead(ahead, fused, i, network->slots[i].value, first, count);
}

/* Whether the value in front is not there yet: always in the forward pass of training, and when it is not stored. */
static bool must_normalize(const struct fused *fused)
{
	const struct network *network = fused->network;
	const struct fusion *fusion = &network->slots[fused->conv - 1].fusion;

	if (node_of(network, fused->conv)->in != fused->conv - 1 || !fusion->before_conv)
		return false;
	return fused->forward ? network->train || !fusion->behind_conv : !is_stored(fused);
}

/* The images as bf16. */
static const void *narrow_images(void *context, void *room, size_t first, size_t count)
{
	const struct fused *fused = context;
	size_t size = part_size(fused, 0);

	fused->network->context.kernels->narrow(room, fused->network->images + first * size, count * size);
	return room;
}

struct source fused_input(struct fused *fused, bool forward)
{
	const struct network *network = fused->network;

	fused->forward = forward;
	if (network->setup.bf16 && node_of(network, fused->conv)->in == 0)
		return (struct source){.make = narrow_images, .context = fused};
	if (must_normalize(fused))
		return (struct source){.make = normalize, .context = fused, .ahead = normalize_ahead};
	return (struct source){.values = slot_value(network, node_of(network, fused->conv)->in)};
}

static void gather_moments(void *context, const void *in, size_t first, size_t count)
{
	const struct fused *fused = context;
	const struct network *network = fused->network;
	const struct slot *slot = &network->slots[fused->conv];
	const void *x = stored(slot->pointwise, slot->value, first * part_size(fused, fused->conv));

	(void)in;
	batchnorm_moments(&network->slots[fused->conv + 1].bn, x, &network->context, first, count);
}

static void normalize_in_place(void *context, const void *in, size_t first, size_t count)
{
	const struct fused *fused = context;
	const struct slot *slot = &fused->network->slots[fused->conv];
	void *x = stored_into(slot->pointwise, slot->value, first * part_size(fused, fused->conv));

	(void)in;
	apply(x, fused, fused->conv + 1, x, first, count);
}

bool fused_folds(const struct fused *fused)
{
	const struct network *network = fused->network;

	return !network->train && !network->setup.bf16 && network->slots[fused->conv + 1].fusion.behind_conv;
}

struct conv_finish fused_finish(struct fused *fused)
{
	const struct network *network = fused->network;
	const struct node *node = node_of(network, fused->conv + 1);
	const struct batchnorm *bn = &network->slots[fused->conv + 1].bn;

	if (!fused_folds(fused))
		return (struct conv_finish){0};
	return (struct conv_finish){bn->coefficients + bn->channels,
				    node->residual >= 0 ? slot_value(network, node->residual) : NULL, node->relu};
}

struct sink fused_forward_sink(struct fused *fused)
{
	if (!fused->network->slots[fused->conv + 1].fusion.behind_conv || fused_folds(fused))
		return (struct sink){0};
	return (struct sink){.done = fused->network->train ? gather_moments : normalize_in_place, .context = fused};
}

/* The gradient of the convolution's output, from that of the batch norm behind it. */
static const void *differentiate(void *context, void *room, size_t first, size_t count)
{
	const struct fused *fused = context;
	const struct network *network = fused->network;
	const struct slot *slot = &network->slots[fused->conv], *norm = &network->slots[slot->fusion.normalized_by];
	size_t at = first * part_size(fused, fused->conv);

	batchnorm_gradient(room, &norm->bn, stored(slot->pointwise, norm->gradient, at), stored(slot->pointwise, slot->value, at),
			   false, part_pixels(fused, fused->conv, count));
	return room;
}

static void differentiate_ahead(void *context, struct ahead *ahead, size_t first, size_t count)
{
	const struct fused *fused = context;
	const struct slot *slot = &fused->network->slots[fused->conv];

	add_ahead(ahead, fused, fused->conv, fused->network->slots[slot->fusion.normalized_by].gradient, first, count);
	add_ahead(ahead, fused, fused->conv, slot->value, first, count);
}

struct source fused_gradient(struct fused *fused)
{
	const struct slot *slot = &fused->network->slots[fused->conv];

	if (slot->fusion.normalized_by)
		return (struct source){.make = differentiate, .context = fused, .ahead = differentiate_ahead};
	return (struct source){.values = slot->gradient};
}

/* Sums of the batch norm in front, whose gradient this convolution has just completed. */
static void gather_sums(void *context, const void *in, size_t first, size_t count)
{
	const struct fused *fused = context;
	const struct network *network = fused->network;
	const struct node *node = node_of(network, fused->conv - 1);
	struct slot *slot = &network->slots[fused->conv - 1];
	size_t at = first * part_size(fused, fused->conv - 1);

	batchnorm_sums(stored_into(slot->pointwise, slot->gradient, at), &slot->bn, in, node->relu,
		       stored(slot->pointwise, slot_value(network, node->in), at), &network->context, first, count);
}

/* A value that is made from x brings x with it. */
static void gather_ahead(void *context, struct ahead *ahead, size_t first, size_t count)
{
	const struct fused *fused = context;
	const struct network *network = fused->network;
	int i = fused->conv - 1;

	if (is_stored(fused))
		add_ahead(ahead, fused, i, slot_value(network, node_of(network, i)->in), first, count);
}

static void merge_sums(void *context)
{
	const struct fused *fused = context;

	network_merge_sums(fused->network, fused->conv - 1);
}

struct sink fused_backward_sink(struct fused *fused, bool last)
{
	if (node_of(fused->network, fused->conv)->in != fused->conv - 1 ||
	    !fused->network->slots[fused->conv - 1].fusion.before_conv)
		return (struct sink){0};
	return (struct sink){.done = gather_sums, .context = fused, .ahead = gather_ahead, .all_done = last ? merge_sums : NULL};
}
