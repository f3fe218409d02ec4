/*-------------------------------------------------------------------------
 *
 * decode_jpeg.c
 *	  JPEG by libjpeg-turbo, with the pixels of Pillow: its default inverse
 *	  DCT (islow) and "fancy" chroma upsampling.
 *
 *-------------------------------------------------------------------------
 */
#include "image.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "error.h"

/*
 * A progressive file may hold any number of scans over the whole picture, each
 * a few bytes long and as dear to decode as a picture.  Encoders write about ten:
 * MANY_SCANS are always taken, more of them, up to MAX_SCANS, as long as they go
 * over SCAN_PIXELS in all, which is some seconds' work.
 */
#define MANY_SCANS 20
#define MAX_SCANS 100
#define SCAN_PIXELS INT64_C(2000000000)

/* libjpeg's own error manager first: it finds ours through it. */
typedef struct jpeg_errors
{
	struct jpeg_error_mgr mgr;
	jmp_buf escape;
	char message[JMSG_LENGTH_MAX];
	mm_status status;
	int max_scans;
	const mm_stop *stop;
} jpeg_errors;

static mm_status
status_of(int code)
{
	switch (code)
	{
		case JERR_OUT_OF_MEMORY:
			return MM_ERR_NO_MEMORY;
		case JERR_NO_BACKING_STORE: /* over max_memory_to_use */
			return MM_ERR_LIMIT;
		case JERR_BAD_PRECISION:
		case JERR_SOF_UNSUPPORTED:
		case JERR_CONVERSION_NOTIMPL:
		case JERR_ARITH_NOTIMPL:
			return MM_ERR_UNSUPPORTED;
		default:
			return MM_ERR_BAD_IMAGE;
	}
}

static void
error_exit(j_common_ptr cinfo)
{
	jpeg_errors *errors = (jpeg_errors *) cinfo->err;

	errors->mgr.format_message(cinfo, errors->message);
	errors->status = status_of(errors->mgr.msg_code);
	longjmp(errors->escape, 1);
}

/*
 * Warnings are about data that libjpeg repaired, and Pillow lets them pass.
 * The end of the data before that of the picture it does not.
 */
static void
emit_message(j_common_ptr cinfo, int level)
{
	if (level >= 0)
		return;
	cinfo->err->num_warnings++;
	if (cinfo->err->msg_code == JWRN_JPEG_EOF)
		error_exit(cinfo);
}

static void
output_nothing(j_common_ptr cinfo)
{
	(void) cinfo;
}

/* Called for every row of blocks, in each scan. */
static void
watch_progress(j_common_ptr cinfo)
{
	jpeg_errors *errors = (jpeg_errors *) cinfo->err;

	if (mm_stop_asked(errors->stop))
	{
		errors->status = MM_ERR_CANCELED;
		snprintf(errors->message, sizeof(errors->message), "canceled");
		longjmp(errors->escape, 1);
	}
	if (((j_decompress_ptr) cinfo)->input_scan_number > errors->max_scans)
	{
		errors->status = MM_ERR_LIMIT;
		snprintf(errors->message, sizeof(errors->message), "more than %d scans", errors->max_scans);
		longjmp(errors->escape, 1);
	}
}

typedef struct jpeg_decoder
{
	struct jpeg_decompress_struct cinfo;
	jpeg_errors errors;
	struct jpeg_progress_mgr progress;
} jpeg_decoder;

static void
decoder_init(jpeg_decoder *d)
{
	memset(d, 0, sizeof(*d));
	d->cinfo.err = jpeg_std_error(&d->errors.mgr);
	d->errors.mgr.error_exit = error_exit;
	d->errors.mgr.emit_message = emit_message;
	d->errors.mgr.output_message = output_nothing;
	d->errors.max_scans = MANY_SCANS; /* until the size is known */
	d->progress.progress_monitor = watch_progress;
}

static mm_status
decoder_failed(jpeg_decoder *d, mm_error *err)
{
	mm_fail(err, d->errors.status,
			d->errors.status == MM_ERR_CANCELED ? "canceled" : "could not decode JPEG picture");
	mm_fail_detail(err, "%s", d->errors.message);
	jpeg_destroy_decompress(&d->cinfo);
	return d->errors.status;
}

static int
orientation_of(const struct jpeg_decompress_struct *cinfo)
{
	for (jpeg_saved_marker_ptr m = cinfo->marker_list; m != NULL; m = m->next)
	{
		if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 && memcmp(m->data, "Exif\0\0", 6) == 0)
			return mm_exif_orientation(m->data + 6, m->data_length - 6);
	}
	return 1;
}

/*
 * The pixels, and of a picture in several scans the coefficients of all of its
 * blocks.  Markers that are kept are copies of parts of the file.
 */
