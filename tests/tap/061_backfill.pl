# mmodal_embed_column beside other sessions: ones that do the same work, that write,
# that hold rows; killed, canceled, resumed; by roles with few rights, under policies.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use MmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my ($share) = run_command([ 'pg_config', '--sharedir' ]);
plan skip_all => 'no model mini: make model' unless -d "$share/mmodal/models/mini";

my $rows = 300;
my $node = init_node('backfill', '', );
$node->safe_psql(
	'postgres', 'CREATE ROLE guest LOGIN; CREATE ROLE other LOGIN;
	CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN PERFORM pg_sleep(0.005); RETURN NEW; END $$');

sub make_table
{
	my $name = shift;
	$node->safe_psql(
		'postgres', "DROP TABLE IF EXISTS $name; CREATE TABLE $name (id int PRIMARY KEY, title text, e embedding(384));
		INSERT INTO $name SELECT i, '$name ' || i FROM generate_series(1, $rows) i");
}

# One whose calls are still at work when somebody looks, however fast the machine is.
sub make_slow_table
{
	my $name = shift;
	make_table($name);
	$node->safe_psql('postgres',
		"CREATE TRIGGER linger BEFORE UPDATE ON $name FOR EACH ROW EXECUTE FUNCTION linger()");
}

# The SQLSTATE that a call ends with, or nothing; and all that it said.
sub call
{
	my ($sql, $user) = @_;
	my ($ret, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql",
		extra_params => $user ? [ '-U', $user ] : []);
	return ($err =~ /ERROR:\s+(\w+):/ ? $1 : '', $err);
}

sub wait_for
{
	my ($sql, $what) = @_;
	$node->poll_query_until('postgres', $sql) or BAIL_OUT("timed out waiting for: $what");
}

sub progress
{
	my ($columns, $table) = @_;
	return $node->safe_psql('postgres', "SELECT $columns FROM mmodal_embed_progress WHERE relation = '$table'::regclass");
}

# every embedding is that of its row
sub check_embedded
{
	my ($table, $name) = @_;
	is( $node->safe_psql(
			'postgres', "SELECT count(*) FILTER (WHERE e IS NULL AND title IS NOT NULL),
			count(*) FILTER (WHERE e <> clip_embed(title)) FROM $table"),
		'0|0', "$name: every row has the embedding of its text");
}

# ---- two sessions share the work

make_slow_table('shared');
$node->safe_psql(
	'postgres', q{CREATE TABLE audit (id int, pid int DEFAULT pg_backend_pid());
	CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN INSERT INTO audit VALUES (NEW.id); RETURN NULL; END $$;
	CREATE TRIGGER audit AFTER UPDATE ON shared FOR EACH ROW EXECUTE FUNCTION audit()});
{
	my ($err1, $err2) = ('', '');
	my $sql = q{CALL mmodal_embed_column('shared', 'title', 'e', batch => 8);};
	my @calls = (start_psql($node, $sql, undef, \$err1), start_psql($node, $sql, undef, \$err2));
	wait_for(q{SELECT count(*) = 2 FROM mmodal_embed_progress WHERE relation = 'shared'::regclass AND running
		AND phase = 'embedding' AND rows_done > 0 AND rows_total > 0 AND eta > updated}, 'both at work');
	pass('progress of both is seen by others');
	ok($_->finish, 'a call ends well') foreach @calls;
	like("$err1$err2", qr/embedded \d+ rows, 0 failed, 0 were skipped.*embedded \d+ rows, 0 failed, 0 were skipped/s,
		'and nothing was left');
}
check_embedded('shared', 'shared');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id), count(DISTINCT pid) FROM audit'),
	"$rows|$rows|2", 'by two sessions, no row twice');
is(progress('count(*), sum(rows_done), bool_or(running), min(phase), max(phase)', 'shared'),
	"2|$rows|f|finished|finished", 'what both did remains to be seen');
is( $node->safe_psql('postgres', q{CALL mmodal_embed_column('shared', 'title', 'e');
	SELECT count(*), sum(rows_done) FROM mmodal_embed_progress WHERE relation = 'shared'::regclass}),
	'1|0', 'until the next call');

# ---- killed, and resumed

make_slow_table('killed');
my $killed = start_psql($node, q{CALL mmodal_embed_column('killed', 'title', 'e', batch => 10);});
wait_for(q{SELECT count(*) = 1 FROM mmodal_embed_progress WHERE relation = 'killed'::regclass AND rows_done >= 20},
	'twenty rows');
crash($node);
$killed->kill_kill;
$node->start;
my ($done, $told) = split /\|/, $node->safe_psql('postgres', q{SELECT count(e), (SELECT rows_done
	FROM mmodal_embed_progress WHERE relation = 'killed'::regclass) FROM killed});
cmp_ok($done, '>=', 20, 'what was committed before the crash is there');
cmp_ok($done, '<', $rows, 'and it was in the middle');
is($done, $told, 'progress tells just that');
is(progress('running, phase', 'killed'), 'f|interrupted', 'of a call that does not go on');
$node->safe_psql('postgres', q{CALL mmodal_embed_column('killed', 'title', 'e')});
check_embedded('killed', 'resumed');
is(progress('rows_done, phase', 'killed'), ($rows - $done) . '|finished', 'only the rest was done');

# ---- canceled, timed out, terminated

foreach my $way (
	[ 'pg_cancel_backend', '57014' ],
	[ 'pg_terminate_backend', '57P01' ])
{
	my ($function, $state) = @$way;
	my $err = '';
	make_slow_table('canceled');
	# one that fails, so that rows are taken one by one
	$node->safe_psql('postgres', 'ALTER TABLE canceled ADD CHECK (id % 3 <> 0 OR e IS NULL)');
	my $call = start_psql($node, "\\set VERBOSITY sqlstate\nCALL mmodal_embed_column('canceled', 'title', 'e', batch => 20);",
		undef, \$err);
	wait_for(q{SELECT count(*) = 1 FROM mmodal_embed_progress WHERE relation = 'canceled'::regclass
		AND running AND rows_failed > 0}, 'some that failed');
	$node->safe_psql('postgres', qq{SELECT $function(pid) FROM mmodal_embed_progress WHERE relation = 'canceled'::regclass});
	$call->finish;
	like($err, qr/$state/, "$function ends the call");
	is(progress('running, phase', 'canceled'), 'f|interrupted', 'and that is told');
	is( $node->safe_psql(
			'postgres', q{SELECT count(*) FILTER (WHERE sqlstate <> '23514'), count(*) % 20 BETWEEN 0 AND 19,
			count(*) = (SELECT rows_failed FROM mmodal_embed_progress WHERE relation = 'canceled'::regclass)
			FROM mmodal_embed_errors WHERE relation = 'canceled'::regclass}),
		'0|t|t', 'no row has it for an error');
}
make_slow_table('canceled');
my ($state, $err) = call(q{SET statement_timeout = '300ms'; CALL mmodal_embed_column('canceled', 'title', 'e', batch => 5)});
is($state, '57014', 'statement_timeout ends a call');
is($node->safe_psql('postgres', q{SELECT count(*) FROM mmodal_embed_errors WHERE relation = 'canceled'::regclass}),
	'0', 'and is no error of a row');
# the session that was canceled is there, and at work on something else
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query(q{SET statement_timeout = '200ms'});
$session->query(q{CALL mmodal_embed_column('canceled', 'title', 'e', batch => 5)});
is(progress('running, phase', 'canceled'), 'f|interrupted', 'a session that goes on without its call does not run it');
$session->quit;

# ---- others write meanwhile

make_table('written');
$node->safe_psql(
	'postgres', q{CREATE FUNCTION defer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.e := NULL; RETURN NEW; END $$;
	CREATE TRIGGER defer BEFORE UPDATE OF title ON written FOR EACH ROW EXECUTE FUNCTION defer()});
{
	my $err = '';
	my $call = start_psql($node, q{CALL mmodal_embed_column('written', 'title', 'e', batch => 16);}, undef, \$err);
	my @writers = map { start_psql($node, qq{
		DO \$\$ DECLARE k int; BEGIN FOR i IN 1 .. 400 LOOP
			k := 1 + (random() * ($rows - 1))::int;
			IF i % 9 = 0 THEN DELETE FROM written WHERE id = k; INSERT INTO written VALUES (k, 'again ' || i) ON CONFLICT DO NOTHING;
			ELSE UPDATE written SET title = 'changed ' || i || ' $_' WHERE id = k; END IF;
			COMMIT; PERFORM pg_sleep(0.002);
		END LOOP; END \$\$;}) } 1 .. 2;
	ok($_->finish, 'a writer ends well') foreach @writers;
	ok($call->finish, 'the call ends well beside writers');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM written WHERE e <> clip_embed(title)'),
		'0', 'no embedding is of an older text');
	($state, $err) = call(q{CALL mmodal_embed_column('written', 'title', 'e')});
	is($state, '', 'and once more');
	check_embedded('written', 'written');
}

