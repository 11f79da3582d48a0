#include "trainer/data/synth_shapes.h"

#include <math.h>

static bool arrow(double x, double y)
{
	bool shaft = x > -1 && x < 0.1 && fabs(y) < 0.2;
	bool head = x >= 0 && x < 1 && fabs(y) < 0.8 * (1 - x);

	return shaft || head;
}

static bool circle(double x, double y)
{
	return x * x + y * y < 0.85 * 0.85;
}

static bool cross(double x, double y)
{
	double longer = fmax(fabs(x), fabs(y)), shorter = fmin(fabs(x), fabs(y));

	return longer < 0.95 && shorter < 0.27;
}

static bool diamond(double x, double y)
{
	return fabs(x) / 0.62 + fabs(y) < 1;
}

/* Three bars and two gaps of equal height. */
static bool hbars(double x, double y)
{
	double height = (y + 0.85) / 0.34;

	return fabs(x) < 0.85 && height > 0 && height < 5 && (int)height % 2 == 0;
}

static bool ring(double x, double y)
{
	double square = x * x + y * y;

	return square > 0.5 * 0.5 && square < 0.95 * 0.95;
}

static bool square(double x, double y)
{
	return fmax(fabs(x), fabs(y)) < 0.75;
}

/* The five lines through a pentagram's points have these normals and one distance from the centre; at each tip one is crossed. */
static bool star(double x, double y)
{
	static const double normal[5][2] = {
	    {0, -1},
	    {0.9510565162951535, -0.3090169943749474},
	    {0.5877852522924731, 0.8090169943749475},
	    {-0.5877852522924731, 0.8090169943749475},
	    {-0.9510565162951535, -0.3090169943749474},
	};
	int crossed = 0;

	for (int i = 0; i < 5; i++)
		crossed += x * normal[i][0] + y * normal[i][1] > 0.35;
	return crossed < 2 && x * x + y * y < 1;
}

static bool triangle(double x, double y)
{
	const double half_root_of_3 = 0.8660254037844386;

	return y < 0.5 && half_root_of_3 * fabs(x) - 0.5 * y < 0.5;
}

static bool vbars(double x, double y)
{
	return hbars(y, x);
}

const struct shape shapes[SHAPE_COUNT] = {
    {"arrow", arrow, 1}, {"circle", circle, 1},	  {"cross", cross, 1}, {"diamond", diamond, 0.15}, {"hbars", hbars, 0.12},
    {"ring", ring, 1},	 {"square", square, 0.1}, {"star", star, 1},   {"triangle", triangle, 1},  {"vbars", vbars, 0.12},
};
