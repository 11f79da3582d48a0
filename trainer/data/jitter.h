/* Random changes of brightness, contrast, saturation and hue, to the bit what Pillow and torchvision's ColorJitter compute.
 * Source: torchvision.transforms.ColorJitter; Pillow, ImageEnhance.py, src/libImaging/Blend.c and Convert.c. */
#ifndef TRAINER_DATA_JITTER_H
#define TRAINER_DATA_JITTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/rng.h"

/* How far each may go: a factor between 1 - x (at least 0) and 1 + x, for hue a turn between -x and x with x <= 0.5. 0: not at all.
 */
struct jitter {
	double brightness, contrast, saturation, hue;
};

/* Whether anything is to change. */
bool jitter_is_on(const struct jitter *jitter);

/* Changes `count` RGB pixels in place: the four in random order, each by a random amount. */
void jitter_apply(uint8_t *pixels, size_t count, const struct jitter *jitter, struct rng *rng);

/* One of them, by factor (0: black, grey or without colour; 1: as it is). */
void jitter_brightness(uint8_t *pixels, size_t count, double factor);
void jitter_contrast(uint8_t *pixels, size_t count, double factor);
void jitter_saturation(uint8_t *pixels, size_t count, double factor);

/* turn: part of the colour circle, -0.5 to 0.5, in steps of 1/255. */
void jitter_hue(uint8_t *pixels, size_t count, double turn);

#endif