# ---- rows that are held

make_table('held');
my $holder = $node->background_psql('postgres');
$holder->query(q{BEGIN; UPDATE held SET title = 'new ' || id WHERE id % 100 = 0; SELECT FROM held WHERE id = 5 FOR UPDATE});
{
	my $err = '';
	my $call = start_psql($node, q{CALL mmodal_embed_column('held', 'title', 'e', batch => 50);}, undef, \$err);
	wait_for(q{SELECT count(*) = 1 FROM mmodal_embed_progress WHERE relation = 'held'::regclass AND running
		AND phase = 'waiting for a row'}, 'the wait');
	is($node->safe_psql('postgres', 'SELECT count(e) FROM held'), $rows - 4, 'held rows are waited for when all others are done');
	($state) = call(q{SET lock_timeout = '100ms'; CALL mmodal_embed_column('held', 'title', 'e')});
	is($state, '55P03', 'lock_timeout ends the wait');
	$holder->query(q{COMMIT});
	ok($call->finish, 'and the call ends when they are free');
	like($err, qr/embedded $rows rows, 0 failed, 0 were skipped/, 'with all rows');
}
check_embedded('held', 'held');
# a batch holds its rows: who changes one waits, and comes after
$holder->query(q{BEGIN; SELECT FROM held WHERE id = 7 FOR KEY SHARE; UPDATE held SET e = NULL WHERE id = 8});
$holder->query(q{COMMIT; BEGIN; SELECT FROM held WHERE id = 8 FOR KEY SHARE});
is((call(q{SET lock_timeout = '2s'; CALL mmodal_embed_column('held', 'title', 'e')}))[0], '', 'a foreign key check is not waited for');
$holder->quit;