static int64_t
decode_bytes(struct jpeg_decompress_struct *cinfo, size_t file_bytes)
{
	int channels = cinfo->num_components == 4 ? 4 : 3;
	int64_t bytes = (int64_t) channels * cinfo->image_width * cinfo->image_height;

	for (int c = 0; c < cinfo->num_components && jpeg_has_multiple_scans(cinfo); c++)
	{
		const jpeg_component_info *comp = &cinfo->comp_info[c];
		int64_t across = (int64_t) comp->width_in_blocks + comp->h_samp_factor;
		int64_t down = (int64_t) comp->height_in_blocks + comp->v_samp_factor;

		bytes += across * down * (int64_t) sizeof(JBLOCK);
	}
	/* rows at work, tables */
	return bytes + (int64_t) file_bytes + 256 * (int64_t) cinfo->image_width + (1 << 20);
}

/* May leave through the decoder's escape. */
static void
read_header(jpeg_decoder *d, mm_slice bytes)
{
	jpeg_create_decompress(&d->cinfo);
	d->cinfo.progress = &d->progress;
	jpeg_mem_src(&d->cinfo, bytes.data, bytes.len);
	jpeg_save_markers(&d->cinfo, JPEG_APP0 + 1, 0xffff);
	jpeg_read_header(&d->cinfo, TRUE);
}

mm_status
mm_jpeg_header(mm_slice bytes, mm_image_header *header, mm_error *err)
{
	jpeg_decoder d;
	int components;

	decoder_init(&d);
	if (setjmp(d.errors.escape))
		return decoder_failed(&d, err);
	read_header(&d, bytes);
	header->width = d.cinfo.image_width;
	header->height = d.cinfo.image_height;
	header->orientation = orientation_of(&d.cinfo);
	header->decode_bytes = decode_bytes(&d.cinfo, bytes.len);
	components = d.cinfo.num_components;
	jpeg_destroy_decompress(&d.cinfo);
	if (components != 1 && components != 3 && components != 4)
		return mm_fail(err, MM_ERR_UNSUPPORTED,
					   "JPEG pictures with %d colour components are not supported", components);
	return MM_OK;
}

/* x / 255, rounded to nearest, for x up to 255 * 255. */
static uint32_t
divide_by_255(uint32_t x)
{
	x += 128;
	return ((x >> 8) + x) >> 8;
}

/*
 * Files of four components hold inverted values, as Adobe writes them; Pillow
 * assumes it of all.  Then its way from CMYK to RGB, without a colour profile.
 */
static void
rgb_from_inverted_cmyk(mm_image *img)
{
	size_t n = (size_t) img->width * (size_t) img->height;
	const uint8_t *in = img->data;
	uint8_t *out = img->data;

	for (size_t i = 0; i < n; i++, in += 4)
	{
		uint32_t light = in[3];

		for (int c = 0; c < 3; c++)
			*out++ = (uint8_t) (light - divide_by_255((255u - in[c]) * light));
	}
	img->channels = 3;
}

static int
most_scans(const struct jpeg_decompress_struct *cinfo)
{
	int64_t scans = SCAN_PIXELS / ((int64_t) cinfo->image_width * cinfo->image_height);

	return scans < MANY_SCANS ? MANY_SCANS : scans > MAX_SCANS ? MAX_SCANS : (int) scans;
}

/* May leave through the decoder's escape. */
static void
start(jpeg_decoder *d, mm_slice bytes)
{
	struct jpeg_decompress_struct *cinfo = &d->cinfo;

	read_header(d, bytes);
	d->errors.max_scans = most_scans(cinfo);
	/* coefficients of a progressive picture: 4 components at most, of whole blocks */
	cinfo->mem->max_memory_to_use =
		(long) (8 * ((int64_t) cinfo->image_width + 64) * ((int64_t) cinfo->image_height + 64)) +
		(16L << 20);
	cinfo->out_color_space = cinfo->num_components == 4 ? JCS_CMYK : JCS_RGB;
	cinfo->dct_method = JDCT_ISLOW;
	cinfo->do_fancy_upsampling = TRUE;
	jpeg_start_decompress(cinfo);
}

mm_status
mm_jpeg_decode(mm_slice bytes, const mm_image_header *header, mm_image *img, mm_error *err)
{
	jpeg_decoder d;
	size_t stride;

	/* img is the caller's, so what is stored there survives the longjmp */
	decoder_init(&d);
	d.errors.stop = header->stop;
	if (setjmp(d.errors.escape))
		return decoder_failed(&d, err);
	start(&d, bytes);
	img->width = (int) d.cinfo.output_width;
	img->height = (int) d.cinfo.output_height;
	img->channels = d.cinfo.output_components;
	stride = (size_t) img->width * (size_t) img->channels;
	img->data = malloc(stride * (size_t) img->height);
	if (img->data == NULL)
	{
		jpeg_destroy_decompress(&d.cinfo);
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	}
	while (d.cinfo.output_scanline < d.cinfo.output_height)
	{
		JSAMPROW row = img->data + d.cinfo.output_scanline * stride;

		jpeg_read_scanlines(&d.cinfo, &row, 1);
	}
	/* up to the end marker: a file without one was cut */
	jpeg_finish_decompress(&d.cinfo);
	jpeg_destroy_decompress(&d.cinfo);
	if (img->channels == 4)
		rgb_from_inverted_cmyk(img);
	return MM_OK;
}
