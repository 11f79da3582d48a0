#include "trainer/data/jitter.h"

#include <math.h>

/* Between in1 (factor 0) and in2 (factor 1), or beyond. */
static uint8_t blend(uint8_t in1, uint8_t in2, float factor)
{
	float value = (float)in1 + factor * (float)(in2 - in1);

	return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)value;
}

/* ITU-R 601-2 luma in 16 bits of fixed point. */
static uint8_t luma(const uint8_t *pixel)
{
	return (uint8_t)((pixel[0] * 19595u + pixel[1] * 38470u + pixel[2] * 7471u + 0x8000u) >> 16);
}

void jitter_brightness(uint8_t *pixels, size_t count, double factor)
{
	for (size_t i = 0; i < 3 * count; i++)
		pixels[i] = blend(0, pixels[i], (float)factor);
}

void jitter_contrast(uint8_t *pixels, size_t count, double factor)
{
	uint64_t sum = 0;
	uint8_t grey;

	for (size_t i = 0; i < count; i++)
		sum += luma(pixels + 3 * i);
	grey = (uint8_t)((double)sum / (double)count + 0.5);
	for (size_t i = 0; i < 3 * count; i++)
		pixels[i] = blend(grey, pixels[i], (float)factor);
}

void jitter_saturation(uint8_t *pixels, size_t count, double factor)
{
	for (size_t i = 0; i < count; i++, pixels += 3) {
		uint8_t grey = luma(pixels);

		for (int c = 0; c < 3; c++)
			pixels[c] = blend(grey, pixels[c], (float)factor);
	}
}

struct hsv {
	uint8_t hue, saturation, value;
};

static struct hsv to_hsv(const uint8_t *pixel)
{
	uint8_t red = pixel[0], green = pixel[1], blue = pixel[2];
	uint8_t most = red > green ? red : green, least = red < green ? red : green;
	float range, r, g, b, hue;

	most = most > blue ? most : blue;
	least = least < blue ? least : blue;
	if (most == least)
		return (struct hsv){0, 0, most};
	range = (float)(most - least);
	r = (float)(most - red) / range;
	g = (float)(most - green) / range;
	b = (float)(most - blue) / range;
	if (red == most)
		hue = b - g;
	else if (green == most)
		hue = (float)(2.0 + (double)r - (double)b);
	else
		hue = (float)(4.0 + (double)g - (double)r);
	hue = (float)fmod((double)hue / 6.0 + 1.0, 1.0);
	return (struct hsv){(uint8_t)((double)hue * 255.0), (uint8_t)((double)(range / (float)most) * 255.0), most};
}

static void from_hsv(uint8_t *pixel, struct hsv hsv)
{
	double place = (double)((float)hsv.hue * 6.0f / 255.0f), value = hsv.value;
	int sector = (int)floor(place);
	float rest = (float)(place - sector), saturation = (float)(hsv.saturation / 255.0);
	uint8_t v = hsv.value, p = (uint8_t)round(value * (1.0 - (double)saturation));
	uint8_t q = (uint8_t)round(value * (1.0 - (double)(saturation * rest)));
	uint8_t t = (uint8_t)round(value * (1.0 - (double)saturation * (1.0 - (double)rest)));
	const uint8_t colours[6][3] = {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}};

	for (int c = 0; c < 3; c++)
		pixel[c] = hsv.saturation ? colours[sector % 6][c] : v;
}

void jitter_hue(uint8_t *pixels, size_t count, double turn)
{
	uint8_t steps = (uint8_t)(int)(turn * 255);

	for (size_t i = 0; i < count; i++, pixels += 3) {
		struct hsv hsv = to_hsv(pixels);

		hsv.hue = (uint8_t)(hsv.hue + steps);
		from_hsv(pixels, hsv);
	}
}

bool jitter_is_on(const struct jitter *jitter)
{
	return jitter->brightness > 0 || jitter->contrast > 0 || jitter->saturation > 0 || jitter->hue > 0;
}

static double between(struct rng *rng, double low, double high)
{
	return low + (high - low) * rng_uniform(rng);
}

void jitter_apply(uint8_t *pixels, size_t count, const struct jitter *jitter, struct rng *rng)
{
	static void (*const changes[4])(uint8_t *, size_t, double) = {jitter_brightness, jitter_contrast, jitter_saturation,
								      jitter_hue};
	const double amounts[4] = {jitter->brightness, jitter->contrast, jitter->saturation, jitter->hue};
	double factors[4];
	int order[4] = {0, 1, 2, 3};

	for (int i = 0; i < 4; i++)
		factors[i] = i == 3 ? between(rng, -amounts[i], amounts[i]) : between(rng, fmax(0, 1 - amounts[i]), 1 + amounts[i]);
	for (int i = 3; i > 0; i--) {
		int j = (int)rng_below(rng, (uint64_t)i + 1), last = order[i];

		order[i] = order[j];
		order[j] = last;
	}
	for (int i = 0; i < 4; i++)
		if (amounts[order[i]] > 0)
			changes[order[i]](pixels, count, factors[order[i]]);
}
