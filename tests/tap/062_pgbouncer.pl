# A pooler that lends a server connection for a transaction (pgbouncer,
# pool_mode = transaction): nothing depends on the session but settings.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use MmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin';
plan skip_all => 'no pgbouncer' unless $pgbouncer;
my ($share) = run_command([ 'pg_config', '--sharedir' ]);
plan skip_all => 'no model mini: make model' unless -d "$share/mmodal/models/mini";
my ($version) = run_command([ $pgbouncer, '--version' ]);
my ($major, $minor) = $version =~ /PgBouncer (\d+)\.(\d+)/;
note $version;

my $node = init_node('pooled', 'max_connections = 30');
$node->safe_psql(
	'postgres', q{CREATE TABLE t (id int PRIMARY KEY, title text, e embedding(384), v embedding(24));
	INSERT INTO t (id, title, v) SELECT i, 'pooled ' || i, vec(i) FROM generate_series(1, 3000) i;
	UPDATE t SET e = clip_embed(title) WHERE id <= 20;
	CREATE INDEX t_idx ON t USING faiss_ivf (v); ANALYZE t;
	CREATE TABLE dish (id int PRIMARY KEY, title text, e embedding(384));
	INSERT INTO dish SELECT i, 'dish ' || i FROM generate_series(1, 120) i;});


# Two connections for all clients.
my $dir = PostgreSQL::Test::Utils::tempdir();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $user = (getpwuid $<)[0];
my ($host, $server_port) = ($node->host, $node->port);
append_to_file("$dir/users", qq("$user" ""\n));
append_to_file("$dir/pgbouncer.ini", qq{[databases]
postgres = host=$host port=$server_port user=$user
[pgbouncer]
listen_addr =
listen_port = $port
unix_socket_dir = $dir
logfile = $dir/log
pidfile = $dir/pid
auth_type = trust
auth_file = $dir/users
pool_mode = transaction
default_pool_size = 2
max_client_conn = 100
} . ($major > 1 || $minor >= 21 ? "max_prepared_statements = 100\n" : ''));
my $bouncer = IPC::Run::start([ $pgbouncer, "$dir/pgbouncer.ini" ], '<' => \'', '>' => "$dir/out", '2>' => "$dir/out");
for (1 .. 100) { last if -S "$dir/.s.PGSQL.$port"; sleep 0.1 }
my $pool = "host=$dir port=$port dbname=postgres user=$user";

sub pooled
{
	my ($sql, @more) = @_;
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([ 'psql', '-XqAt', '-d', $pool, @more ], '<' => \$sql, '>' => \$out, '2>' => \$err);
	chomp $out;
	return ($out, $err);
}
# Let the pooler make its connections anew.
sub reconnect
{
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
		WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'});
	# it sees that soon, not at once
	for (1 .. 100)
	{
		sleep 0.1;
		last if (pooled('SELECT 1'))[0] eq '1';
	}
}
is((pooled('SELECT 1'))[0], '1', 'the pooler answers') or BAIL_OUT(slurp_file("$dir/out"));

# ---- SET LOCAL holds for its transaction alone, on whatever connection

# loads the library, where it is not yet
my $show = q{SELECT mmodal_version() IS NOT NULL, current_setting('mmodal.recall')};

my $exact = $node->safe_psql('postgres', q{SET mmodal.recall = 1; SET enable_seqscan = off;
	SELECT string_agg(id::text, ',') FROM (SELECT id FROM t ORDER BY v <=> vec(77) LIMIT 10) x});
is( (pooled(qq{BEGIN; SET LOCAL mmodal.recall = 1; SET LOCAL enable_seqscan = off;
	SELECT string_agg(id::text, ',') FROM (SELECT id FROM t ORDER BY v <=> vec(77) LIMIT 10) x; COMMIT;}))[0],
	$exact, 'an exact search by SET LOCAL');
is((pooled($show))[0], 't|0.95', 'and none has that setting afterwards') for 1 .. 3;
is( (pooled(q{BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL mmodal.recall = 0.7;
	SELECT count(*) FROM (SELECT id FROM t ORDER BY v <=> vec(5) LIMIT 5) x; SELECT recall, rows FROM mmodal_last_scan(); COMMIT}))[0],
	"5\n0.7|5", 'mmodal_last_scan() tells of the same transaction');