# ---- the table is changed, or goes, meanwhile

foreach my $change (
	[ 'DROP TABLE gone', '42P01' ],
	[ 'ALTER TABLE gone DROP COLUMN title', '42703' ],
	[ 'ALTER TABLE gone ALTER e TYPE text', '42804' ],
	[ 'ALTER TABLE gone RENAME title TO "Title"; ALTER TABLE gone RENAME TO went', '' ])
{
	my ($sql, $expected) = @$change;
	my $err = '';
	make_slow_table('gone');
	my $call = start_psql($node, "\\set VERBOSITY sqlstate\nCALL mmodal_embed_column('gone', 'title', 'e', batch => 10);",
		undef, \$err);
	wait_for(q{SELECT count(*) = 1 FROM mmodal_embed_progress WHERE relation = 'gone'::regclass AND rows_done > 0}, 'a start');
	$node->safe_psql('postgres', $sql);
	$call->finish;
	is($err =~ /ERROR:\s+(\w+)/ ? $1 : '', $expected, $sql);
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM went WHERE e IS NULL'), '0', 'names may change');

# ---- rights

make_table('owned');
is((call(q{CALL mmodal_embed_column('owned', 'title', 'e')}, 'guest'))[0], '42501', 'without rights');
$node->safe_psql('postgres', 'GRANT SELECT ON owned TO guest');
is((call(q{CALL mmodal_embed_column('owned', 'title', 'e')}, 'guest'))[0], '42501', 'with SELECT alone');
$node->safe_psql('postgres', 'REVOKE SELECT ON owned FROM guest; GRANT UPDATE ON owned TO guest');
is((call(q{CALL mmodal_embed_column('owned', 'title', 'e')}, 'guest'))[0], '42501', 'with UPDATE alone');
$node->safe_psql('postgres', q{REVOKE UPDATE ON owned FROM guest; GRANT SELECT, UPDATE (e) ON owned TO guest;
	UPDATE owned SET title = '\xffd8ffe000104a46494600' WHERE id = 3;
	REVOKE EXECUTE ON FUNCTION clip_embed(text, text) FROM PUBLIC});
($state, $err) = call(q{CALL mmodal_embed_column('owned', 'title', 'e')}, 'guest');
is($state, '42501', 'without the right to encode');
like($err, qr/function clip_embed/, 'which is that of clip_embed()');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION clip_embed(text, text) TO PUBLIC');
($state, $err) = call(q{CALL mmodal_embed_column('owned', 'title', 'e')}, 'guest');
is($state, '', 'with SELECT, and UPDATE of the column');
like($err, qr/embedded @{[$rows - 1]} rows, 1 failed/, 'it does its work');

sub seen_by
{
	my ($user, $sql) = @_;
	my ($ret, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$sql", extra_params => [ '-U', $user ]);
	return $err =~ /ERROR:\s+(\w+)/ ? $1 : $out;
}
my $errors = q{SELECT row_key FROM mmodal_embed_errors WHERE relation = 'owned'::regclass};
my $progress = q{SELECT rows_failed, phase FROM mmodal_embed_progress WHERE relation = 'owned'::regclass};
is(seen_by('guest', $errors), '{"id": 3}', 'who may read the table sees its errors');
is(seen_by('guest', $progress), '1|finished', '... and progress');
is(seen_by('other', $errors), '', 'who may not sees none');
is(seen_by('other', $progress), '', '... neither');
foreach my $sql (
	'SELECT * FROM mmodal_embed_error_log', 'SELECT * FROM mmodal_embed_run',
	'DELETE FROM mmodal_embed_error_log', 'UPDATE mmodal_embed_run SET rows_done = 0',
	'DELETE FROM mmodal_embed_errors', 'UPDATE mmodal_embed_progress SET rows_done = 0',
	'DELETE FROM mmodal_embed_progress')
{
	like(seen_by('guest', $sql), qr/^(42501|55000)$/, $sql);
}
# a function in the filter of somebody who may not see a row does not see it either
$node->safe_psql('postgres', 'GRANT CREATE ON SCHEMA public TO other');
is( seen_by('other', q{CREATE FUNCTION leak(text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS
		'BEGIN RAISE NOTICE ''leaked %'', $1; RETURN true; END';
		SELECT count(*) FROM mmodal_embed_errors WHERE leak(message)}),
	'0', 'a cheap function of another is not asked first');
my (undef, undef, $leak) = $node->psql('postgres', 'SELECT count(*) FROM mmodal_embed_errors WHERE leak(message)',
	extra_params => [ '-U', 'other' ]);
unlike($leak, qr/leaked/, '... nor told');
# triggers are the caller's, not ours
$node->safe_psql('postgres', q{CREATE TABLE who (name text, def text); GRANT INSERT ON who TO PUBLIC;
	CREATE FUNCTION who() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN INSERT INTO who VALUES (current_user, session_user); RETURN NEW; END $$;
	CREATE TRIGGER who BEFORE UPDATE ON owned FOR EACH ROW EXECUTE FUNCTION who(); UPDATE owned SET e = NULL WHERE id = 9;
	TRUNCATE who});
is((call(q{CALL mmodal_embed_column('owned', 'title', 'e')}, 'guest'))[0], '', 'a table with a trigger');
is($node->safe_psql('postgres', 'SELECT * FROM who'), 'guest|guest', 'a trigger runs as the caller');

# ---- row-level security

$node->safe_psql(
	'postgres', q{CREATE TABLE walled (id int PRIMARY KEY, whose text, title text, e embedding(384));
	INSERT INTO walled SELECT i, CASE WHEN i % 2 = 0 THEN 'guest' ELSE 'other' END,
		CASE WHEN i > 18 THEN '\xffd8ffe000104a46494600' ELSE 'walled ' || i END FROM generate_series(1, 20) i;
	ALTER TABLE walled ENABLE ROW LEVEL SECURITY; GRANT SELECT, UPDATE ON walled TO guest, other;
	CREATE POLICY own ON walled USING (whose = current_user)});
($state, $err) = call(q{CALL mmodal_embed_column('walled', 'title', 'e')}, 'guest');
like($err, qr/embedded 9 rows, 1 failed/, 'a policy hides rows');
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT whose, ',') FROM walled WHERE e IS NOT NULL}), 'guest', 'which stay as they are');
$errors = q{SELECT string_agg(row_key::text, ',') FROM mmodal_embed_errors WHERE relation = 'walled'::regclass};
is(seen_by('other', $errors), '', 'their errors are hidden, too');
call(q{CALL mmodal_embed_column('walled', 'title', 'e')}, 'other');
is(seen_by('guest', $errors), '{"id": 20}', 'each sees those of his own calls');
is(seen_by('other', $errors), '{"id": 19}', '... and no others');
is($node->safe_psql('postgres', "SELECT count(*) FROM mmodal_embed_errors WHERE relation = 'walled'::regclass"),
	'2', 'and the owner all: none was forgotten for being out of sight');

