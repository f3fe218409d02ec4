/*
 * guc.c
 *		The settings of mmodal (mmodal.*), all of them, as one table.
 *
 * To add a setting: declare its variable in guc.h, define it below and add a
 * row to the table.  docs/ has a page on every setting.
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "utils/guc_tables.h"

#include "compat.h"
#include "distance/distance.h"
#include "failpoint.h"
#include "guc.h"

int mm_guc_simd = MM_SIMD_AUTO;
char *mm_guc_model = NULL;
char *mm_guc_model_path = NULL;
char *mm_guc_cache_dir = NULL;
int mm_guc_embed_cache = 2048;
int mm_guc_encoder_threads = 1;
int mm_guc_max_encoder_threads = 8;
int mm_guc_max_image_size = 64 * 1024;
int mm_guc_max_image_pixels = 100 * 1000 * 1000;
int mm_guc_max_decode_memory = 1024 * 1024;
int mm_guc_max_text_size = 1024;
int mm_guc_max_batch = 100 * 1000;
double mm_guc_recall = 0.95;
int mm_guc_max_scan_tuples = 0;
int mm_guc_ivf_probes = 0;
double mm_guc_ivf_spread = 0;
double mm_guc_ivf_error_bound = 2.5;

static const struct config_enum_entry simd_options[] = {
	{"auto", MM_SIMD_AUTO, false}, {"scalar", MM_SIMD_SCALAR, false},
	{"avx2", MM_SIMD_AVX2, false}, {"avx512", MM_SIMD_AVX512, false},
	{"neon", MM_SIMD_NEON, false}, {NULL, 0, false}};

/* A level that this CPU lacks is refused when it is set, not when it is used. */
static bool
check_simd(int *newval, void **extra, GucSource source)
{
	(void) extra;
	(void) source;
	if (mm_simd_level_available((MmSimdLevel) *newval))
		return true;
	GUC_check_errcode(ERRCODE_FEATURE_NOT_SUPPORTED);
	GUC_check_errdetail("This processor, or this build, lacks that instruction set.");
	GUC_check_errhint("Use \"auto\" for the best level that it has.");
	return false;
}

static void
assign_simd(int newval, void *extra)
{
	(void) extra;
	mm_simd_set_level((MmSimdLevel) newval);
}

/*
 * Like dynamic_library_path: directories apart by colons, absolute ones, or
 * below $sharedir, so that no model is ever looked up where the server happens
 * to stand.
 */
static bool
check_model_path(char **newval, void **extra, GucSource source)
{
	static const char share_macro[] = "$sharedir";
	const char *item = *newval;

	(void) extra;
	(void) source;
	while (*item != '\0')
	{
		size_t len = strcspn(item, ":");

		if (len >= MAXPGPATH / 2 ||
			(*item != '/' && strncmp(item, share_macro, strlen(share_macro)) != 0))
		{
			GUC_check_errdetail(
				"Each directory must be an absolute path, or begin with $sharedir.");
			return false;
		}
		item += len + (item[len] == ':');
	}
	return true;
}

static bool
check_cache_dir(char **newval, void **extra, GucSource source)
{
	(void) extra;
	(void) source;
	if (**newval != '\0' && strlen(*newval) < MAXPGPATH / 2)
		return true;
	GUC_check_errdetail("It must be the name of a directory.");
	return false;
}

/* The decoders count in int, with room for a factor of four; kB. */
#define MAX_IMAGE_SIZE (INT_MAX / 4 / 1024)

/* A setting: kind says which member of def describes it. */
typedef struct MmGuc
{
	const char *name;
	const char *short_desc;
	const char *long_desc;
	GucContext context;
	int flags;
	enum config_type kind;
	union
	{
		struct
		{
			bool *variable;
			bool boot;
			GucBoolCheckHook check;
			GucBoolAssignHook assign;
		} boolean;
		struct
		{
			int *variable;
			int boot;
			int min;
			int max;
			GucIntCheckHook check;
			GucIntAssignHook assign;
		} integer;
		struct
		{
			double *variable;
			double boot;
			double min;
			double max;
			GucRealCheckHook check;
			GucRealAssignHook assign;
		} real;
		struct
		{
			char **variable;
			const char *boot;
			GucStringCheckHook check;
			GucStringAssignHook assign;
		} string;
		struct
		{
			int *variable;
			int boot;
			const struct config_enum_entry *options;
			GucEnumCheckHook check;
			GucEnumAssignHook assign;
		} enumeration;
	} def;
} MmGuc;

