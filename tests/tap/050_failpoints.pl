# faiss_ivf, with the server killed between any two steps of what changes pages.
#
# A library with failure points stops a backend at each of them (failpoint.h).
# All processes are killed there, and the server recovers; then the index must be
# proven, what was committed be there, and what was not be nowhere.  The same
# again with an error instead of a crash.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use MmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'needs a server with failure points: make failpoints'
  unless $ENV{MMODAL_TEST_FAILPOINTS};

# Which pass of a point is hit; later ones need not be reached.
my @passes = long_mode() ? (1, 2, 3, 5, 8, 13, 34) : (1, 6);

# Few buffers, so that pages are written to disk in the middle of everything.
my $node = init_node(
	'failpoints',
	"shared_buffers = 1MB\nbgwriter_delay = 10ms\nmax_connections = 20\nwal_level = replica\n",
	install_path => $ENV{MMODAL_TEST_FAILPOINTS});
$node->safe_psql(
	'postgres', "CREATE TABLE t (id int, e embedding($dims)) WITH (toast_tuple_target = 8160);
	INSERT INTO t SELECT i, vec(i) FROM generate_series(1, 3000) i;
	INSERT INTO t SELECT i, NULL FROM generate_series(3001, 3050) i;
	INSERT INTO t SELECT i, array_fill(0, ARRAY[$dims])::embedding FROM generate_series(3051, 3060) i;
	CREATE INDEX t_idx ON t USING faiss_ivf (e) WITH (lists = 8);");

my $next = 10000;

# For vacuum: tombstones enough for rewrites, long tails, a spent chain of NULLs.
sub disturb
{
	my $from = $next;
	my $nulls = $from + 1000;
	$next += 5000;
	$node->safe_psql(
		'postgres', "INSERT INTO t SELECT i, vec(i) FROM generate_series($from, $from + 899) i;
		INSERT INTO t SELECT i, NULL FROM generate_series($nulls, $nulls + 2999) i;
		DELETE FROM t WHERE e IS NULL AND id < $nulls + 2990;
		DELETE FROM t WHERE id > 4000 AND id < $from;
		DELETE FROM t WHERE id >= $from AND id % 2 = 0;");
	return 'VACUUM t';
}

# Pages that vacuum gives to the free space map: retired before.
sub disturb_and_retire
{
	disturb();
	$node->safe_psql('postgres', 'VACUUM t');
	disturb();
	return 'VACUUM t';
}

sub insert
{
	my $from = $next;
	$next += 1000;
	return "INSERT INTO t SELECT i, vec(i) FROM generate_series($from, $from + 899) i";
}

# The indexes that a build makes go with the crash, or are the old ones.
my $build = sub { 'CREATE INDEX other_idx ON t USING faiss_ivf (e) WITH (lists = 8)' };
my $reindex = sub { 'REINDEX INDEX t_idx' };

# Statements that pass each point.
my %statements = (
	insert_begin => [ \&insert ],
	insert_appended => [ \&insert ],
	extend_allocated => [ \&insert ],
	extend_linked => [ \&insert ],
	(map { $_ => [ $build, $reindex ] }
		  qw(build_fixed build_allocated build_written build_side build_lists build_complete build_logged)
	),
	init_fork => [
		sub {
			"CREATE UNLOGGED TABLE u AS SELECT * FROM t; CREATE INDEX u_idx ON u USING faiss_ivf (e)";
		}
	],
	(map { $_ => [ \&disturb ] }
		  qw(delete_page retire_page count_dead new_generation seal_tail rewrite_allocated
		  rewrite_written rewrite_copied rewrite_swapped trim_side)),
	free_page => [ \&disturb_and_retire ]);

my $points = $node->safe_psql('postgres', "LOAD 'mmodal'; SHOW mmodal.failpoints");
is( join(' ', sort split / /, $points),
	join(' ', sort keys %statements),
	'every failure point has a statement that passes it');

# What is committed.
my $content =
  "SELECT count(*), sum(id), count(e), sum(hashtext(e::text)::bigint) FROM t";

sub prove
{
	my ($name, $before) = @_;
	is($node->safe_psql('postgres', $content), $before, "$name: what was committed, and no more");
	check_index($node, $name);
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relname = 'other_idx'"),
		'0', "$name: no index is left of a failed build");
	$node->safe_psql('postgres', 'DROP TABLE IF EXISTS u; VACUUM t');
	check_index($node, "$name, vacuum");
	is($node->safe_psql('postgres', "SELECT orphan_pages FROM mmodal_index_stats('t_idx')"),
		'0', "$name: no page is lost");
}

# Run a statement up to a failure point and kill the server there; false if the
# statement never comes there.
sub crash_at
{
	my ($setting, $statement) = @_;
	my $log_start = -s $node->logfile;
	my ($out, $err) = ('', '');
	my $worker = start_psql($node, "SET mmodal.failpoint = '$setting';\n$statement;\n", \$out, \$err);
	foreach (1 .. 6000)
	{
		last unless $worker->pumpable;
		$worker->pump_nb;
		last if slurp_file($node->logfile, $log_start) =~ /failure point "\w+" reached/;
		sleep 0.01;
	}
	my $reached = slurp_file($node->logfile, $log_start) =~ /failure point "\w+" reached/;
	crash($node) if $reached;
	$worker->finish;
	diag("$setting: $err") if !$reached && $err ne '';
	$node->start if $reached;
	return $reached;
}

my $crashes = 0;
foreach my $point (split / /, $points)
{
	foreach my $statement (@{ $statements{$point} })
	{
		foreach my $pass (@passes)
		{
			my $sql = $statement->();
			my $before = $node->safe_psql('postgres', $content);
			my $name = "$point, pass $pass, " . lc((split / /, $sql)[0]);
			# from where recovery begins decides which pages it has whole in the log
			$node->safe_psql('postgres', 'CHECKPOINT') if $pass % 2;
			if (!crash_at("$point:$pass:halt", $sql))
			{
				ok($pass > 1, "$name: not passed so often");
				$node->safe_psql('postgres', 'DROP INDEX IF EXISTS other_idx; DROP TABLE IF EXISTS u');
				last;
			}
			$crashes++;
			prove($name, $before);
		}

		my $sql = $statement->();
		my $before = $node->safe_psql('postgres', $content);
		my ($rc, $out, $err) =
		  $node->psql('postgres', "SET mmodal.failpoint = '$point:1:error';\n$sql");
		like($err, qr/failure point "$point" reached/, "$point: an error there");
		prove("$point, error", $before);
	}
}
note("$crashes crashes");
$node->stop;

done_testing();