# ---- finding rows costs a walk through the table, not one a batch

$node->safe_psql(
	'postgres', q{CREATE TABLE wide (id int PRIMARY KEY, title text, pad text, e embedding);
	ALTER TABLE wide ALTER pad SET STORAGE PLAIN;
	INSERT INTO wide SELECT i, CASE WHEN i > 9500 THEN 'the end' END, repeat('x', 3000) FROM generate_series(1, 10000) i;
	ANALYZE wide});
$node->safe_psql('postgres', q{CALL mmodal_embed_column('wide', 'title', 'e', batch => 5)});
is($node->safe_psql('postgres', q{SELECT count(e) FROM wide}), '500', 'rows at the end of a large table');
sleep 1.1;
$node->safe_psql('postgres', 'SELECT pg_stat_force_next_flush()');
my $reads = $node->safe_psql('postgres', q{SELECT (heap_blks_hit + heap_blks_read) / (pg_relation_size('wide') / 8192)
	FROM pg_statio_user_tables WHERE relname = 'wide'});
note "blocks read: $reads times the table";
is($node->safe_psql('postgres', q{SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'wide'}), 2,
	'no batch reads all of it: two scans, ours and that of CREATE INDEX');

# ---- a standby

$node->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'b', has_streaming => 1);
$standby->start;
(undef, undef, $err) = $standby->psql('postgres', "\\set VERBOSITY verbose\nCALL mmodal_embed_column('owned', 'title', 'e')");
like($err, qr/25006: cannot execute mmodal_embed_column\(\) during recovery/, 'not on a standby');
is( $standby->safe_psql('postgres', q{SELECT phase, running FROM mmodal_embed_progress WHERE relation = 'killed'::regclass}),
	'finished|f', 'where progress can be read');
$standby->stop;

# ---- dumps

my $dump = $node->backup_dir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'a dump');
unlike(slurp_file($dump), qr/mmodal_embed_(error_log|run|errors|progress)/, 'has neither errors nor progress');

$node->stop;
done_testing();