static const MmGuc settings[] = {
	{.name = "mmodal.simd",
	 .short_desc = "Sets the instruction set that distance kernels and encoders use.",
	 .long_desc = "All levels give the same results within the documented error bounds.",
	 .context = PGC_USERSET,
	 .kind = PGC_ENUM,
	 .def.enumeration = {&mm_guc_simd, MM_SIMD_AUTO, simd_options, check_simd, assign_simd}},
	{.name = "mmodal.model",
	 .short_desc = "Sets the model that functions use when none is named.",
	 .long_desc = "A directory of that name below mmodal.model_path.",
	 .context = PGC_USERSET,
	 .kind = PGC_STRING,
	 .def.string = {&mm_guc_model, "mini"}},
	{.name = "mmodal.model_path",
	 .short_desc = "Sets the directories that hold model directories.",
	 .long_desc = "Directories apart by colons; $sharedir is PostgreSQL's own share directory.",
	 .context = PGC_SUSET,
	 .flags = GUC_SUPERUSER_ONLY,
	 .kind = PGC_STRING,
	 .def.string = {&mm_guc_model_path, "$sharedir/mmodal/models", check_model_path}},
	{.name = "mmodal.cache_dir",
	 .short_desc = "Sets the directory of the packs that mmodal_pack_model() makes.",
	 .long_desc = "Relative to the data directory; base backups leave out the default one.",
	 .context = PGC_SUSET,
	 .flags = GUC_SUPERUSER_ONLY,
	 .kind = PGC_STRING,
	 .def.string = {&mm_guc_cache_dir, "pgsql_tmp_mmodal", check_cache_dir}},
	{.name = "mmodal.embed_cache",
	 .short_desc = "Sets how many embeddings of texts a backend keeps for use again.",
	 .long_desc = "The view mmodal_embed_cache counts hits and misses; 0 keeps none.",
	 .context = PGC_USERSET,
	 .kind = PGC_INT,
	 .def.integer = {&mm_guc_embed_cache, 2048, 0, 100 * 1000}},
	{.name = "mmodal.encoder_threads",
	 .short_desc = "Sets the compute threads of one backend for pictures and texts.",
	 .long_desc = "Arrays are dealt out to them; a single input of a CLIP model is shared.",
	 .context = PGC_USERSET,
	 .kind = PGC_INT,
	 .def.integer = {&mm_guc_encoder_threads, 1, 1, 64}},
	{.name = "mmodal.max_encoder_threads",
	 .short_desc = "Sets the most compute threads that a backend starts.",
	 .long_desc = "A larger mmodal.encoder_threads counts as this one.",
	 .context = PGC_SUSET,
	 .kind = PGC_INT,
	 .def.integer = {&mm_guc_max_encoder_threads, 8, 1, 64}},
	{.name = "mmodal.max_image_size",
	 .short_desc = "Sets the largest picture, in bytes of its file, that is decoded.",
	 .context = PGC_SUSET,
	 .flags = GUC_UNIT_KB,
	 .kind = PGC_INT,
	 .def.integer = {&mm_guc_max_image_size, 64 * 1024, 1, MAX_IMAGE_SIZE}},
	{.name = "mmodal.max_image_pixels",
	 .short_desc = "Sets the largest picture, in pixels (width times height), that is decoded.",
	 .long_desc = "Checked against the picture's header.",
	 .context = PGC_SUSET,
	 .kind = PGC_INT,
	 .def.integer = {&mm_guc_max_image_pixels, 100 * 1000 * 1000, 1, 1000 * 1000 * 1000}},
	{.name = "mmodal.max_decode_memory",
	 .short_desc = "Sets the most memory that one picture may take to be decoded.",
	 .long_desc = "A bound is computed from the picture's header, before anything is decoded.",
	 .context = PGC_SUSET,
	 .flags = GUC_UNIT_KB,
	 .kind = PGC_INT,
	 .def.integer = {&mm_guc_max_decode_memory, 1024 * 1024, 1024, MAX_KILOBYTES}},
	{.name = "mmodal.max_batch",
	 .short_desc = "Sets the most elements of an array that one call encodes.",
	 .context = PGC_SUSET,
	 .kind = PGC_INT,
	 .def.integer = {&mm_guc_max_batch, 100 * 1000, 1, 10 * 1000 * 1000}},
	{.name = "mmodal.max_text_size",
	 .short_desc = "Sets the longest text, in bytes, that is encoded.",
	 .long_desc = "A text within the limit but longer than the model's context is truncated.",
	 .context = PGC_SUSET,
	 .flags = GUC_UNIT_KB,
	 .kind = PGC_INT,
	 .def.integer = {&mm_guc_max_text_size, 1024, 1, 1024 * 1024}},
	{.name = "mmodal.recall",
	 .short_desc = "Sets the recall that scans of faiss_ivf indexes are to reach.",
	 .long_desc =
		 "The share of the true nearest neighbours that is found; 1 gives the exact answer.",
	 .context = PGC_USERSET,
	 .kind = PGC_REAL,
	 .def.real = {&mm_guc_recall, 0.95, 0.01, 1}},
	{.name = "mmodal.max_scan_tuples",
	 .short_desc = "Sets how many rows a scan of a faiss_ivf index reads at most.",
	 .long_desc = "0 for no limit: a scan goes on until it has the rows that the query needs.",
	 .context = PGC_USERSET,
	 .kind = PGC_INT,
	 .def.integer = {&mm_guc_max_scan_tuples, 0, 0, INT_MAX}},
	{.name = "mmodal.ivf_probes",
	 .short_desc = "Sets how many lists a round of a faiss_ivf scan reads.",
	 .long_desc = "0, the default, reads as many as mmodal.recall needs.",
	 .context = PGC_USERSET,
	 .kind = PGC_INT,
	 .def.integer = {&mm_guc_ivf_probes, 0, 0, 32768}},
	{.name = "mmodal.ivf_spread",
	 .short_desc = "Sets the factor by which faiss_ivf's stop rule widens what it measures.",
	 .long_desc = "0, the default, takes it from the index's calibration and mmodal.recall.",
	 .context = PGC_USERSET,
	 .kind = PGC_REAL,
	 .def.real = {&mm_guc_ivf_spread, 0, 0, 10}},
	{.name = "mmodal.ivf_error_bound",
	 .short_desc = "Sets how many standard deviations of scan codes' error are reranked.",
	 .context = PGC_USERSET,
	 .kind = PGC_REAL,
	 .def.real = {&mm_guc_ivf_error_bound, 2.5, 0, 100}},
};

