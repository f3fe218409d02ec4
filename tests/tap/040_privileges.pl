# Ordinary roles against the server's files and its administrator's settings:
# model directories with what is no model, paths set in every other way, threads.

use strict;
use warnings;

use File::Copy qw(copy);
use IO::Handle;
use POSIX qw(mkfifo);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = PostgreSQL::Test::Cluster->new('privileges');
$node->init(extra => [ '-E', 'UTF8', '--locale=C.UTF-8' ]);
my $models = PostgreSQL::Test::Utils::tempdir();
my $elsewhere = PostgreSQL::Test::Utils::tempdir();
$node->append_conf('postgresql.conf', "mmodal.model_path = '\$sharedir/mmodal/models:$models'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mmodal; CREATE ROLE guest LOGIN');

my ($share) = run_command([ 'pg_config', '--sharedir' ]);
my $mini = "$share/mmodal/models/mini";
my $secret = 'xyzzy-4711';
append_to_file("$elsewhere/secret", "$secret\n");
append_to_file("$elsewhere/secret.json", qq({"password": "$secret", "model_type": 1}));

# A session of guest's: its answer, or the SQLSTATE and all that it was told.
sub as_guest
{
	my ($sql, %options) = @_;
	local $ENV{PGOPTIONS} = $options{pgoptions} // '';
	my ($ret, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET statement_timeout = '30s';\n$sql",
		extra_params => [ '-U', 'guest' ]);
	return ($err =~ /ERROR:\s+(\w+):/ ? $1 : $out, $err);
}

# A model that has mini's files, but one: made anew, or as make says.
sub make_model
{
	my ($name, $file, $make) = @_;
	my $dir = "$models/$name";
	mkdir $dir or die "mkdir $dir: $!";
	foreach ('config.json', 'preprocessor_config.json', 'vocab.txt', 'model.safetensors')
	{
		next if $_ eq $file;
		symlink "$mini/$_", "$dir/$_" or die "symlink: $!";
	}
	$make->("$dir/$file") if $make;
}

my $pipe = sub { mkfifo($_[0], 0600) or die "mkfifo: $!" };
my $zero = sub { symlink '/dev/zero', $_[0] or die "symlink: $!" };
my $folder = sub { mkdir $_[0] or die "mkdir: $!" };
my $loop = sub { symlink $_[0], $_[0] or die "symlink: $!" };
my $locked = sub { append_to_file($_[0], $secret); chmod 0, $_[0] };
my $huge = sub { append_to_file($_[0], '{'); truncate $_[0], 1 << 30 or die "truncate: $!" };
my $link = sub { my $to = shift; return sub { symlink "$elsewhere/$to", $_[0] or die "symlink: $!" } };
my $nested = sub { append_to_file($_[0], '[' x 900_000) };
my $pickle = sub { append_to_file($_[0], "\x80\x04\x95") };

my @cases = (
	[ 'pipe', 'config.json', $pipe, '58030' ],
	[ 'pipe-vocab', 'vocab.txt', $pipe, '58030' ],
	[ 'pipe-weights', 'model.safetensors', $pipe, '58030' ],
	[ 'pipe-transform', 'preprocessor_config.json', $pipe, '58030' ],
	[ 'zero', 'config.json', $zero, '58030' ],
	[ 'zero-vocab', 'vocab.txt', $zero, '58030' ],
	[ 'zero-weights', 'model.safetensors', $zero, '58030' ],
	[ 'folder', 'config.json', $folder, '58030' ],
	[ 'folder-weights', 'model.safetensors', $folder, '58030' ],
	[ 'loop-vocab', 'vocab.txt', $loop, '58030' ],
	[ 'huge', 'config.json', $huge, 'XX001' ],
	[ 'huge-vocab', 'vocab.txt', $huge, 'XX001' ],
	[ 'huge-weights', 'model.safetensors', $huge, 'XX001' ],
	[ 'secret', 'config.json', $link->('secret'), 'XX001' ],
	[ 'secret-json', 'config.json', $link->('secret.json'), 'XX001' ],
	[ 'secret-vocab', 'vocab.txt', $link->('secret'), 'XX001' ],
	[ 'secret-weights', 'model.safetensors', $link->('secret'), 'XX001' ],
	[ 'nested', 'config.json', $nested, 'XX001' ],
	[ 'pickle-weights', 'model.safetensors', $pickle, 'XX001' ],
	[ 'no-vocab', 'vocab.txt', undef, '58P01' ]);
push @cases, [ 'locked', 'config.json', $locked, '58030' ], [ 'locked-weights', 'model.safetensors', $locked, '58030' ]
  if $> != 0;

foreach (@cases)
{
	my ($name, $file, $make, $expected) = @$_;
	make_model($name, $file, $make);
	my $start = time;
	my ($answer, $told) = as_guest("SELECT clip_embed('a dog', '$name')");
	is($answer, $expected, "$name is refused");
	cmp_ok(time - $start, '<', 10, 'soon');
	unlike($told, qr/\Q$secret\E|\Q$models\E|\Q$mini\E/, 'and neither its contents nor its place is told');
}

# The list: broken ones are named, nothing waits
make_model('good', 'nothing');
mkdir "$models/$_" foreach ("a b", '.hidden', "line\nbreak", 'empty');
append_to_file("$models/file", 'no directory');
symlink '/', "$models/root";
{
	my ($answer, $told) = as_guest(q{SELECT string_agg(name, ',' ORDER BY name), count(path) FROM mmodal_models()});
	like($answer, qr/^good,.*mini.*\|0$/m, 'models are listed, without their paths');
	like($told, qr/WARNING:.*\n.*Model "pipe"/, 'and the others are warned of');
	unlike($told, qr/\Q$secret\E|\Q$models\E|\Q$mini\E/, 'without their contents or place');
}
# A link out of the path is the administrator's own
is((as_guest(q{SELECT clip_embed('a dog', 'good') = clip_embed('a dog', 'mini')}))[0], 't', 'links are followed');
is((as_guest("SELECT clip_embed('a dog', '$_')"))[0], '22023', "\"$_\" is no name")
  foreach ('../mini', '..', '/etc', "$models/good", 'good/', 'good/../good', './good', '~', '$sharedir', 'a b');
is((as_guest(q{SELECT clip_embed('a dog', E'good\\\\x00')}))[0], '22023', 'nor what ends early');

# Paths that are not a superuser's to set, before the library knows the setting as well as after
mkdir "$elsewhere/evil" or die "mkdir: $!";
symlink "$mini/$_", "$elsewhere/evil/$_" foreach ('config.json', 'preprocessor_config.json', 'vocab.txt', 'model.safetensors');
my $evil = q{SELECT embedding_dims(clip_embed('a dog', 'evil'))};
$node->safe_psql('postgres', "SET mmodal.model_path = '$elsewhere'; $evil");
is((as_guest("SET mmodal.model_path = '$elsewhere'; $evil"))[0], '58P01', 'SET before the library is loaded');
is((as_guest("SELECT mmodal_version(); SET mmodal.model_path = '$elsewhere'; $evil"))[0], '42501', 'and after');
is((as_guest($evil, pgoptions => "-c mmodal.model_path=$elsewhere"))[0], '58P01', 'options of the connection');
is((as_guest("ALTER ROLE guest SET mmodal.model_path = '$elsewhere'"))[0], '42501', 'ALTER ROLE before the library is loaded');
$node->safe_psql('postgres', 'CREATE DATABASE theirs OWNER guest');
is((as_guest("ALTER DATABASE theirs SET mmodal.model_path = '$elsewhere'"))[0], '42501', 'ALTER DATABASE by its owner');
is((as_guest("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql SET mmodal.cache_dir = '/tmp' AS 'SELECT 1'"))[0],
	'42501', 'settings of a function');
is((as_guest("SET mmodal.max_text_size = '1GB'; SELECT clip_embed(repeat('x', 2000000))"))[0], '54000', 'limits neither');
# A function may have a path of its own; what it opened is not for its caller
$node->safe_psql('postgres', "CREATE FUNCTION theirs() RETURNS int LANGUAGE sql SECURITY DEFINER SET mmodal.model_path = '$elsewhere'
	AS \$\$ SELECT embedding_dims(clip_embed('a dog', 'evil')) \$\$");
is((as_guest('SELECT theirs()'))[0], '384', 'a function of a superuser with a path of its own');
is((as_guest("SELECT theirs(), embedding_dims(clip_embed(current_user::text, 'evil'))"))[0], '58P01', 'its model is not its caller\'s');
$node->safe_psql('postgres', "ALTER ROLE guest SET mmodal.model_path = '$elsewhere'");
is((as_guest($evil))[0], '384', 'but a superuser can set it for a role');
$node->safe_psql('postgres', 'ALTER ROLE guest RESET ALL');

# Threads: what the administrator allows, whatever is asked for
my $session = $node->background_psql('postgres', extra_params => [ '-U', 'guest' ], on_error_stop => 0);
my $pid = $session->query('SELECT pg_backend_pid()') + 0;
$session->query("SET mmodal.encoder_threads = 64; SELECT embedding_dims(clip_embed('a'))");
my $long = q{SELECT array_length(clip_embed(array_agg('text ' || i)), 1) FROM generate_series(1, 3000) i;};
sub most_threads
{
	my $most = 0;
	$session->{stdin} .= "$long\n\\echo done\n";
	$session->{run}->pump_nb();
	my $end = time + 60;
	while (time < $end && $session->{stdout} !~ /done/)
	{
		my @tasks = glob "/proc/$pid/task/*";
		$most = @tasks if @tasks > $most;
		$session->{run}->pump_nb();
		Time::HiRes::usleep(2000);
	}
	$session->{stdout} = '';
	return $most;
}
SKIP:
{
	skip 'no /proc', 1 unless -d "/proc/$pid/task";
	my $before = () = glob "/proc/$pid/task/*";
	my $most = most_threads();
	cmp_ok($most, '>', $before, 'a batch is dealt out to threads');
	cmp_ok($most, '<=', $before + 7, 'but to no more than mmodal.max_encoder_threads');
}
$session->quit;

# A limit on time that belongs to a role
$node->safe_psql('postgres', q{ALTER ROLE guest SET statement_timeout = '500ms'});
{
	my ($ret, $out, $err) = $node->psql('postgres',
		q{SELECT array_length(clip_embed(array_agg('word ' || i || repeat(' more', 50))), 1) FROM generate_series(1, 100000) i},
		extra_params => [ '-U', 'guest' ]);
	like($err, qr/statement timeout/, 'ALTER ROLE ... SET statement_timeout bounds an encoding');
}
is($node->safe_psql('postgres', q{SELECT embedding_dims(clip_embed('a dog'))}), '384', 'the server lives');
unlike(slurp_file($node->logfile), qr/was terminated by signal/, 'and no backend has died');

$node->stop;
done_testing();
