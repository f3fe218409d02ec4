# mmodal-load: every kind of input, what is wrong with inputs and tables, reruns,
# signals, and a server that goes away.

use strict;
use warnings;

use Archive::Tar;
use Cwd qw(getcwd);
use Digest::SHA qw(sha256_hex);
use File::Copy qw(copy);
use File::Path qw(make_path remove_tree);
use IO::Pty;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostgreSQL::Test::Cluster->new('load');
$node->init(extra => [ '-E', 'UTF8', '--locale=C.UTF-8' ]);
$node->append_conf('postgresql.conf', "fsync = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE bare');
$node->safe_psql('postgres', 'CREATE SCHEMA "Ext Schema"; CREATE EXTENSION mmodal SCHEMA "Ext Schema"');
my $data = $ENV{MMODAL_TEST_DATA};
my $dims = $node->safe_psql('postgres', q{SELECT dims FROM "Ext Schema".mmodal_models() WHERE name = 'mini'});

my $work = PostgreSQL::Test::Utils::tempdir();
chdir $work or die;
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';

sub sql
{
	return $node->safe_psql('postgres', shift);
}

# load(ARGUMENTS): (exit status, the summary, standard error)
sub load
{
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'mmodal-load', @_ ], '<' => \'', '>' => \$out, '2>' => \$err);
	my $status = $? & 127 ? "signal " . ($? & 127) : $? >> 8;
	my ($summary) = $out =~ /^(\{"event":"summary".*\})$/m;
	return ($status, $summary || '', $err);
}

sub figure
{
	my ($summary, $name) = @_;
	return $summary =~ /"$name":(\d+)/ ? $1 : 'none';
}

# loads(NAME, [STATUS, LOADED, DUPLICATES, FAILED, SKIPPED], ARGUMENTS)
sub loads
{
	my ($name, $expected, @arguments) = @_;
	my ($status, $summary, $err) = load(@arguments);
	my $got = join ' ', $status, map { figure($summary, $_) } qw(loaded duplicates failed skipped);
	is($got, "@$expected", "$name: status, loaded, duplicates, failed, skipped") or diag($err);
	return $err;
}

sub fails
{
	my ($name, $pattern, @arguments) = @_;
	my ($status, undef, $err) = load(@arguments);
	is($status, 2, "$name: exit status 2");
	like($err, $pattern, "$name: says why");
}

sub put
{
	my ($path, $content) = @_;
	open my $file, '>:raw', $path or die "$path: $!";
	print $file $content;
	close $file;
}

# A picture of 8 x 8 pixels that no other number has.
sub picture
{
	my $number = shift;
	my $pixels = join '', map { pack 'C3', $number & 255, $number >> 8, $_ * 4 } 0 .. 63;
	return pack('a2 V v v V', 'BM', 54 + length $pixels, 0, 0, 54)
	  . pack('V V V v v V V V V V V', 40, 8, 8, 1, 24, 0, length $pixels, 2835, 2835, 0, 0) . $pixels;
}

sub pictures
{
	my ($folder, $first, $last) = @_;
	make_path($folder);
	put(sprintf('%s/%04d.bmp', $folder, $_), picture($_)) foreach $first .. $last;
}

sub drop
{
	sql("SET client_min_messages = warning; DROP TABLE IF EXISTS picture, picture_rejects");
}

# ---- usage ----
fails('no PATH', qr/no PATH/);
fails('an unknown option', qr/--help/, '--bogus', '.');
fails('no such PATH', qr/nowhere: No such file/, 'nowhere');
fails('jobs', qr/number of jobs/, '--jobs', '0', '.');
put('what', 'x');
fails('a file of no kind', qr/--format/, 'what');
is((load('--help'))[0], 0, '--help');
is((load('--version'))[0], 0, '--version');

