# Memory stays flat in a backend that embeds and searches all day, and a build
# keeps within maintenance_work_mem.
#
# MMODAL_TEST_LONG=1 runs the full counts.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $long = $ENV{MMODAL_TEST_LONG};
my $texts = $long ? 10_000 : 2_000;
my $pictures = $long ? 10_000 : 300;
my $searches = $long ? 100_000 : 10_000;
my $rows = $long ? 200_000 : 40_000;
my $dims = 128;

# Private memory may grow by so much after the warm-up, kB: pages that the
# allocator has not used yet.
my $slack = 2048;

my $node = PostgreSQL::Test::Cluster->new('memory');
$node->init(extra => [ '-E', 'UTF8', '--locale=C.UTF-8' ]);
$node->append_conf('postgresql.conf',
	"autovacuum = off\nfsync = off\nshared_buffers = 32MB\nmax_wal_size = 4GB\nwal_level = minimal\nmax_wal_senders = 0\n");
$node->start;

sub slurp_proc
{
	my $path = shift;
	open(my $fh, '<', $path) or return '';
	local $/;
	my $content = <$fh>;
	return defined $content ? $content : '';
}

# Private memory of a process, kB; shared buffers and mapped files are not in it.
sub resident
{
	my $pid = shift;
	return slurp_proc("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 : 0;
}

my ($picture) = do
{
	open my $file, '<:raw', "$ENV{MMODAL_TEST_DATA}/orange.jpg" or die "open: $!";
	local $/;
	unpack 'H*', scalar <$file>;
};
$node->safe_psql(
	'postgres', "CREATE EXTENSION mmodal;
	CREATE TABLE picture (data bytea);
	INSERT INTO picture VALUES (decode('$picture', 'hex'));
	CREATE TABLE big (id int, e embedding($dims));
	INSERT INTO big SELECT i, (SELECT array_agg(random() - 0.5 + sin(i % 97 * j)) FROM generate_series(1, $dims) j
		WHERE i > 0)::float8[]::embedding($dims) FROM generate_series(1, $rows) i;
	CREATE TABLE half AS SELECT id, e FROM big WHERE id <= 10000;
	ALTER TABLE half ALTER e TYPE embedding($dims);
	CREATE INDEX half_idx ON half USING faiss_ivf (e);");

my $session = $node->background_psql('postgres', timeout => 3600);
my $pid = $session->query('SELECT pg_backend_pid()') + 0;
$session->query('SET mmodal.embed_cache = 500');

# Statements of their own, with inputs that differ from each other.
sub statements
{
	my ($n, $sql) = @_;
	my $script = PostgreSQL::Test::Utils::tempdir() . '/script.sql';

	open my $file, '>', $script or die "open: $!";
	no warnings 'redundant';
	print $file sprintf("$sql;\n", ($_) x 2) foreach 1 .. $n;
	close $file;
	$session->query("\\o /dev/null\n\\i $script\n\\o");
	return resident($pid);
}

sub is_flat
{
	my ($name, $n, $sql, $warm) = @_;
	my $before = statements($warm, $sql);
	my $after = statements($n, $sql);
	cmp_ok($after, '<=', $before + $slack, "$name: $before kB, after $n more $after kB");
}

is_flat('texts', $texts, q{SELECT clip_embed('picture number %d of ' || random())}, 1100);
is_flat('pictures', $pictures, q{SELECT clip_embed(data || int4send(%d) || float8send(random())) FROM picture}, 60);
is_flat('texts that fail', 500, q{SELECT clip_embed_or_null('\xffd8ff%08d'::bytea)}, 100);
$session->query("CREATE TABLE probe AS SELECT (row_number() OVER ())::int AS n, e FROM big LIMIT 500;
	ALTER TABLE probe ADD PRIMARY KEY (n);
	SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan;
	PREPARE near(int) AS SELECT id FROM half
		ORDER BY e <=> (SELECT e FROM probe WHERE n = \$1 % 500 + 1) LIMIT 10");
is_flat('prepared searches', $searches, 'EXECUTE near(%d)', 500);
$session->query('SET mmodal.recall = 1');
is_flat('exact ones', $searches / 20, 'EXECUTE near(%d)', 200);
$session->query('RESET mmodal.recall');
is_flat('inserts', $searches / 4, 'INSERT INTO half SELECT %d, e FROM probe WHERE n = %d %% 500 + 1', 200);
is_flat('vacuums', 20, 'VACUUM half /* %d */', 3);
is_flat('checks and calibrations', 20,
	q{SELECT mmodal_index_check('half_idx'), mmodal_calibrate('half_idx', (SELECT array_agg(e) FROM probe WHERE n <= 20)) /* %d */}, 3);
$session->quit;

# The peak of a build above what the session takes anyhow.
sub build_peak
{
	my ($memory, $options) = @_;
	my $builder = $node->background_psql('postgres');
	my $builder_pid = $builder->query('SELECT pg_backend_pid()') + 0;

	# libraries, their threads, catalogs
	$builder->query('CREATE INDEX warm ON half USING faiss_ivf (e); DROP INDEX warm');
	$builder->query("SET maintenance_work_mem = '$memory'; SET max_parallel_maintenance_workers = 1");
	my ($base, $peak) = (resident($builder_pid), 0);
	$builder->query_until(qr/started/, "\\echo started\nCREATE INDEX peak ON big USING faiss_ivf (e) $options;\n");
	my $begun = 0;
	for (1 .. 30000)
	{
		my $now = resident($builder_pid);
		$peak = $now if $now > $peak;
		# asleep for a while, in its wait for the next command
		last if $_ % 50 == 0 && $node->safe_psql('postgres',
			"SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $builder_pid") eq 't';
		usleep 4_000;
	}
	$builder->query('DROP INDEX peak');
	$builder->quit;
	return ($base, $peak - $base);
}

foreach my $megabytes ($long ? (16, 64, 256) : (16, 64))
{
	foreach my $codec ('refined', 'compact', 'flat')
	{
		my ($base, $peak) = build_peak("${megabytes}MB", "WITH (codec = $codec)");
		my $share = $peak / 1024 / $megabytes;
		cmp_ok($share, '<=', 1.1, sprintf('%d x %d, %s, maintenance_work_mem %d MB: peak %.1f MB over %.1f',
				$rows, $dims, $codec, $megabytes, $peak / 1024, $base / 1024));
	}
}
$node->stop;
done_testing();
