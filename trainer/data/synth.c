#include "trainer/data/synth.h"

#include <assert.h>
#include <math.h>

#include "trainer/data/synth_shapes.h"

/* Places and lengths are in units of 1/32 of the picture's side, colours in 0 to 255. */
enum { UNITS = 32, SAMPLES = 4, BLOTS = 4 };

static_assert((int)SYNTH_CLASSES == (int)SHAPE_COUNT, "one class a shape");

struct colour {
	double channel[3];
};

/* A disc that means nothing. */
struct blot {
	double x, y, radius;
	struct colour colour;
};

/* All that is random in a picture but its noise. */
struct scene {
	const struct shape *shape;
	double x, y, radius;
	double cosine, sine;
	struct colour shape_colour;
	struct colour ground;
	struct colour slope_x, slope_y; /* change of the ground per unit */
	struct blot blots[BLOTS];
	double noise; /* largest change of a channel */
};

const char *synth_class_name(int label)
{
	return shapes[label].name;
}

static double between(struct rng *rng, double low, double high)
{
	return low + (high - low) * rng_uniform(rng);
}

static struct colour random_colour(struct rng *rng, double low, double high)
{
	struct colour colour;

	for (int c = 0; c < 3; c++)
		colour.channel[c] = between(rng, low, high);
	return colour;
}

/* A colour that stands out from the other: channels differ by 80 on the average. */
static struct colour contrasting_colour(struct rng *rng, const struct colour *other)
{
	struct colour colour;
	double difference;

	do {
		colour = random_colour(rng, 0, 255);
		difference = 0;
		for (int c = 0; c < 3; c++)
			difference += fabs(colour.channel[c] - other->channel[c]);
	} while (difference < 3 * 80);
	return colour;
}

/* A turn by up to the shape's limit, by its half-angle tangent, which needs no sine; shapes that may turn freely also get half
 * turns. */
static void turn(struct scene *scene, struct rng *rng)
{
	double limit = scene->shape->turn;
	double tangent = between(rng, -limit, limit);
	double sign = limit >= 1 && rng_below(rng, 2) ? -1 : 1;

	scene->cosine = sign * (1 - tangent * tangent) / (1 + tangent * tangent);
	scene->sine = sign * 2 * tangent / (1 + tangent * tangent);
}

static void compose(struct scene *scene, int label, struct rng *rng)
{
	scene->shape = &shapes[label];
	scene->radius = between(rng, 8, 12.5);
	scene->x = between(rng, 12.5, 19.5);
	scene->y = between(rng, 12.5, 19.5);
	turn(scene, rng);
	scene->ground = random_colour(rng, 0, 255);
	scene->shape_colour = contrasting_colour(rng, &scene->ground);
	scene->slope_x = random_colour(rng, -1.2, 1.2);
	scene->slope_y = random_colour(rng, -1.2, 1.2);
	for (int i = 0; i < BLOTS; i++) {
		struct blot *blot = &scene->blots[i];

		blot->x = between(rng, 0, UNITS);
		blot->y = between(rng, 0, UNITS);
		blot->radius = between(rng, 1, 3);
		blot->colour = random_colour(rng, -50, 50);
		for (int c = 0; c < 3; c++)
			blot->colour.channel[c] += scene->ground.channel[c];
	}
	scene->noise = between(rng, 5, 30);
}

/* Colour of the scene at one point. */
static struct colour colour_at(const struct scene *scene, double x, double y)
{
	double dx = (x - scene->x) / scene->radius, dy = (y - scene->y) / scene->radius;
	struct colour colour;

	if (scene->shape->contains(dx * scene->cosine + dy * scene->sine, dy * scene->cosine - dx * scene->sine))
		return scene->shape_colour;
	for (int i = 0; i < BLOTS; i++) {
		const struct blot *blot = &scene->blots[i];

		dx = x - blot->x;
		dy = y - blot->y;
		if (dx * dx + dy * dy < blot->radius * blot->radius)
			return blot->colour;
	}
	for (int c = 0; c < 3; c++)
		colour.channel[c] = scene->ground.channel[c] + scene->slope_x.channel[c] * (x - UNITS / 2.0) +
				    scene->slope_y.channel[c] * (y - UNITS / 2.0);
	return colour;
}

static uint8_t to_byte(double value)
{
	return (uint8_t)(fmin(fmax(value, 0), 255) + 0.5);
}

/* The mean over a grid of points inside the pixel, so that edges are smooth, and noise. */
static void draw_pixel(uint8_t pixel[3], const struct scene *scene, int x, int y, int size, struct rng *rng)
{
	double sum[3] = {0};

	for (int i = 0; i < SAMPLES * SAMPLES; i++) {
		int column = i % SAMPLES, row = i / SAMPLES;
		double at_x = (x + (column + 0.5) / SAMPLES) * UNITS / size;
		double at_y = (y + (row + 0.5) / SAMPLES) * UNITS / size;
		struct colour colour = colour_at(scene, at_x, at_y);

		for (int c = 0; c < 3; c++)
			sum[c] += colour.channel[c];
	}
	for (int c = 0; c < 3; c++)
		pixel[c] = to_byte(sum[c] / (SAMPLES * SAMPLES) + between(rng, -scene->noise, scene->noise));
}

enum nn_status synth_draw(struct image *image, int label, int size, struct rng rng)
{
	struct scene scene;
	enum nn_status status = image_set_size(image, size, size);

	if (status != NN_OK)
		return status;
	compose(&scene, label, &rng);
	for (int y = 0; y < size; y++)
		for (int x = 0; x < size; x++)
			draw_pixel(image->pixels + ((size_t)y * (size_t)size + (size_t)x) * 3, &scene, x, y, size, &rng);
	return NN_OK;
}
