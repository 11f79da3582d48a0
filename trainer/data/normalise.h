/* From pixels of 8 bits to the numbers a network sees: (pixel / 255 + shift - mean) / deviation. */
#ifndef TRAINER_DATA_NORMALISE_H
#define TRAINER_DATA_NORMALISE_H

#include <stdbool.h>

#include "trainer/data/resize.h"

/* What is taken off and divided by, channel by channel, in units of 0 to 1. */
struct normal {
	float mean[3];
	float inverse_std[3];	 /* 1 / standard deviation */
	float shift[3];		 /* added to every pixel before; usually 0 */
	const float *pixel_mean; /* (height, width, 3) of the picture, in place of `mean`; NULL: `mean` everywhere. The caller's */
};

/* Where the picture lies in the result: moved by (-dx, -dy), after it was mirrored from left to right if so. */
struct placement {
	int dx, dy;
	bool mirrored;
};

/* out (height, width, 3) = the normalised picture in its place; zeros where it does not reach. A per-pixel mean moves with the
 * picture. Shapes: out is float, HWC. */
void normalise(float *out, int width, int height, struct pixels picture, const struct normal *normal, struct placement placement);

#endif