# ---- a tree ----
make_path('tree/sub');
copy("$data/$_", "tree/$_") foreach qw(orange.jpg orange.png orange.bmp orange.webp orange_gray.jpg);
put('tree/orange.txt', "an orange\n");
put('tree/orange_gray.json', '{"caption": "a gray orange", "id": 12345678901234567890}');
put('tree/notes.md', 'no picture');
fails('no extension', qr/no extension mmodal\nhint: CREATE EXTENSION/, '-d', 'bare', 'tree');
fails('no server', qr/nowhere-at-all/, '-h', '/nowhere-at-all', 'tree');
fails('no model', qr/"none such"/, '--model', 'none such', 'tree');
fails('no such precision', qr/precision/, '--model', 'mini:int8', 'tree');
fails('no schema', qr/nowhere/, '--table', 'nowhere.t', 'tree');
fails('too many names', qr/too many dotted names/, '--table', 'a.b.c.d', 'tree');
fails('a malformed name', qr/./, '--table', '"a', 'tree');
is(sql("SELECT count(*) FROM pg_class WHERE relname LIKE 'picture%'"), 0, 'a failed start makes nothing');
loads('a tree', [ 0, 5, 0, 0, 0 ], 'tree/');
is(sql("SELECT string_agg(p || ':' || coalesce(caption, '-'), ' ' ORDER BY p) FROM picture, unnest(paths) p"),
	'tree/orange.bmp:an orange tree/orange.jpg:an orange tree/orange.png:an orange '
	  . 'tree/orange.webp:an orange tree/orange_gray.jpg:a gray orange',
	'paths and captions');
is(sql("SELECT metadata->>'id' FROM picture WHERE metadata IS NOT NULL"), '12345678901234567890', 'metadata as it is');
is(sql("SELECT count(*) FROM picture WHERE hash = sha256(photo)"), 5, 'hashes are those of the pictures');
is( sql(q{SELECT count(*) FROM picture WHERE e OPERATOR("Ext Schema".=) "Ext Schema".clip_embed(photo)}),
	5,
	'embeddings are those of clip_embed()');
my $ids = sql("SELECT string_agg(id::text, ' ' ORDER BY hash) FROM picture");

# ---- reruns, duplicates ----
loads('a rerun', [ 0, 0, 5, 0, 0 ], 'tree');
copy('tree/orange.jpg', 'tree/sub/again.jpg');
copy('tree/orange.jpg', 'tree/sub/and again.jpg');
loads('resume with two copies', [ 0, 0, 2, 0, 5 ], '--resume', 'tree');
is(sql("SELECT string_agg(id::text, ' ' ORDER BY hash) FROM picture"), $ids, 'rows are the same');
is(sql("SELECT array_to_string(paths, ',') FROM picture WHERE 'tree/orange.jpg' = ANY(paths)"),
	'tree/orange.jpg,tree/sub/again.jpg,tree/sub/and again.jpg', 'paths are kept');
drop();
loads('copies in one run', [ 0, 5, 2, 0, 0 ], 'tree');
is(sql("SELECT count(*) FROM picture"), 5, 'a row for a picture');

# ---- rejects ----
my $whole = slurp_file('tree/orange.jpg');
put('tree/cut.jpg', substr $whole, 0, 3000);
put('tree/empty.png', '');
put('tree/text.png', "no picture\n" x 10);
put('tree/large.bmp', 'BM' . "\0" x 70_000);
put('tree/secret.jpg', 'x');
chmod 0, 'tree/secret.jpg';
make_path('tree/closed');
put('tree/closed/in.jpg', $whole);
chmod 0, 'tree/closed';
POSIX::mkfifo('tree/fifo.jpg', 0600);
symlink 'nothing', 'tree/dangling.png';
symlink '..', 'tree/sub/loop';
symlink 'sub', 'tree/twice';
put("tree/\xff\\.bmp", picture(77_777 & 0xffff));
put("tree/new\nline \"quoted\" {a,b}.bmp", picture(6));
$node->append_conf('postgresql.conf', "mmodal.max_image_size = '64kB'\n");
$node->reload;
# tree/closed/in.jpg is one more copy that nobody sees
loads('rejects', [ 1, 2, 9, 10, 0 ], '--jobs', '2', 'tree');
is( sql("SELECT string_agg(path || ' ' || sqlstate, ' ' ORDER BY path) FROM picture_rejects"),
	'tree/closed 42501 tree/cut.jpg 22P03 tree/dangling.png 58P01 tree/empty.png 22P03 '
	  . 'tree/fifo.jpg 58030 tree/large.bmp 54000 tree/secret.jpg 42501 '
	  . 'tree/sub/loop 58030 tree/text.png 22P03 tree/twice/loop 58030',
	'each with its SQLSTATE') or diag(sql('TABLE picture_rejects'));
