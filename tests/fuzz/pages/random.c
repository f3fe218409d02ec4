/*
 * random.c
 *		SplitMix64 (Steele, Lea and Flood 2014): one number leads to the next.
 */
#include "pages.h"

uint64
random_next(Random *random)
{
	uint64 z = random->state += UINT64CONST(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint32
random_below(Random *random, uint32 n)
{
	return n == 0 ? 0 : (uint32) ((random_next(random) >> 32) % n);
}
