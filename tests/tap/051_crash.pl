# faiss_ivf under load, with all of the server's processes killed at a random
# moment, again and again.
#
# Each writer commits numbered transactions on rows of its own and prints the
# number once it is committed.  Here they are replayed in a model, so it is known
# what each table must hold: what was acknowledged, perhaps the one transaction
# that was under way, and nothing else.  Vacuum, REINDEX CONCURRENTLY, checkpoints
# and searches run beside them.
#
#	MMODAL_TEST_SEED	repeats a run (as far as the machine's timing does)
#	MMODAL_TEST_LONG	50 kills instead of 5

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use MmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $seed = $ENV{MMODAL_TEST_SEED} || int(rand(1 << 31));
my $rounds = long_mode() ? 50 : 5;
note("seed $seed, $rounds kills");
srand($seed);

# Two writers a table.
my %codec = (r => 'refined', c => 'compact', f => 'flat');
my @tables = sort keys %codec;
my @writers = map { { number => $_, table => $tables[ $_ % 3 ], committed => 0, rows => {}, next => 1 } } 0 .. 5;

sub pick { return $_[ int(rand(@_)) ] }

# What a row holds, from its id and version.
my $value = q{CASE WHEN (id + v) % 23 = 0 THEN NULL
	WHEN (id + v) % 29 = 0 THEN array_fill(0, ARRAY[24])::embedding
	ELSE vec(w * 100003 + id * 31 + v) END};

my $node = init_node('crash',
	"wal_level = replica\nmax_wal_size = 64MB\nmin_wal_size = 32MB\ncheckpoint_timeout = 30s\nmax_connections = 30\n");