like(sql("SELECT reason FROM picture_rejects WHERE path = 'tree/cut.jpg'"), qr/could not decode JPEG/, 'and reason');
is(sql(q{SELECT count(*) FROM picture WHERE paths @> ARRAY[E'tree/\\\\xff\\\\\\\\.bmp']}), 1, 'a name that is not UTF-8');
is(sql(q{SELECT count(*) FROM picture WHERE paths @> ARRAY[E'tree/new\nline "quoted" {a,b}.bmp']}), 1, 'a name that is odd');
my ($status, $summary) = load('--resume', 'tree');
is($status, 1, 'resume: rejects are still rejects');
is(figure($summary, 'loaded'), 0, 'and are not tried');
put('tree/cut.jpg', picture(7));
put('tree/empty.png', $whole);
chmod 0755, 'tree/closed';
chmod 0644, 'tree/secret.jpg';
put('tree/secret.jpg', picture(8));
pictures('tree/later', 900, 902);
loads('retry', [ 1, 2, 2, 6, 0 ], '--retry-failed', 'tree');
is(sql("SELECT count(*) FROM picture_rejects WHERE path ~ 'cut|empty|secret|closed'"), 0, 'what is loaded is no reject');
is(sql("SELECT count(*) FROM picture_rejects"), 6, 'what is not is one still');
is(sql("SELECT count(*) FROM picture, unnest(paths) p WHERE p ~ 'later'"), 0, 'nothing else was tried');
drop();

# ---- one in many is corrupt ----
pictures('many', 1000, 1119);
put('many/1050.bmp', substr picture(1050), 0, 100);
loads('one in 120 is corrupt', [ 1, 119, 0, 1, 0 ], '--jobs', '3', 'many');
is(sql("SELECT path FROM picture_rejects"), 'many/1050.bmp', 'that one');
drop();

# ---- names of tables, options ----
loads('a schema and a quoted name', [ 0, 3, 0, 0, 0 ], '--half', '--no-photo', '--table', 'public."Odd "" Table"', 'tree/later');
is( sql(q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
		WHERE attrelid = '"Odd "" Table"'::regclass AND attnum > 0}),
	qq{id bigint, hash bytea, paths text[], caption text, metadata jsonb, e "Ext Schema".embedding($dims,half)},
	'--half, --no-photo');
is(sql(q{SELECT count(*) FROM "Odd "" Table_rejects"}), 0, 'its rejects');
delete $ENV{PGDATABASE};
{
	local $ENV{PGHOST} = '/nowhere';
	my ($host, $port) = ($node->host, $node->port);
	loads('a conninfo string', [ 0, 3, 0, 0, 0 ], '-d', "host=$host port=$port dbname=postgres", 'tree/later');
	$host =~ s!([/:])!sprintf '%%%02x', ord $1!ge;
	loads('a URI', [ 0, 0, 3, 0, 0 ], '-d', "postgresql://$host:$port/postgres", 'tree/later');
	loads('-h, -p, -d', [ 0, 0, 3, 0, 0 ], '-h', $node->host, '-p', $node->port, '-d', 'postgres', 'tree/later');
}
$ENV{PGDATABASE} = 'postgres';
fails('a long name', qr/too long/, '--table', 'x' x 60, 'tree/later');
drop();

