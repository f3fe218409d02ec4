# The example of OpenAI's README, on the weights and the picture that it is about:
# CLIP.png against 'a diagram', 'a dog' and 'a cat' by ViT-B/32.
#
# Neither can be fetched by the tests.  Who has them names a model directory in
# MMODAL_TEST_OPENAI_MODEL and the picture in MMODAL_TEST_CLIP_PNG, and runs
# "scripts/test tap".  That puts both where the server can read them, the picture
# as tests/golden/openai_picture.py makes it: two thirds of it are transparent,
# which is black for OpenAI and white for us (docs/models.md).

use strict;
use warnings;

use File::Basename qw(basename dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($model, $picture) = @ENV{qw(MMODAL_TEST_OPENAI_MODEL MMODAL_TEST_CLIP_PNG)};
plan skip_all => 'MMODAL_TEST_OPENAI_MODEL and MMODAL_TEST_CLIP_PNG name no weights and picture of OpenAI'
  unless $model && $picture;

# Asked for, and not there, is a failure
ok(-r "$model/merges.txt", "$model can be read") or diag("no $model/merges.txt");
ok(-r $picture, "$picture can be read") or BAIL_OUT("no $picture: does python3 have Pillow?");
my $png = slurp_file($picture);
my ($width, $height, $depth, $color) = unpack('x16 N N C C', $png);
is("$width x $height, $depth bits, kind $color", '224 x 224, 8 bits, kind 2', 'the picture has the transform behind it');

my $node = PostgreSQL::Test::Cluster->new('openai');
$node->init(extra => [ '-E', 'UTF8', '--locale=C.UTF-8' ]);
$node->append_conf('postgresql.conf',
	sprintf("mmodal.model_path = '%s'\nmmodal.model = '%s'\n", dirname($model), basename($model)));
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mmodal');
is( $node->safe_psql('postgres',
		q{SELECT dims, image_size, context_length, parameters FROM mmodal_models() WHERE name = current_setting('mmodal.model')}),
	'512|224|77|151277313', 'the model is a ViT-B/32');

my $file = $node->data_dir . '/clip.png';
append_to_file($file, $png);
my @texts = ('a diagram', 'a dog', 'a cat');
my $texts = join ', ', map { "'$_'" } @texts;

# Each value of an array of the function, against what the reference prints
sub compare
{
	my ($function, $factor, $wanted, $allowed, $unit) = @_;
	my $values = $node->safe_psql('postgres',
		"SELECT array_to_string($function(pg_read_binary_file('$file'), ARRAY[$texts]), ' ')");
	my @values = map { $factor * $_ } split / /, $values;

	foreach my $i (0 .. $#texts)
	{
		cmp_ok(abs($values[$i] - $wanted->[$i]), '<=', $allowed,
			sprintf('%s of "%s" is %.4f%s, wanted %.4f', $function, $texts[$i], $values[$i], $unit, $wanted->[$i]));
	}
}
compare('clip_logits', 1, [ 25.5528, 20.0899, 19.7494 ], 0.01, '');
compare('clip_probs', 100, [ 99.279, 0.421, 0.3 ], 0.05, ' %');

SKIP:
{
	skip 'no golden.json beside the model: scripts/make-golden', 1 unless -e "$model/golden.json";
	is($node->safe_psql('postgres', q{SELECT ok FROM mmodal_verify_model(current_setting('mmodal.model'))}),
		't', 'golden.json is met');
}

$node->stop;
done_testing();
