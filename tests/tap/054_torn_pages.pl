# faiss_ivf on storage that tears pages: after a crash, every page of the index
# that was written since the checkpoint has only half of what was written.
# Recovery has to bring them all back, which full_page_writes, on by default, is
# for; with it off, as the documentation says, nobody promises anything.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use MmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant BLOCK => 8192;

my $node = init_node('torn', "shared_buffers = 1MB\nbgwriter_delay = 10ms\ncheckpoint_timeout = 1h\n");
$node->safe_psql(
	'postgres', "CREATE TABLE t (id int, e embedding($dims));
	INSERT INTO t SELECT i, CASE WHEN i % 40 > 0 THEN vec(i) END FROM generate_series(1, 6000) i;
	CREATE INDEX t_idx ON t USING faiss_ivf (e) WITH (lists = 12);");
my $path = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('t_idx')");

# Tear pages whose content is not that of before; returns how many.
sub tear
{
	my ($before, $keep_first) = @_;
	my $after = slurp_file($path);
	my $torn = 0;
	for (my $at = 0; $at < length $after; $at += BLOCK)
	{
		my $old = $at < length $before ? substr($before, $at, BLOCK) : "\0" x BLOCK;
		next if substr($after, $at, BLOCK) eq $old;
		my $half = BLOCK / 2;
		substr($after, $at + ($keep_first ? $half : 0), $half) = substr($old, $keep_first ? $half : 0, $half);
		$torn++;
	}
	open my $file, '+<:raw', $path or die "open: $!";
	syswrite $file, $after or die "write: $!";
	close $file;
	return $torn;
}

foreach my $keep_first (1, 0)
{
	my $name = $keep_first ? 'second halves lost' : 'first halves lost';
	my $from = $keep_first ? 10000 : 20000;
	$node->safe_psql('postgres', 'CHECKPOINT');
	my $before = slurp_file($path);
	$node->safe_psql(
		'postgres', "INSERT INTO t SELECT i, vec(i) FROM generate_series($from, $from + 2000) i;
		DELETE FROM t WHERE id % 3 = 0;");
	$node->safe_psql('postgres', 'VACUUM t');
	$node->safe_psql('postgres', "INSERT INTO t SELECT i, vec(i) FROM generate_series($from + 3000, $from + 3500) i");
	crash($node);
	cmp_ok(tear($before, $keep_first), '>', 20, "$name: of many pages");
	$node->start;
	check_index($node, $name);
	$node->safe_psql('postgres', 'VACUUM t');
	check_index($node, "$name, vacuum");
}
$node->stop;

done_testing();
