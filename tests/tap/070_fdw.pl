# One table over two servers by postgres_fdw: what is pushed down and searched by an
# index there, that rows are those of a single table, that values travel without a
# bit lost, and what a server that is gone looks like.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use MmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $wide = 96;
my $first = init_node('first', "wal_level = minimal\nmax_wal_senders = 0\n");
if ($first->safe_psql('postgres',
		"SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'") eq '0')
{
	$first->stop;
	plan skip_all => 'this PostgreSQL comes without postgres_fdw';
}
my %shards = map { $_ => init_node($_, "wal_level = minimal\nmax_wal_senders = 0\n") } qw(north south);

# Clusters of rows, some without a direction or a value.
my $columns = "id int NOT NULL, kind int, e embedding($wide, half)";
$first->safe_psql(
	'postgres', "CREATE EXTENSION postgres_fdw;
	CREATE FUNCTION wide(i int) RETURNS embedding LANGUAGE sql IMMUTABLE AS \$\$
		-- near one of 61 centres, and otherwise anywhere
		SELECT array_agg((hashint8(i % 61 * 1000 + j) & 65535) / 32768.0 + (hashint8(i * 1000::int8 + j) & 65535) / 32768.0 - 2)
			::float8[]::embedding($wide)
		FROM generate_series(1, $wide) j \$\$;
	CREATE TABLE item ($columns) PARTITION BY HASH (id);
	CREATE TABLE single ($columns);
	INSERT INTO single SELECT i, i % 20, CASE WHEN i % 1000 = 500 THEN NULL
		WHEN i % 1000 = 600 THEN array_fill(0, ARRAY[$wide])::embedding ELSE wide(i) END
	FROM generate_series(1, 8000) i;
	CREATE INDEX single_idx ON single USING faiss_ivf (e);
	CREATE TABLE bits (name text, e embedding, h embedding(50, half));
	CREATE TABLE query AS SELECT i, wide(i * 37 + 3) AS e FROM generate_series(1, 20) i;");
my $remainder = 0;
foreach my $name (sort keys %shards)
{
	my $shard = $shards{$name};
	$shard->safe_psql('postgres', "CREATE TABLE item_$name ($columns,
			unit embedding($wide) GENERATED ALWAYS AS (l2_normalize(e)) STORED);
		CREATE TABLE bits_$name (name text, e embedding, h embedding(50, half))");
	my $host = $shard->host;
	my $port = $shard->port;
	$first->safe_psql(
		'postgres', "CREATE SERVER $name FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port',
			dbname 'postgres', extensions 'mmodal', options '', async_capable 'true',
			batch_size '100', fetch_size '20', use_remote_estimate 'false', fdw_tuple_cost '0.2');
		CREATE USER MAPPING FOR CURRENT_USER SERVER $name;
		CREATE FOREIGN TABLE item_$name PARTITION OF item FOR VALUES WITH (MODULUS 2, REMAINDER $remainder)
			SERVER $name OPTIONS (table_name 'item_$name');
		CREATE FOREIGN TABLE bits_$name (name text, e embedding, h embedding(50, half)) SERVER $name;");
	$remainder++;
}
$first->safe_psql('postgres', 'INSERT INTO item SELECT * FROM single');
foreach my $name (sort keys %shards)
{
	$shards{$name}->safe_psql('postgres',
		"CREATE INDEX item_${name}_idx ON item_$name USING faiss_ivf (e); VACUUM ANALYZE item_$name");
}
$first->safe_psql('postgres', 'VACUUM ANALYZE single; ANALYZE item');

# Sessions on the shards are started with these, from the next statement on.
sub set_options
{
	my $options = shift;
	$first->safe_psql('postgres', "ALTER SERVER $_ OPTIONS (SET options '$options')") foreach sort keys %shards;
}

# The nearest rows, for $query, of both partitions at once.
sub in_parallel
{
	my ($query, $limit) = @_;
	my $parts = join ' UNION ALL ',
	  map { "(SELECT id, e <=> $query AS d FROM item_$_ ORDER BY d LIMIT $limit)" } sort keys %shards;
	return "SELECT id FROM (SELECT * FROM ($parts) parts OFFSET 0) fence ORDER BY d LIMIT $limit";
}

sub index_scans
{
	my $name = shift;
	# other sessions report what they did when they end
	$shards{$name}->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'postgres_fdw'");
	return $shards{$name}
	  ->safe_psql('postgres', "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'item_${name}_idx'");
}

my $query = $first->safe_psql('postgres', "SELECT wide(3)");

# What is sent, and what becomes of it there.
{
	my $plan = $first->safe_psql('postgres',
		"EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM item ORDER BY e <=> '$query' LIMIT 10");
	like($plan, qr/^Limit.*Merge Append/s, 'rows of the servers are merged');
	my $sorts = () = $plan =~ /Remote SQL: SELECT id, e FROM public\.item_\w+ ORDER BY \(e OPERATOR\(public\.<=>\) '\[/g;
	is($sorts, 2, 'each server sorts its own');
	unlike($plan, qr/\bSort\b(?! Key)/, 'nobody else does');

	$plan = $first->safe_psql('postgres', "EXPLAIN (VERBOSE, COSTS OFF) " . in_parallel("'$query'", 10));
	my $scans = () =
	  $plan =~ /Async Foreign Scan on public\.item_\w+\n.*\n.*Remote SQL: .* ORDER BY .* LIMIT 10::bigint/g;
	is($scans, 2, 'side by side, with the LIMIT');

	$plan = $first->safe_psql('postgres',
		"EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM item WHERE kind <> 3 AND embedding_dims(e) = $wide ORDER BY e <=> '$query' LIMIT 10");
	my $filters = () = $plan =~ /WHERE \(\(kind <> 3\)\) AND \(\(public\.embedding_dims\(e\) = $wide\)\) ORDER BY/g;
	is($filters, 2, 'filters go along, functions of the extension too');

	$plan = $first->safe_psql('postgres',
		"PREPARE p(embedding) AS SELECT id FROM item ORDER BY e <=> \$1 LIMIT 10;
		SET plan_cache_mode = force_generic_plan; EXPLAIN (VERBOSE, COSTS OFF) EXECUTE p('$query')");
	my $parameters = () = $plan =~ /ORDER BY \(e OPERATOR\(public\.<=>\) \$1::public\.embedding\)/g;
	is($parameters, 2, 'a parameter is sent as one, its type with its schema');

	$plan = $first->safe_psql('postgres',
		"EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM item ORDER BY e <=> (SELECT clip_embed('a boat')) LIMIT 10");
	like($plan, qr/InitPlan.*clip_embed.*Merge Append.*ORDER BY/s, 'a sub-select that embeds runs once, here');

	foreach my $name (sort keys %shards)
	{
		# as the session of postgres_fdw does it
		$plan = $shards{$name}->safe_psql('postgres',
			"SET search_path = pg_catalog; EXPLAIN DECLARE c CURSOR FOR
			SELECT id, e FROM public.item_$name ORDER BY (e OPERATOR(public.<=>) '$query') ASC NULLS LAST");
		like($plan, qr/^Index Scan using item_${name}_idx/, "$name: a cursor without a LIMIT uses the index");
	}
	my %before = map { $_ => index_scans($_) } keys %shards;
	$first->safe_psql('postgres', "SELECT id FROM item ORDER BY e <=> '$query' LIMIT 10");
	$first->safe_psql('postgres', in_parallel("'$query'", 10));
	cmp_ok(index_scans($_), '>=', $before{$_} + 2, "$_: its index was scanned") foreach sort keys %shards;
}

# The ids for every query, one line each, of a statement with %s for the query.
sub answers
{
	my ($settings, $statement) = @_;
	my @queries = split /\n/, $first->safe_psql('postgres', 'SELECT e FROM query ORDER BY i');
	return $first->safe_psql('postgres',
		"$settings;" . join '', map { "SELECT array_agg(id) FROM (" . sprintf($statement, "'$_'") . ") x;\n" } @queries);
}

# At recall 1 the indexes, which the planner would not take for it, give the rows of
# a single table.
my $exact_scans = '-c mmodal.recall=1 -c enable_seqscan=off -c enable_sort=off';
set_options($exact_scans);
my %scans = map { $_ => index_scans($_) } keys %shards;
foreach my $operator ('<=>', '<->', '<#>')
{
	# not the rows without a direction, which are all at the same distance
	my $statement = "SELECT id FROM %s WHERE id %%%% 1000 <> 600 ORDER BY e $operator %%s LIMIT 10";
	my $exact = answers('SET enable_indexscan = off', sprintf($statement, 'single'));
	is(answers('', sprintf($statement, 'item')), $exact, "recall 1: the rows of a single table, $operator");
	next if $operator ne '<=>';
	is(answers('', in_parallel('%1$s', 10)), $exact, 'and in parallel');
	my @queries = split /\n/, $first->safe_psql('postgres', 'SELECT e FROM query ORDER BY i');
	is( $first->safe_psql(
			'postgres',
			"SET plan_cache_mode = force_generic_plan;
			PREPARE p(embedding) AS SELECT array_agg(id) FROM (SELECT id FROM item ORDER BY e <=> \$1 LIMIT 10) x;"
			  . join '',
			map { "EXECUTE p('$_');\n" } @queries),
		$exact,
		'and of a prepared statement');
	is( answers('', 'SELECT id FROM item WHERE kind = 3 ORDER BY e <=> %s LIMIT 10'),
		answers('SET enable_indexscan = off', 'SELECT id FROM single WHERE kind = 3 ORDER BY e <=> %s LIMIT 10'),
		'and behind a filter');
}

cmp_ok(index_scans($_), '>=', $scans{$_} + 80, "$_: by its index, where it is for that distance") foreach sort keys %shards;

# To the end: rows without a direction, and without a value, come last, and once.
{
	my $ends = "SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE r > 7984 AND r <= 7992 AND id % 1000 = 600),
			count(*) FILTER (WHERE r > 7992 AND e IS NULL)
		FROM (SELECT id, e, row_number() OVER () AS r FROM (SELECT id, e FROM item ORDER BY e <=> '$query') s) x";
	is($first->safe_psql('postgres', $ends), '8000|8000|8|8', 'a scan to the end gives every row, those without a direction last');
}

# Below 1 the recall is that of one table.
{
	set_options('-c mmodal.recall=0.5');
	my $exact = answers('SET enable_indexscan = off', 'SELECT id FROM single ORDER BY e <=> %s LIMIT 10');
	my %recall;
	foreach my $table ('single', 'item')
	{
		my $found = answers('SET enable_seqscan = off; SET mmodal.recall = 0.5',
			"SELECT id FROM $table ORDER BY e <=> %s LIMIT 10");
		my @exact = split /\n/, $exact;
		foreach my $ids (split /\n/, $found)
		{
			my %true = map { $_ => 1 } ((shift @exact) =~ /\d+/g);
			$recall{$table} += grep { $true{$_} } $ids =~ /\d+/g;
		}
	}
	note "recall@10 at 0.5: single $recall{single} of 200, shards $recall{item}";
	cmp_ok($recall{item}, '>=', $recall{single} - 10, 'recall below 1 is not below that of one table');
	set_options($exact_scans);
}

# Bits: there as text, and back as text.  Text does not say half: the columns do.
{
	$first->safe_psql(
		'postgres', "
		INSERT INTO bits VALUES ('edges', '[-0, 1e-45, -1.1754942e-38, 3.4028235e38, 0.1, 16777217, 5.9604645e-08]',
			'[-0, 5.9604645e-08, 6.1035156e-05, 65504, 0.1, 1e-7]'::embedding || array_fill(-0.25, ARRAY[44])::embedding);
		INSERT INTO bits SELECT 'random ' || i, array_agg((sin(i * j * 0.7) * 10.0 ^ (j - 20))::real)::real[],
			array_agg((sin(i * j * 0.7) * 10.0 ^ (j % 10 - 6))::real)::real[]
			FROM generate_series(1, 300) i, generate_series(1, 50) j GROUP BY i;
		INSERT INTO bits_north SELECT * FROM bits;
		CREATE TABLE back AS SELECT * FROM bits_north;");
	my $bits = "SELECT count(*), sum(hashtextextended(name || encode(embedding_send(e) || embedding_send(h), 'hex'), 1))";
	my $here = $first->safe_psql('postgres', "$bits FROM bits");
	like($here, qr/^301\|/, 'there are values to send');
	is($shards{north}->safe_psql('postgres', "$bits FROM bits_north"), $here, 'what arrives has the same bits');
	is($first->safe_psql('postgres', "$bits FROM back"), $here, 'and what comes back');
	is( $first->safe_psql(
			'postgres', "SELECT count(*) FROM bits b JOIN bits_north n USING (name) WHERE n.e = b.e AND n.h = b.h"),
		301,
		'equal, too');
}

# Changes through the parent reach the indexes.
{
	my ($ret, $out, $err) = $first->psql('postgres', "INSERT INTO item VALUES (20001, 1, '[1,2,3]')");
	like($err, qr/expected $wide dimensions, not 3/, 'the wrong dimensions are refused');
	foreach my $table ('item', 'single')
	{
		$first->safe_psql(
			'postgres', "INSERT INTO $table SELECT i, 99, wide(i) FROM generate_series(20001, 20400) i;
			UPDATE $table SET e = wide(id + 5) WHERE id BETWEEN 20001 AND 20100;
			UPDATE $table SET e = l2_normalize(e), kind = 98 WHERE id BETWEEN 20101 AND 20200;
			UPDATE $table SET e = NULL WHERE id = 20300;
			DELETE FROM $table WHERE id BETWEEN 20301 AND 20350;
			DELETE FROM $table WHERE e <=> '$query' < 0.01;");
	}
	$first->safe_psql('postgres', "COPY single TO '" . $first->data_dir . "/rows' (FORMAT binary);
		TRUNCATE item; COPY item FROM '" . $first->data_dir . "/rows' (FORMAT binary)");
	my $sum = "SELECT count(*), sum(hashtextextended(id || ' ' || kind || coalesce(encode(embedding_send(e), 'hex'), ''), 1))";
	is($first->safe_psql('postgres', "$sum FROM item"), $first->safe_psql('postgres', "$sum FROM single"),
		'COPY in binary through the parent');
	is( answers('', 'SELECT id FROM item ORDER BY e <=> %s LIMIT 10'),
		answers('SET enable_indexscan = off', 'SELECT id FROM single ORDER BY e <=> %s LIMIT 10'),
		'after changes: the rows of a single table');
	foreach my $name (sort keys %shards)
	{
		my $shard = $shards{$name};
		is($shard->safe_psql('postgres', "SELECT count(*) FROM item_$name WHERE unit IS DISTINCT FROM l2_normalize(e)"),
			'0', "$name: a generated column was made in a session without a search_path");
		is($shard->safe_psql('postgres', "SELECT mmodal_index_check('item_${name}_idx')"),
			$shard->safe_psql('postgres', "SELECT count(*) FROM item_$name"),
			"$name: its index is right");
	}
}

# A connection that breaks in the middle, and a server that is gone.
{
	my $north = $shards{north};
	my $kill = "psql -Xqc \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'postgres_fdw'\" -d '"
	  . $north->connstr('postgres') . "' >/dev/null";
	my ($ret, $out, $err) = $first->psql(
		'postgres', "\\set VERBOSITY verbose
		BEGIN; SELECT count(*) FROM item_north;
		\\! $kill
		SELECT id FROM item ORDER BY e <=> '$query' LIMIT 10;
		ROLLBACK; SELECT count(*) > 3000 FROM item_north;", on_error_stop => 0);
	like($err, qr/ERROR:  08006: .*item_north/s, 'a broken connection: its statement names the table');
	like($out, qr/^t$/m, 'the session goes on with the next transaction');

	my $there = $first->safe_psql('postgres', 'SELECT min(id) FROM item_south');
	$north->stop('immediate');
	($ret, $out, $err) = $first->psql(
		'postgres', "\\set VERBOSITY verbose
		SELECT id FROM item ORDER BY e <=> '$query' LIMIT 10;
		SELECT count(*) FROM (" . in_parallel("'$query'", 10) . ") x;
		SELECT 'found', id FROM item WHERE id = $there;
		SELECT 'rows', count(*) FROM (SELECT id FROM item_south ORDER BY e <=> '$query' LIMIT 10) x;", on_error_stop => 0);
	my $errors = () = $err =~ /ERROR:  08001: could not connect to server "north"/g;
	is($errors, 2, 'a server that is gone: an error that names it, not fewer rows');
	is($out, "found|$there\nrows|10", 'queries that do not need it go on');
	$north->start;
	is( answers('', 'SELECT id FROM item ORDER BY e <=> %s LIMIT 10'),
		answers('SET enable_indexscan = off', 'SELECT id FROM single ORDER BY e <=> %s LIMIT 10'),
		'back again, with all its rows');
}

done_testing();
