# faiss_ivf and its files: what a build logs, space that comes back, indexes that
# are not logged, damaged pages.  Crashes and standbys have tests of their own
# (05*.pl).

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use MmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = init_node('primary', '');
$node->safe_psql(
	'postgres', "CREATE TABLE t (id int, e embedding($dims));
	INSERT INTO t SELECT i, vec(i) FROM generate_series(1, 3000) i;");

# A build writes about as much WAL as the index is large.
my $before = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
$node->safe_psql('postgres', 'CREATE INDEX t_idx ON t USING faiss_ivf (e) WITH (lists = 40)');
my $share = $node->safe_psql('postgres',
	"SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '$before') / pg_relation_size('t_idx')");
cmp_ok($share, '<', 1.1, 'WAL of a build is not above the index by more than a tenth');

# Inserts while vacuum rewrites lists.
{
	my @workers;
	foreach my $worker (1 .. 3)
	{
		my $script = join '', map {
			my $i = 1000000 + $worker * 100000 + $_ * 10;
			"INSERT INTO t SELECT i, vec(i) FROM generate_series($i, $i + 9) i;\n"
		} 1 .. 150;
		push @workers, start_psql($node, $script);
	}
	$node->safe_psql('postgres', 'VACUUM t') foreach (1 .. 6);
	$_->finish foreach @workers;
	is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE id >= 1000000'),
		'4500', 'every insert beside vacuum succeeded');
	check_index($node, 'inserts beside vacuum');
}

# Space comes back: rounds of deleting and inserting the same rows.
{
	$node->safe_psql('postgres', "DELETE FROM t WHERE id > 3000; VACUUM t; VACUUM t; REINDEX INDEX t_idx");
	my @sizes;
	foreach my $round (1 .. 8)
	{
		$node->safe_psql('postgres',
			"DELETE FROM t WHERE id <= 1500; VACUUM t; INSERT INTO t SELECT i, vec(i) FROM generate_series(1, 1500) i; VACUUM t; VACUUM t;");
		push @sizes, $node->safe_psql('postgres', "SELECT pg_relation_size('t_idx')");
	}
	cmp_ok($sizes[7], '<=', $sizes[3] * 1.05, "the index does not grow for ever: @sizes");
	check_index($node, 'churn');
}

# Rows without a value leave no pages behind: five pages, of which the last one stays.
{
	my $retired = "SELECT retired_pages || '|' || orphan_pages FROM mmodal_index_stats('filled_idx')";
	$node->safe_psql(
		'postgres', "CREATE TABLE filled (id int, e embedding($dims));
		INSERT INTO filled SELECT i, NULL FROM generate_series(1, 5000) i;
		CREATE INDEX filled_idx ON filled USING faiss_ivf (e);
		DELETE FROM filled WHERE id > 10;");
	$node->safe_psql('postgres', 'VACUUM filled');
	is($node->safe_psql('postgres', $retired), '0|0', 'the first page is in use');
	$node->safe_psql('postgres', 'DELETE FROM filled');
	$node->safe_psql('postgres', 'VACUUM filled');
	is($node->safe_psql('postgres', $retired), '4|0', 'spent pages are retired');
	$node->safe_psql('postgres', 'INSERT INTO filled SELECT i, NULL FROM generate_series(1, 3000) i');
	check_index($node, 'a chain that was trimmed', 'filled');
}

# Unlogged indexes are empty after a crash, and work.
$node->safe_psql(
	'postgres', "CREATE UNLOGGED TABLE u (id int, e embedding($dims));
	INSERT INTO u SELECT i, vec(i) FROM generate_series(1, 500) i;
	CREATE INDEX u_idx ON u USING faiss_ivf (e) WITH (lists = 10);
	INSERT INTO u SELECT i, vec(i) FROM generate_series(501, 600) i;");
check_index($node, 'unlogged', 'u');
crash($node);
$node->start;
is($node->safe_psql('postgres', 'SELECT count(*) FROM u'), '0', 'unlogged: empty after a crash');
$node->safe_psql('postgres', 'INSERT INTO u SELECT i, vec(i) FROM generate_series(1, 50) i');
check_index($node, 'unlogged after a crash', 'u');

# wal_level = minimal: a table and its index made in one transaction are not logged.
$node->append_conf('postgresql.conf', "wal_level = minimal\nmax_wal_senders = 0\nwal_skip_threshold = 0\n");
$node->restart;
$node->safe_psql(
	'postgres', "BEGIN; CREATE TABLE m (id int, e embedding($dims));
	INSERT INTO m SELECT i, vec(i) FROM generate_series(1, 500) i;
	CREATE INDEX m_idx ON m USING faiss_ivf (e) WITH (lists = 10);
	INSERT INTO m SELECT i, vec(i) FROM generate_series(501, 600) i; COMMIT;");
crash($node);
$node->start;
check_index($node, 'minimal WAL', 'm');

# A damaged page is an error, not a crash.  It must come to us: PostgreSQL 18
# has checksums unless it is told otherwise.
{
	$node->stop;
	run_log([ 'pg_checksums', '--disable', '-D', $node->data_dir ]);
	$node->start;
	my $path = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('m_idx')");
	my $blocks = $node->safe_psql('postgres', "SELECT pg_relation_size('m_idx') / 8192");
	foreach my $block (0 .. $blocks - 1)
	{
		$node->stop;
		open my $file, '+<:raw', $path or die "open: $!";
		sysseek $file, $block * 8192, 0;
		sysread $file, my $saved, 8192;
		sysseek $file, $block * 8192 + 24, 0;
		syswrite $file, pack('C*', map { ($_ * 151 + $block) % 256 } 1 .. 200);
		close $file;
		$node->start;
		my ($rc, $out, $err) = $node->psql('postgres',
			"SET enable_seqscan = off; SELECT count(*) FROM (SELECT id FROM m ORDER BY e <=> vec(3)) x");
		my $alive = $node->safe_psql('postgres', 'SELECT 1');
		ok($alive && ($rc == 0 || $err =~ /index "m_idx"|invalid memory|m_idx/),
			"block $block damaged: an error at most") or diag("$rc $err");
		$node->stop;
		open $file, '+<:raw', $path or die "open: $!";
		sysseek $file, $block * 8192, 0;
		syswrite $file, $saved;
		close $file;
		$node->start;
		last if $block > 12;
	}
	check_index($node, 'mended', 'm');
}
$node->stop;

done_testing();
