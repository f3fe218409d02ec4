# faiss_ivf where its log is replayed elsewhere, under load: a standby that is
# searched, and promoted in the middle of it; a base backup taken meanwhile.
#
#	MMODAL_TEST_LONG	more rounds

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use MmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $rounds = long_mode() ? 10 : 2;

my $conf = "wal_level = replica\nmax_connections = 30\nmax_wal_size = 64MB\n";
my $primary = init_node('primary', $conf);
$primary->safe_psql(
	'postgres', "CREATE TABLE t (id int, e embedding($dims));
	INSERT INTO t SELECT i, vec(i) FROM generate_series(1, 3000) i;
	CREATE INDEX t_idx ON t USING faiss_ivf (e) WITH (lists = 12);");

my $next = 10000;

# Writers and a vacuum, until the server goes or their scripts end.
sub start_load
{
	my $node = shift;
	my @workers;
	foreach my $worker (1 .. 2)
	{
		my $from = $next;
		$next += 100000;
		push @workers, start_psql(
			$node,
			join '',
			map {
				my $i = $from + $_ * 20;
				"INSERT INTO t SELECT i, CASE WHEN i % 50 > 0 THEN vec(i) END FROM generate_series($i, $i + 19) i;\n"
				  . "DELETE FROM t WHERE id >= $from AND id % 4 = 1 AND id < $i - 100;\n"
				  . "UPDATE t SET e = vec(id + 7) WHERE id BETWEEN $i AND $i + 5;\n"
			} 1 .. 3000);
	}
	push @workers, start_psql($node, "VACUUM t;\nSELECT pg_sleep(0.05);\n" x 2000);
	return @workers;
}

# Keep pipes flowing for so many seconds.
sub let_run
{
	my ($seconds, @workers) = @_;
	my $end = time() + $seconds;
	while (time() < $end)
	{
		$_->pumpable && $_->pump_nb foreach @workers;
		sleep 0.02;
	}
}

# The same questions to two servers, by the index.
sub same_answers
{
	my ($one, $other, $name) = @_;
	foreach my $settings ('', 'SET mmodal.recall = 1;', 'SET mmodal.recall = 0.5;')
	{
		my $query = "SET enable_seqscan = off; SET enable_sort = off; $settings
			SELECT i, (SELECT array_agg(id) FROM (SELECT id FROM t ORDER BY e <=> vec(i) LIMIT 20) x)
			FROM generate_series(1, 200, 13) i";
		is($other->safe_psql('postgres', $query),
			$one->safe_psql('postgres', $query),
			"$name: the same answers" . ($settings ? ", $settings" : ''));
	}
}

foreach my $round (1 .. $rounds)
{
	my $name = "round $round";
	my @load = start_load($primary);
	let_run(0.5, @load);

	# A copy of files that change meanwhile: with its log it is whole.
	$primary->backup("backup$round");
	my $standby = PostgreSQL::Test::Cluster->new("standby$round");
	$standby->init_from_backup($primary, "backup$round", has_streaming => 1);
	$standby->start;

	# Searches there may meet what vacuum recycled, and then say so.
	my ($out, $err) = ('', '');
	my $searches = start_psql($standby,
		"\\set ON_ERROR_STOP 0\nSET enable_seqscan = off; SET enable_sort = off;\n"
		  . join('', map { "SELECT count(*) - count(DISTINCT id) FROM (SELECT id FROM t ORDER BY e <=> vec($_)) x;\n" } 1 .. 500),
		\$out, \$err);
	let_run(3, @load, $searches);
	unlike($out, qr/^-?[1-9]/m, "$name: no search on the standby sees a row twice");
	unlike($err, qr/ERROR:  (?!canceling statement due to conflict with recovery)/,
		"$name: no error there but conflicts with recovery");
	cmp_ok(() = $out =~ /^0$/mg, '>', 0, "$name: searches there work");
	$searches->kill_kill;

	# The same place in the log, while nobody writes.
	$_->kill_kill foreach @load;
	$primary->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()");
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	same_answers($primary, $standby, "$name, standby");
	check_index($standby, "$name, standby");
	my ($rc, $stdout, $stderr) =
	  $standby->psql('postgres', "SELECT * FROM mmodal_calibrate('t_idx', ARRAY[vec(1)])");
	like($stderr, qr/cannot be calibrated during recovery/, "$name, standby: no calibration");

	# Promoted in the middle of a load that the old primary does not survive.
	@load = start_load($primary);
	let_run(1, @load);
	crash($primary);
	$_->kill_kill foreach @load;
	$standby->promote;
	check_index($standby, "$name, promoted");
	@load = start_load($standby);
	let_run(1, @load);
	$_->kill_kill foreach @load;
	$standby->safe_psql('postgres', 'VACUUM t');
	check_index($standby, "$name, promoted and written to");

	# The old one recovers too, as a server of its own.
	$primary->start;
	check_index($primary, "$name, the old primary");
	$standby->stop;

	# The backup alone, without a primary.
	my $restored = PostgreSQL::Test::Cluster->new("restored$round");
	$restored->init_from_backup($primary, "backup$round");
	$restored->start;
	check_index($restored, "$name, restored");
	$restored->safe_psql('postgres', 'INSERT INTO t SELECT -i, vec(i) FROM generate_series(1, 500) i');
	$restored->safe_psql('postgres', 'VACUUM t');
	check_index($restored, "$name, restored and written to");
	$restored->stop;
}
$primary->stop;

done_testing();