$node->safe_psql('postgres', 'CREATE TABLE journal (w int, n int, PRIMARY KEY (w, n))');
foreach my $table (@tables)
{
	$node->safe_psql(
		'postgres', "CREATE TABLE $table (w int, id int, v int, noise int DEFAULT 0, e embedding($dims), PRIMARY KEY (w, id))
			WITH (fillfactor = 70);
		INSERT INTO $table SELECT -1, i, 0, 0, vec(i) FROM generate_series(1, 1000) i;
		CREATE INDEX ${table}_idx ON $table USING faiss_ivf (e) WITH (lists = 12, codec = $codec{$table});");
}

# One change of a writer's rows: its SQL, and the same in a model.
sub change
{
	my $writer = shift;
	my ($w, $table) = @$writer{qw(number table)};
	my $kind = pick(qw(insert insert insert update touch delete upsert));
	my $from = 1 + int(rand($writer->{next}));
	my $to = $from + int(rand(60));
	my $where = "w = $w AND id BETWEEN $from AND $to";

	if ($kind eq 'insert')
	{
		$from = $writer->{next};
		$to = $from + int(rand(80));
		$writer->{next} = $to + 1;
		return (
			"INSERT INTO $table SELECT w, id, v, 0, $value FROM (SELECT $w AS w, i AS id, 0 AS v FROM generate_series($from, $to) i) x",
			sub { $_[0]{$_} = 0 foreach $from .. $to; });
	}
	if ($kind eq 'upsert')
	{
		# ids from next on are for inserts
		$to = $writer->{next} - 1 if $to >= $writer->{next};
		return (
			"INSERT INTO $table AS t SELECT w, id, v, 0, $value FROM (SELECT $w AS w, i AS id, 0 AS v FROM generate_series($from, $to) i) x
			 ON CONFLICT (w, id) DO NOTHING",
			sub { $_[0]{$_} //= 0 foreach $from .. $to; });
	}
	if ($kind eq 'update')
	{
		return (
			"UPDATE $table t SET v = v + 1, e = (SELECT $value FROM (SELECT t.w, t.id, t.v + 1 AS v) x) WHERE $where",
			sub { exists $_[0]{$_} and $_[0]{$_}++ foreach $from .. $to; });
	}
	# a HOT update: the index is not told
	return ("UPDATE $table SET noise = noise + 1 WHERE $where", sub { }) if $kind eq 'touch';
	# larger than others, so that tables do not grow for ever
	$to = $from + int($writer->{next} / 8);
	return ("DELETE FROM $table WHERE w = $w AND id BETWEEN $from AND $to",
		sub { delete $_[0]{$_} foreach $from .. $to; });
}

# Transaction n of a writer: SQL, and its effect on a model.
sub transaction
{
	my ($writer, $n) = @_;
	my $sql = "BEGIN;\n";
	my @effects;

	foreach (1 .. 1 + int(rand(3)))
	{
		my ($statement, $effect) = change($writer);
		if (rand() < 0.15)
		{
			$sql .= "SAVEPOINT s;\n$statement;\nROLLBACK TO s;\n";
			next;
		}
		$sql .= "$statement;\n";
		push @effects, $effect;
	}
	# in one that never commits, rows that are dead from the start
	if (rand() < 0.15)
	{
		return ("${sql}ROLLBACK;\n", undef);
	}
	return ("${sql}INSERT INTO journal VALUES ($writer->{number}, $n);\nCOMMIT;\n\\echo $n\n",
		\@effects);
}

# Start a writer on transactions after those it has committed.
sub start_writer
{
	my $writer = shift;
	my $script = '';
	my @effects;

	$writer->{first} = $writer->{committed} + 1;
	for (my $n = $writer->{first}; $n < $writer->{first} + 400;)
	{
		my ($sql, $effects) = transaction($writer, $n);
		$script .= $sql;
		next unless $effects;
		push @effects, $effects;
		$n++;
	}
	$writer->{effects} = \@effects;
	$writer->{output} = '';
	$writer->{errors} = '';
	return start_psql($node, $script, \$writer->{output}, \$writer->{errors});
}

# The model up to transaction n.
sub advance
{
	my ($writer, $n) = @_;
	for (my $i = $writer->{first}; $i <= $n; $i++)
	{
		$_->($writer->{rows}) foreach @{ $writer->{effects}[ $i - $writer->{first} ] };
	}
	$writer->{committed} = $n;
}

sub start_others
{
	my @scripts;
	push @scripts, "SELECT pg_sleep(random() * 0.2);\nVACUUM $_;\n" x 100 foreach @tables;
	push @scripts, join '', map {
		my $table = pick(@tables);
		my $point = int(rand(100000));
		"SET enable_seqscan = off; SELECT count(*) FROM (SELECT 1 FROM $table ORDER BY e <=> vec($point) LIMIT 50) x;\n"
		  . "SELECT count(*) FROM (SELECT 1 FROM $table ORDER BY e <=> vec($point)) x;\n"
	} 1 .. 500;
	push @scripts, "SELECT pg_sleep(random());\nCHECKPOINT;\n" x 50 if rand() < 0.5;
	if (rand() < 0.5)
	{
		my $table = pick(@tables);
		push @scripts, "REINDEX INDEX CONCURRENTLY ${table}_idx;\n" x 50;
	}
	return map { start_psql($node, $_) } @scripts;
}

sub verify_writer
{
	my ($writer, $name) = @_;
	my ($w, $table) = @$writer{qw(number table)};
	my @printed = $writer->{output} =~ /^(\d+)$/mg;
	my $acknowledged = @printed ? $printed[-1] : $writer->{first} - 1;
	my $committed =
	  $node->safe_psql('postgres', "SELECT coalesce(max(n), 0) FROM journal WHERE w = $w");

	ok( $committed == $acknowledged || $committed == $acknowledged + 1,
		"$name: committed $committed of which $acknowledged acknowledged");
	advance($writer, $committed);
	my $rows = $writer->{rows};
	my $expected = join ' ', map { "$_:$rows->{$_}" } sort { $a <=> $b } keys %$rows;
	my $found = $node->safe_psql('postgres',
		"SELECT coalesce(string_agg(id || ':' || v, ' ' ORDER BY id), '') FROM $table WHERE w = $w");
	ok($found eq $expected, "$name: exactly the committed rows, " . scalar(keys %$rows) . ' of them')
	  or diag("expected $expected\nfound $found");
}

sub verify_table
{
	my ($table, $name) = @_;
	my $point = int(rand(100000));
	my $nearest = "SELECT string_agg(w || ':' || id, ' ') FROM (SELECT w, id FROM $table
		ORDER BY e <=> vec($point), w, id LIMIT 30) x";

	is( $node->safe_psql('postgres',
			"SELECT count(*) FROM $table WHERE w >= 0 AND e IS DISTINCT FROM $value"),
		'0', "$name: values are those of their versions");
	is( $node->safe_psql('postgres', "SELECT mmodal_index_check('${table}_idx')"),
		$node->safe_psql('postgres', "SELECT count(*) FROM $table"),
		"$name: index_check has seen every row");
	is( $node->safe_psql('postgres',
			"SET enable_seqscan = off; SET enable_sort = off;
			 SELECT count(*) - count(DISTINCT (w, id)) || '|' || count(*) FROM (SELECT w, id FROM $table ORDER BY e <=> vec($point)) x"),
		'0|' . $node->safe_psql('postgres', "SELECT count(*) FROM $table"),
		"$name: a scan gives every row once");
	is( $node->safe_psql('postgres', "SET enable_seqscan = off; SET mmodal.recall = 1; $nearest"),
		$node->safe_psql('postgres', "SET enable_indexscan = off; $nearest"),
		"$name: the exact answer by the index is that without it");
}

foreach my $round (1 .. $rounds)
{
	my $wait = 0.2 + rand(2.5);
	my @settings = (
		'shared_buffers=' . pick('1MB', '32MB'),
		'full_page_writes=' . pick('on', 'on', 'off'),
		'autovacuum=' . pick('on', 'off'));
	$node->append_conf('postgresql.conf', join '', map { s/=/ = /r . "\n" } @settings);
	$node->restart;
	my @running = ((map { start_writer($_) } @writers), start_others());
	my $end = Time::HiRes::time() + $wait;
	while (Time::HiRes::time() < $end)
	{
		$_->pumpable && $_->pump_nb foreach @running;
		sleep 0.01;
	}
	crash($node);
	$_->finish foreach @running;
	$node->start;

	my $name = sprintf 'kill %d after %.2f s (%s)', $round, $wait, join ' ', @settings;
	unlike($_->{errors}, qr/ERROR/, "$name: writer $_->{number} met no error") foreach @writers;
	verify_writer($_, "$name, writer $_->{number}") foreach @writers;
	# What a crash of REINDEX CONCURRENTLY leaves, as PostgreSQL's manual says.
	$node->safe_psql('postgres', "SELECT format('DROP INDEX %s', indexrelid::regclass) FROM pg_index WHERE NOT indisvalid \\gexec");
	verify_table($_, "$name, table $_ ($codec{$_})") foreach @tables;
}

$node->safe_psql('postgres', "VACUUM $_") foreach @tables;
foreach my $table (@tables)
{
	verify_table($table, "after the last vacuum, table $table");
	is($node->safe_psql('postgres', "SELECT orphan_pages FROM mmodal_index_stats('${table}_idx')"),
		'0', "table $table: no page is lost");
}
note('transactions committed: ' . join ' ', map { $_->{committed} } @writers);
$node->stop;

done_testing();
