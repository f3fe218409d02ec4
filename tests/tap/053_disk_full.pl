# faiss_ivf on a disk that gets full, during builds, inserts and vacuums: a clear
# error each time, an index that goes on being right, and work again once there
# is room.
#
# MMODAL_TEST_SMALL_DISK is a small file system that the server may write to;
# only root can make one (scripts/test does).

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use MmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $disk = $ENV{MMODAL_TEST_SMALL_DISK};
plan skip_all => 'needs a small file system, which only root can make' unless $disk;

my $node = init_node('disk', "shared_buffers = 16MB\nmaintenance_work_mem = 1MB\n");
mkdir "$disk/space" or die "mkdir: $!";
$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$disk/space'");
$node->safe_psql(
	'postgres', "CREATE TABLE t (id int, e embedding($dims));
	INSERT INTO t SELECT i, vec(i) FROM generate_series(1, 20000) i;");

# Take all room but so many bytes.
sub fill_disk
{
	my $left = shift;
	my $chunk = "\0" x 65536;
	my $written = 0;
	open my $file, '>', "$disk/filler" or die "open: $!";
	$file->autoflush(1);
	while (my $got = syswrite $file, $chunk) { $written += $got; }
	close $file;
	die 'no room on the disk at all' if $written < $left;
	truncate "$disk/filler", $written - $left or die "truncate: $!";
}

sub free_disk { unlink "$disk/filler"; }

my $nospace = qr/53100.*could not (extend|write).*No space left on device/s;

sub fails
{
	my ($sql, $name) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	like($err, $nospace, "$name: says that there is no space");
}

my $create = 'CREATE INDEX t_idx ON t USING faiss_ivf (e) WITH (lists = 40) TABLESPACE small';

# A build: in its first pages, and when most are written.
foreach my $left (65536, 1024 * 1024)
{
	fill_disk($left);
	fails($create, "build with $left bytes left");
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relname = 't_idx'"),
		'0', "build with $left bytes left: leaves no index");
	free_disk();
}
# Its sort spills there.
fill_disk(65536);
fails('SET temp_tablespaces = small; CREATE INDEX u_idx ON t USING faiss_ivf (e) WITH (lists = 40)',
	"a build's sort");
free_disk();
$node->safe_psql('postgres', $create);
check_index($node, 'built once there was room');

# Inserts, in one transaction and in many.
my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM t');
fill_disk(131072);
fails('INSERT INTO t SELECT i, vec(i) FROM generate_series(30001, 60000) i', 'insert');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t'), $rows, 'a failed insert leaves no row');
check_index($node, 'disk full');
my ($out, $err) = ('', '');
start_psql($node, join('', map {
			my $i = 60001 + $_ * 10;
			"INSERT INTO t SELECT i, vec(i) FROM generate_series($i, $i + 9) i;\n"
		} 0 .. 1999), \$out, \$err)->finish;
like($err, qr/No space left on device/, 'small inserts: say that there is no space');
check_index($node, 'small inserts on a full disk');

# Vacuum has lists to rewrite and no room for them.
$node->safe_psql('postgres', 'DELETE FROM t WHERE id % 2 = 0');
fails('VACUUM t', 'vacuum');
check_index($node, 'a vacuum that found no room');
crash($node);
$node->start;
check_index($node, 'a crash with the disk full');
fails('REINDEX INDEX t_idx', 'reindex');
check_index($node, 'a failed reindex');

# Room again.
free_disk();
$node->safe_psql('postgres', 'INSERT INTO t SELECT i, vec(i) FROM generate_series(100001, 105000) i');
$node->safe_psql('postgres', 'VACUUM t');
check_index($node, 'room again');
is($node->safe_psql('postgres', "SELECT orphan_pages FROM mmodal_index_stats('t_idx')"),
	'0', 'no page is lost');
$node->safe_psql('postgres', 'REINDEX INDEX t_idx');
check_index($node, 'reindexed');
$node->stop;

done_testing();
