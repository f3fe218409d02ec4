# Cancel and statement_timeout act soon, whatever is at work, and leave nothing
# behind: no lock, no pin, no thread, no memory, no file.

use strict;
use warnings;

use Compress::Zlib;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

# A second is what is promised; machines that test have other work besides.
my $bound = $ENV{MMODAL_TEST_CANCEL_BOUND} || 3;
my $rows = 60_000;
my $dims = 96;

my $node = PostgreSQL::Test::Cluster->new('cancel');
$node->init(extra => [ '-E', 'UTF8', '--locale=C.UTF-8' ]);
$node->append_conf('postgresql.conf',
	"autovacuum = off\nfsync = off\nshared_buffers = 128MB\nmaintenance_work_mem = 64MB\nmax_wal_size = 4GB\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mmodal');
my $has_buffercache = $node->safe_psql('postgres',
	"SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_buffercache'");
$node->safe_psql('postgres', 'CREATE EXTENSION pg_buffercache') if $has_buffercache;
$node->safe_psql(
	'postgres', "CREATE TABLE big (id int, e embedding($dims));
	INSERT INTO big SELECT i, (SELECT array_agg(random() - 0.5 + sin(i % 97 * j)) FROM generate_series(1, $dims) j
		WHERE i > 0)::float8[]::embedding($dims) FROM generate_series(1, $rows) i;
	CREATE TABLE small AS SELECT * FROM big WHERE id <= 20000;
	CREATE INDEX big_idx ON big USING faiss_ivf (e);
	CREATE TABLE probe AS SELECT e FROM big WHERE id <= 2000;
	CREATE TABLE picture (name text, data bytea);");

# Pictures that are small as files and take long.

# JPEG in 90 scans, none of which says anything.
sub progressive_bomb
{
	my ($width, $height) = @_;
	my $blocks = int(($width + 7) / 8) * int(($height + 7) / 8);
	my $segment = sub { pack('n n', 0xff00 | $_[0], length($_[1]) + 2) . $_[1] };
	my $empty = "\0" x int(($blocks + 7) / 8);
	# one code, a bit long, for "nothing"
	my $code = sub { $segment->(0xc4, pack('C C16 C', $_[0] << 4, 1, (0) x 15, 0)) };

	return
		"\xff\xd8"
	  . $segment->(0xdb, pack('C C64', 0, (1) x 64))
	  . $segment->(0xc2, pack('C n n C C C C', 8, $height, $width, 1, 1, 0x11, 0))
	  . $code->(0)
	  . $code->(1)
	  . $segment->(0xda, pack('C C C C C C', 1, 1, 0, 0, 0, 0)) . $empty
	  . (($segment->(0xda, pack('C C C C C C', 1, 1, 0, 1, 63, 0)) . $empty) x 89)
	  . "\xff\xd9";
}

sub png
{
	my ($width, $height) = @_;
	my $chunk = sub { pack('N', length $_[1]) . "$_[0]$_[1]" . pack('N', crc32("$_[0]$_[1]")) };
	# each row by the filter that takes longest
	my $row = "\4" . pack('C*', map { $_ * 7 % 251 } 1 .. $width * 3);
	my ($deflate) = deflateInit(-Level => 1);
	my $data = '';

	$data .= ($deflate->deflate($row))[0] for 1 .. $height;
	$data .= ($deflate->flush())[0];
	return "\x89PNG\r\n\x1a\n"
	  . $chunk->('IHDR', pack('N N C5', $width, $height, 8, 2, 0, 0, 0))
	  . $chunk->('IDAT', $data)
	  . $chunk->('IEND', '');
}

# Lossless WebP of one colour: no bit a pixel.
sub webp
{
	my ($width, $height) = @_;
	my $bits = '';
	my $put = sub { my ($v, $n) = @_; $bits .= ($v >> $_ & 1) for 0 .. $n - 1 };

	$put->(0x2f, 8);
	$put->($width - 1, 14);
	$put->($height - 1, 14);
	$put->(0, 4);
	$put->(0, 3);
	# five codes of a single symbol
	foreach (1 .. 5) { $put->(1, 1); $put->(0, 1); $put->(0, 1); $put->(0, 1) }
	my $data = pack('b*', $bits);
	$data .= "\0" x (32 - length $data);
	return 'RIFF' . pack('V', length($data) + 12) . 'WEBPVP8L' . pack('V', length $data) . $data;
}

sub store_picture
{
	my ($name, $data) = @_;
	my $path = PostgreSQL::Test::Utils::tempdir() . "/$name";

	open my $file, '>:raw', $path or die "open: $!";
	print $file $data;
	close $file;
	$node->safe_psql('postgres', "INSERT INTO picture VALUES ('$name', pg_read_binary_file('$path'))");
}
store_picture('jpeg', progressive_bomb(9000, 9000));
store_picture('png', png(9000, 7000));
store_picture('webp', webp(8000, 5000));
{
	open my $file, '<:raw', "$ENV{MMODAL_TEST_DATA}/orange.jpg" or die "open: $!";
	local $/;
	store_picture('orange', scalar <$file>);
}

my $victim = $node->background_psql('postgres', on_error_stop => 0);
my $watch = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $victim->query('SELECT pg_backend_pid()') + 0;
$victim->query('SET mmodal.embed_cache = 0');

sub slurp_proc
{
	my $path = shift;
	open(my $fh, '<', $path) or return '';
	local $/;
	my $content = <$fh>;
	return defined $content ? $content : '';
}

sub threads
{
	my @tasks = glob "/proc/$pid/task/*";
	return scalar @tasks;
}

# What a statement that was left should not have left.
sub leftovers
{
	my @left;
	my $locks = $watch->query("SELECT count(*) FROM pg_locks WHERE pid = $pid");
	push @left, "$locks locks" if $locks != 0;
	if ($has_buffercache)
	{
		my $pins;
		# others, which write buffers, may have pins for a moment
		foreach (1 .. 50)
		{
			$pins = $watch->query('SELECT coalesce(sum(pinning_backends), 0) FROM pg_buffercache');
			last if $pins == 0;
			usleep 100_000;
		}
		push @left, "$pins pins" if $pins != 0;
	}
	my $invalid = $watch->query("SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indexrelid::regclass::text !~ 'ccnew'");
	push @left, "$invalid indexes" if $invalid != 0;
	my @files = glob $node->data_dir . '/base/pgsql_tmp/* ' . $node->data_dir . '/pgsql_tmp_mmodal/*.tmp';
	push @left, "files @files" if @files;
	return join ', ', @left;
}

my $most_threads = 0;
my $slowest = 0;

# Start a statement, wait until it is where it should be, cancel it.
sub cancel
{
	my ($name, $sql, $delay, $phase) = @_;
	my ($caught, $took);

	foreach my $try (1 .. 4)
	{
		$victim->{stderr} = '';
		$victim->query_until(qr/started/, "\\echo started\n$sql;\n");
		my $begin = time;
		if ($phase)
		{
			while (time - $begin < 60)
			{
				my $at = $watch->query(
					"SELECT coalesce((SELECT phase FROM pg_stat_progress_create_index WHERE pid = $pid), '') || '|' || state FROM pg_stat_activity WHERE pid = $pid");
				last if $at =~ /\Q$phase\E/ || ($at !~ /active/ && time - $begin > 0.2);
			}
		}
		else
		{
			usleep $delay * 1e6;
		}
		my $start = time;
		$watch->query("SELECT pg_cancel_backend($pid)");
		while ($watch->query("SELECT state = 'active' FROM pg_stat_activity WHERE pid = $pid") =~ /t/)
		{
			last if time - $start > 120;
			usleep 2_000;
		}
		$took = time - $start;
		$victim->query('SELECT 1');
		$caught = $victim->{stderr} =~ /canceling statement due to user request/;
		last if $caught;
		diag($victim->{stderr}) if $victim->{stderr} =~ /ERROR/;
		$delay /= 3 if $delay;
		$victim->query('DROP INDEX IF EXISTS other_idx') if $sql =~ /other_idx/;
	}
	$victim->{stderr} = '';
  SKIP:
	{
		skip "$name: it was over each time", 2 unless $caught;
		$slowest = $took if $took > $slowest;
		cmp_ok($took, '<', $bound, sprintf('%s: canceled in %.0f ms', $name, $took * 1000));
		is(leftovers(), '', "$name: nothing is left");
	}
}

# Whole runs first: threads that libraries keep are there from then on.
$victim->query("SET max_parallel_maintenance_workers = 1; SET mmodal.encoder_threads = 2");
$victim->query('CREATE INDEX other_idx ON small USING faiss_ivf (e); DROP INDEX other_idx');
$victim->query("SELECT count(*) FROM unnest(clip_embed(ARRAY['a', 'b', 'c', 'd']))");
$most_threads = threads();

my $pictures = q{SELECT array_agg(data || int4send(i)) FROM picture, generate_series(1, 1000) i WHERE name = 'orange'};
$node->safe_psql('postgres', "CREATE TABLE many (a bytea[]); INSERT INTO many $pictures");
cancel('1000 pictures', 'SELECT clip_embed(a) FROM many', 1);
cancel('20,000 texts', q{SELECT clip_embed(array_agg('a picture of ' || i)) FROM generate_series(1, 20000) i}, 0.5);
cancel('a text each row', q{SELECT count(clip_embed('row ' || i)) FROM generate_series(1, 100000) i}, 0.3);
cancel("one $_ of 40 megapixels or more", "SELECT clip_embed(data) FROM picture WHERE name = '$_'", 0.25)
  foreach qw(jpeg png webp);
cancel('the same beside other threads',
	q{SELECT clip_embed(ARRAY[data, data || '\x00', data || '\x01']) FROM picture WHERE name = 'jpeg'}, 0.5);
cancel('clip_preprocess', q{SELECT clip_preprocess(data) FROM picture WHERE name = 'png'}, 0.25);
cancel('clip_classify',
	q{SELECT * FROM clip_classify((SELECT data FROM picture WHERE name = 'orange'), (SELECT array_agg('label ' || i) FROM generate_series(1, 20000) i))}, 0.3);

my $build = 'CREATE INDEX other_idx ON big USING faiss_ivf (e) WITH (lists = 1500)';
cancel("CREATE INDEX, $_", $build, 0, $_)
  foreach ('sampling rows', 'training centres', 'encoding rows', 'writing lists', 'measuring recall');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relname = 'other_idx'"),
	'0', 'CREATE INDEX leaves no index');
cancel('flat, writing lists', 'CREATE INDEX other_idx ON big USING faiss_ivf (e) WITH (codec = flat)', 0, 'writing lists');
cancel('REINDEX CONCURRENTLY', 'REINDEX INDEX CONCURRENTLY big_idx', 0, 'encoding rows');
$victim->query(
	q{SELECT format('DROP INDEX %s', indexrelid::regclass) FROM pg_index WHERE NOT indisvalid \gexec});

$victim->query('SET enable_seqscan = off; SET enable_sort = off');
my $each = 'SELECT sum(n) FROM probe p, LATERAL (SELECT count(*) AS n FROM (SELECT id FROM big';
cancel('exact searches', "SET mmodal.recall = 1; $each ORDER BY e <=> p.e LIMIT 10) x) y", 0.3);
cancel('an exact scan to its end', "$each ORDER BY e <=> p.e) x) y", 0.3);
cancel('a filter that nothing matches', "SET mmodal.recall = 0.95; $each WHERE id < 0 ORDER BY e <=> p.e LIMIT 1) x) y", 0.3);
cancel('mmodal_index_check', q{SELECT mmodal_index_check('big_idx') FROM generate_series(1, 3)}, 0.5);
cancel('mmodal_calibrate', q{SELECT * FROM mmodal_calibrate('big_idx', (SELECT array_agg(e) FROM probe))}, 0.5);
cancel('mmodal_recall', q{SELECT mmodal_recall('big_idx', (SELECT array_agg(e) FROM probe), 10)}, 0.5);
cancel('aggregates', q{SELECT avg(b.e), sum(b.e) FROM big b, probe}, 0.3);
cancel('casts', q{SELECT count(b.e::real[]::embedding::text) FROM big b, probe}, 0.3);
cancel('a sequential scan', q{SET enable_seqscan = on; SET enable_indexscan = off; SELECT count(b.e <=> p.e) FROM big b, probe p}, 0.3);
$victim->query('RESET enable_seqscan; RESET enable_indexscan; RESET enable_sort');

# Vacuum at many moments: pages that a list was being written to are the next one's to retire.
$node->safe_psql('postgres', 'UPDATE big SET e = l2_normalize(e) WHERE id % 3 = 0; DELETE FROM big WHERE id % 5 = 0');
{
	my ($begin, $canceled) = (time, 0);
	foreach my $i (1 .. 12)
	{
		$victim->{stderr} = '';
		$victim->query('SET statement_timeout = ' . (5 + $i * $i * 4));
		my $start = time;
		$victim->query('VACUUM big');
		my $took = time - $start - (5 + $i * $i * 4) / 1000;
		$slowest = $took if $took > $slowest;
		$canceled++ if $victim->{stderr} =~ /statement timeout/;
	}
	$victim->{stderr} = '';
	$victim->query('SET statement_timeout = 0');
	note "VACUUM: $canceled of 12 were cut short";
	cmp_ok($canceled, '>', 0, 'VACUUM is cut short by statement_timeout');
	is(leftovers(), '', 'VACUUM: nothing is left');
	$victim->query('VACUUM big');
	is($watch->query(q{SELECT orphan_pages FROM mmodal_index_stats('big_idx')}) + 0, 0, 'and no page is lost');
}

# The same over and over takes no more memory.
my $memory = q{SELECT sum(total_bytes) FROM pg_backend_memory_contexts};
sub again
{
	my $n = shift;

	foreach my $i (1 .. $n)
	{
		$victim->query('SET statement_timeout = ' . (20 + $i % 5 * 30));
		$victim->query($_)
		  foreach (
			q{SELECT clip_embed(array_agg('a word ' || i)) FROM generate_series(1, 2000) i},
			q{SELECT clip_embed(data) FROM picture WHERE name = 'png'},
			q{CREATE INDEX other_idx ON small USING faiss_ivf (e) WITH (lists = 700)},
			q{SELECT mmodal_index_check('big_idx')},
			q{SELECT mmodal_recall('big_idx', (SELECT array_agg(e) FROM probe), 10)},
			"SET enable_seqscan = off; SET enable_sort = off; SET mmodal.recall = 1",
			"$each ORDER BY e <=> p.e) x) y",
			'RESET enable_seqscan; RESET enable_sort; RESET mmodal.recall');
		$victim->query('SET statement_timeout = 0; DROP INDEX IF EXISTS other_idx');
		$victim->{stderr} = '';
	}
}

sub resident
{
	return slurp_proc("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 : 0;
}
again(5);
my ($contexts, $resident) = ($victim->query($memory) + 0, resident());
again(20);
my ($contexts_after, $resident_after) = ($victim->query($memory) + 0, resident());
cmp_ok($contexts_after, '<', $contexts * 1.02 + 65536,
	"memory contexts after 20 times more: $contexts, then $contexts_after bytes");
cmp_ok($resident_after, '<', $resident * 1.1 + 8192,
	"private memory: $resident, then $resident_after kB");
is(leftovers(), '', 'nothing is left of all that');
cmp_ok(threads(), '<=', $most_threads, "no more threads than $most_threads");
is($victim->query('SELECT pg_backend_pid()') + 0, $pid, 'in one and the same backend');
is( $node->safe_psql('postgres', q{SELECT mmodal_index_check('big_idx') = count(*) FROM big}),
	't', 'the index is whole');
note sprintf 'the slowest took %.0f ms', $slowest * 1000;
$victim->quit;
$watch->quit;
$node->stop;
done_testing();
