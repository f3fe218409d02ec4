# Model directories under running backends: replaced, damaged, unreadable, and
# several of them; and databases of other encodings.

use strict;
use warnings;

use File::Copy qw(copy);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('models');
$node->init(extra => [ '-E', 'UTF8', '--locale=C.UTF-8' ]);
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mmodal');

my ($share) = run_command([ 'pg_config', '--sharedir' ]);
my $mini = "$share/mmodal/models/mini";
my $models = PostgreSQL::Test::Utils::tempdir();

# A model that has mini's files; the weights are a link unless they are to change.
sub make_model
{
	my ($name, $own_weights) = @_;
	my $dir = "$models/$name";
	mkdir $dir or die "mkdir $dir: $!";
	copy("$mini/$_", "$dir/$_") or die "copy $_: $!"
	  foreach ('config.json', 'preprocessor_config.json', 'vocab.txt');
	if ($own_weights)
	{
		copy("$mini/model.safetensors", "$dir/model.safetensors") or die "copy: $!";
	}
	else
	{
		symlink "$mini/model.safetensors", "$dir/model.safetensors" or die "symlink: $!";
	}
	return $dir;
}

sub replace_file
{
	my ($path, $content) = @_;
	append_to_file("$path.new", $content);
	rename "$path.new", $path or die "rename: $!";
}

my $dir = make_model('own', 1);
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query(q{\set VERBOSITY sqlstate});
$session->query("SET mmodal.model_path = '\$sharedir/mmodal/models:$models'");
my $pid = $session->query('SELECT pg_backend_pid()');
chomp $pid;

sub answer
{
	my $sql = shift;
	$session->{stderr} = '';
	my $out = $session->query($sql);
	$out = 'ERROR ' . $1 if $session->{stderr} =~ /ERROR:\s+(\w+)/;
	$session->{stderr} = '';
	return $out;
}

my $same = q{SELECT clip_embed('a dog', 'own') = clip_embed('a dog', 'mini')};
like(answer($same), qr/^t/, 'a copy of a model gives the same embeddings');
like(slurp_file("/proc/$pid/maps"), qr{\Q$mini\E/model\.safetensors}, 'installed weights are mapped');
unlike(slurp_file("/proc/$pid/maps"), qr{\Q$dir\E}, 'weights elsewhere are not');

# Truncated in place, what is read does no harm to who has read it
truncate "$dir/model.safetensors", 100_000 or die "truncate: $!";
is(answer(q{SELECT embedding_dims(clip_embed('a cat', 'own'))}),
	'ERROR XX001', 'truncated weights are an error');
is(answer(q{SELECT count(*) FROM mmodal_models() WHERE name = 'own'}), '0', 'and no model to list');
copy("$mini/model.safetensors", "$dir/model.safetensors.new");
rename "$dir/model.safetensors.new", "$dir/model.safetensors";
like(answer($same), qr/^t/, 'new weights are noticed by the next statement');

# A vocabulary in the place of another: the same session sees it
my $ids = answer(q{SELECT clip_tokenize('dog', 'own')});
my $vocab = slurp_file("$dir/vocab.txt");
(my $other = $vocab) =~ s/^dog$/dogx/m;
replace_file("$dir/vocab.txt", $other);
isnt(answer(q{SELECT clip_tokenize('dog', 'own')}), $ids, 'so is another vocabulary');
replace_file("$dir/vocab.txt", $vocab);
is(answer(q{SELECT clip_tokenize('dog', 'own')}), $ids, 'and the first one again');

# A file that the server may not read (root may read anything)
make_model('locked', 1);
SKIP:
{
	skip 'the superuser of the system reads everything', 1 if $> == 0;
	chmod 0, "$models/locked/model.safetensors";
	is(answer(q{SELECT clip_embed('a bird', 'locked')}), 'ERROR 58030', 'unreadable weights are an error');
	chmod 0600, "$models/locked/model.safetensors";
}
is(answer(q{SELECT embedding_dims(clip_embed('a bird', 'locked'))}), '384', 'and readable ones not');

# More models than a backend keeps open
make_model("m$_", 0) foreach (1 .. 6);
my $many = answer(
	q{SELECT count(DISTINCT e) FROM (SELECT clip_embed('a dog', 'm' || i) AS e
	FROM generate_series(1, 6) i, generate_series(1, 3)) t});
is($many, '1', 'six models, the same embeddings');
is(answer(q{SELECT count(*) FROM mmodal_models()}), '9', 'all are listed');

# What has gone is gone
unlink "$dir/config.json";
is(answer(q{SELECT clip_embed('a dog', 'own')}), 'ERROR 58P01', 'a model that has gone is an error');
is(answer('SELECT pg_backend_pid()'), $pid, 'one backend lived through all of it');
$session->quit;

# Other encodings
$node->safe_psql('postgres',
	q{CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0});
$node->safe_psql('postgres',
	q{CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0});
$node->safe_psql($_, 'CREATE EXTENSION mmodal') foreach ('ascii', 'latin');
my $cafe = q{SELECT clip_tokenize('caf' || chr(233) || ' na' || chr(239) || 've')};
is($node->safe_psql('latin', $cafe), $node->safe_psql('postgres', $cafe),
	'texts of LATIN1 are converted');
my ($ret, $stdout, $stderr) = $node->psql('ascii', q{SELECT clip_embed(E'caf\351')});
like($stderr, qr/SQL_ASCII/, 'SQL_ASCII takes ASCII alone');
is($node->safe_psql('ascii', q{SELECT embedding_dims(clip_embed('cafe'))}), '384', 'and that it does');
($ret, $stdout, $stderr) = $node->psql('ascii', q{SELECT clip_embed_or_null(E'caf\351') IS NULL});
is($stdout, 't', 'for bulk loads the others are NULL');
like($stderr, qr/WARNING/, 'with a warning');

$node->stop;
done_testing();
