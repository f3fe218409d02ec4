/*-------------------------------------------------------------------------
 *
 * picture.h
 *	  The targets of pictures, one a format.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_PICTURE_H
#define FUZZ_PICTURE_H

#include "fuzz.h"

/* From the bytes of a file, whose signature is put there, to the tensors of models. */
extern void fuzz_picture(const char *signature, size_t len, const uint8_t *data, size_t size);

#endif /* FUZZ_PICTURE_H */