# ---- tables that are there ----
sql(q{CREATE TABLE mine (hash bytea PRIMARY KEY, paths text[], photo bytea, e "Ext Schema".embedding, more int DEFAULT 3);
	CREATE TABLE bad (hash text, paths text[], need int NOT NULL, e real[]);
	CREATE TABLE plain (hash bytea, paths text[] NOT NULL, e "Ext Schema".embedding);
	CREATE TABLE small (hash bytea UNIQUE, paths text[] NOT NULL, e "Ext Schema".embedding(5));
	CREATE TABLE choosy (hash bytea UNIQUE, paths text[] NOT NULL CHECK (paths[1] !~ '901'), e "Ext Schema".embedding);
	CREATE VIEW seen AS TABLE mine});
loads('an existing table', [ 0, 3, 0, 0, 0 ], '--table', 'mine', 'tree/later');
is(sql("SELECT count(*) FROM mine WHERE more = 3 AND length(photo) > 0"), 3, 'is filled');
sql("UPDATE mine SET e = NULL WHERE paths[1] ~ '901'");
loads('a row without its embedding', [ 0, 1, 2, 0, 0 ], '--table', 'mine', 'tree/later');
is(sql("SELECT count(e) FROM mine"), 3, 'gets it');
fails('a wrong table', qr/hash is of type text, not bytea; column need is NOT NULL .* column e is of type real\[\]/, '--table', 'bad', 'tree/later');
fails('no unique index', qr/column hash has no unique index/, '--table', 'plain', 'tree/later');
fails('other dimensions', qr/has $dims dimensions, the column e of .* has 5/, '--table', 'small', 'tree/later');
fails('a view', qr/is not a table/, '--table', 'seen', 'tree/later');
loads('a constraint', [ 1, 2, 0, 1, 0 ], '--table', 'choosy', 'tree/later');
is(sql("SELECT path || ' ' || sqlstate FROM choosy_rejects"), 'tree/later/0901.bmp 23514', 'rejects the one row');

# ---- manifests ----
make_path('list/p');
put("list/p/$_.bmp", picture(200 + $_)) foreach 1 .. 4;
put('list/m.csv', qq{path,caption,licence\r\np/1.bmp,"one, ""1""\nand more",PD\r\np/2.bmp,,\r\np/none.bmp,x,y\r\nshort\r\n$work/list/p/3.bmp,three,z\r\n});
put('list/m.tsv', "licence\tpath\nPD\tp/4.bmp\n");
put('list/m.jsonl', qq({"path": "p/4.bmp", "caption": "four", "n": 4}\n{"path": 1}\n));
loads('manifests', [ 1, 4, 1, 3, 0 ], 'list/m.csv', 'list/m.tsv', 'list/m.jsonl');
is( sql("SELECT string_agg(coalesce(caption, '-') || coalesce(metadata::text, ''), ' ' ORDER BY photo) FROM picture"),
	qq(one, "1"\nand more{"licence": "PD"} - three{"licence": "z"} four{"licence": "PD"}), 'captions and metadata');
is(sql("SELECT string_agg(path, ' ' ORDER BY path) FROM picture_rejects"), 'list/m.csv:6 list/m.jsonl:2 list/p/none.bmp', 'rejects');
put('list/p/5.bmp', picture(205));
put('list/m.jsonl', qq({"path": "p/4.bmp", "caption": "four", "n": 4}\n{"path": "p/5.bmp"}\n));
loads('a line that is good now', [ 1, 1, 0, 2, 0 ], '--retry-failed', 'list/m.csv', 'list/m.tsv', 'list/m.jsonl');
is(sql("SELECT string_agg(path, ' ' ORDER BY path) FROM picture_rejects"), 'list/m.csv:6 list/p/none.bmp', 'is no reject');
put('list/u.csv', "url\nx\n");
loads('a manifest of urls', [ 1, 0, 0, 1, 0 ], 'list/u.csv');
like(sql("SELECT reason FROM picture_rejects WHERE path = 'list/u.csv'"), qr/img2dataset/, 'says what to do');
drop();