# a setting of the role is there on every connection
$node->safe_psql('postgres', "ALTER DATABASE postgres SET mmodal.recall = 0.9");
reconnect();
is((pooled($show))[0], 't|0.9', 'ALTER DATABASE sets it for all');
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET mmodal.recall');

# ---- many clients at a time, with each protocol

# What is wrong divides by zero.
my %scripts = (
	search => q{\set i random(1, 3000)
BEGIN;
SET LOCAL enable_seqscan = off;
SET LOCAL mmodal.recall = 0.99;
SELECT 1 / (count(*) = 1)::int FROM (SELECT id FROM t ORDER BY v <=> (SELECT v FROM t WHERE id = :i) LIMIT 1) x;
SELECT 1 / (recall = 0.99 AND rows = 1)::int FROM mmodal_last_scan();
COMMIT;
SELECT 1 / (count(*) = 5)::int FROM (SELECT id FROM t ORDER BY v <=> (SELECT v FROM t WHERE id = :i) LIMIT 5) x;
SELECT 1 / (current_setting('mmodal.recall') = '0.95')::int;
},
	embed => q{\set i random(1, 20)
SELECT 1 / (e = clip_embed('pooled ' || :i))::int FROM t WHERE id = :i;
SELECT 1 / (embedding_dims(clip_embed('text ' || :i, 'mini')) = 384)::int;
});
append_to_file("$dir/$_.sql", $scripts{$_}) foreach keys %scripts;
reconnect();
my @protocols = ('simple', 'extended');
push @protocols, 'prepared' if $major > 1 || $minor >= 21;
foreach my $protocol (@protocols)
{
	my ($out, $err) = ('', '');
	# A thread for each client: pgbench blocks one while it prepares a statement, with
	# the transactions that its other clients hold connections for.
	my $ok = IPC::Run::run(
		[ 'pgbench', '-n', '-c', '8', '-j', '8', '-t', '25', '-M', $protocol, '-f', "$dir/search.sql", '-f', "$dir/embed.sql", $pool ],
		'<' => \'', '>' => \$out, '2>' => \$err);
	ok($ok, "8 clients, protocol $protocol") or diag "$out$err";
	like($out, qr{number of transactions actually processed: 200/200}, '... all done');
}
SKIP:
{
	skip 'named prepared statements are for pgbouncer 1.21 and later', 1 unless @protocols > 2;
	pass('named prepared statements, too');
}
is( $node->safe_psql('postgres', q{SELECT count(*) <= 2 FROM pg_stat_activity
	WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()}), 't', 'on two connections');

# ---- a procedure that commits keeps its connection until it ends

{
	my @calls = map {
		my $err = '';
		my $sql = q{CALL mmodal_embed_column('dish', 'title', 'e', batch => 8)};
		my $run = IPC::Run::start([ 'psql', '-XqAt', '-d', $pool, '-c', $sql ], '<' => \'', '>' => \my $out, '2>' => \$err);
		[ $run, \$err ]
	} 1 .. 2;
	$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM mmodal_embed_progress WHERE rows_done > 0}) or die;
	# both connections are taken: the next client waits, and is served
	my ($out, $err) = pooled(q{SELECT count(*) > 0 FROM dish WHERE e IS NOT NULL});
	is($out, 't', "a client beside two calls") or diag $err;
	ok($_->[0]->finish, 'a call through the pooler ends well') or diag ${ $_->[1] } foreach @calls;
	is($node->safe_psql('postgres', 'SELECT count(*) FROM dish WHERE e = clip_embed(title)'), '120', 'with every row');
	is($node->safe_psql('postgres', q{SELECT sum(rows_done), count(DISTINCT pid) FROM mmodal_embed_progress}), '120|2', 'as progress tells');
}
($_, my $refused) = pooled("BEGIN;\nCALL mmodal_embed_column('dish', 'title', 'e');\nROLLBACK;\n");
like($refused, qr/cannot run inside a transaction block/, 'not within a transaction');

$bouncer->signal('INT');
$bouncer->finish;
$node->stop;
done_testing();
