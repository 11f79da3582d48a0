/* The same network for images of another size: what a fully convolutional evaluation needs. */
#ifndef NN_MODELS_GRAPH_INPUT_H
#define NN_MODELS_GRAPH_INPUT_H

#include "nn/models/graph.h"

/* graph = `from` for images of h x w pixels, with the same parameters and statistics in the same places. With a global average
 * before it, the last layer then gives the mean of the scores at all places of the image, since it is linear.
 * Ownership: graph_release, also after an error. Errors: NN_ERR_MEMORY; NN_ERR_USAGE for an image too small for the net. */
enum nn_status graph_with_input(struct graph *graph, const struct graph *from, int h, int w);

#endif
