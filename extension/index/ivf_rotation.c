/*
 * ivf_rotation.c
 *		The pseudo-random rotation that comes before faiss_ivf's codes.
 */
#include <math.h>

#include "ivf_kernels.h"

/* The signs, which follow the head. */
static const float *
signs_of(const IvfRotation *rotation)
{
	return (const float *) (rotation + 1);
}

static int
block_of(int dims)
{
	int block = 1;

	while (block <= dims / 2)
		block *= 2;
	return block;
}

static int
rounds_of(int dims)
{
	return block_of(dims) == dims ? 3 : 6;
}

/*
 * The next number of splitmix64 (Steele, Lea and Flood 2014): a counter that
 * steps by the golden ratio of 2^64, its bits then mixed by shifts and
 * multiplications.  Any seed will do, and integers are the same everywhere.
 */
static uint64_t
next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

size_t
ivf_rotation_size(int dims)
{
	return sizeof(IvfRotation) + (size_t) rounds_of(dims) * (size_t) dims * sizeof(float);
}

void
ivf_rotation_init(IvfRotation *rotation, int dims, uint64_t seed)
{
	float *signs = (float *) (rotation + 1);
	uint64_t bits = 0;

	rotation->dims = dims;
	rotation->block = block_of(dims);
	rotation->rounds = rounds_of(dims);
	for (int i = 0; i < rotation->rounds * dims; i++)
	{
		/* One number serves 64 signs, the lowest bit first. */
		if (i % 64 == 0)
			bits = next_random(&seed);
		signs[i] = bits & 1 ? -1.0f : 1.0f;
		bits >>= 1;
	}
}

/* x[i] *= y[i] for i < n; in eights, which compilers turn into vectors. */
static void
multiply(float *restrict x, const float *restrict y, int n)
{
	int i = 0;

	for (; n - i >= 8; i += 8)
		for (int k = 0; k < 8; k++)
			x[i + k] *= y[i + k];
	for (; i < n; i++)
		x[i] *= y[i];
}

/* x[i] *= factor for i < n. */
static void
multiply_all(float *x, float factor, int n)
{
	int i = 0;

	for (; n - i >= 8; i += 8)
		for (int k = 0; k < 8; k++)
			x[i + k] *= factor;
	for (; i < n; i++)
		x[i] *= factor;
}

void
ivf_rotate(const IvfRotation *rotation, float *x)
{
	const IvfKernels *kernels = ivf_kernels();
	const float *signs = signs_of(rotation);
	int dims = rotation->dims;
	int block = rotation->block;
	float factor = (float) (1 / sqrt((double) block));

	for (int round = 0; round < rotation->rounds; round++)
	{
		float *part = round % 2 == 0 ? x : x + (dims - block);

		multiply(x, signs + (size_t) round * (size_t) dims, dims);
		multiply_all(part, factor, block);
		kernels->hadamard(part, block);
	}
}
