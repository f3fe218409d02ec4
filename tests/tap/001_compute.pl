# The heavy library inside a backend: loaded late, with no thread that could
# take PostgreSQL's signals; cancel at any time; parallel workers; preloading.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('compute');
$node->init(extra => [ '-E', 'UTF8', '--locale=C.UTF-8' ]);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'mmodal'");
$node->start;

# A picture of one colour, for tests that need bytes and not beauty.
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION mmodal;
	CREATE FUNCTION bmp(side int, rgb text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
		WITH le AS (SELECT n, substr(h, 7, 2) || substr(h, 5, 2) || substr(h, 3, 2) || substr(h, 1, 2) AS hex
					FROM (VALUES (54 + side * side * 4), (54), (40), (side), (0)) v(n),
					LATERAL (SELECT lpad(to_hex(n), 8, '0')) l(h))
		SELECT decode('424d' || (SELECT hex FROM le WHERE n = 54 + side * side * 4) || '00000000' ||
			'36000000' || '28000000' || (SELECT max(hex) FROM le WHERE n = side) || (SELECT max(hex) FROM le WHERE n = side) ||
			'01002000' || repeat('00', 24) || repeat(rgb || 'ff', side * side), 'hex')
	$$;
});

sub slurp_proc
{
	my $path = shift;
	open(my $fh, '<', $path) or return '';
	local $/;
	my $content = <$fh>;
	return defined $content ? $content : '';
}

# Signal masks of the threads of a process other than its first.
sub other_threads
{
	my $pid = shift;
	my @masks;

	foreach my $status (glob "/proc/$pid/task/*/status")
	{
		next if $status eq "/proc/$pid/task/$pid/status";
		push @masks, hex $1 if slurp_proc($status) =~ /^SigBlk:\s*([0-9a-f]+)$/m;
	}
	return @masks;
}

my ($postmaster_pid) = slurp_proc($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
like(slurp_proc("/proc/$postmaster_pid/maps"), qr/mmodal\.so/, 'the light library is preloaded');
unlike(slurp_proc("/proc/$postmaster_pid/maps"),
	qr/mmodal_compute|openblas/, 'the heavy one is not in the postmaster');
is(scalar(other_threads($postmaster_pid)), 0, 'the postmaster has one thread');

my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query('SELECT pg_backend_pid()');
chomp $pid;
$session->query(q{SELECT '[1,2]'::embedding <=> '[2,1]'});
unlike(slurp_proc("/proc/$pid/maps"), qr/openblas/, 'distances need no heavy library');
$session->query(q{SELECT embedding_dims(clip_embed('a dog'))});
like(slurp_proc("/proc/$pid/maps"), qr/mmodal_compute\.so/, 'an encoding loads it');

# SIGINT, SIGUSR1 and SIGTERM, as bits of the mask
my $needed = (1 << 1) | (1 << 9) | (1 << 14);
is(scalar(grep { ($_ & $needed) != $needed } other_threads($pid)),
	0, 'no thread of it takes a signal of the backend');

# The same while threads of ours are at work
my $busy = $node->background_psql('postgres', on_error_stop => 0);
my $busy_pid = $busy->query('SELECT pg_backend_pid()');
chomp $busy_pid;
$busy->query('SET mmodal.encoder_threads = 4');
$busy->query_until(
	qr/started/, q{\echo started
SELECT count(*) FROM unnest(clip_embed((SELECT array_agg(bmp(64, lpad(to_hex(i), 6, '0'))) FROM generate_series(1, 3000) i)));
});
my ($seen, $open) = (0, 0);
for (1 .. 4000)
{
	my @masks = other_threads($busy_pid);
	$seen = @masks if @masks > $seen;
	$open += grep { ($_ & $needed) != $needed } @masks;
	last if $seen >= 3 && $_ > 100;
	usleep 5_000;
}
cmp_ok($seen, '>=', 3, 'a batch is shared among threads');
is($open, 0, 'all of them with the signals of the backend blocked');

# Cancel it in the middle of its work
my $start = time;
$node->safe_psql('postgres', "SELECT pg_cancel_backend($busy_pid)");
ok( $node->poll_query_until(
		'postgres', "SELECT state <> 'active' FROM pg_stat_activity WHERE pid = $busy_pid"),
	'a batch can be cancelled');
cmp_ok(time - $start, '<', 2, 'within two seconds');
like($busy->query('SELECT 42'), qr/42/, 'and the session lives on');
$busy->quit;
$session->quit;

my ($ret, $stdout, $stderr) = $node->psql(
	'postgres', q{
	SET statement_timeout = '300ms';
	SELECT clip_embed(array_agg(i || ' birds on a wire')) FROM generate_series(1, 20000) i});
like($stderr, qr/statement timeout/, 'statement_timeout interrupts a batch');

# Parallel workers encode, each with a library of its own over shared weights
$node->safe_psql(
	'postgres', q{
	CREATE TABLE t AS SELECT i, 'number ' || i AS words FROM generate_series(1, 300) i;
	ALTER TABLE t SET (parallel_workers = 2);
});
my $query = q{SELECT md5(string_agg(i || ':' || e::text, ',' ORDER BY i))
	FROM (SELECT i, clip_embed(words) AS e FROM t OFFSET 0) s};
my $parallel = q{SET debug_parallel_query = off;};
my $settings = q{SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;};
my $plan = $node->safe_psql('postgres', "$settings EXPLAIN SELECT i, clip_embed(words) FROM t");
like($plan, qr/Gather/, 'encoding is planned in parallel');
my $alone = $node->safe_psql('postgres', "SET max_parallel_workers_per_gather = 0; $query");
my $together = $node->safe_psql('postgres', "$settings $query");
is($together, $alone, 'parallel workers give the same embeddings to the bit');

# Bad input of every kind, and the same backend goes on
my @bad = (
	[ q{clip_embed('\x00'::bytea)}, qr/22P03/ ],
	[ q{clip_embed(''::bytea)}, qr/22P03/ ],
	[ q{clip_embed(substr(bmp(8, 'ff0000'), 1, 60))}, qr/22P03/ ],
	[ q{clip_embed('x', 'no such model')}, qr/22023/ ],
	[ q{clip_embed('x', 'nosuchmodel')}, qr/58P01/ ],
	[ q{clip_embed('x', '../mini')}, qr/22023/ ],
	[ q{clip_embed('\xffd8ffe000104a464946')}, qr/22023/ ],
);
my $hostile = $node->background_psql('postgres', on_error_stop => 0);
$hostile->query('\set VERBOSITY sqlstate');
my $before = $hostile->query('SELECT pg_backend_pid()');
foreach my $case (@bad)
{
	my ($sql, $expected) = @$case;
	$hostile->{stderr} = '';
	$hostile->query("SELECT $sql");
	like($hostile->{stderr}, $expected, "error of $sql");
	$hostile->{stderr} = '';
}
is($hostile->query('SELECT pg_backend_pid()'), $before, 'the backend lived through all of it');
$hostile->quit;

$node->stop;
done_testing();