# ---- webdataset ----
my $tar = Archive::Tar->new;
foreach (0 .. 9)
{
	my $key = sprintf '%05d', $_;
	$tar->add_data("$key.jpg", $_ == 4 ? 'no picture' : picture(300 + $_));
	$tar->add_data("$key.json", qq({"key": "$key", "caption": "json $_"}));
	$tar->add_data("$key.txt", "text $_") if $_ % 2;
}
make_path('shards');
$tar->write('shards/00000.tar');
$tar->write('shards/00001.tar.gz', COMPRESS_GZIP);
my $bytes = slurp_file('shards/00000.tar');
loads('a shard', [ 1, 9, 0, 1, 0 ], 'shards/00000.tar');
is( sql("SELECT string_agg(paths[1] || ':' || caption, ' ' ORDER BY paths[1]) FROM picture WHERE metadata->>'key' < '00002'"),
	'shards/00000.tar/00000.jpg:json 0 shards/00000.tar/00001.jpg:text 1', 'members, captions, metadata');
loads('resume with a compressed one', [ 1, 0, 9, 1, 10 ], '--resume', 'shards');
put('shards/00002.tar', substr $bytes, 0, 512 * 17 + 100);
($status, $summary) = load('shards/00002.tar');
is($status, 1, 'a damaged shard');
is(figure($summary, 'duplicates') > 2, 1, 'what is before the damage is loaded');
is(sql("SELECT sqlstate FROM picture_rejects WHERE path = 'shards/00002.tar'"), 'XX001', 'and the shard is a reject');
put('shards/00002.tar', $bytes);
load('--retry-failed', 'shards');
is(sql("SELECT count(*) FROM picture_rejects WHERE path = 'shards/00002.tar'"), 0, 'until it is whole');
is(sql("SELECT count(*) FROM picture, unnest(paths) p WHERE p LIKE 'shards/00002.tar/%'"), 9, 'and all of it is loaded');
drop();

# ---- vectors ----
sub npy
{
	my ($type, $dims, @rows) = @_;
	my $n = @rows;
	my $header = "{'descr': '$type', 'fortran_order': False, 'shape': ($n, $dims), }";
	$header .= ' ' x (63 - (10 + length $header) % 64) . "\n";
	return "\x93NUMPY\1\0" . pack('v', length $header) . $header . join '', @rows;
}
my @rows = map { pack 'f<4', $_, 0.5, -1, 2 } 1 .. 5;
$rows[3] = pack 'f<4', 1, 9**9**9, 0, 0;
make_path('clip/img_emb', 'clip/metadata');
put('clip/img_emb/img_emb_0.npy', npy('<f4', 4, @rows));
put('clip/img_emb/img_emb_1.npy', npy('<f2', 4, pack('v4', 0x3c00, 0x4000, 0, 0xc000)));
put('alone.npy', npy('<f4', 4, @rows[ 0 .. 2 ]));
my $sha = sha256_hex('whatever');
put('clip/metadata/metadata_0.jsonl', join '', map { qq({"image_path": "i/$_.jpg", "caption": "c $_"}) . "\n" } 0 .. 4);
put('clip/metadata/metadata_1.csv', "image_path,sha256\ni/5.jpg,$sha\n");
loads('a folder of clip-retrieval', [ 1, 5, 0, 1, 0 ], '--jobs', '2', 'clip');
is( sql("SELECT string_agg(paths[1] || ' ' || coalesce(caption, '-') || ' ' || e::text, ', ' ORDER BY paths[1]) FROM picture WHERE paths[1] ~ '[05]'"),
	'i/0.jpg c 0 [1,0.5,-1,2], i/5.jpg - [1,2,0,-2]', 'vectors, paths, captions');
