/*-------------------------------------------------------------------------
 *
 * test_model.c
 *	  Model directories that are wrong in one way each: an error with a message
 *	  for every one, and no crash.
 *
 *-------------------------------------------------------------------------
 */
#include "golden.h"

#include <limits.h>
#include <sys/stat.h>

#include "testing.h"

static char directory[] = "/tmp/mm-model.XXXXXX";
static const char *const small_files[] = {"config.json", "preprocessor_config.json", "vocab.txt"};

static const char *
path_of(const char *file)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	return path;
}

static void
write_bytes(const char *file, const char *bytes, size_t len)
{
	FILE *f;

	unlink(path_of(file));
	f = fopen(path_of(file), "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* A directory like the model's: copies of the small files, a link to the weights. */
static void
make_good(void)
{
	char target[PATH_MAX];

	for (size_t i = 0; i < 3; i++)
	{
		mm_slice bytes = golden_read(test_model_dir(), small_files[i]);

		write_bytes(small_files[i], bytes.data, bytes.len);
		free((void *) bytes.data);
	}
	unlink(path_of("model.safetensors"));
	assert_non_null(realpath(test_model_dir(), target));
	strncat(target, "/model.safetensors", sizeof(target) - strlen(target) - 1);
	assert_int_equal(symlink(target, path_of("model.safetensors")), 0);
}

static int
set_up(void **state)
{
	(void) state;
	return mkdtemp(directory) ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void) state;
	for (size_t i = 0; i < 3; i++)
		unlink(path_of(small_files[i]));
	unlink(path_of("model.safetensors"));
	return rmdir(directory);
}

static void
expect_error(mm_status status, const char *what)
{
	mm_error err = {0};
	mm_model *model = mm_model_open(directory, &(mm_model_options){.map_weights = true}, &err);

	if (model != NULL)
		fail_msg("a model with %s is opened", what);
	if (err.status != status)
		fail_msg("%s: status %d, not %d: %s (%s)", what, err.status, status, err.message,
				 err.detail);
	test_check_error(&err, status);
}

/* The file with one text in place of another; an empty text adds nothing. */
static void
replace_in(const char *file, const char *old, const char *new)
{
	mm_slice bytes = golden_read(test_model_dir(), file);
	char *text = malloc(bytes.len + 1), *out, *at;

	memcpy(text, bytes.data, bytes.len);
	text[bytes.len] = '\0';
	at = strstr(text, old);
	if (at == NULL)
		fail_msg("%s has no %s", file, old);
	out = malloc(bytes.len + strlen(new) + 1);
	snprintf(out, bytes.len + strlen(new) + 1, "%.*s%s%s", (int) (at - text), text, new,
			 at + strlen(old));
	write_bytes(file, out, strlen(out));
	free(out);
	free(text);
	free((void *) bytes.data);
}

static void
good_directory(void **state)
{
	mm_model_info info;
	mm_error err;
	mm_model *model;

	(void) state;
	make_good();
	assert_int_equal(mm_model_probe(directory, &info, &err), MM_OK);
	assert_int_equal(info.dims, 384);
	assert_true(info.parameters > 1000000);
	for (int map = 0; map < 2; map++)
	{
		model = mm_model_open(directory, &(mm_model_options){.map_weights = map}, &err);
		assert_non_null(model);
		assert_int_equal(mm_model_get_info(model)->context_length, 128);
		mm_model_close(model);
	}
}

static void
missing_files(void **state)
{
	static const char *const files[] = {"config.json", "preprocessor_config.json", "vocab.txt",
										"model.safetensors"};

	(void) state;
	for (size_t i = 0; i < 4; i++)
	{
		make_good();
		unlink(path_of(files[i]));
		expect_error(MM_ERR_NOT_FOUND, files[i]);
		assert_int_equal(mkdir(path_of(files[i]), 0700), 0);
		expect_error(MM_ERR_IO, "a directory for a file");
		rmdir(path_of(files[i]));
	}
}

static void
wrong_configurations(void **state)
{
	static const struct
	{
		const char *file, *old, *new;
		mm_status status;
	} cases[] = {
		{"config.json", "{", "", MM_ERR_BAD_MODEL},
		{"config.json", "\"conse\"", "\"nonesuch\"", MM_ERR_UNSUPPORTED},
		{"config.json", "\"conse\"", "7", MM_ERR_BAD_MODEL},
		{"config.json", "\"efficientnet-lite\"", "\"resnet\"", MM_ERR_UNSUPPORTED},
		{"config.json", "\"bert\"", "\"gpt\"", MM_ERR_UNSUPPORTED},
		{"config.json", "\"text_tower\"", "\"no_tower\"", MM_ERR_BAD_MODEL},
		{"config.json", "\"logit_scale\": 100.0", "\"logit_scale\": \"x\"", MM_ERR_BAD_MODEL},
		{"config.json", "\"hidden_size\": 384", "\"hidden_size\": 0", MM_ERR_BAD_MODEL},
		{"config.json", "\"hidden_size\": 384", "\"hidden_size\": -384", MM_ERR_BAD_MODEL},
		{"config.json", "\"hidden_size\": 384", "\"hidden_size\": 1e300", MM_ERR_BAD_MODEL},
		{"config.json", "\"hidden_size\": 384", "\"hidden_size\": 384.5", MM_ERR_BAD_MODEL},
		{"config.json", "\"hidden_size\": 384", "\"hidden_size\": \"384\"", MM_ERR_BAD_MODEL},
		{"config.json", "\"hidden_size\": 384", "\"hidden_size\": 768", MM_ERR_BAD_MODEL},
		{"config.json", "\"num_attention_heads\": 12", "\"num_attention_heads\": 7",
		 MM_ERR_UNSUPPORTED},
		{"config.json", "\"num_hidden_layers\": 6", "\"num_hidden_layers\": 7", MM_ERR_BAD_MODEL},
		{"config.json", "\"vocab_size\": 30522", "\"vocab_size\": 30523", MM_ERR_BAD_MODEL},
		{"config.json", "\"context_length\": 128", "\"context_length\": 512", MM_ERR_BAD_MODEL},
		{"config.json", "\"context_length\": 128", "\"context_length\": 1", MM_ERR_BAD_MODEL},
		{"config.json", "\"image_size\": 224", "\"image_size\": 100000", MM_ERR_BAD_MODEL},
		{"config.json", "\"num_classes\": 1000", "\"num_classes\": 999", MM_ERR_BAD_MODEL},
		{"config.json", "\"stages\"", "\"steps\"", MM_ERR_BAD_MODEL},
		{"config.json", "\"head_channels\": 1280", "\"head_channels\": 640", MM_ERR_BAD_MODEL},
		{"preprocessor_config.json", "\"letterbox\"", "\"squash\"", MM_ERR_UNSUPPORTED},
		{"preprocessor_config.json", "\"mean\"", "\"media\"", MM_ERR_BAD_MODEL},
		{"preprocessor_config.json", "128.0", "0", MM_ERR_BAD_MODEL},
		{"preprocessor_config.json", "128.0", "\"x\"", MM_ERR_BAD_MODEL},
		{"vocab.txt", "[CLS]", "[CLX]", MM_ERR_BAD_MODEL},
		{"vocab.txt", "[CLS]\n", "[CLS]\nextra\n", MM_ERR_BAD_MODEL},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		make_good();
		replace_in(cases[i].file, cases[i].old, cases[i].new);
		expect_error(cases[i].status, cases[i].new);
	}
}

/* A configuration cut anywhere is no configuration; nor a deeply nested one. */
static void
cut_configurations(void **state)
{
	mm_slice config = golden_read(test_model_dir(), "config.json");
	size_t end = config.len;
	char *nested;

	(void) state;
	make_good();
	while (((const char *) config.data)[end - 1] != '}')
		end--;
	for (size_t len = 0; len < end; len++)
	{
		write_bytes("config.json", config.data, len);
		expect_error(MM_ERR_BAD_MODEL, "a cut configuration");
	}
	free((void *) config.data);

	nested = malloc(100000);
	memset(nested, '[', 100000);
	write_bytes("config.json", nested, 100000);
	expect_error(MM_ERR_BAD_MODEL, "a nested configuration");
	free(nested);
}

/* The weights' header is whole, and some of their bytes are not there. */
static void
cut_weights(void **state)
{
	static char buffer[1 << 20];
	char source[PATH_MAX];
	size_t n;
	FILE *f;
	mm_model_info info;
	mm_error err;

	(void) state;
	make_good();
	snprintf(source, sizeof(source), "%s/model.safetensors", test_model_dir());
	f = fopen(source, "rb");
	assert_non_null(f);
	n = fread(buffer, 1, sizeof(buffer), f);
	fclose(f);
	assert_int_equal(n, sizeof(buffer));
	for (size_t len = n; len > 0; len /= 7)
	{
		write_bytes("model.safetensors", buffer, len);
		expect_error(MM_ERR_BAD_MODEL, "cut weights");
		assert_int_equal(mm_model_probe(directory, &info, &err), MM_ERR_BAD_MODEL);
	}
}

static void
no_directory(void **state)
{
	mm_model_info info;
	mm_error err = {0};

	(void) state;
	assert_null(mm_model_open("/nonexistent/model", NULL, &err));
	test_check_error(&err, MM_ERR_NOT_FOUND);
	assert_int_equal(mm_model_probe("/nonexistent/model", &info, &err), MM_ERR_NOT_FOUND);
	assert_null(mm_model_open("/dev/null", NULL, &err));
	assert_true(err.message[0] != '\0');
	mm_model_close(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_directory),       cmocka_unit_test(missing_files),
		cmocka_unit_test(wrong_configurations), cmocka_unit_test(cut_configurations),
		cmocka_unit_test(cut_weights),          cmocka_unit_test(no_directory),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
