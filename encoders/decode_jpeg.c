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
 * a few bytes long and as dear to decode as a picture.  Encoders write about ten.
 */
#define MAX_SCANS 100

/* libjpeg's own error manager first: it finds ours through it. */
typedef struct jpeg_errors
{
	struct jpeg_error_mgr mgr;
	jmp_buf escape;
	char message[JMSG_LENGTH_MAX];
	bool limit; /* our own limit, not a fault of the file */
} jpeg_errors;

static void
error_exit(j_common_ptr cinfo)
{
	jpeg_errors *errors = (jpeg_errors *) cinfo->err;

	errors->mgr.format_message(cinfo, errors->message);
	longjmp(errors->escape, 1);
}

/*
 * Warnings are about data that libjpeg repaired, and Pillow lets them pass.
 * The end of the data before that of the picture it does not.
 */
static void
emit_message(j_common_ptr cinfo, int level)
{
	if (level < 0 && cinfo->err->msg_code == JWRN_JPEG_EOF)
		error_exit(cinfo);
}

static void
output_nothing(j_common_ptr cinfo)
{
	(void) cinfo;
}

static void
count_scans(j_common_ptr cinfo)
{
	jpeg_errors *errors = (jpeg_errors *) cinfo->err;

	if (((j_decompress_ptr) cinfo)->input_scan_number > MAX_SCANS)
	{
		errors->limit = true;
		snprintf(errors->message, sizeof(errors->message), "more than %d scans", MAX_SCANS);
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
	d->progress.progress_monitor = count_scans;
}

static mm_status
decoder_failed(jpeg_decoder *d, mm_error *err)
{
	mm_status status = d->errors.limit ? MM_ERR_LIMIT : MM_ERR_BAD_IMAGE;

	mm_fail(err, status, "could not decode JPEG picture");
	mm_fail_detail(err, "%s", d->errors.message);
	jpeg_destroy_decompress(&d->cinfo);
	return status;
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
	components = d.cinfo.num_components;
	jpeg_destroy_decompress(&d.cinfo);
	if (components != 1 && components != 3)
		return mm_fail(err, MM_ERR_UNSUPPORTED,
					   "JPEG pictures with %d colour components are not supported", components);
	return MM_OK;
}

mm_status
mm_jpeg_decode(mm_slice bytes, mm_image *img, mm_error *err)
{
	jpeg_decoder d;

	/* img is the caller's, so what is stored there survives the longjmp */
	decoder_init(&d);
	if (setjmp(d.errors.escape))
		return decoder_failed(&d, err);
	read_header(&d, bytes);
	d.cinfo.out_color_space = JCS_RGB;
	d.cinfo.dct_method = JDCT_ISLOW;
	d.cinfo.do_fancy_upsampling = TRUE;
	jpeg_start_decompress(&d.cinfo);

	img->width = (int) d.cinfo.output_width;
	img->height = (int) d.cinfo.output_height;
	img->channels = 3;
	img->data = malloc((size_t) img->width * img->height * 3);
	if (img->data == NULL)
	{
		jpeg_destroy_decompress(&d.cinfo);
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	}
	while (d.cinfo.output_scanline < d.cinfo.output_height)
	{
		JSAMPROW row = img->data + (size_t) d.cinfo.output_scanline * img->width * 3;

		jpeg_read_scanlines(&d.cinfo, &row, 1);
	}
	/* not jpeg_finish_decompress: what follows the last row is of no interest */
	jpeg_destroy_decompress(&d.cinfo);
	return MM_OK;
}