is(sql("SELECT encode(hash, 'hex') FROM picture WHERE paths[1] = 'i/5.jpg'"), $sha, 'a hash that the metadata has');
is(sql("SELECT path || ' ' || sqlstate FROM picture_rejects"), 'i/3.jpg 22P03', 'a value that is not finite');
loads('a rerun of it', [ 1, 0, 5, 1, 0 ], 'clip');
loads('an array alone', [ 0, 0, 3, 0, 0 ], 'alone.npy');
is(sql("SELECT count(*) FROM picture WHERE 'alone.npy/2' = ANY(paths)"), 1, 'its rows have names');
put('other.npy', npy('<f4', 5, pack('f<5', 1 .. 5)));
put('cut.npy', substr npy('<f4', 4, @rows), 0, -4);
put('fortran.npy', npy('<f4', 4, @rows) =~ s/False/True /r);
loads('arrays that do not fit', [ 1, 0, 0, 3, 0 ], 'other.npy', 'cut.npy', 'fortran.npy');
is( sql("SELECT string_agg(path || ' ' || sqlstate, ', ' ORDER BY path) FROM picture_rejects WHERE path ~ 'npy'"),
	'cut.npy 22P03, fortran.npy 0A000, other.npy 22000', 'say why');
put('fewer.npy', npy('<f4', 4, map { pack 'f<4', $_, 7, 7, 7 } 1 .. 3));
put('fewer.jsonl', qq({"image_path": "f/0"}\n{"image_path": "f/1"}\n));
loads('metadata that ends early', [ 1, 2, 0, 1, 0 ], 'fewer.npy');
drop();

# ---- a hash that another session inserts between the look and the insertion ----
put('race.npy', npy('<f4', $dims, map { pack "f<$dims", $_, (8) x ($dims - 1) } 1 .. 3));
my $between = slurp_file('race.npy');
my $hash = sha256_hex(substr $between, -4 * $dims);
make_path('race');
pictures('race', 850, 852);
loads('first', [ 0, 3, 0, 0, 0 ], 'tree/later');
foreach my $case ([ 'race.npy', $hash, 'race.npy/2' ], [ 'race', sha256_hex(picture(851)), 'race/0851.bmp' ])
{
	my ($path, $other, $name) = @$case;
	my ($out, $err) = ('', '');
	put('other.sql', qq{BEGIN; INSERT INTO picture (hash, paths, e) SELECT '\\x$other', '{other}', e FROM picture LIMIT 1;
		DO \$\$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted) LOOP PERFORM pg_sleep(0.02); END LOOP; END \$\$;
		COMMIT;});
	my $session = IPC::Run::start([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', 'other.sql' ],
		'<' => \'', '>' => \$out, '2>' => \$err);
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE state = 'active' AND query ~ '^DO'") or die;
	loads("$path: a hash that comes between", [ 0, 2, 1, 0, 0 ], $path);
	$session->finish or diag($err);
	is(sql("SELECT count(*) FROM picture WHERE paths = '{other,$name}'"), 1, "$path: is merged");
}
drop();

# ---- several sessions, the same pictures ----
pictures('same/a', 400, 459);
pictures('same/b', 400, 459);
pictures('same/c', 430, 469);
loads('the same pictures in four sessions', [ 0, 70, 90, 0, 0 ], '--jobs', '4', 'same');
is(sql("SELECT count(*), sum(cardinality(paths)) FROM picture"), '70|160', 'a row each, with all paths');
drop();

