/*
 * ivf_codec.c
 *		The table of codecs.
 */
#include "postgres.h"

#include "fmgr.h"

#include "ivf.h"

static const IvfCodec *const codecs[] = {&ivf_codec_refined, &ivf_codec_compact, &ivf_codec_flat};

/* The codec of that id, or NULL. */
const IvfCodec *
ivf_codec(uint32 id)
{
	for (size_t i = 0; i < lengthof(codecs); i++)
	{
		if ((uint32) codecs[i]->id == id)
			return codecs[i];
	}
	return NULL;
}