static void
define_setting(const MmGuc *g)
{
	switch (g->kind)
	{
		case PGC_BOOL:
			DefineCustomBoolVariable(g->name, g->short_desc, g->long_desc, g->def.boolean.variable,
									 g->def.boolean.boot, g->context, g->flags,
									 g->def.boolean.check, g->def.boolean.assign, NULL);
			break;
		case PGC_INT:
			DefineCustomIntVariable(g->name, g->short_desc, g->long_desc, g->def.integer.variable,
									g->def.integer.boot, g->def.integer.min, g->def.integer.max,
									g->context, g->flags, g->def.integer.check,
									g->def.integer.assign, NULL);
			break;
		case PGC_REAL:
			DefineCustomRealVariable(g->name, g->short_desc, g->long_desc, g->def.real.variable,
									 g->def.real.boot, g->def.real.min, g->def.real.max, g->context,
									 g->flags, g->def.real.check, g->def.real.assign, NULL);
			break;
		case PGC_STRING:
			DefineCustomStringVariable(g->name, g->short_desc, g->long_desc, g->def.string.variable,
									   g->def.string.boot, g->context, g->flags,
									   g->def.string.check, g->def.string.assign, NULL);
			break;
		case PGC_ENUM:
			DefineCustomEnumVariable(g->name, g->short_desc, g->long_desc,
									 g->def.enumeration.variable, g->def.enumeration.boot,
									 g->def.enumeration.options, g->context, g->flags,
									 g->def.enumeration.check, g->def.enumeration.assign, NULL);
			break;
	}
}

void
mm_guc_init(void)
{
	for (size_t i = 0; i < lengthof(settings); i++)
		define_setting(&settings[i]);
	mm_failpoint_init();
	mm_reserve_guc_prefix("mmodal");
}
