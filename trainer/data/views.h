/* How a picture is shown to a trained network: which parts of it, at which scale, mirrored or not. */
#ifndef TRAINER_DATA_VIEWS_H
#define TRAINER_DATA_VIEWS_H

#include <stdbool.h>

#include "nn/core/status.h"
#include "trainer/data/augment.h"

enum protocol_kind {
	PROTOCOL_SINGLE,      /* the central crop */
	PROTOCOL_TEN_CROP,    /* the corners and the centre, and all five of the mirrored picture; torchvision's TenCrop */
	PROTOCOL_MULTI_SCALE, /* the whole picture at short sides of 224, 256, 384, 480 and 640 (He et al. 2015, section 3.4) */
};

struct protocol {
	enum protocol_kind kind;
	bool flip; /* also mirrored */
};

/* Their names on command lines, NULL behind the last. */
extern const char *const protocol_names[];

enum { VIEW_SCALES = 5, VIEWS_MAX = 10 };

/* Errors: NN_ERR_USAGE for flips beside the ten crops, which have them. */
enum nn_status protocol_check(const struct protocol *protocol);

/* Views of a picture. */
int views_count(const struct protocol *protocol);

/* out = all crops of the single or ten-crop protocol. The short side is scaled to round(size * eval_scale) before.
 * Shapes: out (views_count, size, size, 3) float. Errors: NN_ERR_MEMORY. Thread-safe for different out and scratch. */
enum nn_status views_crops(float *out, const struct image *image, const struct augment *augment, const struct protocol *protocol,
			   struct augment_scratch *scratch);

/* The picture's size at scale `scale` of the multi-scale protocol, in proportion for networks of another size than 224. */
struct fit views_scale(const struct image *image, const struct augment *augment, int scale);

/* out = the whole picture at that size, normalised by channel: a per-pixel mean has no meaning there.
 * Shapes: out (fit.height, fit.width, 3) float. Errors: NN_ERR_MEMORY. */
enum nn_status views_whole(float *out, const struct image *image, const struct augment *augment, const struct fit *fit,
			   bool mirrored, struct augment_scratch *scratch);

#endif
