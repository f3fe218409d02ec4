# CLIP models under running backends: packs that all of them share, models that
# are replaced, cache directories that are not the server's, backups, cancel.

use strict;
use warnings;

use File::Copy qw(copy);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my ($share) = run_command([ 'pg_config', '--sharedir' ]);
my $checkpoints = "$share/mmodal/checkpoints";
plan skip_all => 'no small checkpoints: make checkpoints' unless -d "$checkpoints/wide-hf-f32-calm";

my $node = PostgreSQL::Test::Cluster->new('clip');
$node->init(allows_streaming => 1, extra => [ '-E', 'UTF8', '--locale=C.UTF-8' ]);
my $models = PostgreSQL::Test::Utils::tempdir();
$node->append_conf('postgresql.conf', "mmodal.model_path = '$models'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mmodal');

sub copy_model
{
	my ($from, $name) = @_;
	mkdir "$models/$name" or die "mkdir: $!";
	copy($_, "$models/$name/") or die "copy $_: $!" foreach glob "$checkpoints/$from/*";
}
copy_model('wide-hf-f32-calm', 'wide');
copy_model('tiny-quick-hf-f32', 'tiny');
copy_model('tiny-quick-hf-f32', 'no name');
is( $node->safe_psql(
		'postgres', q{SELECT string_agg(name, ',' ORDER BY name) FROM mmodal_models()
		WHERE name IN ('wide', 'tiny', 'no name')}),
	'tiny,wide', 'what functions would refuse is not listed');

my $cache = $node->data_dir . '/pgsql_tmp_mmodal';
my $embed = q{SELECT embedding_dims(clip_embed('a dog', 'wide'))};

# Eight backends, one copy of the weights
$node->safe_psql('postgres', q{SELECT mmodal_pack_model('wide'), mmodal_pack_model('wide:int8')});
my ($pack) = glob "$cache/wide.float32.*.pack";
my $size = -s $pack;
is((stat $cache)[2] & 0022, 0, 'nobody else may write to the cache');

# Kilobytes of a process that count for it alone or in part, and of those the pack's.
sub memory_of
{
	my $pid = shift;
	my ($total, $of_pack, $here) = (0, 0, 0);

	foreach (split /\n/, slurp_file("/proc/$pid/smaps"))
	{
		$here = index($_, $pack) >= 0 if /^[0-9a-f]+-[0-9a-f]+ /;
		next unless /^Pss:\s+(\d+) kB/;
		$total += $1;
		$of_pack += $1 if $here;
	}
	return ($total, $of_pack);
}

my @sessions = map { $node->background_psql('postgres') } 1 .. 8;
my @pids = map { my $p = $_->query(q{SELECT pg_backend_pid()}); chomp $p; $p } @sessions;
$_->query(q{SELECT embedding_dims(clip_embed('a dog', 'tiny'))}) foreach @sessions;
my $before = 0;
$before += (memory_of($_))[0] foreach @pids;
foreach (@sessions)
{
	my $answer = $_->query($embed);
	die "answer: $answer" unless $answer =~ /^128/;
}
my ($after, $shared) = (0, 0);
foreach (@pids)
{
	my ($total, $of_pack) = memory_of($_);
	$after += $total;
	$shared += $of_pack;
}
note sprintf('pack %d kB; mapped by all %d kB; memory of eight backends %d kB more',
	$size / 1024, $shared, $after - $before);
cmp_ok($shared, '<=', $size / 1024 * 1.05, 'eight backends map one copy of a pack');
cmp_ok($shared, '>', $size / 1024 * 0.1, 'and it is the pack that they use');
cmp_ok($after - $before, '<', $size / 1024 + 8 * 4096, 'what each has besides is scratch');

# A model replaced by rename: who used the old one goes on, and gets the new one
my $session = $sessions[0];
my $old = $session->query(q{SELECT md5(clip_embed('a dog', 'wide')::text)});
my $in_cursor = $sessions[1];
$in_cursor->query(q{BEGIN; DECLARE c CURSOR FOR SELECT md5(clip_embed('dog ' || i, 'wide')::text) FROM generate_series(1, 4) i; FETCH 1 FROM c});
rename "$models/wide", "$models/old" or die "rename: $!";
copy_model('wide-hf-f32-outliers', 'new');
rename "$models/new", "$models/wide" or die "rename: $!";
like($in_cursor->query(q{FETCH ALL FROM c; COMMIT}), qr/^[0-9a-f]{32}/, 'a query that is under way ends well');
my $new = $session->query(q{SELECT md5(clip_embed('a dog', 'wide')::text)});
isnt($new, $old, 'the next statement has the new model');
is($session->query(q{SELECT pg_backend_pid()}) + 0, $pids[0], 'in the same backend');
my %left = ("$pack.1.tmp" => 7200, "$pack.2.tmp" => 60);
foreach (keys %left)
{
	append_to_file($_, 'cut off');
	utime(time - $left{$_}, time - $left{$_}, $_);
}
$node->safe_psql('postgres', q{SELECT mmodal_pack_model('wide')});
ok(!-e "$pack.1.tmp", 'what a crash left of a pack goes');
ok(-e "$pack.2.tmp", 'but not what may be at work');
unlink "$pack.2.tmp";
my @packs = glob "$cache/wide.float32.*.pack";
is(scalar(@packs), 1, 'a new pack takes the place of the old one');
isnt($packs[0], $pack, 'under a name of its own');
is($session->query(q{SELECT md5(clip_embed('a dog', 'wide')::text)}), $new, 'and gives what the model gave');
like(slurp_file("/proc/$pids[0]/maps"), qr/\Q$packs[0]\E/, 'mapped by a session that had none');

# A damaged pack is an error, and the server lives
my $good = slurp_file($packs[0]);
unlink $packs[0];
append_to_file("$packs[0].new", substr($good, 0, 5000));
rename "$packs[0].new", $packs[0];
my ($ret, $out, $err) = $node->psql('postgres', $embed);
isnt($ret, 0, 'a truncated pack is refused');
like($err, qr/malformed safetensors file|not what/, 'with a reason');
like($err, qr/HINT:.*mmodal_pack_model/, 'and the way out');
$node->safe_psql('postgres', q{SELECT mmodal_pack_model('wide')});
is($node->safe_psql('postgres', $embed), '128', 'and packing again mends it');

# What an int8 pack says of columns decides where weights are read
$node->safe_psql('postgres', q{SELECT mmodal_pack_model('wide:int8')});
my ($int8) = glob "$cache/wide.int8.*.pack";
my $sound = slurp_file($int8);
my $header = substr($sound, 8, unpack('Q<', $sound));
my ($columns) = $header =~ /\.outliers":\{[^}]*"data_offsets":\[(\d+),/;
foreach my $numbers ([ -1, 0 ], [ 1000, 0 ], [ 1, 1 << 20 ], [ 1, -5 ], [ 2, 7, 7 ])
{
	my $damaged = $sound;
	substr($damaged, 8 + length($header) + $columns, 4 * @$numbers) = pack('l<*', @$numbers);
	unlink $int8;
	append_to_file("$int8.new", $damaged);
	rename "$int8.new", $int8;
	($ret, $out, $err) = $node->psql('postgres', q{SELECT clip_embed('a dog', 'wide:int8')});
	like($err, qr/ERROR:.*impossible outlier column.*HINT:.*mmodal_pack_model/s, "outlier columns @$numbers: refused");
}
unlike($err, qr{pgsql_tmp_mmodal}, 'and where the pack lies is not told');
$node->safe_psql('postgres', q{SELECT mmodal_pack_model('wide:int8')});

# Weights that are not numbers are found by packing and by verifying
{
	copy_model('tiny-quick-openai-f32', 'nan');
	my $weights = slurp_file("$models/nan/model.safetensors");
	substr($weights, length($weights) - 4000, 4) = pack('V', 0x7fc00000);
	unlink "$models/nan/model.safetensors";
	append_to_file("$models/nan/model.safetensors", $weights);
	copy("$models/old/golden.json", "$models/nan/golden.json");
	foreach my $call ('mmodal_pack_model', 'mmodal_verify_model', q{clip_embed('a dog',})
	{
		my $sql = $call =~ /embed/ ? "SELECT $call 'nan')" : "SELECT $call('nan')";
		(undef, undef, $err) = $node->psql('postgres', $sql);
		like($err, qr/tensor "[\w.]+" has a value that is not finite/, "$sql names the tensor");
	}
}

# A cache that others can write to is not mapped
chmod 0777, $cache or die "chmod: $!";
($ret, $out, $err) = $node->psql('postgres', $embed);
is($out, '128', 'a cache that others can write to is left alone');
like($err, qr/has no pack/, 'and the session says so');
($ret, $out, $err) = $node->psql('postgres', q{SELECT mmodal_pack_model('wide')});
like($err, qr/cannot be used/, 'packing there is refused');
chmod 0700, $cache or die "chmod: $!";

# Base backups leave the cache out, and do without it
$node->backup('b');
ok(!-e $node->backup_dir . '/b/pgsql_tmp_mmodal', 'a base backup has no packs');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'b', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', $embed), '128', 'a standby embeds without packs');
$standby->safe_psql('postgres', q{SELECT mmodal_pack_model('wide')});
($ret, $out, $err) = $standby->psql('postgres', $embed);
unlike($err, qr/has no pack/, 'and with packs of its own');
$standby->stop;

# Cancel, between layers of a batch and while weights are laid out
my $long = q{SELECT array_length(clip_embed(array_agg('text ' || i || repeat(' word', 25)), 'wide'), 1) FROM generate_series(1, 20000) i};
foreach my $threads (1, 3)
{
	my $start = time;
	(undef, undef, $err) = $node->psql('postgres',
		"SET mmodal.encoder_threads = $threads; SET statement_timeout = '300ms'; $long");
	like($err, qr/statement timeout/, "a batch on $threads threads ends by statement_timeout");
	cmp_ok(time - $start, '<', 20, 'soon');
}
is($session->query($embed) + 0, 128, 'and all goes on');

$_->quit foreach @sessions;
$node->stop;
done_testing();