# ---- signals ----
pictures('slow', 500, 799);
foreach my $signal ('INT', 'TERM')
{
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start([ 'mmodal-load', '--jobs', '2', 'slow' ], '<' => \'', '>' => \$out, '2>' => \$err);
	$node->poll_query_until('postgres', "SELECT to_regclass('picture') IS NOT NULL") or die;
	$node->poll_query_until('postgres', "SELECT count(*) > 20 FROM picture") or die;
	$run->signal($signal);
	my $started = time;
	$run->finish;
	my ($line) = $out =~ /^(\{"event":"summary".*)$/m;
	is($run->result(0), $signal eq 'INT' ? 130 : 143, "SIG$signal: exit status");
	cmp_ok(time - $started, '<', 5, "SIG$signal: soon");
	my $rows = sql("SELECT count(*) FROM picture");
	cmp_ok($rows, '<', 300, "SIG$signal: before the end");
	is(figure($line || '', 'loaded'), $rows, "SIG$signal: the summary says what is there");
	is(sql("SELECT count(*) FROM picture_rejects"), 0, "SIG$signal: nothing is a reject");
	loads("SIG$signal, then --resume", [ 0, 300 - $rows, 0, 0, $rows ], '--resume', 'slow');
	drop();
}

# ---- the server goes away ----
{
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start([ 'mmodal-load', '--jobs', '2', 'slow' ], '<' => \'', '>' => \$out, '2>' => \$err);
	$node->poll_query_until('postgres', "SELECT to_regclass('picture') IS NOT NULL") or die;
	$node->poll_query_until('postgres', "SELECT count(*) > 20 FROM picture") or die;
	$node->stop('immediate');
	$run->finish;
	is($run->result(0), 2, 'the server is killed: exit status');
	like($err, qr/connection to the server was lost/, 'and why');
	my ($line) = $out =~ /^(\{"event":"summary".*)$/m;
	$node->start;
	my $rows = sql("SELECT count(*) FROM picture");
	cmp_ok(figure($line || '', 'loaded'), '<=', $rows, 'what was reported is there');
	loads('--resume goes on', [ 0, 300 - $rows, 0, 0, $rows ], '--resume', 'slow');
	is(sql("SELECT count(*), count(e) FROM picture"), '300|300', 'to the end');
	drop();
}

# ---- a terminal ----
sub on_terminal
{
	my ($then, @arguments) = @_;
	my $pty = IO::Pty->new;
	my $pid = fork;
	if ($pid == 0)
	{
		$pty->make_slave_controlling_terminal;
		my $slave = $pty->slave;
		close $pty;
		POSIX::dup2(fileno $slave, $_) foreach 0 .. 2;
		exec 'mmodal-load', @arguments;
	}
	$pty->close_slave;
	my $screen = '';
	while (sysread $pty, my $some, 65536)
	{
		$screen .= $some;
		$then = $then->($pty, $screen) if $then;
	}
	waitpid $pid, 0;
	return ($? & 127 ? "signal " . ($? & 127) : $? >> 8, $screen);
}
my $screen;
($status, $screen) = on_terminal(undef, 'many');
is($status, 1, 'on a terminal');
like($screen, qr/\r\[#+\.+\] +\d+% \d+\/120  [\d.]+ images\/s  ETA \d\d:\d\d  \d failed/, 'a bar moves');
like($screen, qr/119 loaded, 0 duplicates, 1 failed, 0 skipped in /, 'and a summary ends it');
unlike($screen, qr/"event"/, 'without JSON');
drop();
my $typist;
$typist = sub {
	my ($pty, $seen) = @_;
	return $typist unless $seen =~ / [1-9]\d*\/300/;
	syswrite $pty, "\cC";
	return undef;
};
($status, $screen) = on_terminal($typist, 'slow');
is($status, 130, 'Ctrl-C on a terminal');
like($screen, qr/stopping.*loaded.*skipped in/s, 'with a summary');
drop();

# JSON lines go on while it works
{
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'mmodal-load', '--jobs', '1', 'slow', 'many' ], '<' => \'', '>' => \$out, '2>' => \$err);
	my @lines = split /\n/, $out;
	is((grep { !/^\{"event":"(progress|summary)",.*\}$/ } @lines), 0, 'JSON lines');
	like($lines[-1], qr/"event":"summary","done":420,"total":420,"loaded":419,.*"failed":1,.*"exit":1/, 'the last is the summary');
}
drop();

# ---- what ends a run ----
sql("CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA \"Ext Schema\" TO reader");
loads('as the owner', [ 0, 3, 0, 0, 0 ], 'tree/later');
sql("GRANT SELECT ON picture, picture_rejects TO reader");
fails('no right to write', qr/permission denied for table picture.*42501/, '-U', 'reader', 'tree/later', 'same');
is(sql("SELECT count(*) FROM picture_rejects"), 0, 'is not the fault of a picture');

$node->stop;
done_testing();
