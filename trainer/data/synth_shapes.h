/* The ten shapes of the drawn data set, as regions of the plane. */
#ifndef TRAINER_DATA_SYNTH_SHAPES_H
#define TRAINER_DATA_SYNTH_SHAPES_H

#include <stdbool.h>

enum { SHAPE_COUNT = 10 };

struct shape {
	const char *name;
	/* Whether (x, y), y downward, belongs to the shape, which fills about the unit circle. */
	bool (*contains)(double x, double y);
	/* Tangent of half the largest angle by which it may be turned without becoming another class; 1 is a quarter turn. */
	double turn;
};

/* In byte order of their names. */
extern const struct shape shapes[SHAPE_COUNT];

#endif
